//! `allocmark import`, from outside: a tree that criterion 0.8 wrote in another project becomes a record.
#![cfg(feature = "harness")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use allocmark::results::store;
use assert_cmd::Command as Run;
use assert_cmd::cargo::cargo_bin;

/// Written by criterion 0.8.2, cut to its JSON files: four groups, with and without function, value and flat sampling.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/criterion-tree")
}

fn allocmark(directory: &Path) -> Run {
    let mut command = Run::new(cargo_bin("allocmark"));
    command.current_dir(directory);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_foreign_tree_becomes_a_record_under_results_and_its_path_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let output = allocmark(directory.path()).arg("import").arg(tree()).assert().code(0).get_output().clone();
    let path = text(&output.stdout);
    assert!(path.starts_with("results/") && path.ends_with(".json.gz\n"), "{path}");
    assert!(text(&output.stderr).contains("13 cells: 4 workloads, 6 allocators"), "{}", text(&output.stderr));

    let record = store::read(&directory.path().join(path.trim_end())).unwrap();
    assert_eq!(format!("results/{}.json.gz\n", record.id), path);
    assert_eq!(record.tool.name, "criterion");
    assert!(record.allocators.iter().all(|allocator| allocator.class == "unstated"));
    assert!(record.cells.iter().all(|cell| cell.served_by.is_none()));
}

#[test]
fn the_record_holds_criterions_medians() {
    let directory = tempfile::tempdir().unwrap();
    allocmark(directory.path()).arg("import").arg(tree()).args(["--out", "mine.json"]).assert().code(0);
    let record = store::read(&directory.path().join("mine.json")).unwrap();

    let estimates = fs::read(tree().join("alone/new/estimates.json")).unwrap();
    let estimates: serde_json::Value = serde_json::from_slice(&estimates).unwrap();
    let median = estimates["median"]["point_estimate"].as_f64().unwrap();
    let cell = record.cells.iter().find(|cell| cell.place.workload == "alone").unwrap();
    let time = cell.metrics.values().next().unwrap();
    assert!((time.value - median).abs() < 1e-9 * median, "{time:?}, {median}");
    assert_eq!(time.replicates, [time.value]);
}

#[test]
fn the_same_tree_is_not_imported_over_itself() {
    let directory = tempfile::tempdir().unwrap();
    allocmark(directory.path()).arg("import").arg(tree()).assert().code(0);
    let output = allocmark(directory.path()).arg("import").arg(tree()).assert().code(2).get_output().clone();
    assert!(text(&output.stderr).contains("a record is never overwritten"), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(directory.path().join("results")).unwrap().count(), 1);
}

#[test]
fn a_reader_that_went_away_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(cargo_bin("allocmark"))
        .current_dir(directory.path())
        .arg("import")
        .arg(tree())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panic"), "{}", text(&output.stderr));
}
