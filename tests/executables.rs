//! The real bench executables, built once as `allocmark run` builds them.
//!
//! A release build of everything: minutes on a fresh machine, seconds afterwards.

#![cfg(feature = "harness")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use allocmark::harness::metric::Metric;
use allocmark::harness::protocol::{self, CaseName};
use allocmark::harness::run::CellName;
use allocmark::harness::run::build::{self, Built, Executable};
use allocmark::harness::run::drive::{Executor, Measured};
use allocmark::harness::run::execute::Processes;
use allocmark::harness::run::plan::{self, Runner};
use allocmark::workloads::probe::Probe;
use allocmark::workloads::shape::Profile;
use object::{Object, ObjectSymbol};
use serde_json::Value;

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        build::build(Path::new(env!("CARGO_MANIFEST_DIR")), "", "quick").expect("the benches build")
    })
}

/// A word that stands in the symbols of every program that contains the allocator, and of no other.
const MARKS: [(&str, &str); 8] = [
    ("jemalloc", "_rjem_"),
    ("mimalloc", "_mi_"),
    ("snmalloc", "sn_rust_"),
    ("rpmalloc", "_rpmalloc_"),
    ("tcmalloc", "TCMallocInternal"),
    ("bump", "7bumpalo"),
    // Not the names of the crates, which are those of our modules too.
    ("bump-scope", "8raw_bump"),
    ("talc", "TalcCell"),
];

#[test]
fn no_executable_contains_a_foreign_allocator_but_its_own() {
    for executable in &built().executables {
        let id = executable.description.allocator.id.as_str();
        let bytes = fs::read(&executable.path).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let names: BTreeSet<&str> = file.symbols().filter_map(|symbol| symbol.name().ok()).collect();
        assert!(names.len() > 1_000, "{id} has its symbols");
        for (other, mark) in MARKS {
            let found = names.iter().find(|name| name.contains(mark));
            assert_eq!(found.is_some(), other == id, "{mark} in the executable of {id}: {found:?}");
        }
    }
}

#[test]
fn thread_creation_is_replaced_nowhere_but_in_rpmallocs_executable() {
    for executable in &built().executables {
        let id = executable.description.allocator.id.as_str();
        let bytes = fs::read(&executable.path).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let own =
            file.symbols().any(|symbol| symbol.name() == Ok("pthread_create") && symbol.is_definition());
        assert_eq!(own, id == "rpmalloc", "{id} defines pthread_create: {own}");
    }
}

#[test]
fn the_executables_and_the_list_agree_on_every_pair() {
    let output = Command::new(env!("CARGO_BIN_EXE_allocmark"))
        .args(["list", "--profile", "quick", "--format", "json"])
        .output()
        .unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).expect("the list is JSON");
    let keys: BTreeSet<&str> = list.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["absent", "allocators", "cells", "workloads"]));

    let mut listed: BTreeMap<(String, String), bool> = BTreeMap::new();
    for (part, runs) in [("cells", true), ("absent", false)] {
        for entry in list[part].as_array().unwrap() {
            let params = entry["params"].as_object().unwrap();
            let words: Vec<String> = params
                .iter()
                .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
                .collect();
            let place =
                (entry["allocator"].to_string(), format!("{}/{}", entry["workload"], words.join(",")));
            assert!(listed.insert(place.clone(), runs).is_none(), "{place:?} stands in the list twice");
            if !runs {
                assert!(entry["reason"].as_str().is_some_and(|reason| reason.len() > 15), "{entry}");
            }
        }
    }
    let allocators = list["allocators"].as_array().unwrap().len();
    let cases: BTreeSet<&String> = listed.keys().map(|(_, case)| case).collect();
    assert_eq!(listed.len(), allocators * cases.len(), "every allocator × case is there");

    for executable in &built().executables {
        let description = &executable.description;
        let key = |case: &CaseName| {
            let workload = Value::from(case.workload.as_str());
            let id = Value::from(description.allocator.id.as_str());
            (id.to_string(), format!("{workload}/{}", case.params))
        };
        for (case, _) in &description.cells {
            assert_eq!(listed.get(&key(case)), Some(&true), "{case}");
        }
        for (case, _) in &description.absent {
            assert_eq!(listed.get(&key(case)), Some(&false), "{case}");
        }
    }
}

