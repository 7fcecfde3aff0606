//! One line for each allocator over a parameter. Both axes are logarithmic: sizes and thread counts double, and
//! equal ratios of time are equal distances.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ink::Ink;
use super::scale::Scale;
use super::svg::Sheet;
use super::{Plot, Series, drawn, labels, text, ticks};
use crate::report::ReportError;

/// What an axis counts.
pub(crate) struct Quantity<'a> {
    pub(crate) title: String,
    /// How a tick is written.
    pub(crate) tick: &'a dyn Fn(f64) -> String,
}

/// What to draw.
pub(crate) struct Chart<'a> {
    pub(crate) caption: String,
    /// Most important first: where room is short, the last ones have no label.
    pub(crate) series: Vec<Series>,
    pub(crate) x: Quantity<'a>,
    pub(crate) y: Quantity<'a>,
    /// Beyond this value of x the plot is shaded, with these words.
    pub(crate) shaded: Option<(f64, &'static str)>,
    /// Whether to draw y = x / (first x): perfect scaling.
    pub(crate) ideal: bool,
}

const WIDTH: u32 = 560;
const HEIGHT: u32 = 300;
const TOP: i32 = 20;
/// As many as have room for a label; more could not be told apart anyway.
const MOST_LINES: usize = 18;

const WHAT: &str = "lines";

