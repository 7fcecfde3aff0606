//! The site as a whole: deterministic, harmless whatever a record says, and never half-written.

#![cfg(feature = "harness")]

#[path = "support/synthetic.rs"]
mod synthetic;
#[path = "support/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::fs;

use allocmark::report::{ReportError, write_site};
use allocmark::results::record::{Failed, FailureKind, Record};

fn site(record: &Record) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let out = directory.path().join("site");
    let summary = write_site(std::slice::from_ref(record), &out).expect("the record can be shown");
    let files = tree::read(&out);
    assert_eq!(summary.files, files.len());
    assert_eq!(summary.pages, files.keys().filter(|path| path.ends_with(".html")).count());
    for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
        assert_well_formed(path, content);
        assert_links_lead_somewhere(path, content, &files);
    }
    files
}

/// Every tag is closed in the right order, and nothing that a strict policy forbids is there.
fn assert_well_formed(path: &str, html: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in html.split('<').skip(1) {
        let Some((tag, _)) = piece.split_once('>') else { panic!("{path}: a tag is not closed: {piece}") };
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{path}: </{name}> closes something else");
            continue;
        }
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        assert!(!["script", "img", "iframe", "object", "style"].contains(&name), "{path}: <{tag}>");
        // Every other piece between quotes is an attribute's value: text, whatever it says.
        let attributes: String = tag.split('"').step_by(2).collect();
        assert!(!attributes.contains(" style=") && !attributes.contains(" on"), "{path}: <{tag}>");
        let void = ["meta", "link", "!DOCTYPE", "br"].contains(&name) || tag.ends_with('/');
        if !void {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{path}: never closed: {open:?}");
}

fn assert_links_lead_somewhere(path: &str, html: &str, files: &BTreeMap<String, String>) {
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    for piece in html.split("href=\"").skip(1) {
        let target = piece.split('"').next().unwrap_or_default();
        if target.starts_with("https://") || target.starts_with("http://") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = match (file, folder) {
            ("", _) => path.to_owned(),
            (file, None) => file.to_owned(),
            (file, Some(folder)) => {
                file.strip_prefix("../").map_or_else(|| format!("{folder}/{file}"), str::to_owned)
            }
        };
        let Some(content) = files.get(&file) else { panic!("{path}: {target} leads nowhere") };
        let found = anchor.is_empty() || content.contains(&format!("id=\"{anchor}\""));
        assert!(found, "{path}: {target} has no such anchor");
    }
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let record = synthetic::realistic();
    assert_eq!(site(&record), site(&record));
}

#[test]
fn every_measured_absent_and_failed_cell_is_in_the_csv() {
    let record = synthetic::realistic();
    let files = site(&record);
    let lines = files["data/cells.csv"].lines().count();
    assert_eq!(lines, 1 + record.cells.len() + record.absent.len() + record.failed.len());
}

#[test]
fn every_metric_of_every_cell_is_in_the_csv() {
    let record = synthetic::complete();
    let files = site(&record);
    let metrics: usize = record.cells.iter().map(|cell| cell.metrics.len()).sum();
    let lines = files["data/cells.csv"].lines().count();
    assert_eq!(lines, 1 + metrics + record.absent.len() + record.failed.len());
    let markdown = &files["data/tables.md"];
    assert!(markdown.contains("## sawtooth, live 64 MiB: resident memory in MiB"));
    assert!(
        markdown.contains("## churn, live 1000, sizes fixed-64: percentiles of the time of one step in ns")
    );
}

#[test]
fn workloads_without_a_time_are_in_the_memory_table_and_in_no_ranking_by_speed() {
    let timed = site(&synthetic::realistic());
    let complete = site(&synthetic::complete());
    let between = |page: &str, from: &str, to: &str| {
        let (_, rest) = page.split_once(from).expect("it begins");
        rest.split_once(to).expect("it ends").0.to_owned()
    };
    let ranking = |page: &str| between(page, "<section id=\"ranking\"", "</section>\n\n<section");
    let speed = ranking(&complete["index.html"]);
    assert_eq!(
        speed.split("</section>\n\n<section id=\"memory\"").next(),
        Some(&*ranking(&timed["index.html"]))
    );
    let memory = between(&complete["index.html"], "<section id=\"memory\"", "</section>");
    assert!(memory.contains("workload/sawtooth.html#memory-1"));
    let map = between(&complete["index.html"], "<section id=\"workloads\"", "</section>");
    assert!(!map.contains("sawtooth.html#"), "no row of the heat map");
    assert!(map.contains("workload/sawtooth.html"), "but still reached from there");
    let page = &complete["workload/sawtooth.html"];
    assert!(!page.contains("id=\"time\"") && !page.contains("Time per operation"));
    assert!(page.contains("its memory is that of the allocator behind it"), "absent cells keep their reason");
}

#[test]
fn a_record_of_memory_alone_is_a_site() {
    let mut record = synthetic::complete();
    record.workloads.retain(|workload| workload.family == "memory");
    let is_memory = |id: &str| ["fragment", "sawtooth", "trickle"].contains(&id);
    record.cells.retain(|cell| is_memory(&cell.place.workload));
    record.absent.retain(|absent| is_memory(&absent.place.workload));
    record.failed.clear();
    record.checks.overhead.clear();
    let overview = &site(&record)["index.html"];
    assert!(overview.contains("Nothing to rank") && overview.contains("No time was measured, so nothing"));
    let files = site(&record);
    assert!(files["allocator/mimalloc.html"].contains("no time was measured"));
    // Nor does it take a single measured cell.
    let lost = record.cells.drain(..).map(|cell| Failed {
        place: cell.place,
        kind: FailureKind::OutOfMemory,
        detail: "killed".to_owned(),
    });
    record.failed = lost.collect();
    let files = site(&record);
    assert!(files["workload/sawtooth.html"].contains("out of memory: killed"));
}

#[test]
fn odd_findings_of_the_probes_do_no_harm() {
    let mut record = synthetic::complete();
    for (index, cell) in record.cells.iter_mut().enumerate() {
        let odd = [0.0, -1.0, 1e300, f64::NAN][index % 4];
        for measured in cell.metrics.values_mut().skip(index % 3) {
            measured.value = odd;
            measured.replicates = vec![odd; index % 3];
        }
        if let Some(latency) = &mut cell.latency {
            match index % 3 {
                0 => latency.buckets.clear(),
                1 => latency.buckets = vec![(0, 1), (u64::MAX, u64::MAX / 4)],
                _ => latency.plain_ns = 0.0,
            }
            latency.quantum_ns = odd;
        }
        if let Some(memory) = &mut cell.memory {
            match index % 3 {
                0 => memory.checkpoints.clear(),
                1 => memory.checkpoints.truncate(1),
                _ => {
                    for checkpoint in &mut memory.checkpoints {
                        "<b>\"".clone_into(&mut checkpoint.phase);
                        checkpoint.resident_bytes = u64::MAX;
                        checkpoint.live_bytes = 0;
                    }
                }
            }
            for statistic in &mut memory.statistics {
                "<script>".clone_into(&mut statistic.name);
            }
        }
    }
    for unprobed in &mut record.checks.unprobed {
        "<script>".clone_into(&mut unprobed.reason);
    }
    for workload in &mut record.workloads {
        "<script>".clone_into(&mut workload.step);
    }
    site(&record);
}

#[test]
fn the_overview_shows_every_workload_and_every_ranked_allocator() {
    let record = synthetic::realistic();
    let overview = &site(&record)["index.html"];
    for workload in &record.workloads {
        assert!(overview.contains(&format!("workload/{}.html", workload.id)), "{}", workload.id);
    }
    for allocator in &record.allocators {
        assert!(overview.contains(&format!("allocator/{}.html", allocator.id)), "{}", allocator.id);
    }
    assert!(overview.contains("2026-11-21 11:33 UTC"));
    assert!(overview.contains("time limit"));
    assert!(overview.len() < 500 * 1024, "{} bytes", overview.len());
}

#[test]
fn reasons_for_absent_and_failed_cells_can_be_read_without_hovering() {
    let record = synthetic::small();
    let files = site(&record);
    for text in ["signal 11 (SIGSEGV) after 0.2 s", "needs a handle that other threads may use"] {
        assert!(
            files["workload/local.html"].contains(text) || files["workload/pair.html"].contains(text),
            "{text}"
        );
    }
    assert!(files["allocator/mimalloc.html"].contains("signal 11 (SIGSEGV) after 0.2 s"));
}

#[test]
fn hostile_names_are_text_and_harmless_file_names() {
    let names = [
        "<script>alert(1)</script>".to_owned(),
        "../../x".to_owned(),
        "quotes \" ' and & ampersand".to_owned(),
        "\u{202e}right to left".to_owned(),
        "long".repeat(1_000),
        "{{ 7 * 7 }}{% raw %}".to_owned(),
        String::new(),
        "new\nline\0nul".to_owned(),
    ];
    let mut record = synthetic::grid(names.len(), names.len(), 2, 6);
    let old: Vec<String> = record.allocators.iter().map(|allocator| allocator.id.clone()).collect();
    let old_workloads: Vec<String> = record.workloads.iter().map(|workload| workload.id.clone()).collect();
    for (index, name) in names.iter().enumerate() {
        let allocator = &mut record.allocators[index];
        allocator.id.clone_from(name);
        allocator.title.clone_from(name);
        allocator.class = if index % 2 == 0 { "general".to_owned() } else { name.clone() };
        allocator.links = vec!["javascript:alert(1)".to_owned(), name.clone()];
        allocator.configuration.clone_from(name);
        record.workloads[index].id.clone_from(name);
        record.workloads[index].why.clone_from(name);
        record.workloads[index].parameters[0].title.clone_from(name);
    }
    for cell in &mut record.cells {
        let at = |list: &[String], id: &str| list.iter().position(|old| old == id).expect("a known id");
        cell.place.allocator.clone_from(&names[at(&old, &cell.place.allocator)]);
        cell.place.workload.clone_from(&names[at(&old_workloads, &cell.place.workload)]);
    }
    let broken = record.cells.remove(3).place;
    record.failed.push(Failed { place: broken, kind: FailureKind::Crash, detail: names[0].clone() });
    record.id = format!("{}-x", names[0]);
    record.command.clone_from(&names[0]);
    record.checks.warnings = names.to_vec();

    let files = site(&record);
    assert_eq!(files.len(), 4 + 3 + 2 * names.len());
    for path in files.keys() {
        let harmless = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c);
        assert!(path.chars().all(harmless) && !path.contains("..") && path.len() < 100, "{path}");
    }
    assert!(files["index.html"].contains("&lt;script&gt;alert(1)&lt;"));
    assert!(!files.values().any(|content| content.contains("href=\"javascript:")));
    assert!(files["method.html"].contains("{{ 7 * 7 }}"));
}

