//! An allocator's page: what it is, where it wins and loses, and every cell of it.

use indexmap::IndexMap;
use serde::Serialize;

use super::cells::served_by;
use super::ranks::class_title;
use super::table::{Column, Line, Table};
use super::{Frame, Link, Page, allocator_link, case_href, count, paragraphs, workload_link};
use super::{goals, latency, memory};
use crate::report::numbers::Figure;
use crate::report::site::{CONTROL, Case, GENERAL, Shape, Site, Slot, Subject, has};
use crate::report::{File, ReportError, compare, numbers, plot, templates};
use crate::results::ranking::RatioEstimate;
use crate::workloads::probe::Probe;

pub(crate) const PAGE: Page = Page {
    template: ("pages/allocator.html", include_str!("../../../report-templates/pages/allocator.html")),
    render,
};

/// Rows in each list of wins and of losses: enough to see a pattern, few enough to read.
const MOST_EXTREMES: usize = 5;

/// What most programs have if nobody chose.
const SYSTEM: &str = "system";

#[derive(Serialize)]
struct AllocatorPage {
    frame: Frame,
    id: String,
    title: String,
    swatch: String,
    class: String,
    /// Whether whoever measured it also wrote it.
    ours: bool,
    standing: String,
    description: Vec<String>,
    facts: Vec<(&'static str, String)>,
    missing_entry_points: Vec<String>,
    links: Vec<ExternalLink>,
    goals: Option<goals::Goals>,
    duels: Vec<Duel>,
    workloads: Vec<WorkloadTable>,
    memory: Option<Table>,
    latency: Option<Table>,
    failed: Vec<GapRow>,
    absent: Vec<AbsentGroup>,
}

/// A link from a record: only the web's own schemes are made clickable.
#[derive(Serialize)]
struct ExternalLink {
    text: String,
    safe: bool,
}

/// The comparison with one opponent.
#[derive(Serialize)]
struct Duel {
    opponent: String,
    summary: String,
    wins: Vec<DuelRow>,
    losses: Vec<DuelRow>,
}

#[derive(Clone, Serialize)]
struct DuelRow {
    workload: Link,
    case: String,
    href: String,
    against: Link,
    ratio: Figure,
    interval: String,
    told_apart: bool,
}

#[derive(Serialize)]
struct WorkloadTable {
    workload: Link,
    title: String,
    unit: &'static str,
    rows: Vec<CellRow>,
}

#[derive(Serialize)]
struct CellRow {
    case: String,
    href: String,
    time: Figure,
    interval: String,
    to_best: Figure,
    to_system: Figure,
    best: bool,
    /// Whether the measurements do not tell it from the best of its class.
    tied: bool,
    replicates: usize,
    served_by: String,
}

#[derive(Serialize)]
struct GapRow {
    workload: Link,
    case: String,
    kind: &'static str,
    detail: String,
}

/// Absent cells that share a reason.
#[derive(Serialize)]
struct AbsentGroup {
    reason: String,
    cells: String,
    workloads: Vec<(Link, String)>,
}

fn render(site: &Site<'_>) -> Result<Vec<File>, ReportError> {
    (0..site.allocators.len()).map(|index| page(site, index)).collect()
}

fn page(site: &Site<'_>, index: usize) -> Result<File, ReportError> {
    let subject = &site.allocators[index];
    let about = &subject.about;
    let path = format!("allocator/{}.html", subject.slug);
    let siblings = (0..site.allocators.len())
        .map(|other| Link { here: other == index, ..allocator_link(site, "../", other) });
    let page = AllocatorPage {
        frame: Frame::new(site, "../", "allocator", &about.id).with_siblings(siblings),
        id: about.id.clone(),
        title: about.title.clone(),
        swatch: plot::swatch(subject.look),
        class: about.class.clone(),
        ours: about.ours,
        standing: standing(site, subject),
        description: paragraphs(&about.description),
        facts: facts(subject),
        missing_entry_points: about.missing_entry_points.clone(),
        links: about.links.iter().map(|link| external(link)).collect(),
        goals: goals::goals(site, index),
        duels: duels(site, index),
        workloads: tables(site, index),
        memory: memory_table(site, index),
        latency: latency_table(site, index),
        failed: failures(site, index),
        absent: absences(site, index),
    };
    let content = templates::render(PAGE.template.0, &path, &page)?;
    Ok(File { path, content })
}

fn standing(site: &Site<'_>, subject: &Subject<'_>) -> String {
    let class = &site.classes[subject.class];
    let Some(ranking) = &class.ranking else {
        return "A control: it shows what the harness itself costs and is never ranked.".to_owned();
    };
    let name = class_title(&class.id).to_lowercase();
    let Some(row) = ranking.rows.iter().find(|row| row.allocator == subject.about.id) else {
        let why = if site.is_timed() { "it lacks too many of their cases" } else { "no time was measured" };
        return format!("Not ranked among the {name}: {why}.");
    };
    let shared = ranking.rows.iter().filter(|other| other.rank == row.rank).count() > 1;
    let interval = row.interval.map_or(String::new(), |ends| format!(" ({})", numbers::ratio_interval(ends)));
    format!(
        "Rank {}{} of {} {name}: {}{interval} times the best, over {}.",
        row.rank,
        if shared { ", shared," } else { "" },
        ranking.rows.len(),
        numbers::ratio(row.score),
        count(ranking.cells, "case")
    )
}

fn facts(subject: &Subject<'_>) -> Vec<(&'static str, String)> {
    let about = &subject.about;
    let optional = [("Package", about.package.clone()), ("Library", about.library.clone())];
    let mut facts: Vec<(&'static str, String)> =
        optional.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if !about.configuration.is_empty() {
        facts.push(("Configuration", about.configuration.clone()));
    }
    facts
}

fn external(link: &str) -> ExternalLink {
    ExternalLink { text: link.to_owned(), safe: link.starts_with("https://") || link.starts_with("http://") }
}

fn duels(site: &Site<'_>, index: usize) -> Vec<Duel> {
    let subject = &site.allocators[index];
    if subject.about.class == CONTROL {
        return Vec::new();
    }
    let mut duels = Vec::new();
    let own = subject.class;
    let general = site.class(GENERAL);
    if general != Some(own) {
        let name = class_title(&subject.about.class).to_lowercase();
        duels.push(duel(site, index, format!("the best other of the {name}"), |case| case.rival(own, index)));
    }
    if let Some(general) = general {
        let other =
            if general == own { "the best other general allocator" } else { "the best general allocator" };
        duels.push(duel(site, index, other.to_owned(), |case| case.rival(general, index)));
    }
    if let Some(system) = site.allocator(SYSTEM).filter(|system| *system != index) {
        duels.push(duel(site, index, SYSTEM.to_owned(), |_| Some(system)));
    }
    duels.retain(|duel| !duel.wins.is_empty() || !duel.losses.is_empty());
    duels
}

fn duel(
    site: &Site<'_>,
    index: usize,
    opponent: String,
    against: impl Fn(&Case<'_>) -> Option<usize>,
) -> Duel {
    let mut rows: Vec<(RatioEstimate, DuelRow)> = Vec::new();
    for (at, shape) in site.workloads.iter().enumerate() {
        for (number, case) in shape.cases.iter().enumerate() {
            let Some(rival) = against(case) else { continue };
            let Some(ratio) = compare::ratio(case, index, rival) else { continue };
            let row = DuelRow {
                workload: workload_link(site, "../", at),
                case: case.label.clone(),
                href: case_href(shape, number),
                against: allocator_link(site, "../", rival),
                ratio: Figure { text: numbers::ratio(ratio.value), pad: 0 },
                interval: compare::interval(&ratio).unwrap_or_else(|| "–".to_owned()),
                told_apart: compare::told_apart(&ratio),
            };
            rows.push((ratio, row));
        }
    }
    rows.sort_by(|a, b| a.0.value.total_cmp(&b.0.value));
    let faster = rows.iter().filter(|(ratio, row)| row.told_apart && ratio.value < 1.0).count();
    let slower = rows.iter().filter(|(ratio, row)| row.told_apart && ratio.value > 1.0).count();
    let summary = format!(
        "Of {}: faster in {faster}, slower in {slower}, not told apart in {}.",
        count(rows.len(), "case"),
        rows.len() - faster - slower
    );
    // What is told apart comes first: the largest ratio may be the least certain one.
    rows.sort_by_key(|(_, row)| !row.told_apart);
    let wins = rows.iter().filter(|(ratio, _)| ratio.value < 1.0).take(MOST_EXTREMES);
    let mut losses: Vec<_> = rows.iter().rev().filter(|(ratio, _)| ratio.value > 1.0).collect();
    losses.sort_by_key(|(_, row)| !row.told_apart);
    let losses = losses.into_iter().take(MOST_EXTREMES);
    Duel {
        opponent,
        summary,
        wins: aligned(wins.map(|(_, row)| row.clone()).collect()),
        losses: aligned(losses.map(|(_, row)| row.clone()).collect()),
    }
}

fn aligned(mut rows: Vec<DuelRow>) -> Vec<DuelRow> {
    let figures = numbers::align(rows.iter().map(|row| row.ratio.text.clone()).collect());
    for (row, figure) in rows.iter_mut().zip(figures) {
        row.ratio = figure;
    }
    rows
}

fn tables(site: &Site<'_>, index: usize) -> Vec<WorkloadTable> {
    let class = site.allocators[index].class;
    // A control has nobody to be compared with.
    let rivals = (!site.is_control(index)).then_some(());
    let system = site.allocator(SYSTEM).filter(|system| *system != index);
    let mut tables = Vec::new();
    for (at, shape) in site.workloads.iter().enumerate() {
        let measured: Vec<usize> =
            (0..shape.cases.len()).filter(|number| shape.cases[*number].time_ns(index).is_some()).collect();
        if measured.is_empty() {
            continue;
        }
        let unit =
            numbers::unit_for(measured.iter().filter_map(|number| shape.cases[*number].time_ns(index)));
        let column = |text: &dyn Fn(usize) -> Option<String>| {
            let texts = measured.iter().map(|number| text(*number).unwrap_or_else(|| "–".to_owned()));
            numbers::align(texts.collect())
        };
        let times = column(&|number| Some(numbers::time(shape.cases[number].slots[index].time()?, unit)));
        let to_best = column(&|number| {
            let case = &shape.cases[number];
            compare::ratio(case, index, rivals.and(case.best(class))?)
                .map(|ratio| numbers::ratio(ratio.value))
        });
        let to_system = column(&|number| {
            compare::ratio(&shape.cases[number], index, system?).map(|ratio| numbers::ratio(ratio.value))
        });
        let columns = measured.iter().zip(times).zip(to_best).zip(to_system);
        let rows = columns
            .filter_map(|(((number, time), to_best), to_system)| {
                let case = &shape.cases[*number];
                let measured = case.slots[index].time()?;
                let rival =
                    rivals.and(case.best(class)).filter(|best| *best != index && !case.starred[index]);
                let ratio = rival.and_then(|best| compare::ratio(case, index, best));
                let tied = ratio.is_some_and(|ratio| !compare::told_apart(&ratio));
                Some(CellRow {
                    case: case.label.clone(),
                    href: case_href(shape, *number),
                    time,
                    interval: numbers::interval(measured, unit).unwrap_or_else(|| "–".to_owned()),
                    to_best,
                    to_system,
                    best: case.starred[index],
                    tied,
                    replicates: measured.replicates.len(),
                    served_by: served_by(case.slots[index]).unwrap_or_default(),
                })
            })
            .collect();
        tables.push(WorkloadTable {
            workload: workload_link(site, "../", at),
            title: shape.about.title.clone(),
            unit: unit.symbol(),
            rows,
        });
    }
    tables
}

/// Its memory in every case, at its peak and after.
fn memory_table(site: &Site<'_>, index: usize) -> Option<Table> {
    let lines = lines(site, index, Probe::Memory, memory::anchor);
    let unit = memory::unit(lines.iter().map(|line| line.cell));
    let label = (site.allocators[index].about.id.clone(), format!("resident memory in {}", unit.symbol()));
    table(label, &lines, memory::columns(&lines, unit))
}

/// Its latency in every case.
fn latency_table(site: &Site<'_>, index: usize) -> Option<Table> {
    let lines = lines(site, index, Probe::Latency, latency::anchor);
    let unit = latency::unit(lines.iter().map(|line| line.cell));
    let label = (site.allocators[index].about.id.clone(), latency::what(unit));
    table(label, &lines, latency::columns(site, &lines, unit))
}

fn table(label: (String, String), lines: &[Line<'_>], columns: Vec<Column>) -> Option<Table> {
    let table = Table::new(label, "Case", lines, columns, |_| String::new());
    (!table.is_empty()).then_some(table)
}

/// A line for each case of which `probe` found something, leading to the place that `anchor` names. Cases are not
/// compared with each other.
fn lines<'a>(site: &Site<'a>, index: usize, probe: Probe, anchor: fn(usize) -> String) -> Vec<Line<'a>> {
    let line = |(shape, at, case): (&Shape<'a>, usize, &Case<'a>)| {
        let cell = case.slots[index].cell().filter(|cell| has(cell, Some(probe)))?;
        let head = Link {
            href: format!("../workload/{}.html#{}", shape.slug, anchor(at)),
            name: format!("{}, {}", shape.about.id, case.label),
            swatch: None,
            here: false,
        };
        Some(Line { head, group: 0, ranked: false, cell })
    };
    site.cases().filter_map(line).collect()
}

fn failures(site: &Site<'_>, index: usize) -> Vec<GapRow> {
    let mut rows = Vec::new();
    for (at, shape) in site.workloads.iter().enumerate() {
        for case in &shape.cases {
            if let Slot::Failed(failed) = case.slots[index] {
                rows.push(GapRow {
                    workload: workload_link(site, "../", at),
                    case: case.label.clone(),
                    kind: failed.kind.id(),
                    detail: failed.detail.clone(),
                });
            }
        }
    }
    rows
}

fn absences(site: &Site<'_>, index: usize) -> Vec<AbsentGroup> {
    let mut groups: IndexMap<&str, Vec<(usize, usize)>> = IndexMap::new();
    for (at, shape) in site.workloads.iter().enumerate() {
        for case in &shape.cases {
            if let Slot::Absent(absent) = case.slots[index] {
                let workloads = groups.entry(&absent.reason).or_default();
                match workloads.last_mut() {
                    Some((last, cells)) if *last == at => *cells += 1,
                    _ => workloads.push((at, 1)),
                }
            }
        }
    }
    groups
        .into_iter()
        .map(|(reason, workloads)| AbsentGroup {
            reason: reason.to_owned(),
            cells: count(workloads.iter().map(|(_, cells)| cells).sum(), "cell"),
            workloads: workloads
                .iter()
                .map(|(at, cells)| (workload_link(site, "../", *at), count(*cells, "case")))
                .collect(),
        })
        .collect()
}
