//! How long single steps took: percentiles, stalls, and what the probe itself cost.

use serde::Serialize;

use super::{Gaps, curves, heading, lineup, tick};
use crate::report::ReportError;
use crate::report::numbers;
use crate::report::pages::cells::Gap;
use crate::report::pages::table::{Column, Entry, Line, Table};
use crate::report::pages::{Link, ranks};
use crate::report::percentiles::{self, Percentile, SHOWN};
use crate::report::plot::{self, Chart, Plot, Point, Quantity, Series, Shade, Spacing};
use crate::report::site::{Case, Shape, Site};
use crate::results::metric::Metric;
use crate::results::record::Cell;
use crate::units::{Nanos, TimeUnit};
use crate::workloads::probe::Probe;

#[derive(Serialize)]
pub(super) struct CaseSection {
    anchor: String,
    label: String,
    table: Option<Table>,
    curve: Option<Plot>,
    gaps: Vec<(Link, Gap)>,
}

/// Ticks of the percentile axis; it ends where steps run out.
const TICKS: [(f64, &str); 7] = [
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
    (0.999_999, "99.9999 %"),
];

pub(super) fn sections(gaps: &mut Gaps<'_, '_, '_>) -> Result<Vec<CaseSection>, ReportError> {
    let (site, shape) = (gaps.site, gaps.shape);
    let cases = gaps.cases(Probe::Latency);
    let section = |(at, case): (usize, &Case<'_>)| {
        Ok(CaseSection {
            anchor: anchor(at),
            label: case.label.clone(),
            table: table(site, shape, case),
            curve: curve(site, case)?,
            gaps: gaps.of(case, Probe::Latency),
        })
    };
    cases.into_iter().map(section).collect()
}

/// The place of case `at` on its page.
pub(crate) fn anchor(at: usize) -> String {
    format!("latency-{}", at + 1)
}

/// What decides the order: how long one step in a hundred takes at least.
fn weight(cell: &Cell) -> Option<f64> {
    let measured = cell.metrics.get(&Metric::LatencyP99).map(|time| time.value);
    let seen = || cell.latency.as_ref().and_then(|latency| percentiles::quantile_ns(latency, 0.99));
    let any = crate::report::site::has(cell, Some(Probe::Latency));
    measured.or_else(seen).or(any.then_some(f64::INFINITY))
}

/// The unit of a table over `cells`.
pub(crate) fn unit<'c>(cells: impl Iterator<Item = &'c Cell>) -> TimeUnit {
    let times = |cell: &'c Cell| {
        SHOWN.iter().filter_map(|(.., metric)| cell.metrics.get(metric)).map(|time| time.value)
    };
    numbers::unit_for(cells.flat_map(times))
}

/// What a table in `unit` shows.
pub(crate) fn what(unit: TimeUnit) -> String {
    format!("percentiles of the time of one step in {}, medians over rounds; stalls", unit.symbol())
}

/// How often each case was probed; 1 if the record does not say.
fn rounds(site: &Site<'_>) -> u32 {
    site.record.profile.rounds.get(Probe::Latency.id()).copied().unwrap_or(1)
}

/// Percentiles in `unit`, and stalls.
pub(crate) fn columns(site: &Site<'_>, lines: &[Line<'_>], unit: TimeUnit) -> Vec<Column> {
    let rounds = rounds(site);
    let percentile = |(share, name, metric): &(f64, &str, Metric)| {
        let entry = |cell: &Cell| {
            let found = Percentile::of(cell, *share, *metric, rounds)?;
            let text = found.text(unit);
            Some(match found {
                Percentile::Measured(measured, quantum_ns) => {
                    let end = |ns: f64| numbers::stepped(ns, quantum_ns.unwrap_or(0.0), unit);
                    let range = numbers::spread(measured)
                        .map_or(String::new(), |(low, high)| format!("{}–{}", end(low), end(high)));
                    Entry::number(measured.value, text).titled(range)
                }
                Percentile::Below(limit) => Entry::at_most(limit, text).titled("below resolution".to_owned()),
                Percentile::BelowInSome(limit) => Entry::at_most(limit, text).titled(
                    "below resolution in some rounds; all rounds together took at most this".to_owned(),
                ),
                Percentile::TooFew => Entry::words(text),
            })
        };
        Column::new(name, lines, entry).marked()
    };
    let mut columns: Vec<Column> = SHOWN.iter().map(percentile).collect();
    for (metric, title) in [
        (Metric::Stalls1us, "stalls > 1 µs, per million"),
        (Metric::Stalls10us, "stalls > 10 µs, per million"),
    ] {
        columns.push(Column::metric(title, lines, |cell| cell.metrics.get(&metric), curves::plain));
    }
    columns
}

