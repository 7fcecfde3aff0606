//! The layers of `src/` import downwards only, and the lists are complete.

#![cfg(feature = "harness")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use allocmark::allocators::goal::{Against, Cells};
use allocmark::allocators::list;
use allocmark::harness::matrix;
use allocmark::results::metric::{Direction, Metric};
use allocmark::workloads::shape::{Profile, Scope};

/// Bottom first. A module may use those of its own rank and below.
const LAYERS: [&[&str]; 7] = [
    &["units", "stats"],
    &["allocators", "instruments"],
    &["workloads"],
    &["harness"],
    &["results"],
    &["report"],
    &["cli"],
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module of a file, as the first name below `src/`.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The top-level modules that the code of a file names: through `crate::`, also in braces, or by climbing out of its own
/// module with `super::`, where `depth` is how many modules the file is in. Documentation may point anywhere.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let climb = "super::".repeat(depth);
    code.split("crate::").skip(1).chain(code.split(&climb).skip(1)).flat_map(first_names).collect()
}

/// The first name of a path, or of each path in a brace group.
fn first_names(path: &str) -> Vec<String> {
    let name = |path: &str| {
        let path = path.trim_start();
        path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// What a file of `src/` imports.
fn imports_of(file: &Path) -> BTreeSet<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let depth = inside.components().count() - usize::from(inside.ends_with("mod"));
    imports(&fs::read_to_string(file).unwrap(), depth)
}

#[test]
fn no_module_uses_a_layer_above_its_own() {
    let mut upward = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module(&file);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some(own) = rank(&module) else { panic!("src/{module} has no place in LAYERS") };
        for import in imports_of(&file) {
            if rank(&import).is_some_and(|theirs| theirs > own) {
                upward.push(format!("{} uses {import}", file.display()));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn an_upward_import_would_be_seen() {
    let code = "use crate::cli::run;\n// crate::report is only spoken of\nlet x = crate::units::Nanos(1.0);
        use crate::{report, stats::{self, median}};\nuse super::super::results::record;\nuse super::files;";
    let expected = ["cli", "report", "results", "stats", "units"].map(str::to_owned);
    assert_eq!(imports(code, 2), BTreeSet::from(expected));
}

#[test]
fn the_report_never_imports_the_allocators() {
    for file in rust_files(&root().join("src/report")) {
        let imports = imports_of(&file);
        assert!(!imports.contains("allocators"), "{}", file.display());
    }
}

#[test]
fn every_allocator_has_its_file_its_bench_and_its_entry_and_none_is_left_over() {
    let listed: BTreeSet<String> = list::all().iter().map(|row| row.facts.id.to_owned()).collect();
    let benches: BTreeSet<String> = rust_files(&root().join("benches"))
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, benches, "rows of the list and files of benches/");

    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let entries: BTreeSet<String> = manifest["bench"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, entries, "rows of the list and [[bench]] entries of Cargo.toml");

    for id in &listed {
        let name = id.replace('-', "_");
        let folder = root().join("src/allocators");
        let there = folder.join(format!("{name}.rs")).exists() || folder.join(name).join("mod.rs").exists();
        assert!(there, "src/allocators has no file for {id}");
    }
}

#[test]
fn the_allocator_over_a_slice_needs_no_standard_library() {
    let folder = root().join("src/allocators/bump_slice");
    let mut read = 0;
    // The last of them is for the benchmarks.
    for file in rust_files(&folder).iter().filter(|file| !file.ends_with("mapped.rs")) {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            assert!(!line.contains("std::") && !line.contains("crate::"), "{}: {line}", file.display());
            let foreign = line.starts_with("use ") && !line.starts_with("use super::");
            let allowed = ["use core::", "use allocator_api2::alloc::"];
            assert!(!foreign || allowed.iter().any(|start| line.starts_with(start)), "{line}");
        }
        read += 1;
    }
    assert_eq!(read, 3);
}

#[test]
fn every_workload_that_is_written_is_listed() {
    let written = rust_files(&root().join("src/workloads"))
        .iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains("\nimpl Shape for "))
        .count();
    let cases = matrix::cases(Scope { profile: Profile::Full, cpus: 2 });
    let listed: BTreeSet<&str> = cases.iter().map(|case| case.workload.id).collect();
    assert_eq!(written, listed.len(), "files with `impl Shape for`, and workloads with cases: {listed:?}");
}

#[test]
fn every_goal_names_a_metric_cells_and_an_allocator_that_exist() {
    let cases = matrix::cases(Scope { profile: Profile::Full, cpus: 4 });
    let rows = list::all();
    for row in &rows {
        for goal in row.facts.goals {
            let metric = Metric::named(goal.metric);
            assert_eq!(metric.map(Metric::direction), Some(Direction::Lower), "{goal:?}");
            if let Against::Allocator(id) = goal.against {
                assert!(rows.iter().any(|row| row.facts.id == id), "{goal:?}");
            }
            match goal.cells {
                Cells::Families(families) => {
                    let exists =
                        |family: &&str| cases.iter().any(|case| case.workload.family.id() == *family);
                    assert!(families.iter().all(exists), "{goal:?}");
                }
                Cells::Workload { id, params } => assert!(
                    cases.iter().any(|case| case.workload.id == id
                        && params.iter().all(|(name, value)| case
                            .params
                            .get(name)
                            .is_some_and(|given| given.to_string() == *value))),
                    "{goal:?}"
                ),
            }
        }
    }
}

#[test]
fn the_allocators_alone_depend_on_two_crates() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--no-default-features", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, BTreeSet::from(["allocmark", "allocator-api2", "libc"]));
}
