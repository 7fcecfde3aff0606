//! What the work took of memory: at its peak, after it, and over its course.

use serde::Serialize;

use super::{Bars, Gaps, amounts, curves, heading, lineup};
use crate::report::numbers::{self, Figure};
use crate::report::pages::cells::Gap;
use crate::report::pages::table::{Column, Entry, Line, Table};
use crate::report::pages::{Link, ranks};
use crate::report::plot::{self, Chart, Form, Plot, Point, Quantity, Reference, Series, Spacing};
use crate::report::site::{Case, Shape, Site};
use crate::report::{ReportError, look::Look};
use crate::results::metric::Metric;
use crate::results::record::{Cell, Measured, MemorySeries};
use crate::units::{ByteUnit, Bytes};
use crate::workloads::probe::Probe;

#[derive(Serialize)]
pub(super) struct CaseSection {
    anchor: String,
    label: String,
    resident: Option<Table>,
    peaks: Vec<Plot>,
    course: Option<Plot>,
    effort: Option<Table>,
    checkpoints: Option<Checkpoints>,
    statistics: Vec<StatisticRow>,
    gaps: Vec<(Link, Gap)>,
}

/// What the plot over the course of the work shows, as numbers.
#[derive(Serialize)]
struct Checkpoints {
    unit: &'static str,
    allocators: Vec<String>,
    /// Number and phase, and one figure each for what was requested and for each allocator.
    rows: Vec<(String, Vec<Figure>)>,
}

/// A number from an allocator itself.
#[derive(Serialize)]
struct StatisticRow {
    allocator: Link,
    phase: String,
    name: String,
    amount: String,
}

/// What stays resident after the work, from the first moment on.
pub(crate) const STATES: [(Metric, &str); 5] = [
    (Metric::RetainedRss, "retained at once"),
    (Metric::RetainedLazyFree, "of which lazily freed"),
    (Metric::RetainedRssIdle, "retained after 12 s idle"),
    (Metric::RetainedRssLight, "retained after 12 s of light use"),
    (Metric::RetainedRssPurged, "retained after a purge"),
];

/// With more checkpoints than these, markers would cover the lines.
const MOST_MARKED: usize = 40;

pub(super) fn sections(gaps: &mut Gaps<'_, '_, '_>) -> Result<Vec<CaseSection>, ReportError> {
    let (site, shape) = (gaps.site, gaps.shape);
    let cases = gaps.cases(Probe::Memory);
    let section = |(at, case): (usize, &Case<'_>)| {
        let (order, lines) = lineup(site, case, weight);
        let unit = unit(lines.iter().map(|line| line.cell));
        Ok(CaseSection {
            anchor: anchor(at),
            label: case.label.clone(),
            resident: table(site, shape, case),
            peaks: amounts(site, &order, &lines, &bars(case, unit, &lines))?,
            course: course(site, case, unit, &order, &lines)?,
            effort: effort(site, shape, case, &lines),
            checkpoints: checkpoints(unit, &lines),
            statistics: statistics(&lines),
            gaps: gaps.of(case, Probe::Memory),
        })
    };
    cases.into_iter().map(section).collect()
}

/// The place of case `at` on its page.
pub(crate) fn anchor(at: usize) -> String {
    format!("memory-{}", at + 1)
}

/// What decides the order: the peak, or for want of one the most that any checkpoint saw.
fn weight(cell: &Cell) -> Option<f64> {
    let seen =
        |series: &MemorySeries| series.checkpoints.iter().map(|it| it.resident_bytes).max().unwrap_or(0);
    let peak = cell.metrics.get(&Metric::PeakRss).map(|peak| peak.value);
    let any = cell.metrics.keys().any(|metric| metric.probe() == Some(Probe::Memory));
    peak.or_else(|| cell.memory.as_ref().map(|series| seen(series) as f64)).or(any.then_some(0.0))
}

/// The unit of a table over `cells`.
pub(crate) fn unit<'c>(cells: impl Iterator<Item = &'c Cell>) -> ByteUnit {
    numbers::byte_unit_for(cells.filter_map(weight))
}

