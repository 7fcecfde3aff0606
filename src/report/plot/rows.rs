//! One row for each allocator: bars from zero, or points on a logarithmic axis; both with intervals.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ink::Ink;
use super::scale::Scale;
use super::svg::Sheet;
use super::{Plot, drawn, text, ticks};
use crate::report::ReportError;
use crate::report::look::Look;

/// A row.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) look: Look,
    pub(crate) value: f64,
    pub(crate) interval: Option<(f64, f64)>,
    /// Written behind the mark.
    pub(crate) label: String,
    /// What hovering over the mark says.
    pub(crate) title: String,
}

/// What to draw.
pub(crate) struct Rows<'a> {
    pub(crate) caption: String,
    pub(crate) rows: Vec<Row>,
    /// What the axis counts, and how its ticks are written.
    pub(crate) quantity: &'a str,
    pub(crate) tick: &'a dyn Fn(f64) -> String,
    pub(crate) form: Form,
    /// A value to compare with, and what it is: a line across all rows.
    pub(crate) reference: Option<(f64, String)>,
    pub(crate) width: u32,
}

/// How values are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bars from zero, whatever their lengths: for amounts, where next to nothing is an answer.
    Bars,
    /// Bars from zero, or points on a logarithmic axis where some bar would be too short to read.
    Fitting,
    /// Points between the extremes: for values all of which are far from zero.
    Points,
}

/// A bar that is shorter than this share of the longest cannot be read: the axis becomes logarithmic, where bars
/// would have no beginning, so points are drawn.
const SHORTEST_BAR: f64 = 0.04;

/// Two screens full; the table beside it has all.
const MOST_ROWS: usize = 60;

const ROW: i32 = 20;
const WHAT: &str = "rows";

/// Draws `spec`, rows from top to bottom.
pub(crate) fn rows(spec: &Rows<'_>) -> Result<Plot, ReportError> {
    let shown = &spec.rows[..spec.rows.len().min(MOST_ROWS)];
    let names = shown.iter().map(|row| text::width(&row.name)).max().unwrap_or(0).min(130) + 10;
    let labels = shown.iter().map(|row| text::width(&row.label)).max().unwrap_or(0) + 12;
    let count = shown.len() as i32;
    let height = count * ROW + 44;
    let sheet = Sheet::new(spec.width, height as u32);
    let area = sheet.clone().into_drawing_area();

    let ends = |row: &Row| row.interval.unwrap_or((row.value, row.value));
    let reference = spec.reference.as_ref().filter(|(value, _)| *value > 0.0 && value.is_finite());
    let high = shown.iter().map(|row| ends(row).1.max(row.value)).fold(f64::MIN_POSITIVE, f64::max);
    let high = reference.map_or(high, |(value, _)| high.max(*value));
    let low = shown.iter().map(|row| ends(row).0.min(row.value)).fold(high, f64::min);
    let points = match spec.form {
        Form::Bars => false,
        Form::Fitting => low < high * SHORTEST_BAR,
        Form::Points => true,
    };
    // Logarithms need something above zero to begin with.
    let low = if low > 0.0 { low } else { high * 1e-3 };
    let map = |value: f64| if points { value.max(low).log10() } else { value };
    let (from, to) = if points {
        let margin = ((high / low).log10() * 0.05).max(0.01);
        (low.log10() - margin, high.log10() + margin)
    } else {
        (0.0, high)
    };
    let ticks = if points { ticks::logarithmic(low, high, 7) } else { ticks::linear(high, 5) };

    let mut chart = drawn(
        WHAT,
        ChartBuilder::on(&area)
            .margin_right(labels as i32)
            .margin_top(4)
            .x_label_area_size(40)
            .y_label_area_size(names as i32)
            .build_cartesian_2d(
                Scale::new(from..to, ticks.iter().map(|tick| map(*tick)).collect()),
                Scale::new(0.0..f64::from(count.max(1)), Vec::new()),
            ),
    )?;
    let unmap = |at: &f64| (spec.tick)(if points { 10f64.powf(*at) } else { *at });
    drawn(
        WHAT,
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.rgb())
            .axis_style(Ink::Axis.rgb())
            .label_style(("sans-serif", text::SIZE).into_font().color(&Ink::Text.rgb()))
            .x_label_formatter(&unmap)
            .x_desc(spec.quantity)
            .draw(),
    )?;

    if let Some((value, what)) = reference {
        let at = map(*value);
        sheet.title(Some(what));
        let line = PathElement::new(vec![(at, 0.0), (at, f64::from(count.max(1)))], Ink::Ideal.rgb());
        drawn(WHAT, chart.draw_series([line]).map(|_| ()))?;
        sheet.title(None);
    }
    for (index, row) in shown.iter().enumerate() {
        let middle = f64::from(count) - index as f64 - 0.5;
        let at = map(row.value);
        sheet.title(Some(&row.title));
        if !points {
            let bar = Rectangle::new(
                [(0.0, middle - 0.3), (at, middle + 0.3)],
                ShapeStyle::from(Ink::Bar(row.look).rgb()).filled(),
            );
            drawn(WHAT, chart.draw_series([bar]).map(|_| ()))?;
        }
        if let Some((low, high)) = row.interval {
            let whisker =
                PathElement::new(vec![(map(low), middle), (map(high), middle)], Ink::Whisker(row.look).rgb());
            drawn(WHAT, chart.draw_series([whisker]).map(|_| ()))?;
        }
        if points {
            let mark = Circle::new((at, middle), 5, ShapeStyle::from(Ink::Mark(row.look).rgb()).filled());
            drawn(WHAT, chart.draw_series([mark]).map(|_| ()))?;
        }
        sheet.title(None);
        let (_, y) = chart.backend_coord(&(at, middle));
        let end = chart
            .backend_coord(&(map(row.interval.map_or(row.value, |(_, high)| high.max(row.value))), middle))
            .0;
        let style = |ink: Ink, side: HPos| {
            ("sans-serif", text::SIZE).into_font().color(&ink.rgb()).pos(Pos::new(side, VPos::Center))
        };
        let name = text::fitted(&row.name, names - 10);
        drawn(WHAT, area.draw_text(&name, &style(Ink::Value, HPos::Right), (names as i32 - 4, y)))?;
        drawn(WHAT, area.draw_text(&row.label, &style(Ink::Value, HPos::Left), (end + 8, y)))?;
    }
    let desc = format!(
        "{} rows from {} to {}; {}. The numbers are in the table on this page.",
        shown.len(),
        (spec.tick)(low),
        (spec.tick)(high),
        if points { "logarithmic axis" } else { "axis from zero" }
    );
    drop(chart);
    drop(area);
    let note = if shown.len() < spec.rows.len() {
        Some(format!("The first {} of {} are drawn; the table has all.", shown.len(), spec.rows.len()))
    } else {
        (points && spec.form != Form::Points)
            .then(|| "Logarithmic axis: the values differ too much for bars.".to_owned())
    };
    Ok(Plot { svg: sheet.finish(&spec.caption, &desc), caption: spec.caption.clone(), note })
}
