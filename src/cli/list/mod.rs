//! `allocmark list`: what would be measured, and what not and why.

mod markdown;

use std::thread;

use serde_json::{Map, Value as Json, json};

use super::{Exit, print};
use crate::harness::matrix;
use crate::harness::protocol;
use crate::workloads::params::{Params, Value};
use crate::workloads::shape::{Profile, Scope};

/// Show allocators, workloads, and every pair of them
///
/// Lists what a profile measures: each allocator with its contract class, each workload with its cases, and each pair
/// that cannot run with its reason. The JSON uses the words of a record: `allocators`, `workloads`, `cells`, `absent`.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  allocmark list --profile quick\n  allocmark list --format json | jq '.absent[0]'"
)]
pub(super) struct Flags {
    /// The profile whose cases to list
    #[arg(long, value_name = "PROFILE", default_value = "standard", value_parser = super::profile)]
    profile: Profile,
    /// text for people, json for programs; markdown is the page of all workloads, whatever the profile
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json", "markdown"])]
    format: String,
}

/// Prints the lists.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let scope = Scope { profile: flags.profile, cpus };
    match flags.format.as_str() {
        "json" => print(serde_json::to_string_pretty(&lists(scope))?)?,
        "markdown" => print(markdown::page().trim_end())?,
        _ => print(text(scope).trim_end())?,
    }
    Ok(Exit::Fine)
}

fn lists(scope: Scope) -> Json {
    let (mut cells, mut absent) = (Vec::new(), Vec::new());
    for (row, case, verdict) in matrix::pairs(scope) {
        let mut place = Map::new();
        place.insert("workload".to_owned(), json!(case.workload.id));
        place.insert("params".to_owned(), object(&case.params));
        place.insert("allocator".to_owned(), json!(row.facts.id));
        match verdict {
            Ok(()) => cells.push(place),
            Err(reason) => {
                place.insert("reason".to_owned(), json!(reason));
                absent.push(place);
            }
        }
    }
    let allocators: Vec<Json> = crate::allocators::list::all()
        .iter()
        .map(|row| {
            let facts = row.facts;
            json!({
                "id": facts.id, "ours": facts.ours, "title": facts.title, "class": row.contract.class.id(),
                "description": facts.description, "configuration": facts.configuration,
                "package": facts.package, "missing_entry_points": facts.missing_entry_points, "links": facts.links,
            })
        })
        .collect();
    let workloads: Vec<Json> = protocol::workloads(&matrix::cases(scope))
        .iter()
        .map(|workload| {
            let parameters: Vec<Json> = workload
                .parameters
                .iter()
                .map(|(name, title, axis)| json!({ "name": name, "title": title, "axis": axis }))
                .collect();
            json!({
                "id": workload.id, "title": workload.title, "family": workload.family, "why": workload.why,
                "effect": workload.effect, "origin": workload.origin,
                "operation": workload.operation, "needs": workload.needs, "parameters": parameters,
            })
        })
        .collect();
    json!({ "allocators": allocators, "workloads": workloads, "cells": cells, "absent": absent })
}

fn object(params: &Params) -> Json {
    let value = |value: &Value| match value {
        Value::Number(number) => json!(number),
        Value::Word(word) => json!(word),
    };
    Json::Object(params.0.iter().map(|(name, given)| (name.clone(), value(given))).collect())
}

fn text(scope: Scope) -> String {
    use std::fmt::Write;
    let mut text = String::from("Allocators\n");
    // Writing to a string cannot fail.
    for row in crate::allocators::list::all() {
        let note = row.compiled.err().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {:<16} {:<11} {}{note}",
            row.facts.id,
            row.contract.class.id(),
            row.facts.title
        );
    }
    let pairs = matrix::pairs(scope);
    let _ = writeln!(text, "\nWorkloads and their cases in the profile {}", scope.profile.id());
    for workload in protocol::workloads(&matrix::cases(scope)) {
        let _ = writeln!(text, "  {:<13} {} ({})", workload.id, workload.title, workload.operation);
        let mut cases: Vec<(String, usize)> = Vec::new();
        for (_, case, verdict) in pairs.iter().filter(|(_, case, _)| case.workload.id == workload.id) {
            let name = case.params.to_string();
            let runs = usize::from(verdict.is_ok());
            match cases.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += runs,
                None => cases.push((name, runs)),
            }
        }
        for (name, count) in cases {
            let name = if name.is_empty() { "(one case)" } else { &name };
            let _ = writeln!(text, "    {name:<44} {count:>2} allocators");
        }
    }
    let _ = writeln!(text, "\nNot measured, and why");
    let mut reasons: Vec<(String, &str, Vec<&str>)> = Vec::new();
    for (row, case, verdict) in &pairs {
        let Err(reason) = verdict else { continue };
        let (allocator, workload) = (row.facts.id, case.workload.id);
        match reasons.iter_mut().find(|(known, who, _)| known == reason && *who == allocator) {
            Some((_, _, workloads)) if !workloads.contains(&workload) => workloads.push(workload),
            Some(_) => {}
            None => reasons.push((reason.clone(), allocator, vec![workload])),
        }
    }
    for (reason, allocator, workloads) in reasons {
        let _ = writeln!(text, "  {allocator:<16} {}: {reason}", workloads.join(", "));
    }
    text
}
