//! The plots over a parameter: sweeps over sizes and counts, scaling over threads.

use std::collections::HashMap;

use super::tick;
use crate::report::plot::{self, Chart, Plot, Point, Quantity, Reference, Series, Shade, Spacing};
use crate::report::site::{CONTROL, Case, Shape, Site, axis, value_label};
use crate::report::{ReportError, numbers};
use crate::results::record::{Axis, Parameter, Value};
use crate::units::{Bytes, Nanos};

/// Where the numbers of these plots are: in the tables as times, whatever is drawn.
const TIMES: &str = "The times are in the tables on this page";

/// Cases that differ in one parameter alone, and the words for what they share.
struct Group<'s, 'a> {
    shared: String,
    cases: Vec<(f64, &'s Case<'a>)>,
}

/// One plot for each numeric parameter with at least two values, and for each combination of the other parameters.
pub(super) fn sweeps(site: &Site<'_>, shape: &Shape<'_>) -> Result<Vec<Plot>, ReportError> {
    let mut plots = Vec::new();
    for parameter in &shape.about.parameters {
        if !matches!(parameter.axis, Axis::Bytes | Axis::Count) {
            continue;
        }
        for group in groups(shape, parameter) {
            let x_tick = |x: f64| number(x, parameter.axis);
            let series = series(
                site,
                &group,
                |time, _| time,
                |text, _, time| format!("{text}: {}", Nanos(time)),
                &x_tick,
            );
            if series.is_empty() {
                continue;
            }
            plots.push(plot::lines(&Chart {
                caption: caption(&format!("Time per operation over {}", parameter.name), &group.shared),
                series,
                x: logarithmic(axis_title(parameter), &x_tick),
                y: logarithmic("time per operation".to_owned(), &tick),
                shaded: None,
                reference: None,
                numbers: TIMES,
            })?);
        }
    }
    Ok(plots)
}

/// Throughput over threads: in operations a second, and as a multiple of the allocator's own with the fewest threads.
pub(super) fn scaling(site: &Site<'_>, shape: &Shape<'_>) -> Result<Vec<Plot>, ReportError> {
    let mut plots = Vec::new();
    for parameter in shape.about.parameters.iter().filter(|parameter| parameter.axis == Axis::Threads) {
        for group in groups(shape, parameter) {
            let x_tick = |x: f64| number(x, Axis::Threads);
            let shaded = site
                .record
                .machine
                .logical_cpus
                .map(|cpus| Shade::Beyond(f64::from(cpus), "more threads than logical CPUs"));
            let x = || logarithmic(axis_title(parameter), &x_tick);
            let absolute = series(
                site,
                &group,
                |time, _| 1e3 / time,
                |text, mops, _| format!("{text}: {} million operations a second", numbers::ratio(mops)),
                &x_tick,
            );
            if absolute.is_empty() {
                continue;
            }
            plots.push(plot::lines(&Chart {
                caption: caption("Throughput of all threads together", &group.shared),
                series: absolute,
                x: x(),
                y: logarithmic("million operations a second".to_owned(), &plain),
                shaded,
                reference: None,
                numbers: TIMES,
            })?);
            let (fewest, most) = match group.cases.as_slice() {
                [(fewest, _), .., (most, _)] => (*fewest, *most),
                _ => continue,
            };
            let own = format!("its own with {}", super::super::count(fewest as usize, "thread"));
            plots.push(plot::lines(&Chart {
                caption: caption(&format!("Throughput as a multiple of {own}"), &group.shared),
                series: series(
                    site,
                    &group,
                    |time, first| first / time,
                    |text, multiple, _| format!("{text}: {} times {own}", numbers::ratio(multiple)),
                    &x_tick,
                ),
                x: x(),
                y: logarithmic("speed-up".to_owned(), &plain),
                shaded,
                reference: Some(Reference {
                    name: "ideal",
                    title: "ideal: as many times the throughput as threads".to_owned(),
                    points: vec![(fewest, 1.0), (most, most / fewest)],
                }),
                numbers: TIMES,
            })?);
        }
    }
    Ok(plots)
}

/// An axis on which equal ratios are equal distances.
fn logarithmic(title: String, tick: &dyn Fn(f64) -> String) -> Quantity<'_> {
    Quantity { title, tick, spacing: Spacing::Logarithmic, marks: Vec::new() }
}

/// The groups of at least two cases that differ in `parameter` alone.
fn groups<'s, 'a>(shape: &'s Shape<'a>, parameter: &Parameter) -> Vec<Group<'s, 'a>> {
    let mut groups: Vec<Group<'s, 'a>> = Vec::new();
    let mut index: HashMap<Vec<&(String, Value)>, usize> = HashMap::new();
    for case in &shape.cases {
        let Some(Value::Number(x)) = case.params.get(&parameter.name) else { continue };
        // A logarithmic axis has no zero.
        if *x == 0 {
            continue;
        }
        let rest: Vec<&(String, Value)> =
            case.params.0.iter().filter(|(name, _)| *name != parameter.name).collect();
        let words: Vec<String> = rest
            .iter()
            .map(|(name, value)| format!("{name} {}", value_label(value, axis(&shape.about, name))))
            .collect();
        let at = *index.entry(rest).or_insert_with(|| {
            groups.push(Group { shared: words.join(", "), cases: Vec::new() });
            groups.len() - 1
        });
        groups[at].cases.push((*x as f64, case));
    }
    for group in &mut groups {
        group.cases.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    groups.retain(|group| group.cases.len() >= 2);
    groups
}

/// One line for each allocator with at least two points; those that end highest in rank come first.
fn series(
    site: &Site<'_>,
    group: &Group<'_, '_>,
    y: impl Fn(f64, f64) -> f64,
    title: impl Fn(&str, f64, f64) -> String,
    x_tick: &dyn Fn(f64) -> String,
) -> Vec<Series> {
    let line = |index: &usize| {
        let subject = &site.allocators[*index];
        // Without the fewest threads there is nothing to be a multiple of: not finite, so not drawn.
        let first = group.cases[0].1.time_ns(*index).unwrap_or(f64::NAN);
        let points: Vec<Point> = group
            .cases
            .iter()
            .filter_map(|(x, case)| {
                let time = case.slots[*index].time()?;
                let value = y(time.value, first);
                Some(Point {
                    x: *x,
                    y: value,
                    interval: time.interval.map(|(low, high)| {
                        let (a, b) = (y(low, first), y(high, first));
                        (a.min(b), a.max(b))
                    }),
                    title: Some(title(&format!("{}, {}", subject.about.id, x_tick(*x)), value, time.value)),
                })
            })
            .filter(|point| point.y > 0.0 && point.y.is_finite())
            .collect();
        (points.len() >= 2).then(|| Series { name: subject.about.id.clone(), look: subject.look, points })
    };
    let drawn = site.classes.iter().filter(|class| class.id != CONTROL);
    drawn.flat_map(|class| class.members.iter()).filter_map(line).collect()
}

fn caption(what: &str, shared: &str) -> String {
    if shared.is_empty() { what.to_owned() } else { format!("{what}, {shared}") }
}

fn axis_title(parameter: &Parameter) -> String {
    if parameter.title.is_empty() || parameter.title == parameter.name {
        parameter.name.clone()
    } else {
        format!("{}: {}", parameter.name, parameter.title)
    }
}

fn number(x: f64, axis: Axis) -> String {
    match axis {
        Axis::Bytes => Bytes(x.round() as u64).to_string(),
        _ => numbers::grouped(x.round() as u64),
    }
}

/// A tick without trailing zeros.
pub(super) fn plain(value: f64) -> String {
    let text = numbers::ratio(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
