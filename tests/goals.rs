//! `allocmark goals` as a person or a script meets it.

#![cfg(feature = "harness")]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::process::Command;

use allocmark::allocators::list;
use allocmark::results::record::Record;
use allocmark::results::store;
use serde_json::Value;

fn goals(record: &Record, format: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.json");
    store::write(record, &path).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_allocmark"))
        .args(["goals", "--format", format])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_goal_of_an_allocator_in_the_record_has_a_line_in_every_format() {
    let record = synthetic::realistic();
    let json: Value = serde_json::from_str(&goals(&record, "json")).unwrap();
    assert_eq!(json["record"], record.id.as_str());
    let lines = json["goals"].as_array().unwrap();
    let ours = record.allocators.iter().filter(|allocator| allocator.ours);
    for row in ours.filter_map(|it| list::all().into_iter().find(|row| row.facts.id == it.id)) {
        let told = lines.iter().filter(|line| line["allocator"] == row.facts.id).count();
        assert!(told >= row.facts.goals.len(), "{}", row.facts.id);
    }
    let (text, markdown) = (goals(&record, "text"), goals(&record, "markdown"));
    // The record's id, an empty line, the heads; Markdown has a rule more.
    assert_eq!(text.lines().count(), lines.len() + 3, "{text}");
    assert_eq!(markdown.lines().count(), lines.len() + 4, "{markdown}");
    for line in lines {
        let (against, cells) = (line["against"].as_str().unwrap(), line["cells"].as_str().unwrap());
        assert!(text.contains(cells) && markdown.contains(&format!("| {cells} | {against} |")), "{line}");
    }
}

#[test]
fn what_is_measured_has_a_ratio_and_what_is_not_has_a_reason() {
    let json: Value = serde_json::from_str(&goals(&synthetic::realistic(), "json")).unwrap();
    let lines = json["goals"].as_array().unwrap();
    let measured = lines.iter().filter(|line| line["ratio"].is_number()).count();
    assert!(0 < measured && measured < lines.len(), "{lines:#?}");
    for line in lines {
        let (has_ratio, has_reason) = (line.get("ratio").is_some(), line.get("reason").is_some());
        assert!(has_ratio != has_reason && has_reason == (line["result"] == "not measured"), "{line}");
    }
}

#[test]
fn a_record_of_others_says_that_there_is_nothing() {
    let text = goals(&synthetic::imported(), "text");
    assert!(text.ends_with("No allocator of this record has a goal.\n"), "{text}");
}
