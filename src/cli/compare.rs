//! `allocmark compare`: two records, and what changed between them.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::{Exit, print, say};
use crate::results::compare::{self, Change, Comparison, Machines, Options, Reason, Side};
use crate::results::metric::Noise;
use crate::results::store;
use crate::results::verdict::{Scale, Verdict};

/// Say what changed between two records
///
/// Compares every metric of every cell that both have, with the evidence. `suspected` means: worse beyond the floor, worth
/// fresh measurements. Two stored records were measured at different times, so what the machine did in between is part of
/// the difference; a gate measures both sides next to each other. `unchanged` and `inconclusive` are told apart.
///
/// Records of different machines are refused unless --across-machines says otherwise.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  allocmark compare results/before.json results/after.json --fail-on suspected"
)]
pub(super) struct Flags {
    /// The record compared with
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The record in question
    #[arg(value_name = "HEAD")]
    head: PathBuf,
    /// text for people, markdown to paste, json for programs
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "markdown", "json"])]
    format: String,
    /// What makes the exit code 1
    #[arg(long, value_name = "VERDICT", default_value = "none", value_parser = ["suspected", "none"])]
    fail_on: String,
    /// Compare records of different machines all the same
    #[arg(long)]
    across_machines: bool,
}

/// Compares and prints.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let (base, head) = (store::read(&flags.base)?, store::read(&flags.head)?);
    let spreads = base.checks.control.iter().chain(&head.checks.control);
    let mut options = Options { across_machines: flags.across_machines, ..Options::default() };
    for control in spreads {
        // Both records know how far a cell moves without a change; the larger of the two is the careful one.
        let known = options.spreads.entry(control.place.clone()).or_insert(0.0);
        *known = known.max(control.spread());
    }
    let comparison = compare::compare(&base, &head, &options)?;
    if comparison.machines != Machines::Same {
        say("The records do not come from one machine that both name: differences may be the machine's.");
    }
    for setting in &comparison.settings {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "not stated".to_owned());
        say(format_args!("{} differs: {} and {}", setting.name, side(&setting.base), side(&setting.head)));
    }
    print(match flags.format.as_str() {
        "json" => serde_json::to_string_pretty(&as_json(&comparison))?,
        "markdown" => as_markdown(&comparison),
        _ => as_text(&comparison),
    })?;
    let found = comparison.count(Verdict::Suspected) + comparison.count(Verdict::Regressed);
    Ok(if flags.fail_on == "suspected" && found > 0 { Exit::Finding } else { Exit::Fine })
}

/// The changes that are shown one by one: all but the unchanged and the inconclusive; of these, those that a few more rounds
/// may well decide.
fn shown(comparison: &Comparison) -> impl Iterator<Item = &Change> {
    let of = |verdict| comparison.changes.iter().filter(move |change| change.judgement.verdict == verdict);
    let undecided = of(Verdict::Inconclusive).filter(|change| change.judgement.evidence.lacks_rounds_alone());
    [Verdict::Regressed, Verdict::Suspected, Verdict::Improved].into_iter().flat_map(of).chain(undecided)
}

const fn kind(noise: Noise) -> &'static str {
    match noise {
        Noise::Noisy => "noisy metrics (time, memory, latency)",
        Noise::Exact => "exact metrics (instructions, counts)",
    }
}

/// `1.12 (1.08–1.19)`, or a difference where a value of 0 leaves no ratio.
fn estimate(change: &Change) -> String {
    let evidence = &change.judgement.evidence;
    let number = |value: f64| match evidence.scale {
        Scale::Ratio => format!("{value:.3}"),
        Scale::Difference => format!("{value:+.3}"),
    };
    match evidence.interval {
        Some((low, high)) => {
            format!("{} ({}–{})", number(evidence.estimate), number(low), number(high))
        }
        None => number(evidence.estimate),
    }
}

/// The verdicts of one kind of metric, counted.
fn counts(comparison: &Comparison, noise: Noise) -> String {
    let counted =
        Verdict::ALL.map(|verdict| format!("{} {}", comparison.count_among(noise, verdict), verdict.id()));
    format!("{}: {}", kind(noise), counted.join(", "))
}

fn rounds(change: &Change) -> String {
    let evidence = &change.judgement.evidence;
    format!("{} / {}", evidence.base_rounds, evidence.head_rounds)
}

