//! Allocators and workloads of other people's: the examples, and a package outside of this one, leave a record and a site.

#![cfg(feature = "harness")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use allocmark::results::metric::Metric;
use allocmark::results::record::Record;
use allocmark::results::store;
use serde_json::Value;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("--offline").env_remove("ALLOCMARK_ALLOCATOR").env_remove("ALLOCMARK_PROFILE");
    cargo
}

/// The example's executable, built with the features of this test: `cargo test` has built it already.
fn example(name: &str) -> PathBuf {
    let features = [
        ("bump-scope", cfg!(feature = "bump-scope")),
        ("bumpalo", cfg!(feature = "bumpalo")),
        ("jemalloc", cfg!(feature = "jemalloc")),
        ("mimalloc", cfg!(feature = "mimalloc")),
        ("rpmalloc", cfg!(feature = "rpmalloc")),
        ("snmalloc", cfg!(feature = "snmalloc")),
        ("talc", cfg!(feature = "talc")),
        ("tcmalloc", cfg!(feature = "tcmalloc")),
        ("harness", true),
    ];
    let on: Vec<&str> = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let output = cargo()
        .current_dir(root())
        .args(["build", "--quiet", "--message-format=json", "--no-default-features", "--features"])
        .args([&on.join(","), "--example", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut built = messages.filter(|message| message["target"]["name"] == name);
    built.find_map(|message| message["executable"].as_str().map(PathBuf::from)).unwrap()
}

/// Lets `command` measure as fast as it can; its record, and the pages of its site by their paths.
fn measured(command: &mut Command, arguments: &[&str]) -> (Record, BTreeSet<String>) {
    let out = TempDir::new().unwrap();
    let (results, site) = (out.path().join("results"), out.path().join("site"));
    let output = command
        .args(["--profile", "smoke", "--probes", "time"])
        .args(arguments)
        .arg("--out")
        .arg(&results)
        .arg("--site")
        .arg(&site)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let [record, index] = stdout.lines().collect::<Vec<_>>()[..] else { panic!("two paths: {stdout}") };
    assert_eq!(Path::new(index), site.join("index.html"));
    let pages = ["", "allocator", "workload"].into_iter().flat_map(|folder| {
        fs::read_dir(site.join(folder)).unwrap().map(move |entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            format!("{folder}/{name}").trim_start_matches('/').to_owned()
        })
    });
    (store::read(Path::new(record)).unwrap(), pages.collect())
}

/// The cells that have a time, as workload and allocator.
fn timed(record: &Record) -> BTreeSet<(&str, &str)> {
    let cells = record.cells.iter().filter(|cell| cell.metrics[&Metric::Time].value > 0.0);
    cells.map(|cell| (cell.place.workload.as_str(), cell.place.allocator.as_str())).collect()
}

#[test]
fn an_allocator_of_ones_own_stands_beside_others_in_record_and_site() {
    let executable = example("own_allocator");
    let (record, pages) = measured(&mut Command::new(executable), &["--workload", "^strings/capacity=grown"]);
    let expected = [("strings", "arena"), ("strings", "region"), ("strings", "system")];
    assert_eq!(timed(&record), BTreeSet::from(expected));
    let region = record.cells.iter().find(|cell| cell.place.allocator == "region").unwrap();
    assert_eq!(region.served_by.as_ref().unwrap().method, "a block it handed out lies in its own memory");
    assert!(pages.contains("allocator/region.html") && pages.contains("workload/strings.html"), "{pages:?}");
    assert!(record.command.starts_with("own_allocator --profile smoke"), "{}", record.command);
}

#[test]
fn a_workload_of_ones_own_has_its_cells_and_its_page() {
    let executable = example("own_workload");
    let (record, pages) = measured(&mut Command::new(executable), &[]);
    assert_eq!(timed(&record), BTreeSet::from([("pages", "arena"), ("pages", "system")]));
    assert!(pages.contains("workload/pages.html"), "{pages:?}");
}

#[test]
fn several_allocators_in_one_executable_are_told_apart_by_the_environment() {
    let executable = example("own_workload");
    let described = |id: &str| {
        let output =
            Command::new(&executable).arg("--allocmark-describe").env("ALLOCMARK_ALLOCATOR", id).output();
        let output = output.unwrap();
        let name = serde_json::from_slice::<Value>(&output.stdout)
            .map(|description| description["allocator"]["id"].as_str().unwrap().to_owned());
        name.map_err(|_| String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(described("arena").as_deref(), Ok("arena"));
    assert_eq!(described("system").as_deref(), Ok("system"));
    assert!(described("nobody").unwrap_err().contains("expected one of system, arena"));
}

#[test]
fn a_package_of_somebody_elses_gets_a_site_with_cargo_run() {
    // The versions of our own lock file are those that are there; with them, cargo needs no net.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-fixture");
    let source = root().join("tests/fixtures/own");
    fs::create_dir_all(package.join("src")).unwrap();
    let manifest = fs::read_to_string(source.join("Cargo.toml")).unwrap();
    fs::write(package.join("Cargo.toml"), manifest.replace("../../..", root().to_str().unwrap())).unwrap();
    fs::copy(source.join("src/main.rs"), package.join("src/main.rs")).unwrap();
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();

    let mut run = cargo();
    run.current_dir(&package).args(["run", "--quiet"]).arg("--target-dir").arg(target).arg("--");
    let (record, pages) = measured(&mut run, &["--workload", "^list|^strings/capacity=grown"]);
    let expected = [("list", "arena"), ("list", "rounded"), ("strings", "arena"), ("strings", "rounded")];
    assert_eq!(timed(&record), BTreeSet::from(expected));
    for page in ["index.html", "allocator/rounded.html", "workload/list.html"] {
        assert!(pages.contains(page), "{page} in {pages:?}");
    }
    let rounded = record.cells.iter().find(|cell| cell.place.allocator == "rounded").unwrap();
    assert!(rounded.served_by.as_ref().unwrap().method.contains("came back from the allocator itself"));
}