#[test]
fn every_executable_proves_who_serves_it_and_finds_its_content_right() {
    for executable in &built().executables {
        let id = &executable.description.allocator.id;
        let case = executable.description.cells.first().expect("every allocator has a cell").0.to_string();
        let home = tempfile::tempdir().unwrap();
        let outcome = home.path().join("outcome.json");
        let output = Command::new(&executable.path)
            .args(["--bench", "--noplot", "--warm-up-time", "0.01", "--measurement-time", "0.02"])
            .args(["--sample-size", "10", "--nresamples", "1001"])
            .env("CRITERION_HOME", home.path())
            .env(protocol::PROFILE, "quick")
            .env(protocol::CELL, &case)
            .env(protocol::OUTCOME, &outcome)
            .output()
            .unwrap();
        assert!(output.status.success(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
        let said = fs::read_to_string(&outcome).unwrap();
        assert!(said.starts_with(r#"{"outcome":{"served":"a block "#), "{id} on {case}: {said}");
    }
}

fn processes<'e>(executables: &'e [Executable], scratch: &Path) -> Processes<'e> {
    Processes {
        executables,
        effort: plan::effort(Profile::Quick, &Probe::ALL),
        seed: 1,
        profile: "quick".to_owned(),
        limit: Duration::from_secs(120),
        scratch: scratch.join("process"),
        countable: HashMap::new(),
    }
}

#[test]
fn instructions_of_a_cell_are_the_same_twice() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("SKIPPED: valgrind is not installed, so nothing shows that instruction counts repeat");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let executables = &built().executables;
    let mut processes = processes(executables, scratch.path());
    let mut counted = 0;
    for (index, executable) in executables.iter().enumerate() {
        // One of the cells with most of an allocator's parts in it, where it has it.
        let cells = &executable.description.cells;
        let (case, _) = cells.iter().find(|(case, _)| case.workload == "strings").unwrap_or(&cells[0]);
        let cell = CellName {
            case: case.clone(),
            allocator: executable.description.allocator.id.clone(),
            twin: false,
        };
        let runner = Runner { executable: index, twin: false };
        let mut count = || processes.measure(&cell, runner, Probe::Instructions).unwrap();
        match (count(), count()) {
            (Measured::Found(first, _), Measured::Found(second, _)) => {
                let (first, second) =
                    (first.metrics[&Metric::Instructions], second.metrics[&Metric::Instructions]);
                assert!(first > 1.0, "{cell}: {first} instructions an operation");
                assert!((first / second - 1.0).abs() <= 0.001, "{cell}: {first}, then {second}");
                counted += 1;
            }
            (Measured::Unprobed(reason), _) => assert!(reason.contains("valgrind"), "{cell}: {reason}"),
            other => panic!("{cell}: {other:?}"),
        }
    }
    assert!(counted >= 5, "valgrind is here, and {counted} of {} were counted", executables.len());
}

#[test]
fn what_is_retained_falls_when_an_allocator_is_asked_to_give_back() {
    let scratch = tempfile::tempdir().unwrap();
    let executables = &built().executables;
    let mut processes = processes(executables, scratch.path());
    for (index, executable) in executables.iter().enumerate() {
        let id = executable.description.allocator.id.as_str();
        if !["system", "jemalloc", "mimalloc", "slab"].contains(&id) {
            continue;
        }
        let mut cells = executable.description.cells.iter();
        let (case, _) = cells.find(|(case, _)| case.workload == "sawtooth").unwrap();
        let cell = CellName { case: case.clone(), allocator: id.to_owned(), twin: false };
        let runner = Runner { executable: index, twin: false };
        let found = match processes.measure(&cell, runner, Probe::Memory).unwrap() {
            Measured::Found(findings, _) => findings.metrics,
            Measured::Unprobed(reason) => {
                eprintln!("SKIPPED: {reason}");
                return;
            }
            other => panic!("{cell}: {other:?}"),
        };
        let (peak, retained) = (found[&Metric::PeakRss], found[&Metric::RetainedRss]);
        let purged = found[&Metric::RetainedRssPurged];
        // 64 MiB of blocks cannot lie in less; what is left after a purge is bookkeeping.
        assert!(peak >= 64e6 && retained <= peak * 1.01, "{id}: {retained} of {peak}");
        assert!(purged < 8e6 && purged < retained, "{id}: {purged} of {retained}");
    }
}

#[test]
fn criterions_own_flags_work_in_a_bench_executable() {
    let executable = built()
        .executables
        .iter()
        .find(|executable| executable.description.allocator.id == "system")
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(&executable.path)
            .args(["--bench", "--noplot", "--warm-up-time", "0.01", "--measurement-time", "0.02"])
            .args(["--sample-size", "10", "--nresamples", "1001"])
            .args(arguments)
            .env("CRITERION_HOME", home.path())
            .env(protocol::PROFILE, "quick")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let saved = run(&["--save-baseline", "before", "pair/system/size=64"]);
    assert!(saved.contains("time:"), "{saved}");
    assert!(home.path().join("pair/system/size=64/before/estimates.json").exists());
    assert!(!home.path().join("churn").exists(), "the filter left one benchmark");
    let compared = run(&["--baseline", "before", "pair/system/size=64"]);
    assert!(compared.contains("change:"), "{compared}");
}
