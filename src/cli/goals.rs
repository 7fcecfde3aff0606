//! `allocmark goals`: what a record says of the goals of our own allocators.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{Exit, print};
use crate::results::goals::{self, Finding, State};
use crate::results::record::Record;
use crate::results::store;
use crate::units::decimals_for;

/// Hold a record against the goals of our own allocators
///
/// A goal bounds how many times as much time or memory one of our allocators takes as others do in the same cells. It stands
/// beside the allocator in its file, and whoever wrote it also wrote the allocator and this suite. The ratio is the median
/// over rounds, with its interval: reached if the interval lies at or below the bound, missed if it lies above, open if it
/// contains the bound or there are fewer than 6 rounds. Peers are system, jemalloc, mimalloc, snmalloc and rpmalloc; without
/// all of them there is no ratio.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  allocmark goals results/ --format markdown")]
pub(super) struct Flags {
    /// A record, or a directory for the newest in it [default: results]
    #[arg(value_name = "RECORD")]
    record: Option<PathBuf>,
    /// text for people, markdown to paste, json for programs
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "markdown", "json"])]
    format: String,
}

/// Prints the goals with what was measured.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let path = flags.record.as_deref().unwrap_or(Path::new(store::DIRECTORY));
    let path = if path.is_dir() { store::newest(path)? } else { path.to_owned() };
    let record = store::read(&path)?;
    let findings = goals::of_record(&record);
    print(match flags.format.as_str() {
        "json" => serde_json::to_string_pretty(&as_json(&record, &findings))?,
        "markdown" => as_markdown(&record, &findings),
        _ => as_text(&record, &findings),
    })?;
    Ok(Exit::Fine)
}

fn as_json(record: &Record, findings: &[Finding]) -> Json {
    let goal = |finding: &Finding| {
        let mut json = json!({
            "allocator": finding.allocator, "metric": finding.goal.metric, "at_most": finding.goal.at_most,
            "cells": finding.cells_in_words(ToString::to_string), "against": finding.against_in_words(),
            "result": finding.state.id(),
        });
        // What there is not is left out: never 0 or null.
        if let Some(ratio) = finding.ratio {
            json["ratio"] = json!(ratio.value);
        }
        if let Some((low, high)) = finding.ratio.and_then(|ratio| ratio.interval) {
            json["low"] = json!(low);
            json["high"] = json!(high);
        }
        if let State::NotMeasured(reason) = &finding.state {
            json["reason"] = json!(reason.to_string());
        }
        json
    };
    json!({ "record": record.id, "goals": findings.iter().map(goal).collect::<Vec<_>>() })
}

const HEAD: [&str; 8] =
    ["allocator", "metric", "cells", "against", "at most", "measured", "95 % interval", "result"];

/// Which columns are numbers.
const NUMBER: [bool; 8] = [false, false, false, false, true, true, true, false];

/// Each ratio with three digits, and its interval with as many decimals.
fn row(finding: &Finding) -> [String; 8] {
    let none = || "–".to_owned();
    let decimals = finding.ratio.map_or(0, |ratio| decimals_for(ratio.value, 3));
    let interval = finding.ratio.and_then(|ratio| ratio.interval);
    [
        finding.allocator.clone(),
        finding.goal.metric.to_owned(),
        finding.cells_in_words(ToString::to_string),
        finding.against_in_words(),
        format!("{:.2}", finding.goal.at_most),
        finding.ratio.map_or_else(none, |ratio| format!("{:.decimals$}", ratio.value)),
        interval.map_or_else(none, |(low, high)| format!("{low:.decimals$}–{high:.decimals$}")),
        finding.state.to_string(),
    ]
}

/// What is said in place of an empty table.
const NOTHING: &str = "No allocator of this record has a goal.";

fn as_markdown(record: &Record, findings: &[Finding]) -> String {
    let mut text = format!("Record `{}`\n\n", record.id);
    if findings.is_empty() {
        return text + NOTHING;
    }
    let rules = NUMBER.map(|number| if number { "--:" } else { ":--" });
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "| {} |\n|{}|", HEAD.join(" | "), rules.join("|"));
    for finding in findings {
        let cells = row(finding).map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.trim_end().to_owned()
}

fn as_text(record: &Record, findings: &[Finding]) -> String {
    let mut text = format!("record {}\n\n", record.id);
    if findings.is_empty() {
        return text + NOTHING;
    }
    let mut table = vec![HEAD.map(str::to_owned)];
    table.extend(findings.iter().map(row));
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    for row in &table {
        let columns = row.iter().zip(&widths).zip(NUMBER).map(|((cell, width), number)| match number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        let _ = writeln!(text, "  {}", columns.collect::<Vec<_>>().join("  ").trim_end());
    }
    text.trim_end().to_owned()
}
