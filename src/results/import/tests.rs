use std::fs;
use std::path::PathBuf;

use super::*;
use crate::harness::criterion_files::*;
use crate::results::metric::Metric;
use crate::results::record::{Axis, Value};
use crate::results::wire;

/// Written by criterion 0.8.2, cut to its JSON files.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/criterion-tree")
}

/// A copy of one benchmark's last run under `name`, in a root of its own.
fn copied(name: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let directory = copy(root.path(), name);
    (root, directory)
}

fn copy(root: &Path, name: &str) -> PathBuf {
    let directory = root.join(name);
    fs::create_dir_all(directory.join("new")).unwrap();
    for file in ["benchmark.json", "estimates.json", "sample.json", "tukey.json"] {
        fs::copy(tree().join("fill/vec/bytes=64,with=zero/new").join(file), directory.join("new").join(file))
            .unwrap();
    }
    directory
}

/// Changes a file of the last run.
fn alter(directory: &Path, file: &str, old: &str, new: &str) {
    let path = directory.join("new").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "no {old} in {text}");
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

#[track_caller]
fn refused(directory: &Path, wanted: &[&str]) {
    let error = read_benchmark(directory).unwrap_err().to_string();
    for part in wanted {
        assert!(error.contains(part), "no {part:?} in {error:?}");
    }
}

#[test]
fn a_benchmark_says_who_it_is_and_how_long_its_iterations_took() {
    let read = read_benchmark(&tree().join("fill/vec/bytes=64,with=zero")).unwrap();
    assert_eq!(read.name(), "fill/vec/bytes=64,with=zero");
    assert_eq!(read.throughput, Some(Throughput::ElementsAndBytes { elements: 1, bytes: 64 }));
    assert_eq!(read.per_iteration.len(), 10);
    assert!(read.estimates.slope.is_some());
    assert!((read.replicate() - read.estimates.median.point).abs() < 1e-9 * read.replicate());
}

#[test]
fn flat_sampling_has_no_slope() {
    let read = read_benchmark(&tree().join("value only/5")).unwrap();
    assert_eq!((read.function.as_deref(), read.value.as_deref()), (None, Some("5")));
    assert_eq!(read.estimates.slope, None);
}

#[test]
fn unknown_keys_and_throughputs_are_passed_over() {
    let (_root, directory) = copied("x");
    alter(
        &directory,
        "benchmark.json",
        "{\"ElementsAndBytes\":{\"elements\":1,\"bytes\":64}}",
        "{\"Frogs\":3},\"new\":[]",
    );
    assert_eq!(read_benchmark(&directory).unwrap().throughput, None);
}

#[test]
fn a_number_that_is_no_time_is_refused_with_file_and_key() {
    for (wrong, said) in [("null", "null or missing"), ("-1.0", "-1"), ("0.0", "0")] {
        let (_root, directory) = copied("x");
        alter(&directory, "sample.json", "\"times\":[", &format!("\"times\":[{wrong},"));
        alter(&directory, "sample.json", "\"iters\":[", "\"iters\":[1.0,");
        refused(&directory, &["sample.json, times[0]:", said, "expected"]);
    }
    let (_root, directory) = copied("x");
    let text = fs::read_to_string(directory.join("new/estimates.json")).unwrap();
    let at = text.find("\"median\":").unwrap();
    let nulled = text[at..].replacen("\"lower_bound\":", "\"lower_bound\":null,\"was\":", 1);
    fs::write(directory.join("new/estimates.json"), format!("{}{nulled}", &text[..at])).unwrap();
    refused(&directory, &["estimates.json, median.confidence_interval.lower_bound: null"]);
}

#[test]
fn samples_without_their_iterations_are_refused() {
    let (_root, directory) = copied("x");
    alter(&directory, "sample.json", "\"times\":[", "\"times\":[1.0,");
    refused(&directory, &["sample.json, times: 11 times for 10 iters"]);
}

#[test]
fn a_truncated_file_is_refused_with_line_and_column() {
    let (_root, directory) = copied("x");
    fs::write(directory.join("new/estimates.json"), "{\"mean\":").unwrap();
    refused(&directory, &["estimates.json, line 1, column 8", "criterion 0.8"]);
}

#[test]
fn files_of_two_runs_are_not_mixed() {
    let (_root, directory) = copied("x");
    fs::copy(tree().join("alone/new/sample.json"), directory.join("new/sample.json")).unwrap();
    refused(&directory, &["estimates.json, median.point_estimate", "expected files of one run"]);
}

#[test]
fn every_finished_benchmark_is_found_once_and_no_baseline() {
    let found = find_benchmarks(&tree()).unwrap();
    assert_eq!(found.finished.len(), 13);
    assert_eq!(found.unfinished, Vec::<PathBuf>::new());
}

#[test]
fn a_benchmark_may_be_called_like_criterions_own_directories() {
    let root = tempfile::tempdir().unwrap();
    let wanted: Vec<PathBuf> =
        ["base/change", "new", "report/new/base"].map(|name| copy(root.path(), name)).into();
    assert_eq!(find_benchmarks(root.path()).unwrap().finished, wanted);
}