#[test]
fn an_empty_record_is_a_site_that_says_so() {
    let files = site(&synthetic::empty());
    assert!(files["index.html"].contains("Nothing to rank"));
    assert_eq!(files["data/cells.csv"].lines().count(), 1);
}

#[test]
fn one_cell_is_a_site() {
    let mut record = synthetic::grid(1, 1, 1, 6);
    site(&record);
    record.cells.clear();
    site(&record);
}

#[test]
fn cells_of_allocators_and_workloads_that_the_record_does_not_describe_are_shown() {
    let mut record = synthetic::grid(3, 2, 2, 6);
    record.allocators.clear();
    record.workloads.clear();
    let files = site(&record);
    assert!(files.contains_key("allocator/alloc-000.html") && files.contains_key("workload/work-001.html"));
}

#[test]
fn an_imported_record_is_shown_without_intervals_and_ranked_in_itself() {
    let files = site(&synthetic::imported());
    assert!(files["index.html"].contains("Imported allocators"));
    assert!(files["method.html"].contains("This record was imported"));
}

#[test]
fn two_hundred_allocators_are_a_site() {
    let files = site(&synthetic::grid(200, 2, 2, 6));
    assert_eq!(files.len(), 4 + 3 + 200 + 2);
}

#[test]
fn cells_without_a_usable_time_do_no_harm() {
    let mut record = synthetic::grid(3, 1, 3, 6);
    for (index, value) in [0.0, -1.0, 1e300, 1e-300].into_iter().enumerate() {
        for measured in record.cells[index].metrics.values_mut() {
            measured.value = value;
            measured.interval = None;
            measured.replicates = vec![value];
        }
    }
    site(&record);
}

