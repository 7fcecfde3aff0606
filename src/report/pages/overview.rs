//! The first page: the rankings, then the heat map.

use std::collections::HashMap;

use serde::Serialize;

use super::cells::{Gap, Note, Notes};
use super::ranks::{self, RankTable, class_title};
use super::{Frame, Link, Page, allocator_link, count, workload_link};
use crate::report::best;
use crate::report::heat::{self, Step};
use crate::report::site::{Case, Class, GENERAL, Shape, Site, Slot};
use crate::report::{File, ReportError, compare, numbers, templates};
use crate::results::ranking::rank_cells;
use crate::results::record::Measured;
use crate::stats::geometric_mean;
use crate::units::{Nanos, TimeUnit};

mod memory;

pub(super) const NAME: &str = "index.html";

pub(crate) const PAGE: Page = Page {
    template: ("pages/overview.html", include_str!("../../../report-templates/pages/overview.html")),
    render,
};

#[derive(Serialize)]
struct Overview {
    frame: Frame,
    /// What was measured, on what, when.
    lead: Vec<String>,
    warnings: usize,
    failures: usize,
    /// The ids of allocators that whoever measured also wrote: `a, b and c`. Empty if there are none.
    ours: String,
    /// The class that leads the page.
    main: Option<RankTable>,
    beside: Vec<RankTable>,
    families: Vec<FamilyRow>,
    memory: Option<memory::Section>,
    heat: Vec<HeatTable>,
    /// Workloads that are measured for something else than their time.
    untimed: Vec<Link>,
    /// Whether any time was measured.
    timed: bool,
    legend: Vec<Step>,
    controls: Vec<Link>,
    notes: Vec<Note>,
}

/// The fastest of one family of workloads.
#[derive(Serialize)]
struct FamilyRow {
    family: String,
    scope: String,
    /// All that share the first rank.
    best: Vec<Link>,
    next: Option<Link>,
    ratio: String,
}

/// One class's heat map.
#[derive(Serialize)]
struct HeatTable {
    class: String,
    title: String,
    /// Whether cells also say how they compare with the best general allocator.
    scoped: bool,
    columns: Vec<Link>,
    rows: Vec<HeatRow>,
    /// Workloads of which the class has no cell, each with the reason.
    unfit: Vec<(Link, Vec<String>)>,
}

#[derive(Serialize)]
struct HeatRow {
    workload: Link,
    title: String,
    cases: String,
    /// How many of the cases the row's numbers are over, if not all.
    partial: Option<String>,
    cells: Vec<HeatCell>,
    details: Vec<CaseRow>,
}

#[derive(Serialize)]
struct CaseRow {
    label: String,
    href: String,
    cells: Vec<HeatCell>,
}

/// A number with its colour, or a gap.
#[derive(Serialize)]
struct HeatCell {
    heat: usize,
    ratio: String,
    best: bool,
    /// Whether the measurements do not tell it from the best of its class.
    tied: bool,
    /// The second line: a time, or the ratio to the best general allocator.
    sub: Option<String>,
    title: String,
    /// The number of the note that says what of the row this allocator lacks.
    lacks: Option<Gap>,
    gap: Option<Gap>,
}

fn render(site: &Site<'_>) -> Result<Vec<File>, ReportError> {
    let mut notes = Notes::default();
    let mut tables = Vec::new();
    for (number, class) in site.ranked_classes() {
        let width = if number == 0 { 560 } else { 320 };
        tables.extend(ranks::table(site, class, width)?);
    }
    let mut tables = tables.into_iter();
    let heat = site
        .ranked_classes()
        .map(|(number, class)| heat_table(site, number, class, &mut notes))
        .filter(|table| !table.rows.is_empty())
        .collect();
    let page = Overview {
        frame: Frame::new(site, "", "overview", "Which allocator?"),
        lead: lead(site),
        warnings: site.record.checks.warnings.len(),
        failures: site.record.failed.len(),
        ours: super::ours(site),
        main: tables.next(),
        beside: tables.collect(),
        families: families(site),
        memory: memory::section(site, &mut notes),
        heat,
        untimed: (0..site.workloads.len())
            .filter(|index| !site.workloads[*index].is_timed())
            .map(|index| workload_link(site, "", index))
            .collect(),
        timed: site.is_timed(),
        legend: heat::legend(),
        controls: site
            .classes
            .iter()
            .filter(|class| class.ranking.is_none())
            .flat_map(|class| class.members.iter().map(|member| allocator_link(site, "", *member)))
            .collect(),
        notes: notes.into_list(),
    };
    let content = templates::render(PAGE.template.0, NAME, &page)?;
    Ok(vec![File { path: NAME.to_owned(), content }])
}