/// What was resident, in `unit`.
pub(crate) fn columns(lines: &[Line<'_>], unit: ByteUnit) -> Vec<Column> {
    let peaks: Vec<&Measured> =
        lines.iter().filter_map(|line| line.cell.metrics.get(&Metric::PeakRss)).collect();
    let show = |bytes: f64| numbers::bytes(bytes, unit);
    let range = |cell: &Cell| {
        let (low, high) = numbers::spread(cell.metrics.get(&Metric::PeakRss)?)?;
        Some(Entry::words(format!("{}–{}", show(low), show(high))))
    };
    let mut columns = vec![
        Column::metric("peak", lines, |cell| cell.metrics.get(&Metric::PeakRss), show).marked(),
        Column::new(numbers::spread_title(peaks.into_iter()), lines, range).dim(),
        Column::metric("blow-up", lines, |cell| cell.metrics.get(&Metric::BlowUp), numbers::ratio),
    ];
    columns.extend(STATES.iter().map(|(metric, title)| {
        let column = Column::metric(title, lines, |cell| cell.metrics.get(metric), show);
        // A part of the column before it: less of it is not better.
        if *metric == Metric::RetainedLazyFree { column.dim() } else { column.marked() }
    }));
    columns
}

/// The table of one case; `None` if nothing was seen resident.
pub(crate) fn table(site: &Site<'_>, shape: &Shape<'_>, case: &Case<'_>) -> Option<Table> {
    let (_, lines) = lineup(site, case, weight);
    let unit = unit(lines.iter().map(|line| line.cell));
    let label = (heading(shape, case), format!("resident memory in {}", unit.symbol()));
    let table = Table::new(label, "Allocator", &lines, columns(&lines, unit), |class| {
        ranks::class_title(&site.classes[class].id)
    });
    (!table.is_empty()).then_some(table)
}

fn bars<'m>(case: &Case<'_>, unit: ByteUnit, lines: &[Line<'_>]) -> Bars<'m> {
    let live = lines.iter().find_map(|line| most_live(line.cell));
    Bars {
        caption: format!("Peak resident memory, {}", case.label),
        quantity: match live {
            Some(_) => format!("peak, {} (dotted: most live)", unit.symbol()),
            None => format!("peak, {}", unit.symbol()),
        },
        form: Form::Bars,
        reference: live.map(|live| {
            (live / unit.in_bytes(), format!("most bytes live at one time: {}", Bytes(live as u64)))
        }),
        get: &|cell| cell.metrics.get(&Metric::PeakRss),
        scale: unit.in_bytes(),
        show: match unit {
            ByteUnit::Bytes => &|bytes| numbers::bytes(bytes, ByteUnit::Bytes),
            ByteUnit::Kibibytes => &|bytes| numbers::bytes(bytes, ByteUnit::Kibibytes),
            ByteUnit::Mebibytes => &|bytes| numbers::bytes(bytes, ByteUnit::Mebibytes),
            ByteUnit::Gibibytes => &|bytes| numbers::bytes(bytes, ByteUnit::Gibibytes),
        },
        symbol: unit.symbol(),
    }
}

/// The most bytes that the work asked for at one time, as far as it is known.
fn most_live(cell: &Cell) -> Option<f64> {
    let counted = cell.metrics.get(&Metric::PeakLive).map(|live| live.value);
    let seen = || Some(cell.memory.as_ref()?.checkpoints.iter().map(|it| it.live_bytes).max()? as f64);
    counted.or_else(seen)
}

/// Page faults, context switches and CPU time of the whole work.
fn effort(site: &Site<'_>, shape: &Shape<'_>, case: &Case<'_>, lines: &[Line<'_>]) -> Option<Table> {
    let times =
        lines.iter().filter_map(|line| line.cell.metrics.get(&Metric::CpuUser)).map(|time| time.value);
    let unit = numbers::unit_for(times);
    let number = |metric: Metric, title: &str| {
        let count = |value: f64| numbers::grouped(value.max(0.0).round() as u64);
        Column::metric(title, lines, move |cell| cell.metrics.get(&metric), count)
    };
    let time = |metric: Metric, title: &str| {
        let show = |ns: f64| numbers::duration(ns, unit);
        Column::metric(title, lines, move |cell| cell.metrics.get(&metric), show)
    };
    let columns = vec![
        number(Metric::PageFaults, "page faults"),
        number(Metric::ContextSwitches, "context switches"),
        time(Metric::CpuUser, &format!("CPU user, {}", unit.symbol())),
        time(Metric::CpuSystem, &format!("CPU system, {}", unit.symbol())),
    ];
    let label = (heading(shape, case), "page faults and CPU time of the whole work".to_owned());
    let table =
        Table::new(label, "Allocator", lines, columns, |class| ranks::class_title(&site.classes[class].id));
    (!table.is_empty()).then_some(table)
}

/// Resident bytes from checkpoint to checkpoint.
fn course(
    site: &Site<'_>,
    case: &Case<'_>,
    unit: ByteUnit,
    order: &[usize],
    lines: &[Line<'_>],
) -> Result<Option<Plot>, ReportError> {
    let scaled = |bytes: u64| bytes as f64 / unit.in_bytes();
    let all: Vec<(&MemorySeries, &str, Look)> = order
        .iter()
        .zip(lines)
        .filter_map(|(index, line)| {
            let subject = &site.allocators[*index];
            Some((line.cell.memory.as_ref()?, subject.about.id.as_str(), subject.look))
        })
        .filter(|(series, ..)| !series.checkpoints.is_empty())
        .collect();
    let Some((longest, ..)) = all.iter().max_by_key(|(series, ..)| series.checkpoints.len()) else {
        return Ok(None);
    };
    if longest.checkpoints.len() < 2 {
        // A moment is no course.
        return Ok(None);
    }
    let marked = longest.checkpoints.len() <= MOST_MARKED;
    let lines = all.iter().map(|(series, name, look)| Series {
        name: (*name).to_owned(),
        look: *look,
        points: series
            .checkpoints
            .iter()
            .enumerate()
            .map(|(at, checkpoint)| Point {
                x: (at + 1) as f64,
                y: scaled(checkpoint.resident_bytes),
                interval: None,
                title: marked.then(|| {
                    let lazy = match checkpoint.lazy_free_bytes {
                        0 => String::new(),
                        lazy => format!(", of which {} lazily freed", Bytes(lazy)),
                    };
                    format!(
                        "{name}, checkpoint {} ({}): {} resident{lazy}",
                        at + 1,
                        checkpoint.phase,
                        Bytes(checkpoint.resident_bytes)
                    )
                }),
            })
            .collect(),
    });
    let live = longest.checkpoints.iter().enumerate();
    let plot = plot::lines(&Chart {
        caption: format!("Resident memory over the course of the work, {}", case.label),
        series: lines.collect(),
        x: Quantity {
            title: format!(
                "checkpoints 1 to {}, named by what the work was doing",
                longest.checkpoints.len()
            ),
            tick: &|at| format!("{at:.0}"),
            spacing: Spacing::Linear,
            marks: phases(longest),
        },
        y: Quantity {
            title: format!("resident, {}", unit.symbol()),
            tick: &curves::plain,
            spacing: Spacing::Linear,
            marks: Vec::new(),
        },
        shaded: None,
        reference: Some(Reference {
            name: "live",
            title: "live: bytes requested and not given back".to_owned(),
            points: live.map(|(at, it)| ((at + 1) as f64, scaled(it.live_bytes))).collect(),
        }),
        numbers: "The numbers are in the table of checkpoints on this page",
    })?;
    Ok(Some(plot))
}

/// The phases of a series with the number of the checkpoint at which each begins.
fn phases(series: &MemorySeries) -> Vec<(f64, String)> {
    let mut phases: Vec<(f64, String)> = Vec::new();
    for (at, checkpoint) in series.checkpoints.iter().enumerate() {
        if phases.last().is_none_or(|(_, phase)| *phase != checkpoint.phase) {
            phases.push(((at + 1) as f64, checkpoint.phase.clone()));
        }
    }
    phases
}

fn checkpoints(unit: ByteUnit, lines: &[Line<'_>]) -> Option<Checkpoints> {
    let with: Vec<(&Line<'_>, &MemorySeries)> =
        lines.iter().filter_map(|line| Some((line, line.cell.memory.as_ref()?))).collect();
    let longest = with.iter().map(|(_, series)| series).max_by_key(|series| series.checkpoints.len())?;
    let text = |bytes: u64| numbers::bytes(bytes as f64, unit);
    let mut columns =
        vec![numbers::align(longest.checkpoints.iter().map(|it| text(it.live_bytes)).collect())];
    columns.extend(with.iter().map(|(_, series)| {
        let resident = |at: usize| series.checkpoints.get(at).map(|it| text(it.resident_bytes));
        let texts = (0..longest.checkpoints.len()).map(|at| resident(at).unwrap_or_else(|| "–".to_owned()));
        numbers::align(texts.collect())
    }));
    let row = |(at, name): (usize, String)| (name, columns.iter().map(|column| column[at].clone()).collect());
    let names = longest.checkpoints.iter().enumerate().map(|(at, it)| format!("{}. {}", at + 1, it.phase));
    (!longest.checkpoints.is_empty()).then(|| Checkpoints {
        unit: unit.symbol(),
        allocators: with.iter().map(|(line, _)| line.head.name.clone()).collect(),
        rows: names.enumerate().map(row).collect(),
    })
}

fn statistics(lines: &[Line<'_>]) -> Vec<StatisticRow> {
    let rows = |line: &Line<'_>| {
        let statistics = line.cell.memory.iter().flat_map(|series| &series.statistics);
        let row = |it: &crate::results::record::Statistic| StatisticRow {
            allocator: line.head.clone(),
            phase: it.phase.clone(),
            name: it.name.clone(),
            amount: Bytes(it.bytes).to_string(),
        };
        statistics.map(row).collect::<Vec<_>>()
    };
    lines.iter().flat_map(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::record::Checkpoint;

    #[test]
    fn a_phase_is_named_where_it_begins() {
        let checkpoint = |phase: &str| Checkpoint {
            phase: phase.to_owned(),
            live_bytes: 0,
            resident_bytes: 0,
            lazy_free_bytes: 0,
        };
        let checkpoints = ["fill", "fill", "drain", "fill"].map(checkpoint).to_vec();
        let series = MemorySeries { checkpoints, statistics: Vec::new() };
        let named: Vec<(f64, String)> =
            [(1.0, "fill"), (3.0, "drain"), (4.0, "fill")].map(|(at, phase)| (at, phase.to_owned())).to_vec();
        assert_eq!(phases(&series), named);
    }
}
