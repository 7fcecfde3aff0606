//! Pages compared with the ones in `tests/golden`.
//!
//! After a wanted change: `ALLOCMARK_BLESS=1 cargo test --test report_golden`, then read the diff.

#![cfg(feature = "harness")]

#[path = "support/synthetic.rs"]
mod synthetic;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

/// Where the golden pages of `site` are.
fn golden(site: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(site)
}

/// Where what was rendered is kept for comparison.
fn actual(site: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("report_golden").join(site)
}

fn assert_golden(site: &str, record: allocmark::results::record::Record) {
    let actual = actual(site);
    fs::create_dir_all(actual.parent().expect("it has two parts")).expect("the target directory is writable");
    allocmark::report::write_site(&[record], &actual).expect("the record can be shown");
    // The style sheet is a file of the repository already, and the record's form is the store's business.
    let mut files = tree::read(&actual);
    files.retain(|path, _| path != "style.css" && path != "data/record.json");

    let golden = golden(site);
    if std::env::var_os("ALLOCMARK_BLESS").is_some() {
        if golden.exists() {
            fs::remove_dir_all(&golden).expect("golden pages can be replaced");
        }
        for (path, content) in &files {
            let path = golden.join(path);
            fs::create_dir_all(path.parent().expect("it is below `golden`"))
                .expect("tests/golden is writable");
            fs::write(path, content).expect("tests/golden is writable");
        }
        return;
    }
    let expected = tree::read(&golden);
    let mut different: Vec<&String> = Vec::new();
    for path in expected.keys().chain(files.keys()) {
        if expected.get(path) != files.get(path) && !different.contains(&path) {
            different.push(path);
        }
    }
    assert!(
        different.is_empty(),
        "{different:?} differ from the golden pages.\nCompare: diff -r {} {}\nAccept: ALLOCMARK_BLESS=1 cargo test --test report_golden",
        golden.display(),
        actual.display()
    );
}

#[test]
fn a_small_record_gives_the_golden_pages() {
    assert_golden("small", synthetic::small());
}

#[test]
fn a_record_of_every_probe_gives_the_golden_pages() {
    assert_golden("probed", synthetic::probed());
}

#[test]
fn an_imported_record_gives_the_golden_pages() {
    assert_golden("imported", synthetic::imported());
}

/// With `ALLOCMARK_PREVIEW=DIR` the sites stay in DIR, to look at.
#[test]
fn every_made_up_record_becomes_a_site() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let out = std::env::var_os("ALLOCMARK_PREVIEW").map_or(scratch.path().to_owned(), PathBuf::from);
    let records = [
        ("realistic", synthetic::realistic()),
        ("complete", synthetic::complete()),
        ("small", synthetic::small()),
        ("probed", synthetic::probed()),
        ("imported", synthetic::imported()),
        ("empty", synthetic::empty()),
        ("many", synthetic::grid(200, 3, 3, 6)),
    ];
    for (name, record) in records {
        let summary =
            allocmark::report::write_site(&[record], &out.join(name)).expect("the record can be shown");
        assert!(summary.index.exists(), "{name}");
    }
}
