//! How the numbers were made, on what, and what to doubt.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::Serialize;

use super::{Frame, Link, Page, allocator_link, count, workload_link};
use crate::report::numbers::Figure;
use crate::report::site::{Site, Slot, Subject};
use crate::report::{File, ReportError, numbers, templates};
use crate::results::record::{Control, Machine, Overhead};
use crate::units::{Bytes, decimals_for};

mod probes;

const NAME: &str = "method.html";

pub(crate) const PAGE: Page = Page {
    template: ("pages/method.html", include_str!("../../../report-templates/pages/method.html")),
    render,
};

#[derive(Serialize)]
struct Method {
    frame: Frame,
    /// Whether another program measured: then the rules of ours do not describe it.
    imported: bool,
    command: String,
    tool: String,
    started: Option<String>,
    run: Vec<(String, String)>,
    machine: Vec<(&'static str, String)>,
    versions: Vec<VersionRow>,
    overhead: Vec<OverheadRow>,
    /// The A/A control in one sentence, and cell by cell.
    control: Option<String>,
    controls: Vec<ControlRow>,
    probes: probes::Probes,
    warnings: Vec<String>,
    served: Vec<(String, String)>,
    /// The ids of allocators that whoever measured also wrote: `a, b and c`. Empty if there are none.
    ours: String,
}

#[derive(Serialize)]
struct ControlRow {
    cell: String,
    ratio: String,
    low: String,
    high: String,
}

#[derive(Serialize)]
struct VersionRow {
    allocator: Link,
    class: String,
    package: String,
    library: String,
    configuration: String,
    lacks: String,
}

#[derive(Serialize)]
struct OverheadRow {
    workload: Link,
    case: String,
    null: Figure,
    fastest: String,
    fastest_time: Figure,
    percent: Figure,
}

fn render(site: &Site<'_>) -> Result<Vec<File>, ReportError> {
    let record = site.record;
    let tool = &record.tool;
    let revision = tool.revision.as_ref().map_or(String::new(), |revision| format!(", revision {revision}"));
    let dirty = if tool.dirty { ", with uncommitted changes" } else { "" };
    let page = Method {
        frame: Frame::new(site, "", "method", "Method"),
        imported: record.profile.name == "imported",
        command: record.command.clone(),
        tool: format!("{} {}{revision}{dirty}", tool.name, tool.version),
        started: site.started(),
        run: run(site),
        machine: machine(&record.machine),
        versions: versions(site),
        overhead: overhead(site),
        control: control_summary(&record.checks.control),
        controls: controls(&record.checks.control),
        probes: probes::probes(site),
        warnings: record.checks.warnings.clone(),
        served: served(site),
        ours: super::ours(site),
    };
    let content = templates::render(PAGE.template.0, NAME, &page)?;
    Ok(vec![File { path: NAME.to_owned(), content }])
}

fn run(site: &Site<'_>) -> Vec<(String, String)> {
    let profile = &site.record.profile;
    let mut rows = vec![("profile".to_owned(), profile.name.clone())];
    for (probe, rounds) in &profile.rounds {
        rows.push((format!("rounds of {probe}"), rounds.to_string()));
    }
    let optional = [
        ("warm-up in each process", profile.warm_up_ms.map(|ms| format!("{ms} ms"))),
        ("measuring time in each process", profile.measuring_ms.map(|ms| format!("{ms} ms"))),
        ("samples in each process", profile.samples.map(|samples| samples.to_string())),
        ("seed", profile.seed.map(|seed| seed.to_string())),
    ];
    rows.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    rows.extend(profile.build.iter().map(|(name, value)| (format!("build: {name}"), value.clone())));
    rows
}

fn machine(machine: &Machine) -> Vec<(&'static str, String)> {
    let caches = (!machine.caches.is_empty()).then(|| machine.caches.join(", "));
    [
        ("key", (!machine.key.is_empty()).then(|| machine.key.clone())),
        ("processor", machine.cpu.clone()),
        ("family/model/stepping", machine.cpu_model.clone()),
        ("logical CPUs", machine.logical_cpus.map(|cpus| cpus.to_string())),
        ("physical cores", machine.physical_cores.map(|cores| cores.to_string())),
        ("caches", caches),
        ("memory", machine.memory_bytes.map(|bytes| Bytes(bytes).to_string())),
        ("kernel", machine.kernel.clone()),
        ("C library", machine.libc.clone()),
        ("transparent huge pages", machine.transparent_huge_pages.clone()),
        ("frequency governor", machine.governor.clone()),
        ("virtualisation", machine.virtualisation.clone()),
        ("compiler", machine.rustc.clone()),
        ("target", machine.target.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.unwrap_or_else(|| "not known".to_owned())))
    .collect()
}

fn versions(site: &Site<'_>) -> Vec<VersionRow> {
    let row = |(index, subject): (usize, &Subject<'_>)| VersionRow {
        allocator: allocator_link(site, "", index),
        class: subject.about.class.clone(),
        package: subject.about.package.clone().unwrap_or_default(),
        library: subject.about.library.clone().unwrap_or_default(),
        configuration: subject.about.configuration.clone(),
        lacks: subject.about.missing_entry_points.join("; "),
    };
    site.allocators.iter().enumerate().map(row).collect()
}

fn overhead(site: &Site<'_>) -> Vec<OverheadRow> {
    let rows = &site.record.checks.overhead;
    let column = |text: &dyn Fn(&Overhead) -> String| numbers::align(rows.iter().map(text).collect());
    let ns = |value: f64| format!("{value:.*}", decimals_for(value, 3).min(2));
    let nulls = column(&|row| ns(row.null_ns));
    let fastest = column(&|row| ns(row.fastest_ns));
    let percent = column(&|row| format!("{:.0} %", row.null_ns / row.fastest_ns * 100.0));
    let index: HashMap<&str, usize> =
        site.workloads.iter().enumerate().map(|(at, shape)| (shape.about.id.as_str(), at)).collect();
    rows.iter()
        .zip(nulls)
        .zip(fastest)
        .zip(percent)
        .map(|(((row, null), fastest_time), percent)| OverheadRow {
            workload: match index.get(row.workload.as_str()) {
                Some(at) => workload_link(site, "", *at),
                None => Link { href: String::new(), name: row.workload.clone(), swatch: None, here: true },
            },
            case: row.params.to_string(),
            null,
            fastest: row.fastest.clone(),
            fastest_time,
            percent,
        })
        .collect()
}

/// How far the same code was from itself, over all cells.
fn control_summary(control: &[Control]) -> Option<String> {
    let spreads: Vec<f64> = control.iter().map(Control::spread).collect();
    let median = crate::stats::median(&spreads)?;
    let widest = spreads.iter().copied().fold(0.0, f64::max);
    let beyond =
        control.iter().filter(|it| it.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0)).count();
    Some(format!(
        "In {} cells the same executable was measured twice, as if it were two allocators. The median cell was {:.1} % \
         off, the worst {:.1} %; in {beyond} of them the interval left out 1, which chance allows in a few of a hundred.",
        control.len(),
        median * 100.0,
        widest * 100.0
    ))
}

fn controls(control: &[Control]) -> Vec<ControlRow> {
    let ratio = |value: f64| format!("{value:.3}");
    let row = |it: &Control| ControlRow {
        cell: it.place.to_string(),
        ratio: ratio(it.ratio),
        low: it.interval.map_or_else(String::new, |(low, _)| ratio(low)),
        high: it.interval.map_or_else(String::new, |(_, high)| ratio(high)),
    };
    control.iter().map(row).collect()
}

/// For each way in which cells were seen to be served by their allocator, in how many.
fn served(site: &Site<'_>) -> Vec<(String, String)> {
    let mut ways: IndexMap<String, usize> = IndexMap::new();
    for (_, _, case) in site.cases() {
        for slot in &case.slots {
            if let Slot::Measured(cell) = slot {
                let way = match &cell.served_by {
                    None => "not looked at".to_owned(),
                    Some(proof) if proof.allocator == cell.place.allocator => proof.method.clone(),
                    Some(proof) => format!("served by {} instead: {}", proof.allocator, proof.method),
                };
                *ways.entry(way).or_default() += 1;
            }
        }
    }
    ways.into_iter().map(|(way, cells)| (way, count(cells, "cell"))).collect()
}