fn lead(site: &Site<'_>) -> Vec<String> {
    let record = site.record;
    let mut parts = vec![format!(
        "{} over {} in {}",
        count(site.allocators.len(), "allocator"),
        count(site.workloads.len(), "workload"),
        count(record.cells.len(), "measured cell"),
    )];
    let machine = &record.machine;
    let mut place =
        machine.cpu.clone().unwrap_or_else(|| "a machine that the record does not describe".to_owned());
    if let Some(cpus) = machine.logical_cpus {
        place = format!("{place} ({})", count(cpus as usize, "logical CPU"));
    }
    parts.push(place);
    parts.extend(site.started());
    let rounds = record.profile.rounds.get("time");
    parts.push(match rounds {
        Some(rounds) => format!("profile {}, {}", record.profile.name, count(*rounds as usize, "round")),
        None => format!("profile {}", record.profile.name),
    });
    parts
}

/// For each family of workloads, who is fastest among the general allocators.
fn families(site: &Site<'_>) -> Vec<FamilyRow> {
    let mut names: Vec<&str> = Vec::new();
    for shape in site.workloads.iter().filter(|shape| shape.is_timed()) {
        if !names.contains(&shape.about.family.as_str()) {
            names.push(&shape.about.family);
        }
    }
    // A single family would repeat the ranking above it.
    if names.len() < 2 || site.class(GENERAL).is_none() {
        return Vec::new();
    }
    let family: HashMap<&str, &str> =
        site.workloads.iter().map(|shape| (shape.about.id.as_str(), shape.about.family.as_str())).collect();
    let row = |name: &&str| {
        let ranking =
            rank_cells(site.record, GENERAL, |place| family.get(place.workload.as_str()) == Some(name));
        let link = |id: &str| site.allocator(id).map(|index| allocator_link(site, "", index));
        let best: Vec<Link> =
            ranking.rows.iter().filter(|row| row.rank == 1).filter_map(|row| link(&row.allocator)).collect();
        let next = ranking.rows.iter().find(|row| row.rank > 1);
        let first = ranking.rows.first()?;
        Some(FamilyRow {
            family: (*name).to_owned(),
            scope: count(ranking.cells, "case"),
            best,
            next: next.and_then(|row| link(&row.allocator)),
            ratio: next.map_or(String::new(), |row| numbers::ratio(row.score / first.score)),
        })
    };
    names.iter().filter_map(row).collect()
}

fn heat_table(site: &Site<'_>, number: usize, class: &Class, notes: &mut Notes) -> HeatTable {
    let scoped = class.id != GENERAL && site.class(GENERAL).is_some();
    let mut table = HeatTable {
        class: class.id.clone(),
        title: class_title(&class.id),
        scoped,
        columns: class.members.iter().map(|member| allocator_link(site, "", *member)).collect(),
        rows: Vec::new(),
        unfit: Vec::new(),
    };
    for (index, shape) in site.workloads.iter().enumerate().filter(|(_, shape)| shape.is_timed()) {
        let tried = |slot: &Slot<'_>| matches!(slot, Slot::Measured(_) | Slot::Failed(_));
        let fits = shape
            .timed_cases()
            .any(|(_, case)| class.members.iter().any(|member| tried(&case.slots[*member])));
        if fits {
            table.rows.push(heat_row(site, index, number, class, scoped, notes));
        } else if !shape.cases.is_empty() {
            table.unfit.push((workload_link(site, "", index), reasons(shape, class)));
        }
    }
    table
}

fn reasons(shape: &Shape<'_>, class: &Class) -> Vec<String> {
    let mut reasons = Vec::new();
    for case in &shape.cases {
        for member in &class.members {
            if let Slot::Absent(absent) = case.slots[*member]
                && !reasons.contains(&absent.reason)
            {
                reasons.push(absent.reason.clone());
            }
        }
    }
    reasons
}

fn heat_row(
    site: &Site<'_>,
    index: usize,
    number: usize,
    class: &Class,
    scoped: bool,
    notes: &mut Notes,
) -> HeatRow {
    let shape = &site.workloads[index];
    let cases = shape.timed_cases().count();
    let (means, common) = compare::common_means(&shape.cases, &class.members);
    let stars = best::least_of(means.iter().copied());
    let fastest = means.iter().zip(&class.members).filter_map(|(mean, member)| Some(((*mean)?, *member)));
    let fastest = fastest.min_by(|a, b| a.0.total_cmp(&b.0));
    let tied = |member: usize| {
        let rival = fastest.map(|(_, rival)| rival).filter(|rival| *rival != member);
        let ratio = rival.and_then(|rival| compare::mean_ratio(&common, member, rival));
        ratio.is_some_and(|ratio| !compare::told_apart(&ratio))
    };
    let general = if scoped { site.class(GENERAL) } else { None };
    let cells = class
        .members
        .iter()
        .zip(&means)
        .zip(stars)
        .map(|((member, mean), star)| {
            let about = &site.allocators[*member].about;
            let Some(mean) = mean else { return workload_gap(shape, *member, notes) };
            let ratio = fastest.map_or(1.0, |(best, _)| mean / best);
            let beside = general.and_then(|general| to_general(shape, *member, general));
            HeatCell {
                heat: heat::class(ratio),
                ratio: numbers::ratio(ratio),
                best: star,
                tied: !star && tied(*member),
                sub: beside.map(|ratio| format!("{} of general", numbers::ratio(ratio))),
                title: format!(
                    "{}, {}: {} on average, {}× the best of its class",
                    about.id,
                    shape.about.id,
                    Nanos(*mean),
                    numbers::ratio(ratio)
                ),
                lacks: lacks(shape, *member, notes),
                gap: None,
            }
        })
        .collect();
    HeatRow {
        workload: workload_link(site, "", index),
        title: shape.about.title.clone(),
        cases: count(cases, "case"),
        partial: (common.len() < cases).then(|| format!("over {} that all have", common.len())),
        cells,
        details: shape
            .timed_cases()
            .map(|(at, case)| case_row(site, shape, (at, case), number, class, notes))
            .collect(),
    }
}

