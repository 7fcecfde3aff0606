//! A workload's page: why it is there, how it grows and scales, and what each probe found in every cell of it.

use std::collections::HashSet;

use serde::Serialize;

use super::cells::{Gap, Note, Notes};
use super::table::Line;
use super::{Frame, Link, Page, allocator_link, paragraphs, ranks, workload_link};
use crate::report::plot::{self, Form, Plot, Row, Rows};
use crate::report::site::{Case, Shape, Site, has, value_label};
use crate::report::{File, ReportError, numbers, templates};
use crate::results::record::{Cell, Measured, Parameter, Unprobed, Value};
use crate::units::Nanos;
use crate::workloads::probe::Probe;

mod counts;
mod curves;
mod instructions;
pub(crate) mod latency;
pub(crate) mod memory;
mod time;

/// The templates of the parts of the page that are there if something was measured for them.
pub(crate) const SECTIONS: [(&str, &str); 4] = [
    ("workload/memory.html", include_str!("../../../report-templates/workload/memory.html")),
    ("workload/latency.html", include_str!("../../../report-templates/workload/latency.html")),
    ("workload/instructions.html", include_str!("../../../report-templates/workload/instructions.html")),
    ("workload/counts.html", include_str!("../../../report-templates/workload/counts.html")),
];

pub(crate) const PAGE: Page = Page {
    template: ("pages/workload.html", include_str!("../../../report-templates/pages/workload.html")),
    render,
};

#[derive(Serialize)]
struct WorkloadPage {
    frame: Frame,
    id: String,
    title: String,
    family: String,
    why: Vec<String>,
    effect: String,
    origin: String,
    operation: String,
    step: String,
    /// Whether some of its cases have several threads.
    needs: Vec<String>,
    parameters: Vec<ParameterRow>,
    /// The sections that there are: anchor and title.
    contents: Vec<(&'static str, &'static str)>,
    /// Probes that have nothing of the workload at all, each with a reason.
    unprobed: Vec<(&'static str, String)>,
    timed: bool,
    sweeps: Vec<Plot>,
    scaling: Vec<Plot>,
    cases: Vec<time::CaseSection>,
    memory: Vec<memory::CaseSection>,
    latency: Vec<latency::CaseSection>,
    instructions: Vec<instructions::CaseSection>,
    counts: Option<counts::Section>,
    notes: Vec<Note>,
}

#[derive(Serialize)]
struct ParameterRow {
    name: String,
    title: String,
    values: Vec<String>,
}

fn render(site: &Site<'_>) -> Result<Vec<File>, ReportError> {
    (0..site.workloads.len()).map(|index| page(site, index)).collect()
}

fn page(site: &Site<'_>, index: usize) -> Result<File, ReportError> {
    let shape = &site.workloads[index];
    let about = &shape.about;
    let path = format!("workload/{}.html", shape.slug);
    let mut notes = Notes::default();
    let siblings = (0..site.workloads.len())
        .map(|other| Link { here: other == index, ..workload_link(site, "../", other) });
    let timed = shape.is_timed();
    let cases: Result<Vec<time::CaseSection>, ReportError> =
        shape.timed_cases().map(|(at, case)| time::section(site, at, case, &mut notes)).collect();
    // The first section also names the cells that do not exist.
    let first = (!timed).then(|| {
        let found = Probe::ALL.into_iter().find(|probe| shape.has(Some(*probe)));
        found.unwrap_or(Probe::Memory)
    });
    let mut gaps = Gaps { site, shape, first, notes: &mut notes };
    let memory = memory::sections(&mut gaps)?;
    let latency = latency::sections(&mut gaps)?;
    let instructions = instructions::sections(&mut gaps)?;
    let counts = counts::section(site, shape);
    let page = WorkloadPage {
        frame: Frame::new(site, "../", "workload", &about.id).with_siblings(siblings),
        id: about.id.clone(),
        title: about.title.clone(),
        family: about.family.clone(),
        why: paragraphs(&about.why),
        effect: about.effect.clone(),
        origin: about.origin.clone(),
        operation: about.operation.clone(),
        step: if latency.is_empty() { String::new() } else { about.step.clone() },
        needs: about.needs.clone(),
        parameters: parameters(shape),
        contents: [
            ("time", "Time", timed),
            ("memory", "Memory", !memory.is_empty()),
            ("latency", "Latency", !latency.is_empty()),
            ("instructions", "Instructions", !instructions.is_empty()),
            ("counts", "Counts", counts.is_some()),
        ]
        .into_iter()
        .filter_map(|(anchor, title, there)| there.then_some((anchor, title)))
        .collect(),
        unprobed: unprobed(site, shape),
        timed,
        sweeps: curves::sweeps(site, shape)?,
        scaling: curves::scaling(site, shape)?,
        cases: cases?,
        memory,
        latency,
        instructions,
        counts,
        notes: notes.into_list(),
    };
    let content = templates::render(PAGE.template.0, &path, &page)?;
    Ok(File { path, content })
}

/// Why probes have nothing of a workload at all, whatever the allocator, as far as the record says.
fn unprobed(site: &Site<'_>, shape: &Shape<'_>) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let here = |case: &str| {
        case.strip_prefix(shape.about.id.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for probe in Probe::ALL.into_iter().filter(|probe| !shape.has(Some(*probe))) {
        let concerns = |it: &&Unprobed| {
            it.probe == probe.id() && it.allocator.is_none() && it.case.as_deref().is_none_or(here)
        };
        for it in site.record.checks.unprobed.iter().filter(concerns) {
            let row = (probe.id(), it.reason.clone());
            if !found.contains(&row) {
                found.push(row);
            }
        }
    }
    found
}

/// Finds the cells of a workload that a probe has nothing of.
struct Gaps<'s, 'a, 'n> {
    site: &'s Site<'a>,
    shape: &'s Shape<'a>,
    /// The section that names the cells of which there is nothing at all; `None` if that about time does.
    first: Option<Probe>,
    notes: &'n mut Notes,
}

impl<'s, 'a> Gaps<'s, 'a, '_> {
    /// The cases that the section about `probe` shows, with their numbers.
    fn cases(&self, probe: Probe) -> Vec<(usize, &'s Case<'a>)> {
        let untouched = |case: &Case<'_>| case.slots.iter().all(|slot| slot.cell().is_none());
        let shown = |case: &Case<'_>| case.has(Some(probe)) || (self.first == Some(probe) && untouched(case));
        self.shape.cases.iter().enumerate().filter(|(_, case)| shown(case)).collect()
    }