#[test]
fn no_record_is_an_error() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let out = directory.path().join("site");
    assert!(matches!(write_site(&[], &out), Err(ReportError::NoRecord)));
    assert!(!out.exists());
}

#[test]
fn a_site_replaces_an_older_site_whole() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let out = directory.path().join("deep/site");
    write_site(&[synthetic::grid(2, 2, 1, 6)], &out).expect("the record can be shown");
    assert!(out.join("workload/work-001.html").exists());
    write_site(&[synthetic::grid(2, 1, 1, 6)], &out).expect("an old site is replaced");
    assert!(!out.join("workload/work-001.html").exists());
    let left: Vec<_> = fs::read_dir(out.parent().expect("it has one")).expect("it exists").collect();
    assert_eq!(left.len(), 1, "temporary directories are left: {left:?}");
}

#[test]
fn an_empty_directory_is_used_and_a_foreign_one_is_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let record = [synthetic::grid(1, 1, 1, 6)];
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).expect("it is new");
    write_site(&record, &empty).expect("an empty directory may be used");

    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).expect("it is new");
    fs::write(foreign.join("thesis.txt"), "years of work").expect("it is writable");
    let error = write_site(&record, &foreign).expect_err("it is not ours");
    assert!(error.to_string().contains("foreign"), "{error}");
    assert_eq!(fs::read_to_string(foreign.join("thesis.txt")).expect("it is still there"), "years of work");

    let file = directory.path().join("file");
    fs::write(&file, "x").expect("it is writable");
    assert!(matches!(write_site(&record, &file), Err(ReportError::Occupied { .. })));
}
