//! What the probes other than time cost, how often they ran, and what they could not see.

use serde::Serialize;

use crate::report::pages::count;
use crate::report::site::{Site, has};
use crate::report::{numbers, percentiles};
use crate::results::record::{Latency, Unprobed};
use crate::stats::median;
use crate::units::Nanos;
use crate::workloads::probe::Probe;

#[derive(Serialize)]
pub(super) struct Probes {
    /// Each probe with its rounds and in how many cells it found something.
    rows: Vec<(&'static str, String, String)>,
    /// What the latency probe costs, in sentences. Empty if it did not run.
    latency: Vec<String>,
    memory: bool,
    instructions: bool,
    counts: bool,
    unprobed: Vec<UnprobedRow>,
    /// What the record has nothing of: `memory, latency`.
    missing: String,
}

#[derive(Serialize)]
struct UnprobedRow {
    probe: String,
    allocator: String,
    case: String,
    reason: String,
}

/// The key of rounds for what is counted while cells are verified.
const COUNTS: &str = "counts";

pub(super) fn probes(site: &Site<'_>) -> Probes {
    let cells = |probe: Option<Probe>| site.record.cells.iter().filter(|cell| has(cell, probe)).count();
    let row = |probe: Option<Probe>| {
        let name = probe.map_or(COUNTS, Probe::id);
        let rounds = site.record.profile.rounds.get(name);
        let found = cells(probe);
        let rounds = rounds.map_or_else(|| "not said".to_owned(), |rounds| rounds.to_string());
        (found > 0).then(|| (name, rounds, count(found, "cell")))
    };
    let all = || Probe::ALL.into_iter().map(Some).chain([None]);
    let missing: Vec<&str> =
        all().filter(|probe| cells(*probe) == 0).map(|probe| probe.map_or(COUNTS, Probe::id)).collect();
    Probes {
        rows: all().filter_map(row).collect(),
        missing: missing.join(", "),
        latency: latency(site),
        memory: cells(Some(Probe::Memory)) > 0,
        instructions: cells(Some(Probe::Instructions)) > 0,
        counts: cells(None) > 0,
        unprobed: site.record.checks.unprobed.iter().map(unprobed).collect(),
    }
}

fn latency(site: &Site<'_>) -> Vec<String> {
    let all: Vec<&Latency> = site.record.cells.iter().filter_map(|cell| cell.latency.as_ref()).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let range = |get: fn(&Latency) -> f64| {
        let values = || all.iter().map(|it| get(it));
        between(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max), |ns| {
            Nanos(ns).to_string()
        })
    };
    let mut sentences = vec![format!(
        "The counter that times single steps shows differences of {} and takes {} to read; what is shorter than {} is \
         not told apart.",
        range(|it| it.quantum_ns),
        range(|it| it.cost_ns),
        range(percentiles::resolution_ns),
    )];
    let ratios: Vec<f64> =
        all.iter().map(|it| it.probed_ns / it.plain_ns).filter(|it| it.is_finite() && *it > 0.0).collect();
    if let Some(middle) = median(&ratios) {
        let (low, high) =
            ratios.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), it| (low.min(*it), high.max(*it)));
        sentences.push(format!(
            "Each case also ran without the probe: with it the wall time over all steps was {} times as long in the \
             median cell ({} over {}). What reading the counter takes is in every percentile, so ratios between \
             allocators are closer to 1 there than they are without.",
            numbers::ratio(middle),
            between(low, high, numbers::ratio),
            count(ratios.len(), "cell"),
        ));
    }
    sentences
}

/// `3 to 5`, or `3` where both read the same.
fn between(low: f64, high: f64, show: impl Fn(f64) -> String) -> String {
    let (low, high) = (show(low), show(high));
    if low == high { low } else { format!("{low} to {high}") }
}

fn unprobed(it: &Unprobed) -> UnprobedRow {
    UnprobedRow {
        probe: it.probe.clone(),
        allocator: it.allocator.clone().unwrap_or_else(|| "all".to_owned()),
        case: it.case.clone().unwrap_or_else(|| "all".to_owned()),
        reason: it.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_one_value_is_that_value() {
        assert_eq!(between(1.0, 1.001, numbers::ratio), "1.00");
        assert_eq!(between(1.0, 2.5, numbers::ratio), "1.00 to 2.50");
    }
}