/// The table of one case; `None` if no latency was measured.
pub(crate) fn table(site: &Site<'_>, shape: &Shape<'_>, case: &Case<'_>) -> Option<Table> {
    let (_, lines) = lineup(site, case, weight);
    let unit = unit(lines.iter().map(|line| line.cell));
    let beside = |title: &str, text: &dyn Fn(&crate::results::record::Latency) -> String| {
        Column::new(title, &lines, |cell| cell.latency.as_ref().map(|it| Entry::words(text(it)))).dim()
    };
    let mut columns = columns(site, &lines, unit);
    columns.extend([
        beside("longest (not judged)", &|it| Nanos(it.max_ns as f64).to_string()),
        beside("steps", &|it| numbers::grouped(it.steps)),
        beside(&format!("time ÷ steps unprobed, {}", unit.symbol()), &|it| {
            numbers::duration(it.plain_ns, unit)
        }),
        beside(&format!("time ÷ steps probed, {}", unit.symbol()), &|it| {
            numbers::duration(it.probed_ns, unit)
        }),
    ]);
    let label = (heading(shape, case), what(unit));
    let table =
        Table::new(label, "Allocator", &lines, columns, |class| ranks::class_title(&site.classes[class].id));
    (!table.is_empty()).then_some(table)
}

/// Percentile curves from the buckets.
fn curve(site: &Site<'_>, case: &Case<'_>) -> Result<Option<Plot>, ReportError> {
    let (order, lines) = lineup(site, case, weight);
    let series: Vec<Series> = order
        .iter()
        .zip(&lines)
        .filter(|(index, _)| !site.is_control(**index))
        .filter_map(|(index, line)| {
            let subject = &site.allocators[*index];
            let latency = line.cell.latency.as_ref()?;
            let resolution = percentiles::resolution_ns(latency);
            let time = |ns: f64| match ns < resolution {
                true => format!("< {} (below resolution)", Nanos(resolution)),
                false => Nanos(ns).to_string(),
            };
            let point = |(share, ns): (f64, f64)| Point {
                x: share,
                y: ns.max(1.0),
                interval: None,
                title: SHOWN
                    .iter()
                    .find(|(shown, ..)| *shown == share)
                    .map(|(_, name, _)| format!("{}, {name}, all rounds: {}", subject.about.id, time(ns))),
            };
            let points: Vec<Point> = percentiles::curve(latency).into_iter().map(point).collect();
            let name = subject.about.id.clone();
            (!points.is_empty()).then_some(Series { name, look: subject.look, points })
        })
        .collect();
    if series.is_empty() {
        return Ok(None);
    }
    let resolution = lines
        .iter()
        .filter_map(|line| line.cell.latency.as_ref())
        .map(percentiles::resolution_ns)
        .fold(0.0, f64::max);
    let plot = plot::lines(&Chart {
        caption: format!(
            "Time of one step over percentiles, all rounds pooled (the table has medians over rounds), {}",
            case.label
        ),
        series,
        x: Quantity {
            title: "share of steps that took at most this long".to_owned(),
            tick: &|share| format!("{} %", (share * 1e6).round() / 1e4),
            spacing: Spacing::Percentile,
            marks: TICKS.map(|(share, name)| (share, name.to_owned())).to_vec(),
        },
        y: Quantity {
            title: "time of one step".to_owned(),
            tick: &tick,
            spacing: Spacing::Logarithmic,
            marks: Vec::new(),
        },
        shaded: (resolution > 0.0).then_some(Shade::Below(resolution, "below resolution")),
        reference: None,
        numbers: "The record has the numbers; the table on this page has the medians over rounds of some of them",
    })?;
    Ok(Some(plot))
}
