//! Pages under `docs/` that are written from the code say what the code says.

#![cfg(feature = "harness")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;

#[test]
fn the_page_of_workloads_is_what_their_files_say() {
    let output =
        Command::cargo_bin("allocmark").unwrap().args(["list", "--format", "markdown"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/workloads.md")).unwrap();
    assert!(page == output.stdout, "docs/workloads.md is out of date: scripts/docs.sh writes it anew");
}
