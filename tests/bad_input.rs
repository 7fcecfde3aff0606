//! Bad input, from outside: one sentence on standard error that names the file, the place in it and what was expected;
//! exit code 2; and nothing written.
#![cfg(feature = "harness")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use allocmark::results::record::Record;
use allocmark::results::{import, wire};
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;

/// A directory of its own with a record in it, and the program run there.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(cargo_bin("allocmark")).current_dir(self.path()).args(arguments).output().unwrap()
    }

    /// The program refuses, in one sentence with `wanted` in it, and leaves everything as it was.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], wanted: &[&str]) {
        let before = everything_in(self.path());
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(output.stdout, b"", "standard output is for data");
        assert!(
            said.starts_with("allocmark: ") && said.ends_with('\n') && said.lines().count() == 1,
            "{said:?}"
        );
        for part in wanted {
            assert!(said.contains(part), "no {part:?} in {said:?}");
        }
        assert_eq!(everything_in(self.path()), before, "something was written");
    }
}

/// Every file under `directory` with its content, every directory without.
fn everything_in(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything_in(&path));
            all.insert(path, None);
        } else {
            let content = fs::read(&path).unwrap();
            all.insert(path, Some(content));
        }
    }
    all
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/criterion-tree")
}

fn record() -> Record {
    import::import_tree(&tree()).unwrap()
}

fn good() -> String {
    wire::to_json(&record())
}

/// A good record's text with the first `old` replaced.
fn altered(old: &str, new: &str) -> String {
    let text = good();
    assert!(text.contains(old), "no {old} in {text}");
    text.replacen(old, new, 1)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_truncated_record_is_refused_with_line_and_column() {
    let text = good();
    let desk = Desk::new().file("r.json", &text[..text.len() / 2]);
    desk.refuses(&["report", "r.json"], &["r.json, line ", "column ", "ends too early", "expected"]);
    let desk = Desk::new().file("r.json", "");
    desk.refuses(&["report", "r.json"], &["r.json, line 1", "ends too early", "expected"]);
}

#[test]
fn a_time_that_is_none_is_refused_with_cell_and_metric() {
    let time = record().cells[0].metrics.values().next().unwrap().value;
    let value = format!("\"value\":{time}");
    for wrong in ["null", "-3.5", "0"] {
        let desk = Desk::new().file("r.json", altered(&value, &format!("\"value\":{wrong}")));
        desk.refuses(
            &["report", "r.json"],
            &["r.json, cells[0] (alone/-), time.value", "expected a finite number above 0"],
        );
    }
    let desk = Desk::new().file("r.json", altered(&value, "\"value\":NaN"));
    desk.refuses(&["report", "r.json"], &["r.json, line ", "column ", "expected"]);
}

#[test]
fn another_schema_is_refused_by_its_number() {
    let desk = Desk::new().file("r.json", altered("\"schema\": 1", "\"schema\": 7"));
    desk.refuses(&["report", "r.json"], &["r.json: schema 7: this version reads 1"]);
}

#[test]
fn an_unknown_field_is_refused_by_name_and_place() {
    let desk = Desk::new().file("r.json", altered("\"dirty\":false", "\"dirty\":false,\"colour\":1"));
    desk.refuses(&["report", "r.json"], &["r.json, line 4, column ", "unknown field `colour`", "expected"]);
}

#[test]
fn a_cell_that_is_there_twice_is_refused() {
    let mut record = record();
    let twin = record.cells[0].clone();
    record.cells.push(twin);
    let desk = Desk::new().file("r.json", wire::to_json(&record));
    desk.refuses(
        &["report", "r.json"],
        &["r.json, cells[13] (alone/-): the same place as cells[0]; expected"],
    );
}

#[test]
fn a_record_in_which_nothing_was_measured_is_refused() {
    let mut record = record();
    record.cells.clear();
    let desk = Desk::new().file("r.json", wire::to_json(&record));
    desk.refuses(&["report", "r.json"], &["r.json, cells: empty; expected at least one measured cell"]);
    let desk = Desk::new().file("r.json", "{}");
    desk.refuses(&["report", "r.json"], &["r.json, top level: no `schema`; expected"]);
}

#[test]
fn the_same_record_twice_is_refused() {
    let desk = Desk::new().file("r.json", good()).file("s.json.gz", gzip(good().as_bytes()));
    desk.refuses(&["report", "r.json", "s.json.gz"], &["s.json.gz, id: the same record as r.json; expected"]);
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let desk = Desk::new();
    desk.refuses(&["report", "none.json"], &["none.json: No such file", "expected a record"]);
    desk.refuses(&["import", "none"], &["none: No such file", "expected a directory that criterion wrote"]);
}

#[test]
fn a_directory_without_results_is_refused() {
    let desk = Desk::new().file("empty/README.md", "no records here");
    desk.refuses(&["report"], &["results: No such file", "expected a directory with records"]);
    desk.refuses(&["report", "empty"], &["empty: no records in it; expected"]);
    desk.refuses(&["import", "empty"], &["empty: no finished benchmark; expected"]);
}

#[test]
fn gzip_garbage_is_refused() {
    let desk = Desk::new().file("r.json.gz", b"\x1f\x8b\x08garbage");
    desk.refuses(
        &["report", "r.json.gz"],
        &["r.json.gz: begins like gzip but does not unpack", "expected a record"],
    );
    let whole = gzip(good().as_bytes());
    let desk = Desk::new().file("r.json.gz", &whole[..whole.len() / 2]);
    desk.refuses(&["report", "r.json.gz"], &["r.json.gz: begins like gzip", "expected a record"]);
    let desk = Desk::new().file("r.json", b"\xff\xfe\x00");
    desk.refuses(&["report", "r.json"], &["r.json, byte 0: not UTF-8; expected"]);
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    // Below a file nothing can be made, not even by root.
    let desk = Desk::new().file("r.json", good()).file("file", "in the way");
    desk.refuses(&["report", "r.json", "--out", "file/site"], &["file/site"]);
    let tree = tree();
    let tree = tree.to_str().unwrap();
    desk.refuses(&["import", tree, "--out", "file/r.json"], &["file/r.json: cannot be written", "expected"]);
    desk.refuses(&["import", tree, "--out", "none/r.json"], &["none/r.json: cannot be written", "expected"]);
    desk.refuses(
        &["import", tree, "--out", "file"],
        &["file: exists, and a record is never overwritten; expected"],
    );
}

#[test]
fn a_criterion_number_that_is_no_time_is_refused_with_file_and_key() {
    let read = |file: &str| fs::read_to_string(tree().join("alone/new").join(file)).unwrap();
    let desk = Desk::new()
        .file("c/alone/new/benchmark.json", read("benchmark.json"))
        .file("c/alone/new/estimates.json", read("estimates.json"))
        .file("c/alone/new/sample.json", "{\"sampling_mode\":\"Flat\",\"iters\":[1.0],\"times\":[null]}");
    desk.refuses(
        &["import", "c"],
        &["c/alone/new/sample.json, times[0]: null or missing; expected a finite number"],
    );
    let desk = desk.file("c/alone/new/sample.json", "{\"iters\":[1.0]");
    desk.refuses(&["import", "c"], &["c/alone/new/sample.json, line 1, column 14", "expected"]);
}

#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let desk = Desk::new().file("r.json", altered("\"allocator\":\"-\"", "\"allocator\":\"\\u001b[31m\\n\""));
    desk.refuses(&["report", "r.json"], &["r.json, cells[0]", "is not listed"]);
    assert!(!desk.run(&["report", "r.json"]).stderr.contains(&0x1b));
}