    /// The allocators of `case` without anything from `probe`, and why.
    fn of(&mut self, case: &Case<'_>, probe: Probe) -> Vec<(Link, Gap)> {
        let gap = |index: usize| {
            let slot = case.slots[index];
            let Some(cell) = slot.cell() else {
                return if self.first == Some(probe) { self.notes.gap(slot) } else { None };
            };
            if has(cell, Some(probe)) {
                return None;
            }
            let reason = self.site.unprobed(probe, self.shape, case, index);
            // What a control lacks is nobody's loss: it shows what the harness costs where it could run.
            if reason.is_none() && self.site.is_control(index) {
                return None;
            }
            let reason = reason.map_or_else(|| "The record does not say why.".to_owned(), str::to_owned);
            Some(self.notes.add("absent", "–".to_owned(), reason))
        };
        let gaps: Vec<Option<Gap>> = (0..self.site.allocators.len()).map(gap).collect();
        let named = gaps.into_iter().enumerate();
        named.filter_map(|(index, gap)| Some((allocator_link(self.site, "../", index), gap?))).collect()
    }
}

/// The measured cells of a case for which `value` is something, class by class, the least first; with the index of
/// the allocator of each.
fn lineup<'a>(
    site: &Site<'a>,
    case: &Case<'a>,
    value: impl Fn(&Cell) -> Option<f64>,
) -> (Vec<usize>, Vec<Line<'a>>) {
    let mut found: Vec<(usize, f64, usize, &'a Cell)> = (0..site.allocators.len())
        .filter_map(|index| {
            let cell = case.slots[index].cell()?;
            Some((site.allocators[index].class, value(cell)?, index, cell))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let line = |(class, _, index, cell)| Line {
        head: allocator_link(site, "../", index),
        group: class,
        ranked: !site.is_control(index),
        cell,
    };
    (found.iter().map(|found| found.2).collect(), found.into_iter().map(line).collect())
}

/// What a table about `case` says that it is about.
fn heading(shape: &Shape<'_>, case: &Case<'_>) -> String {
    format!("{}, {}", shape.about.id, case.label)
}

/// What bars show.
struct Bars<'m> {
    caption: String,
    quantity: String,
    form: Form,
    reference: Option<(f64, String)>,
    get: &'m dyn Fn(&Cell) -> Option<&Measured>,
    /// One of the unit: what values are divided by.
    scale: f64,
    /// How a value is written.
    show: &'m dyn Fn(f64) -> String,
    symbol: &'static str,
}

/// `items`, which come class by class with their allocators, one class after the other without the controls. With each
/// the words for it behind a caption, empty if there is no other.
fn by_class<T>(site: &Site<'_>, items: impl Iterator<Item = (usize, T)>) -> Vec<(String, Vec<T>)> {
    let mut classes: Vec<(usize, Vec<T>)> = Vec::new();
    for (index, item) in items.filter(|(index, _)| !site.is_control(*index)) {
        let class = site.allocators[index].class;
        match classes.last_mut() {
            Some((last, items)) if *last == class => items.push(item),
            _ => classes.push((class, vec![item])),
        }
    }
    let several = classes.len() > 1;
    let words = |class: usize| match several {
        true => format!(": {}", ranks::class_title(&site.classes[class].id).to_lowercase()),
        false => String::new(),
    };
    classes.into_iter().map(|(class, items)| (words(class), items)).collect()
}

/// Bars for `lines`, a plot for each class of which there are two.
fn amounts(
    site: &Site<'_>,
    order: &[usize],
    lines: &[Line<'_>],
    what: &Bars<'_>,
) -> Result<Vec<Plot>, ReportError> {
    let row = |(index, line): (&usize, &Line<'_>)| {
        let measured = (what.get)(line.cell)?;
        let subject = &site.allocators[*index];
        let spread = numbers::spread(measured);
        let range = spread
            .map_or(String::new(), |(low, high)| format!(" ({}–{})", (what.show)(low), (what.show)(high)));
        let label = (what.show)(measured.value);
        let row = Row {
            name: subject.about.id.clone(),
            look: subject.look,
            value: measured.value / what.scale,
            interval: spread.map(|(low, high)| (low / what.scale, high / what.scale)),
            title: format!("{}: {label}{range} {}", subject.about.id, what.symbol),
            label,
        };
        Some((*index, row))
    };
    let draw = |(of, rows): (String, Vec<Row>)| {
        plot::rows(&Rows {
            caption: format!("{}{of}", what.caption),
            rows,
            quantity: &what.quantity,
            tick: &|value| curves::plain(value),
            form: what.form,
            reference: what.reference.clone(),
            width: 334,
        })
    };
    let classes = by_class(site, order.iter().zip(lines).filter_map(row)).into_iter();
    classes.filter(|(_, rows)| rows.len() >= 2).map(draw).collect()
}

fn parameters(shape: &Shape<'_>) -> Vec<ParameterRow> {
    let row = |parameter: &Parameter| {
        let mut values: Vec<&Value> = Vec::new();
        let mut seen = HashSet::new();
        for value in shape.cases.iter().filter_map(|case| case.params.get(&parameter.name)) {
            if seen.insert(value) {
                values.push(value);
            }
        }
        values.sort_by_key(|value| match value {
            Value::Number(number) => *number,
            Value::Word(_) => 0,
        });
        ParameterRow {
            name: parameter.name.clone(),
            title: parameter.title.clone(),
            values: values.into_iter().map(|value| value_label(value, parameter.axis)).collect(),
        }
    };
    shape.about.parameters.iter().map(row).collect()
}

/// A time on an axis: ticks are round, so trailing zeros say nothing.
fn tick(ns: f64) -> String {
    let text = Nanos(ns).to_string();
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}
