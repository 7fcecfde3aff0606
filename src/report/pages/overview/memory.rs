//! The memory of general allocators, a case a row: beside the ranking by speed, never in it.

use serde::Serialize;

use crate::report::best;
use crate::report::numbers;
use crate::report::pages::cells::{Gap, Notes};
use crate::report::pages::memory::{self, STATES};
use crate::report::pages::{Link, allocator_link};
use crate::report::site::{Case, GENERAL, MEMORY_FAMILY, Shape, Site};
use crate::results::metric::Metric;
use crate::results::record::{Cell, Measured};
use crate::units::ByteUnit;
use crate::workloads::probe::Probe;

#[derive(Serialize)]
pub(super) struct Section {
    columns: Vec<Link>,
    rows: Vec<Row>,
    /// The unit of all amounts in the table.
    unit: &'static str,
    /// Which states after the work were measured, and which were not, in words.
    measured: String,
    unmeasured: String,
}

#[derive(Serialize)]
struct Row {
    workload: String,
    case: String,
    href: String,
    /// What the lower number is, in words.
    retained: &'static str,
    cells: Vec<MemoryCell>,
}

#[derive(Serialize)]
struct MemoryCell {
    peak: String,
    least_peak: bool,
    retained: String,
    least_retained: bool,
    title: String,
    gap: Option<Gap>,
}

/// What is shown as retained: the state of a program that waits for work, or else the one right after the work.
const RETAINED: [(Metric, &str); 2] =
    [(Metric::RetainedRssIdle, "retained after 12 s idle"), (Metric::RetainedRss, "retained at once")];

/// The table; `None` if no memory of a general allocator was measured.
pub(super) fn section(site: &Site<'_>, notes: &mut Notes) -> Option<Section> {
    let members = &site.classes[site.class(GENERAL)?].members;
    let cases = cases(site, members);
    let cells =
        || cases.iter().flat_map(|(_, _, case)| members.iter().filter_map(|at| case.slots[*at].cell()));
    let was_measured = |metric: &Metric| cells().any(|cell| cell.metrics.contains_key(metric));
    if !cells().any(|cell| crate::report::site::has(cell, Some(Probe::Memory))) {
        return None;
    }
    let unit = memory::unit(cells());
    let states = STATES.iter().filter(|(metric, _)| *metric != Metric::RetainedLazyFree);
    let (measured, unmeasured): (Vec<_>, Vec<_>) = states.partition(|(metric, _)| was_measured(metric));
    let words =
        |states: Vec<&(Metric, &str)>| states.iter().map(|(_, words)| *words).collect::<Vec<_>>().join(", ");
    Some(Section {
        columns: members.iter().map(|member| allocator_link(site, "", *member)).collect(),
        rows: cases.iter().map(|found| row(found, members, unit, notes)).collect(),
        unit: unit.symbol(),
        measured: words(measured),
        unmeasured: words(unmeasured),
    })
}

/// The cases of the memory family; those of others if it was not measured.
fn cases<'s, 'a>(site: &'s Site<'a>, members: &[usize]) -> Vec<(&'s Shape<'a>, usize, &'s Case<'a>)> {
    let tried = |case: &Case<'_>| {
        case.has(Some(Probe::Memory)) && members.iter().any(|at| case.slots[*at].cell().is_some())
    };
    let (family, others): (Vec<_>, Vec<_>) = site
        .cases()
        .filter(|(_, _, case)| tried(case))
        .partition(|(shape, ..)| shape.about.family == MEMORY_FAMILY);
    if family.is_empty() { others } else { family }
}

fn row(
    (shape, at, case): &(&Shape<'_>, usize, &Case<'_>),
    members: &[usize],
    unit: ByteUnit,
    notes: &mut Notes,
) -> Row {
    let cells = || members.iter().filter_map(|member| case.slots[*member].cell());
    let (retained, words) = RETAINED
        .into_iter()
        .find(|(metric, _)| cells().any(|cell| cell.metrics.contains_key(metric)))
        .unwrap_or(RETAINED[1]);
    // Ratios for a whole row or for none: a column of numbers must be one quantity.
    let whole = cells()
        .filter(|cell| cell.metrics.contains_key(&Metric::PeakRss))
        .all(|cell| cell.metrics.contains_key(&Metric::BlowUp));
    let peak =
        |cell: &Cell| cell.metrics.get(if whole { &Metric::BlowUp } else { &Metric::PeakRss }).cloned();
    let of = |metric: Metric| move |cell: &Cell| cell.metrics.get(&metric).cloned();
    let least = |get: &dyn Fn(&Cell) -> Option<Measured>| {
        best::least_of(members.iter().map(|member| Some(get(case.slots[*member].cell()?)?.value)))
    };
    let (least_peak, least_retained) = (least(&peak), least(&of(retained)));
    let mut cell = |(at, member): (usize, &usize)| {
        let slot = case.slots[*member];
        let Some(found) = slot.cell() else {
            return MemoryCell { gap: notes.gap(slot), ..empty() };
        };
        let (peak, retained) = (peak(found), of(retained)(found));
        if peak.is_none() && retained.is_none() {
            let reason = "Its memory was not measured.".to_owned();
            return MemoryCell { gap: Some(notes.add("absent", "–".to_owned(), reason)), ..empty() };
        }
        let bytes = |it: &Measured| numbers::bytes(it.value, unit);
        MemoryCell {
            least_peak: least_peak[at],
            least_retained: least_retained[at],
            title: title(found, unit),
            peak: peak.map_or("–".to_owned(), |it| match whole {
                true => format!("{}×", numbers::ratio(it.value)),
                false => format!("{}\u{a0}{}", bytes(&it), unit.symbol()),
            }),
            retained: retained.map_or("–".to_owned(), |it| bytes(&it)),
            gap: None,
        }
    };
    Row {
        workload: shape.about.id.clone(),
        case: case.label.clone(),
        href: format!("workload/{}.html#{}", shape.slug, memory::anchor(*at)),
        retained: words,
        cells: members.iter().enumerate().map(&mut cell).collect(),
    }
}

/// Peak and every state of `cell`.
fn title(cell: &Cell, unit: ByteUnit) -> String {
    let all = [(Metric::PeakRss, "peak")].into_iter().chain(STATES);
    let part = |(metric, words): (Metric, &str)| {
        Some(format!("{words} {}", numbers::bytes(cell.metrics.get(&metric)?.value, unit)))
    };
    let parts: Vec<String> = all.filter_map(part).collect();
    format!("{}: {} {}", cell.place.allocator, parts.join(", "), unit.symbol())
}

fn empty() -> MemoryCell {
    MemoryCell {
        peak: String::new(),
        least_peak: false,
        retained: String::new(),
        least_retained: false,
        title: String::new(),
        gap: None,
    }
}