#[test]
fn names_with_markup_or_paths_are_shown_as_text_and_lead_nowhere() {
    for name in
        ["<script>alert(1)</script>", "../../x", "/etc/x", "..", "\"><img src=x onerror=alert(1)>", "{{ 7 }}"]
    {
        let mut record = record();
        for allocator in &mut record.allocators {
            if allocator.id == "vec" {
                (allocator.id, allocator.title) = (name.to_owned(), name.to_owned());
            }
        }
        for workload in &mut record.workloads {
            if workload.id == "fill" {
                (workload.id, workload.title) = (name.to_owned(), name.to_owned());
            }
        }
        for cell in &mut record.cells {
            if cell.place.allocator == "vec" {
                cell.place.allocator = name.to_owned();
            }
            if cell.place.workload == "fill" {
                cell.place.workload = name.to_owned();
            }
        }
        let desk = Desk::new().file("desk/r.json", wire::to_json(&record));
        let output = desk.run(&["report", "desk/r.json", "--out", "desk/site"]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "desk/site/index.html\n");

        let site = desk.path().join("desk/site");
        for (path, content) in everything_in(desk.path()) {
            let known = path.starts_with(&site) || path.ends_with("desk") || path.ends_with("desk/r.json");
            assert!(known, "{name}: {} is outside the site", path.display());
            if path.extension().is_some_and(|extension| extension == "html" || extension == "svg") {
                let text = String::from_utf8(content.unwrap()).unwrap();
                for markup in ["<script>alert", "<img src=x"] {
                    assert!(!text.contains(markup), "{name}: unescaped in {}", path.display());
                }
            }
        }
    }
}

#[test]
fn bad_usage_exits_with_2_and_says_how_to_use_it() {
    let desk = Desk::new();
    for arguments in [&["import"][..], &["report", "--nonsense"], &["nonsense"]] {
        let output = desk.run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("--help"));
    }
}
