//! What the record says of the goals of an allocator of ours.

use serde::Serialize;

use super::workload::memory;
use super::{case_href, count, in_words};
use crate::harness::protocol::CaseName;
use crate::report::numbers::{self, Figure};
use crate::report::site::Site;
use crate::results::goals::{Finding, PEERS, State};
use crate::results::metric::Metric;
use crate::workloads::probe::Probe;

/// The goals of one allocator.
#[derive(Serialize)]
pub(crate) struct Goals {
    /// The ids of the peers, as a list in words.
    peers: String,
    summary: String,
    pub(crate) rows: Vec<GoalRow>,
}

#[derive(Serialize)]
pub(crate) struct GoalRow {
    pub(crate) allocator: String,
    pub(crate) cells: String,
    /// The place of the case that decides, on its page; empty if there is none.
    href: String,
    pub(crate) metric: &'static str,
    pub(crate) against: String,
    pub(crate) at_most: Figure,
    pub(crate) ratio: Figure,
    pub(crate) interval: String,
    pub(crate) result: String,
    reached: bool,
}

/// The goals of allocator `index`; `None` if it has none.
pub(crate) fn goals(site: &Site<'_>, index: usize) -> Option<Goals> {
    let id = &site.allocators[index].about.id;
    let findings: Vec<&Finding> = site.goals.iter().filter(|finding| finding.allocator == *id).collect();
    (!findings.is_empty()).then(|| Goals {
        peers: in_words(&PEERS),
        summary: summary(&findings),
        rows: rows(site, &findings),
    })
}

/// `Of 3 bounds: 1 reached, 2 open.` A goal for each of several cases is as many bounds.
fn summary(findings: &[&Finding]) -> String {
    let words = ["reached", "missed", "open", "not measured"];
    let counted = words.map(|word| (findings.iter().filter(|it| it.state.id() == word).count(), word));
    let counted = counted.iter().filter(|(number, _)| *number > 0);
    let counted: Vec<String> = counted.map(|(number, word)| format!("{number} {word}")).collect();
    format!("Of {}: {}.", count(findings.len(), "bound"), counted.join(", "))
}

/// A row for each of `findings`.
pub(crate) fn rows(site: &Site<'_>, findings: &[&Finding]) -> Vec<GoalRow> {
    let ratio = |finding: &&Finding| match finding.ratio {
        Some(ratio) => numbers::ratio(ratio.value),
        None => "–".to_owned(),
    };
    let bounds = numbers::align(findings.iter().map(|it| numbers::ratio(it.goal.at_most)).collect());
    let ratios = numbers::align(findings.iter().map(ratio).collect());
    findings
        .iter()
        .zip(bounds)
        .zip(ratios)
        .map(|((finding, at_most), ratio)| {
            let metric = Metric::named(finding.goal.metric);
            let place = finding.cell.as_ref().and_then(|case| place(site, case));
            let label = |case: &CaseName| match place {
                Some((shape, case)) => {
                    let shape = &site.workloads[shape];
                    format!("{}, {}", shape.about.id, shape.cases[case].label)
                }
                None => case.to_string(),
            };
            let interval = finding.ratio.and_then(|ratio| ratio.interval);
            GoalRow {
                allocator: finding.allocator.clone(),
                cells: finding.cells_in_words(label),
                href: place.map_or(String::new(), |place| href(site, place, metric)),
                metric: metric.map_or(finding.goal.metric, Metric::title),
                against: finding.against_in_words(),
                at_most,
                ratio,
                interval: interval.map_or_else(|| "–".to_owned(), numbers::ratio_interval),
                result: finding.state.to_string(),
                reached: finding.state == State::Reached,
            }
        })
        .collect()
}

/// The numbers of a workload and of its case. Searched for: a page has few goals.
fn place(site: &Site<'_>, case: &CaseName) -> Option<(usize, usize)> {
    let shape = site.workloads.iter().position(|shape| shape.about.id == case.workload)?;
    let number = site.workloads[shape].cases.iter().position(|it| *it.params == case.params)?;
    Some((shape, number))
}

fn href(site: &Site<'_>, (shape, case): (usize, usize), metric: Option<Metric>) -> String {
    let shape = &site.workloads[shape];
    match metric.and_then(Metric::probe) {
        Some(Probe::Memory) => format!("../workload/{}.html#{}", shape.slug, memory::anchor(case)),
        _ => case_href(shape, case),
    }
}