/// Draws `spec`.
pub(crate) fn lines(spec: &Chart<'_>) -> Result<Plot, ReportError> {
    let shown = &spec.series[..spec.series.len().min(MOST_LINES)];
    let xs = ordered(shown.iter().flat_map(|series| series.points.iter().map(|point| point.x)));
    let ys = ordered(shown.iter().flat_map(|series| {
        series.points.iter().flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [low, point.y, high]
        })
    }));
    let (x_low, x_high) = ends(&xs);
    let (y_low, mut y_high) = ends(&ys);
    if spec.ideal {
        y_high = y_high.max(x_high / x_low);
    }
    let x_ticks = thinned(&xs, 9);
    let y_ticks = ticks::logarithmic(y_low, y_high, 8);

    let name_room = shown.iter().map(|series| text::width(&series.name)).max().unwrap_or(0).min(130) + 28;
    let tick_room = y_ticks.iter().map(|tick| text::width(&(spec.y.tick)(*tick))).max().unwrap_or(0) + 14;
    let sheet = Sheet::new(WIDTH, HEIGHT);
    let area = sheet.clone().into_drawing_area();
    let (x_margin, y_margin) =
        (((x_high / x_low).log10() * 0.03).max(0.01), ((y_high / y_low).log10() * 0.05).max(0.02));
    let y_range = y_low.log10() - y_margin..y_high.log10() + y_margin;
    let x_range = x_low.log10() - x_margin..x_high.log10() + x_margin;
    let mut chart = drawn(
        WHAT,
        ChartBuilder::on(&area)
            .margin_top(TOP)
            .margin_right(name_room as i32)
            .x_label_area_size(40)
            .y_label_area_size(tick_room as i32)
            .build_cartesian_2d(
                Scale::new(x_range.clone(), x_ticks.iter().map(|tick| tick.log10()).collect()),
                Scale::new(y_range.clone(), y_ticks.iter().map(|tick| tick.log10()).collect()),
            ),
    )?;

    if let Some((beyond, words)) = spec.shaded.filter(|(beyond, _)| x_high > *beyond) {
        // Between the last case that fits and the first that does not, where there is one that fits.
        let first = xs.iter().copied().find(|x| *x > beyond).unwrap_or(x_high).log10();
        let last = xs.iter().copied().rfind(|x| *x <= beyond).map(f64::log10);
        let edge = last.map_or(x_range.start, |last| (last + first) / 2.0);
        let shade = Rectangle::new(
            [(edge, y_range.start), (x_range.end, y_range.end)],
            ShapeStyle::from(Ink::Shade.rgb()).filled(),
        );
        drawn(WHAT, chart.draw_series([shade]).map(|_| ()))?;
        let (x, _) = chart.backend_coord(&(x_range.end, 0.0));
        let style = text_style(Ink::Text, HPos::Right, VPos::Bottom);
        drawn(WHAT, area.draw_text(words, &style, (x, TOP - 2)))?;
    }
    let x_tick = |at: &f64| (spec.x.tick)(10f64.powf(*at));
    let y_tick = |at: &f64| (spec.y.tick)(10f64.powf(*at));
    drawn(
        WHAT,
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.rgb())
            .axis_style(Ink::Axis.rgb())
            .label_style(text_style(Ink::Text, HPos::Left, VPos::Top))
            .x_label_formatter(&x_tick)
            .y_label_formatter(&y_tick)
            .x_desc(spec.x.title.as_str())
            .draw(),
    )?;
    // Above the axis rather than along it: nobody needs to turn their head.
    drawn(
        WHAT,
        area.draw_text(&spec.y.title, &text_style(Ink::Text, HPos::Left, VPos::Bottom), (0, TOP - 2)),
    )?;
    if spec.ideal {
        let line = PathElement::new(
            vec![(x_low.log10(), 0.0), (x_high.log10(), (x_high / x_low).log10())],
            Ink::Ideal.rgb(),
        );
        sheet.title(Some("ideal: as many times the throughput as threads"));
        drawn(WHAT, chart.draw_series([line]).map(|_| ()))?;
        sheet.title(None);
    }

    let mut heights = Vec::with_capacity(shown.len());
    // The most important last, on top of the others.
    for series in shown.iter().rev() {
        let path: Vec<(f64, f64)> =
            series.points.iter().map(|point| (point.x.log10(), point.y.log10())).collect();
        heights.push(path.last().map_or(0, |end| chart.backend_coord(end).1));
        sheet.title(Some(&series.name));
        drawn(WHAT, chart.draw_series([PathElement::new(path, Ink::Line(series.look).rgb())]).map(|_| ()))?;
        for point in &series.points {
            let x = point.x.log10();
            sheet.title(Some(&point.title));
            if let Some((low, high)) = point.interval {
                let whisker = PathElement::new(
                    vec![(x, low.log10()), (x, high.log10())],
                    Ink::Whisker(series.look).rgb(),
                );
                drawn(WHAT, chart.draw_series([whisker]).map(|_| ()))?;
            }
            let style = ShapeStyle::from(Ink::Mark(series.look).rgb()).filled();
            drawn(WHAT, chart.draw_series([Circle::new((x, point.y.log10()), 4, style)]).map(|_| ()))?;
        }
        sheet.title(None);
    }
    heights.reverse();

    let placed = labels::spread(&heights, text::LINE_HEIGHT, TOP + 4, HEIGHT as i32 - 46);
    let end = chart.backend_coord(&(x_range.end, 0.0)).0 + 6;
    for (series, y) in shown.iter().zip(placed) {
        if let Some(y) = y {
            let name = text::fitted(&series.name, name_room - 28);
            let style = text_style(Ink::Name(series.look), HPos::Left, VPos::Center);
            let mark = ShapeStyle::from(Ink::Mark(series.look).rgb()).filled();
            drawn(WHAT, area.draw(&Circle::new((end + 4, y), 4, mark)))?;
            drawn(WHAT, area.draw_text(&name, &style, (end + 12, y)))?;
        }
    }
    let desc = format!(
        "{} lines; {} from {} to {}; {} from {} to {}; both axes logarithmic. The numbers are in the table on this page.",
        shown.len(),
        spec.x.title,
        (spec.x.tick)(x_low),
        (spec.x.tick)(x_high),
        spec.y.title,
        (spec.y.tick)(y_low),
        (spec.y.tick)(y_high),
    );
    drop(chart);
    drop(area);
    Ok(Plot {
        svg: sheet.finish(&spec.caption, &desc),
        caption: spec.caption.clone(),
        note: (shown.len() < spec.series.len()).then(|| {
            format!(
                "The first {} of {} lines are drawn; the tables have all.",
                shown.len(),
                spec.series.len()
            )
        }),
    })
}

fn text_style(ink: Ink, side: HPos, height: VPos) -> TextStyle<'static> {
    ("sans-serif", text::SIZE).into_font().color(&ink.rgb()).pos(Pos::new(side, height))
}

fn ordered(values: impl Iterator<Item = f64>) -> Vec<f64> {
    // Zero has no logarithm; the callers' quantities have none either.
    let mut values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn ends(sorted: &[f64]) -> (f64, f64) {
    (sorted.first().copied().unwrap_or(1.0), sorted.last().copied().unwrap_or(1.0))
}

/// At most `most` of `values`, evenly chosen, the first among them.
fn thinned(values: &[f64], most: usize) -> Vec<f64> {
    values.iter().copied().step_by(values.len().div_ceil(most).max(1)).collect()
}