/// The ratio of allocator `index` to the best general one, over the cases that both have.
fn to_general(shape: &Shape<'_>, index: usize, general: usize) -> Option<f64> {
    let ratios: Vec<f64> =
        shape.cases.iter().filter_map(|case| Some(case.time_ns(index)? / case.best_ns(general)?)).collect();
    geometric_mean(&ratios)
}

/// What stands for a whole workload that an allocator has no common case of.
fn workload_gap(shape: &Shape<'_>, index: usize, notes: &mut Notes) -> HeatCell {
    let worst = |slot: &Slot<'_>| match slot {
        Slot::Failed(_) => 0,
        Slot::Measured(_) => 1,
        Slot::Absent(_) => 2,
        Slot::Unknown => 3,
    };
    let slot = shape.cases.iter().map(|case| case.slots[index]).min_by_key(worst).unwrap_or(Slot::Unknown);
    let gap = notes
        .gap(slot)
        .unwrap_or_else(|| notes.add("absent", "–".to_owned(), "There is no case that all have.".to_owned()));
    gap_cell(gap)
}

/// A note about cases of `shape` that an allocator tried and failed, although it has others.
fn lacks(shape: &Shape<'_>, index: usize, notes: &mut Notes) -> Option<Gap> {
    let failed: Vec<Slot<'_>> = shape
        .cases
        .iter()
        .map(|case| case.slots[index])
        .filter(|slot| matches!(slot, Slot::Failed(_)))
        .collect();
    notes.gap(*failed.first()?)
}

fn case_row(
    site: &Site<'_>,
    shape: &Shape<'_>,
    (at, case): (usize, &Case<'_>),
    number: usize,
    class: &Class,
    notes: &mut Notes,
) -> CaseRow {
    let unit = numbers::unit_for(class.members.iter().filter_map(|member| case.time_ns(*member)));
    let best = case.best(number);
    let cell = |member: &usize, notes: &mut Notes| {
        let measured = case.slots[*member].time();
        // Paired, as on the workload's page: the two pages must not differ in the last digit.
        let ratio = best.and_then(|best| compare::ratio(case, *member, best));
        if let (Some(time), Some(ratio)) = (measured, ratio) {
            return HeatCell {
                heat: heat::class(ratio.value),
                ratio: numbers::ratio(ratio.value),
                best: case.starred[*member],
                tied: !case.starred[*member] && best != Some(*member) && !compare::told_apart(&ratio),
                sub: Some(format!("{}\u{a0}{}", numbers::time(time, unit), unit.symbol())),
                title: cell_title(&site.allocators[*member].about.id, shape, case, time, unit),
                lacks: None,
                gap: None,
            };
        }
        let no_time = "There is no time that could be compared.".to_owned();
        gap_cell(
            notes.gap(case.slots[*member]).unwrap_or_else(|| notes.add("absent", "–".to_owned(), no_time)),
        )
    };
    let cells = class.members.iter().map(|member| cell(member, notes)).collect();
    CaseRow {
        label: case.label.clone(),
        href: format!("workload/{}.html#case-{}", shape.slug, at + 1),
        cells,
    }
}

fn cell_title(id: &str, shape: &Shape<'_>, case: &Case<'_>, time: &Measured, unit: TimeUnit) -> String {
    let value = numbers::time(time, unit);
    let interval = numbers::interval(time, unit).map_or(String::new(), |interval| format!(" ({interval})"));
    format!("{id}, {}, {}: {value}{interval} {}", shape.about.id, case.label, unit.symbol())
}

fn gap_cell(gap: Gap) -> HeatCell {
    HeatCell {
        heat: 0,
        ratio: String::new(),
        best: false,
        tied: false,
        sub: None,
        title: String::new(),
        lacks: None,
        gap: Some(gap),
    }
}