#[test]
fn an_unfinished_benchmark_is_left_out_and_named() {
    let root = tempfile::tempdir().unwrap();
    copy(root.path(), "done");
    fs::remove_file(copy(root.path(), "half").join("new/benchmark.json")).unwrap();
    let record = import_tree(root.path()).unwrap();
    assert_eq!(record.cells.len(), 1);
    assert!(record.checks.warnings.contains(&"half: left out, its run did not finish.".to_owned()));
}

#[test]
fn an_old_benchmark_is_named_as_perhaps_stale() {
    let root = tempfile::tempdir().unwrap();
    copy(root.path(), "fresh");
    let old = copy(root.path(), "old");
    alter(&old, "benchmark.json", "\"group_id\":\"fill\"", "\"group_id\":\"gone\"");
    let file = fs::File::options().write(true).open(old.join("new/benchmark.json")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let record = import_tree(root.path()).unwrap();
    let warned =
        record.checks.warnings.iter().any(|warning| warning.starts_with("old: written at 19700101T000000Z"));
    assert!(warned, "{:?}", record.checks.warnings);
}

#[test]
fn the_same_benchmark_in_two_directories_is_refused() {
    let root = tempfile::tempdir().unwrap();
    copy(root.path(), "a");
    let second = copy(root.path(), "b");
    let error = import_tree(root.path()).unwrap_err().to_string();
    assert!(error.contains("b: the same benchmark (fill/vec/bytes=64,with=zero) as"), "{error}");
    // The same parameters in another order are the same case.
    alter(
        &second,
        "benchmark.json",
        "\"value_str\":\"bytes=64,with=zero\"",
        "\"value_str\":\"with=zero,bytes=64\"",
    );
    assert!(matches!(import_tree(root.path()), Err(ImportError::Duplicate { .. })));
}

#[test]
fn a_directory_without_benchmarks_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let error = import_tree(root.path()).unwrap_err().to_string();
    assert!(error.contains("no finished benchmark; expected a directory that criterion wrote"), "{error}");
    let error = import_tree(&root.path().join("missing")).unwrap_err().to_string();
    assert!(error.contains("missing: No such file"), "{error}");
}

#[test]
fn a_name_that_cannot_be_shown_is_refused_with_its_file() {
    let (root, directory) = copied("x");
    alter(&directory, "benchmark.json", "\"group_id\":\"fill\"", "\"group_id\":\"\"");
    let error = import_tree(root.path()).unwrap_err().to_string();
    assert!(error.contains("benchmark.json, group_id: a name of 0 characters"), "{error}");
}

#[test]
fn a_tree_becomes_a_record_that_can_be_written_and_read() {
    let record = import_tree(&tree()).unwrap();
    assert_eq!(wire::from_json(&wire::to_json(&record), Path::new("r.json")).unwrap(), record);

    let ids = |ids: Vec<&String>| ids.into_iter().map(String::as_str).collect::<Vec<_>>().join(" | ");
    assert_eq!(ids(record.allocators.iter().map(|a| &a.id).collect()), "- | <b> | box | fold | loop | vec");
    assert_eq!(
        ids(record.workloads.iter().map(|w| &w.id).collect()),
        "alone | fill | sum/of numbers | value only"
    );
    assert_eq!(record.cells.len(), 13);
    assert_eq!(record.machine.key, "unknown");
    assert!(record.id.contains("-imported-"), "{}", record.id);
    assert!(record.cells.iter().all(|cell| cell.metrics[&Metric::Time].interval.is_some()));
}

#[test]
fn values_become_parameters_with_numbers_as_numbers() {
    let record = import_tree(&tree()).unwrap();
    let fill: Vec<_> = record.cells.iter().filter(|cell| cell.place.workload == "fill").collect();
    assert_eq!(fill[0].place.params.get("bytes"), Some(&Value::Number(64)));
    assert_eq!(fill[0].place.params.get("with"), Some(&Value::Word("zero".to_owned())));
    let axes = |id: &str| {
        let workload = record.workloads.iter().find(|workload| workload.id == id).unwrap();
        workload.parameters.iter().map(|p| (p.name.as_str(), p.axis)).collect::<Vec<_>>()
    };
    assert_eq!(axes("fill"), [("bytes", Axis::Bytes), ("with", Axis::Category)]);
    assert_eq!(axes("value only"), [("value", Axis::Count)]);
    assert_eq!(axes("alone"), []);
    let sums = record
        .cells
        .iter()
        .filter(|cell| cell.place.workload == "sum/of numbers" && cell.place.allocator == "loop");
    let values: Vec<String> = sums.map(|cell| cell.place.params.to_string()).collect();
    assert_eq!(values, ["value=10", "value=1000"]);
}

#[test]
fn the_same_measurements_give_the_same_hash_in_the_id() {
    let hash = |record: crate::results::record::Record| record.id.rsplit_once('-').unwrap().1.to_owned();
    let (root, directory) = copied("x");
    let first = hash(import_tree(root.path()).unwrap());
    assert_eq!(hash(import_tree(root.path()).unwrap()), first);
    alter(&directory, "benchmark.json", "\"group_id\":\"fill\"", "\"group_id\":\"other\"");
    assert_ne!(hash(import_tree(root.path()).unwrap()), first);
}
