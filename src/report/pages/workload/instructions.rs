//! Instructions per operation.

use serde::Serialize;

use super::{Bars, Gaps, amounts, heading, lineup};
use crate::report::ReportError;
use crate::report::numbers;
use crate::report::pages::cells::Gap;
use crate::report::pages::table::{Column, Entry, Line, Table};
use crate::report::pages::{Link, ranks};
use crate::report::plot::{Form, Plot};
use crate::report::site::Case;
use crate::results::metric::Metric;
use crate::results::record::{Cell, Measured};
use crate::workloads::probe::Probe;

#[derive(Serialize)]
pub(super) struct CaseSection {
    anchor: String,
    label: String,
    table: Option<Table>,
    bars: Vec<Plot>,
    gaps: Vec<(Link, Gap)>,
}

pub(super) fn sections(gaps: &mut Gaps<'_, '_, '_>) -> Result<Vec<CaseSection>, ReportError> {
    let (site, shape) = (gaps.site, gaps.shape);
    let cases = gaps.cases(Probe::Instructions);
    let section = |(at, case): (usize, &Case<'_>)| {
        let (order, lines) = lineup(site, case, |cell| Some(instructions(cell)?.value));
        let label = (heading(shape, case), "instructions per operation".to_owned());
        let table = Table::new(label, "Allocator", &lines, columns(&lines), |class| {
            ranks::class_title(&site.classes[class].id)
        });
        let bars = Bars {
            caption: format!("Instructions per operation, {}", case.label),
            quantity: "instructions per operation".to_owned(),
            form: Form::Fitting,
            reference: None,
            get: &instructions,
            scale: 1.0,
            show: &numbers::exact,
            symbol: "instructions",
        };
        Ok(CaseSection {
            anchor: format!("instructions-{}", at + 1),
            label: case.label.clone(),
            table: (!table.is_empty()).then_some(table),
            bars: amounts(site, &order, &lines, &bars)?,
            gaps: gaps.of(case, Probe::Instructions),
        })
    };
    cases.into_iter().map(section).collect()
}

fn instructions(cell: &Cell) -> Option<&Measured> {
    cell.metrics.get(&Metric::Instructions)
}

fn columns(lines: &[Line<'_>]) -> Vec<Column> {
    let fewest = |group: usize| {
        let of_group = lines.iter().filter(|line| line.group == group && line.ranked);
        of_group.filter_map(|line| instructions(line.cell)).map(|it| it.value).min_by(f64::total_cmp)
    };
    // Lines and cells come in the same order, so a cell's line is found by its address.
    let ratio = |cell: &Cell| {
        let line = lines.iter().find(|line| std::ptr::eq(line.cell, cell))?;
        let ratio = instructions(cell)?.value / fewest(line.group)?;
        (ratio.is_finite() && line.ranked).then(|| Entry::words(numbers::ratio(ratio)))
    };
    vec![
        Column::metric("instructions", lines, instructions, numbers::exact).marked(),
        Column::new("× the fewest", lines, ratio),
    ]
}
