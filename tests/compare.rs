//! `allocmark compare` as a person or a script meets it.

#![cfg(feature = "harness")]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::Command;

use allocmark::results::metric::Metric;
use allocmark::results::record::Record;
use allocmark::results::store;
use serde_json::Value;

/// A record with all kinds of metrics, and the same one after `change`; the second's id says so.
fn records(directory: &Path, change: impl FnOnce(&mut Record)) -> [PathBuf; 2] {
    let mut base = synthetic::probed();
    // Those are of workloads that the fixture leaves out.
    base.checks.overhead.clear();
    let mut head = base.clone();
    head.id.push_str("-head");
    change(&mut head);
    [&base, &head].map(|record| {
        let path = directory.join(format!("{}.json", record.id));
        store::write(record, &path).unwrap();
        path
    })
}

fn scale(record: &mut Record, metric: Metric, factor: f64) -> usize {
    let mut scaled = 0;
    for measured in record.cells.iter_mut().filter_map(|cell| cell.metrics.get_mut(&metric)) {
        measured.value *= factor;
        measured.interval = measured.interval.map(|(low, high)| (low * factor, high * factor));
        measured.replicates.iter_mut().for_each(|replicate| *replicate *= factor);
        scaled += 1;
    }
    scaled
}

/// Exit code and standard output.
fn compare([base, head]: &[PathBuf; 2], flags: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_allocmark"))
        .arg("compare")
        .args([base, head])
        .args(flags)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn verdict(json: &Value, kind: &str, verdict: &str) -> u64 {
    json["verdicts"][kind][verdict].as_u64().unwrap()
}

#[test]
fn a_record_against_itself_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let records = records(directory.path(), |_| ());
    let (code, json) = compare(&records, &["--format", "json", "--fail-on", "suspected"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, 0);
    for kind in ["noisy", "exact"] {
        for found in ["regressed", "suspected", "improved"] {
            assert_eq!(verdict(&json, kind, found), 0, "{kind} {found}");
        }
        assert!(verdict(&json, kind, "unchanged") > 0, "{kind}");
    }
}

#[test]
fn one_instruction_in_a_hundred_more_is_a_finding_of_an_exact_metric_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut changed = 0;
    let records = records(directory.path(), |head| changed = scale(head, Metric::Instructions, 1.01));
    let (code, json) = compare(&records, &["--format", "json", "--fail-on", "suspected"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(changed > 0);
    assert_eq!((code, verdict(&json, "exact", "regressed")), (1, changed as u64));
    assert_eq!(verdict(&json, "noisy", "suspected") + verdict(&json, "noisy", "regressed"), 0);
    let (code, text) = compare(&records, &[]);
    assert_eq!(code, 0, "without --fail-on a finding is told and no more");
    assert!(text.contains(&format!("exact metrics (instructions, counts): {changed} regressed")), "{text}");
    assert!(text.contains("noisy metrics (time, memory, latency): 0 regressed, 0 suspected"), "{text}");
}

#[test]
fn memory_of_three_rounds_that_doubles_is_shown_though_it_cannot_be_decided() {
    let directory = tempfile::tempdir().unwrap();
    let records = records(directory.path(), |head| assert!(scale(head, Metric::PeakRss, 2.0) > 0));
    let (code, markdown) = compare(&records, &["--format", "markdown", "--fail-on", "suspected"]);
    assert_eq!(code, 0);
    assert!(
        markdown.contains("| **inconclusive** |") && markdown.contains("| peak_rss | 2.000 |"),
        "{markdown}"
    );
}