fn as_text(comparison: &Comparison) -> String {
    let mut text = format!("base {}\nhead {}\n", comparison.base, comparison.head);
    for noise in Noise::ALL {
        let _ = writeln!(text, "{}", counts(comparison, noise));
    }
    for change in shown(comparison) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {:<10} {:<60} {:<8} {}  rounds {}, floor {:.3}",
            change.judgement.verdict.id(),
            change.place.to_string(),
            change.metric.id(),
            estimate(change),
            rounds(change),
            change.judgement.evidence.floor
        );
    }
    for (place, words) in unmatched(comparison) {
        let _ = writeln!(text, "  only one   {place:<60} {words}");
    }
    text.trim_end().to_owned()
}

fn as_markdown(comparison: &Comparison) -> String {
    let mut text = format!("`{}` against `{}`\n\n", comparison.head, comparison.base);
    for noise in Noise::ALL {
        let _ = writeln!(text, "- {}", counts(comparison, noise));
    }
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    if shown(comparison).next().is_some() {
        text.push_str("\n| verdict | cell | metric | head / base (95 %) | rounds | floor |\n|:--|:--|:--|--:|--:|--:|\n");
    }
    for change in shown(comparison) {
        let _ = writeln!(
            text,
            "| **{}** | {} | {} | {} | {} | {:.3} |",
            change.judgement.verdict.id(),
            cell(&change.place.to_string()),
            change.metric.id(),
            estimate(change),
            rounds(change),
            change.judgement.evidence.floor
        );
    }
    if !comparison.unmatched.is_empty() {
        text.push_str("\n| cell | only in one record |\n|:--|:--|\n");
    }
    for (place, words) in unmatched(comparison) {
        let _ = writeln!(text, "| {} | {} |", cell(&place), cell(&words));
    }
    text.trim_end().to_owned()
}

/// Cells that only one record has, each once, with what the other one says of it.
fn unmatched(comparison: &Comparison) -> Vec<(String, String)> {
    let mut cells: Vec<(String, String)> = Vec::new();
    for unmatched in &comparison.unmatched {
        let (has, lacks) = match unmatched.only {
            Side::Base => ("base", "head"),
            Side::Head => ("head", "base"),
        };
        let why = match &unmatched.reason {
            Reason::Failed(kind) => format!("failed there: {}", kind.id()),
            Reason::Absent(reason) => reason.clone(),
            Reason::NotMeasured => "not measured there".to_owned(),
            Reason::Unusable => "a value is not finite".to_owned(),
        };
        let row = (unmatched.place.to_string(), format!("{has} has it, {lacks} not: {why}"));
        if cells.last() != Some(&row) {
            cells.push(row);
        }
    }
    cells
}

fn as_json(comparison: &Comparison) -> Json {
    let changes: Vec<Json> = comparison
        .changes
        .iter()
        .map(|change| {
            let evidence = &change.judgement.evidence;
            let mut json = json!({
                "workload": change.place.workload,
                "params": change.place.params.to_string(),
                "allocator": change.place.allocator,
                "metric": change.metric.id(),
                "verdict": change.judgement.verdict.id(),
                "scale": match evidence.scale { Scale::Ratio => "ratio", Scale::Difference => "difference" },
                "estimate": evidence.estimate,
                "floor": evidence.floor,
                "base_rounds": evidence.base_rounds,
                "head_rounds": evidence.head_rounds,
            });
            // What is not known is left out: never 0 or null.
            if let Some((low, high)) = evidence.interval {
                json["low"] = json!(low);
                json["high"] = json!(high);
            }
            if let Some(p) = evidence.p {
                json["p"] = json!(p);
            }
            json
        })
        .collect();
    let unmatched: Vec<Json> =
        unmatched(comparison).into_iter().map(|(cell, why)| json!({ "cell": cell, "why": why })).collect();
    let verdicts = |noise: Noise| -> serde_json::Map<String, Json> {
        Verdict::ALL
            .iter()
            .map(|it| (it.id().to_owned(), json!(comparison.count_among(noise, *it))))
            .collect()
    };
    json!({
        "base": comparison.base, "head": comparison.head,
        "same_machine": comparison.machines == Machines::Same,
        "verdicts": { "noisy": verdicts(Noise::Noisy), "exact": verdicts(Noise::Exact) },
        "changes": changes, "unmatched": unmatched,
    })
}
