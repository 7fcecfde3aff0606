//! The time of every cell, case by case.

use serde::Serialize;

use super::{by_class, tick};
use crate::report::numbers::Figure;
use crate::report::pages::cells::{Gap, Notes, served_by};
use crate::report::pages::{Link, allocator_link, ranks};
use crate::report::plot::{self, Form, Plot, Row, Rows};
use crate::report::site::{CONTROL, Case, Site};
use crate::report::{ReportError, compare, numbers};
use crate::units::TimeUnit;

#[derive(Serialize)]
pub(super) struct CaseSection {
    anchor: String,
    label: String,
    unit: &'static str,
    plots: Vec<Plot>,
    groups: Vec<ClassGroup>,
    gaps: Vec<(Link, Gap)>,
}

/// The rows of one contract class.
#[derive(Serialize)]
struct ClassGroup {
    /// Empty if there is no other group.
    title: String,
    rows: Vec<CellRow>,
}

#[derive(Serialize)]
struct CellRow {
    allocator: Link,
    #[serde(skip)]
    class: usize,
    best: bool,
    time: Figure,
    interval: String,
    ratio: Figure,
    ratio_interval: String,
    /// Whether its interval cannot tell it from the best of its class.
    tied: bool,
    replicates: usize,
    served_by: String,
}

/// Allocators in the order of the classes, then by time.
fn in_order(site: &Site<'_>, case: &Case<'_>) -> Vec<usize> {
    let mut measured: Vec<(usize, f64, usize)> = (0..site.allocators.len())
        .filter_map(|index| Some((site.allocators[index].class, case.time_ns(index)?, index)))
        .collect();
    measured.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    measured.into_iter().map(|(.., index)| index).collect()
}

pub(super) fn section(
    site: &Site<'_>,
    at: usize,
    case: &Case<'_>,
    notes: &mut Notes,
) -> Result<CaseSection, ReportError> {
    let order = in_order(site, case);
    let unit = numbers::unit_for(order.iter().filter_map(|index| case.time_ns(*index)));
    let times = numbers::align(
        order.iter().filter_map(|at| Some(numbers::time(case.slots[*at].time()?, unit))).collect(),
    );
    let estimates: Vec<_> = order
        .iter()
        .map(|index| best_of_class(site, case, *index).and_then(|best| compare::ratio(case, *index, best)))
        .collect();
    let ratios = numbers::align(
        estimates
            .iter()
            .map(|found| found.as_ref().map_or("–".to_owned(), |found| numbers::ratio(found.value)))
            .collect(),
    );
    let rows = order
        .iter()
        .zip(times)
        .zip(ratios)
        .zip(&estimates)
        .filter_map(|(((index, time), ratio), estimate)| {
            let subject = &site.allocators[*index];
            let measured = case.slots[*index].time()?;
            let best = case.best(subject.class) == Some(*index);
            Some(CellRow {
                allocator: allocator_link(site, "../", *index),
                class: subject.class,
                best: case.starred[*index],
                time,
                interval: numbers::interval(measured, unit).unwrap_or_else(|| "–".to_owned()),
                ratio,
                ratio_interval: match estimate {
                    Some(found) if !best => compare::interval(found).unwrap_or_else(|| "–".to_owned()),
                    _ => String::new(),
                },
                tied: !case.starred[*index]
                    && !best
                    && estimate.as_ref().is_some_and(|found| !compare::told_apart(found)),
                replicates: measured.replicates.len(),
                served_by: served_by(case.slots[*index]).unwrap_or_default(),
            })
        })
        .collect();
    let gaps = (0..site.allocators.len())
        .filter_map(|index| Some((allocator_link(site, "../", index), notes.gap(case.slots[index])?)))
        .collect();
    Ok(CaseSection {
        anchor: format!("case-{}", at + 1),
        label: case.label.clone(),
        unit: unit.symbol(),
        plots: plots(site, case, &order, unit)?,
        groups: grouped(site, rows),
        gaps,
    })
}

/// The best of the class of allocator `index`; a control has nobody to be compared with.
fn best_of_class(site: &Site<'_>, case: &Case<'_>, index: usize) -> Option<usize> {
    let subject = &site.allocators[index];
    if subject.about.class == CONTROL { None } else { case.best(subject.class) }
}

/// `rows`, which come class by class, under the names of their classes.
fn grouped(site: &Site<'_>, rows: Vec<CellRow>) -> Vec<ClassGroup> {
    let mut groups: Vec<(usize, ClassGroup)> = Vec::new();
    for row in rows {
        match groups.last_mut() {
            Some((class, group)) if *class == row.class => group.rows.push(row),
            _ => {
                let title = ranks::class_title(&site.classes[row.class].id);
                groups.push((row.class, ClassGroup { title, rows: vec![row] }));
            }
        }
    }
    if let [(_, only)] = groups.as_mut_slice() {
        only.title.clear();
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Bars of each class on a scale of its own: a fast scoped allocator would flatten the others.
fn plots(
    site: &Site<'_>,
    case: &Case<'_>,
    order: &[usize],
    unit: TimeUnit,
) -> Result<Vec<Plot>, ReportError> {
    let classes = by_class(site, order.iter().map(|index| (*index, *index)));
    let draw = |(of, members): &(String, Vec<usize>)| {
        bars(site, case, members, unit, format!("Time per operation, {}{of}", case.label))
    };
    classes.iter().filter(|(_, members)| members.len() >= 2).map(draw).collect()
}

fn bars(
    site: &Site<'_>,
    case: &Case<'_>,
    order: &[usize],
    unit: TimeUnit,
    caption: String,
) -> Result<Plot, ReportError> {
    let rows = order
        .iter()
        .filter_map(|index| {
            let subject = &site.allocators[*index];
            let time = case.slots[*index].time()?;
            let value = numbers::time(time, unit);
            let interval =
                numbers::interval(time, unit).map_or(String::new(), |interval| format!(" ({interval})"));
            Some(Row {
                name: subject.about.id.clone(),
                look: subject.look,
                value: time.value,
                interval: time.interval,
                title: format!("{}: {value}{interval} {}", subject.about.id, unit.symbol()),
                label: value,
            })
        })
        .collect();
    plot::rows(&Rows {
        caption,
        rows,
        quantity: "time per operation",
        tick: &tick,
        form: Form::Fitting,
        reference: None,
        width: 334,
    })
}
