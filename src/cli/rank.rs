//! `allocmark rank`: the order of a record's allocators, class by class.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{Exit, print};
use crate::results::ranking::{self, CONTROL, Missing, Ranking};
use crate::results::record::Record;
use crate::results::store;
use crate::units::decimals_for;

/// Order a record's allocators by time, within each contract class
///
/// The score is an allocator's time over the best one's, as a geometric mean within each family of workloads and then
/// over families, with the interval over rounds. Equal ranks mean "not told apart". Memory is not in it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  allocmark rank results/ --format markdown")]
pub(super) struct Flags {
    /// A record, or a directory for the newest in it [default: results]
    #[arg(value_name = "RECORD")]
    record: Option<PathBuf>,
    /// text for people, markdown to paste, json for programs
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "markdown", "json"])]
    format: String,
}

/// Prints the rankings.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let path = flags.record.as_deref().unwrap_or(Path::new(store::DIRECTORY));
    let path = if path.is_dir() { store::newest(path)? } else { path.to_owned() };
    let record = store::read(&path)?;
    let rankings: Vec<(String, Ranking)> = classes(&record)
        .into_iter()
        .map(|class| (class.clone(), ranking::rank_class(&record, &class)))
        .collect();
    print(match flags.format.as_str() {
        "json" => serde_json::to_string_pretty(&as_json(&record, &rankings))?,
        "markdown" => as_markdown(&record, &rankings),
        _ => as_text(&record, &rankings),
    })?;
    Ok(Exit::Fine)
}

/// The classes that are ranked, in the order in which the record names them.
fn classes(record: &Record) -> Vec<String> {
    let mut classes: Vec<String> = Vec::new();
    for allocator in &record.allocators {
        if allocator.class != CONTROL && !classes.contains(&allocator.class) {
            classes.push(allocator.class.clone());
        }
    }
    classes
}

fn as_json(record: &Record, rankings: &[(String, Ranking)]) -> Json {
    let classes: Vec<Json> = rankings
        .iter()
        .map(|(class, ranking)| {
            let rows: Vec<Json> = ranking
                .rows
                .iter()
                .map(|row| {
                    let mut json = json!({
                        "allocator": row.allocator, "rank": row.rank, "score": row.score, "cells": row.cells,
                    });
                    // Without an interval there is none: never 0 or null.
                    if let Some((low, high)) = row.interval {
                        json["low"] = json!(low);
                        json["high"] = json!(high);
                    }
                    json
                })
                .collect();
            let missing: Vec<Json> = ranking
                .missing
                .iter()
                .map(|it| json!({ "allocator": it.allocator, "cells": it.cases, "failed": it.failed, "ranked": it.ranked }))
                .collect();
            json!({ "class": class, "cells": ranking.cells, "ranks": rows, "missing": missing })
        })
        .collect();
    json!({ "record": record.id, "classes": classes })
}

/// Each score with as many digits as its interval supports; rank, allocator, score, interval, cells.
fn rows(ranking: &Ranking) -> Vec<[String; 5]> {
    let row = |row: &ranking::Ranked| {
        let shared = ranking.rows.iter().filter(|other| other.rank == row.rank).count() > 1;
        let decimals = decimals_for(row.score, 3);
        [
            format!("{}{}", if shared { "=" } else { "" }, row.rank),
            row.allocator.clone(),
            format!("{:.decimals$}", row.score),
            row.interval.map_or("no interval".to_owned(), |(low, high)| {
                format!("{low:.decimals$}–{high:.decimals$}")
            }),
            ranking.cells.to_string(),
        ]
    };
    ranking.rows.iter().map(row).collect()
}

const HEAD: [&str; 5] = ["rank", "allocator", "score", "95 % interval", "cases"];

fn as_markdown(record: &Record, rankings: &[(String, Ranking)]) -> String {
    let mut text = format!("Record `{}`\n", record.id);
    // Writing to a string cannot fail, here and below.
    for (class, ranking) in rankings {
        let _ = writeln!(text, "\n**{class}**\n\n| {} |\n|--:|:--|--:|--:|--:|", HEAD.join(" | "));
        for row in rows(ranking) {
            let cells = row.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        for missing in &ranking.missing {
            let _ = writeln!(text, "\n{}", words(missing));
        }
    }
    text.trim_end().to_owned()
}

fn as_text(record: &Record, rankings: &[(String, Ranking)]) -> String {
    let mut text = format!("record {}\n", record.id);
    for (class, ranking) in rankings {
        let mut table = vec![HEAD.map(str::to_owned)];
        table.extend(rows(ranking));
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        let _ = writeln!(text, "\n{class}");
        for row in &table {
            let _ = writeln!(
                text,
                "  {:>a$}  {:<b$}  {:>c$}  {:>d$}  {:>e$}",
                row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                a = widths[0],
                b = widths[1],
                c = widths[2],
                d = widths[3],
                e = widths[4]
            );
        }
        for missing in &ranking.missing {
            let _ = writeln!(text, "  {}", words(missing));
        }
    }
    text.trim_end().to_owned()
}

fn words(missing: &Missing) -> String {
    let failed =
        if missing.failed > 0 { format!(" ({} of them failed)", missing.failed) } else { String::new() };
    let effect = if missing.ranked { "they are left out of every score" } else { "it is not ranked" };
    format!("{} lacks {} cases{failed}: {effect}", missing.allocator, missing.cases)
}
