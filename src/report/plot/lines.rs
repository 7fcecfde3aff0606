//! One line for each allocator: over a parameter, over the course of the work, or over percentiles.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ink::Ink;
use super::scale::{Scale, Spacing};
use super::svg::Sheet;
use super::{Plot, Series, drawn, labels, text, ticks};
use crate::report::ReportError;

/// What an axis counts.
pub(crate) struct Quantity<'a> {
    pub(crate) title: String,
    /// How a value is written.
    pub(crate) tick: &'a dyn Fn(f64) -> String,
    pub(crate) spacing: Spacing,
    /// The ticks with their words, where the axis should not choose its own. Words that would touch the ones before
    /// them are left out.
    pub(crate) marks: Vec<(f64, String)>,
}

/// What to draw.
pub(crate) struct Chart<'a> {
    pub(crate) caption: String,
    /// Most important first: where room is short, the last ones have no label.
    pub(crate) series: Vec<Series>,
    pub(crate) x: Quantity<'a>,
    pub(crate) y: Quantity<'a>,
    pub(crate) shaded: Option<Shade>,
    pub(crate) reference: Option<Reference>,
    /// Where to read the numbers: a sentence without its point.
    pub(crate) numbers: &'static str,
}

/// A part of the plot that needs a caution, with the words for it.
#[derive(Clone, Copy)]
pub(crate) enum Shade {
    /// Where x is larger.
    Beyond(f64, &'static str),
    /// Where y is smaller.
    Below(f64, &'static str),
}

/// A dotted line to compare the others with.
pub(crate) struct Reference {
    pub(crate) name: &'static str,
    /// What hovering over it says.
    pub(crate) title: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: u32 = 560;
const HEIGHT: u32 = 300;
const TOP: i32 = 20;
/// As many as have room for a label; more could not be told apart anyway.
const MOST_LINES: usize = 18;
/// The widest tick label that gets room, pixels: an absurd number must not push the plot off the sheet.
const MOST_TICK: u32 = 120;
/// Pixels between two labels below an axis.
const LABEL_GAP: u32 = 8;

const WHAT: &str = "lines";

/// Draws `spec`.
pub(crate) fn lines(spec: &Chart<'_>) -> Result<Plot, ReportError> {
    let shown = &spec.series[..spec.series.len().min(MOST_LINES)];
    let beside = || spec.reference.iter().flat_map(|reference| reference.points.iter().copied());
    let xs = ordered(
        &spec.x,
        shown
            .iter()
            .flat_map(|series| series.points.iter().map(|point| point.x))
            .chain(beside().map(|it| it.0)),
    );
    let values = shown.iter().flat_map(|series| {
        series.points.iter().flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [low, point.y, high]
        })
    });
    let mut ys = ordered(&spec.y, values.chain(beside().map(|it| it.1)));
    if let Some(Shade::Below(limit, _)) = spec.shaded
        && ys.first().is_some_and(|low| *low < limit)
    {
        // The edge of the zone is always in sight.
        ys = ordered(&spec.y, ys.into_iter().chain([limit]));
    }
    let (x_low, x_high) = ends(&xs);
    let (mut y_low, y_high) = ends(&ys);
    let y_ticks = match spec.y.spacing {
        Spacing::Linear => {
            y_low = 0.0;
            ticks::linear(y_high, 6)
        }
        Spacing::Logarithmic | Spacing::Percentile => ticks::logarithmic(y_low, y_high, 8),
    };
    let (x_place, y_place) = (|x: f64| spec.x.spacing.place(x), |y: f64| spec.y.spacing.place(y));

    let names =
        shown.iter().map(|series| series.name.as_str()).chain(spec.reference.iter().map(|it| it.name));
    let name_room = names.map(text::width).max().unwrap_or(0).min(130) + 28;
    let y_marks: Vec<(f64, String)> =
        y_ticks.iter().map(|tick| (y_place(*tick), (spec.y.tick)(*tick))).collect();
    let tick_room =
        y_marks.iter().map(|(_, words)| text::width(words)).max().unwrap_or(0).min(MOST_TICK) + 14;
    let sheet = Sheet::new(WIDTH, HEIGHT);
    let area = sheet.clone().into_drawing_area();
    let (x_margin, y_margin) = (
        ((x_place(x_high) - x_place(x_low)) * 0.03).max(0.01),
        ((y_place(y_high) - y_place(y_low)) * 0.05).max(0.02),
    );
    // Nothing stands below a zero that is the axis itself.
    let y_start = if spec.y.spacing == Spacing::Linear { 0.0 } else { y_place(y_low) - y_margin };
    let y_range = y_start..y_place(y_high) + y_margin;
    let x_range = x_place(x_low) - x_margin..x_place(x_high) + x_margin;
    let x_marks: Vec<(f64, String)> = if spec.x.marks.is_empty() {
        thinned(&xs, 9).into_iter().map(|tick| (x_place(tick), (spec.x.tick)(tick))).collect()
    } else {
        let given = spec.x.marks.iter().map(|(at, words)| (x_place(*at), words.clone()));
        let within: Vec<(f64, String)> = given.filter(|(at, _)| x_range.contains(at)).collect();
        legible(within, f64::from(WIDTH - name_room - tick_room) / (x_range.end - x_range.start))
    };
    let mut chart = drawn(
        WHAT,
        ChartBuilder::on(&area)
            .margin_top(TOP)
            .margin_right(name_room as i32)
            .x_label_area_size(40)
            .y_label_area_size(tick_room as i32)
            .build_cartesian_2d(
                Scale::new(x_range.clone(), x_marks.iter().map(|(at, _)| *at).collect()),
                Scale::new(y_range.clone(), y_marks.iter().map(|(at, _)| *at).collect()),
            ),
    )?;

    match spec.shaded {
        Some(Shade::Beyond(beyond, words)) if x_high > beyond => {
            // Between the last case that fits and the first that does not, where there is one that fits.
            let first = x_place(xs.iter().copied().find(|x| *x > beyond).unwrap_or(x_high));
            let last = xs.iter().copied().rfind(|x| *x <= beyond).map(x_place);
            let edge = last.map_or(x_range.start, |last| (last + first) / 2.0);
            let shade = Rectangle::new(
                [(edge, y_range.start), (x_range.end, y_range.end)],
                ShapeStyle::from(Ink::Shade.rgb()).filled(),
            );
            drawn(WHAT, chart.draw_series([shade]).map(|_| ()))?;
            let (x, _) = chart.backend_coord(&(x_range.end, y_range.start));
            let style = text_style(Ink::Text, HPos::Right, VPos::Bottom);
            drawn(WHAT, area.draw_text(words, &style, (x, TOP - 2)))?;
        }
        Some(Shade::Below(limit, words)) if y_low < limit => {
            let shade = Rectangle::new(
                [(x_range.start, y_range.start), (x_range.end, y_place(limit))],
                ShapeStyle::from(Ink::Shade.rgb()).filled(),
            );
            drawn(WHAT, chart.draw_series([shade]).map(|_| ()))?;
            // At the far end, where few lines are still that low.
            let (x, y) = chart.backend_coord(&(x_range.end, y_range.start));
            let style = text_style(Ink::Text, HPos::Right, VPos::Bottom);
            drawn(WHAT, area.draw_text(words, &style, (x - 4, y - 2)))?;
        }
        _ => {}
    }
    let x_tick = |at: &f64| words_at(&x_marks, *at);
    let y_tick = |at: &f64| words_at(&y_marks, *at);
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
    if let Some(reference) = &spec.reference {
        let path: Vec<(f64, f64)> =
            reference.points.iter().map(|(x, y)| (x_place(*x), y_place(*y))).collect();
        sheet.title(Some(&reference.title));
        drawn(WHAT, chart.draw_series([PathElement::new(path, Ink::Ideal.rgb())]).map(|_| ()))?;
        sheet.title(None);
    }

    let mut heights = Vec::with_capacity(shown.len() + 1);
    // The most important last, on top of the others.
    for series in shown.iter().rev() {
        let path: Vec<(f64, f64)> =
            series.points.iter().map(|point| (x_place(point.x), y_place(point.y))).collect();
        heights.push(path.last().map_or(0, |end| chart.backend_coord(end).1));
        sheet.title(Some(&series.name));
        drawn(WHAT, chart.draw_series([PathElement::new(path, Ink::Line(series.look).rgb())]).map(|_| ()))?;
        for point in &series.points {
            let Some(title) = &point.title else { continue };
            let x = x_place(point.x);
            sheet.title(Some(title));
            if let Some((low, high)) = point.interval {
                let whisker = PathElement::new(
                    vec![(x, y_place(low)), (x, y_place(high))],
                    Ink::Whisker(series.look).rgb(),
                );
                drawn(WHAT, chart.draw_series([whisker]).map(|_| ()))?;
            }
            let style = ShapeStyle::from(Ink::Mark(series.look).rgb()).filled();
            drawn(WHAT, chart.draw_series([Circle::new((x, y_place(point.y)), 4, style)]).map(|_| ()))?;
        }
        sheet.title(None);
    }
    // The reference has the first label.
    let reference = spec.reference.as_ref().and_then(|it| Some((it.name, it.points.last()?)));
    if let Some((_, (x, y))) = reference {
        heights.push(chart.backend_coord(&(x_place(*x), y_place(*y))).1);
    }
    heights.reverse();

    let placed = labels::spread(&heights, text::LINE_HEIGHT, TOP + 4, HEIGHT as i32 - 46);
    let end = chart.backend_coord(&(x_range.end, y_range.start)).0 + 6;
    let named = reference.iter().map(|(name, _)| (*name, None));
    let named = named.chain(shown.iter().map(|series| (series.name.as_str(), Some(series.look))));
    for ((name, look), y) in named.zip(placed) {
        let Some(y) = y else { continue };
        let name = text::fitted(name, name_room - 28);
        let ink = look.map_or(Ink::Text, Ink::Name);
        if let Some(look) = look {
            let mark = ShapeStyle::from(Ink::Mark(look).rgb()).filled();
            drawn(WHAT, area.draw(&Circle::new((end + 4, y), 4, mark)))?;
        }
        drawn(WHAT, area.draw_text(&name, &text_style(ink, HPos::Left, VPos::Center), (end + 12, y)))?;
    }
    let desc = format!(
        "{} lines; {} from {} to {}; {} from {} to {}; {}. {}.",
        shown.len(),
        spec.x.title,
        (spec.x.tick)(x_low),
        (spec.x.tick)(x_high),
        spec.y.title,
        (spec.y.tick)(y_low),
        (spec.y.tick)(y_high),
        match (spec.x.spacing, spec.y.spacing) {
            (Spacing::Logarithmic, Spacing::Logarithmic) => "both axes logarithmic",
            (Spacing::Percentile, Spacing::Logarithmic) =>
                "percentiles spread towards 100 %, times logarithmic",
            _ => "both axes linear",
        },
        spec.numbers,
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

fn ordered(quantity: &Quantity<'_>, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|value| quantity.spacing.has(*value)).collect();
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

/// Those of `marks`, which ascend, whose words do not touch the words before them, at `scale` pixels a unit.
fn legible(marks: Vec<(f64, String)>, scale: f64) -> Vec<(f64, String)> {
    let mut end = f64::NEG_INFINITY;
    let mut kept = Vec::with_capacity(marks.len());
    for (at, words) in marks {
        let half = f64::from(text::width(&words) + LABEL_GAP) / 2.0;
        if at * scale - half >= end {
            end = at * scale + half;
            kept.push((at, words));
        }
    }
    kept
}

/// The words of the mark at `at`: plotters hands a place back, never what it stands for.
fn words_at(marks: &[(f64, String)], at: f64) -> String {
    let nearest = marks.iter().min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
    nearest.map_or_else(String::new, |(_, words)| words.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_touch_the_one_before_are_left_out() {
        let marks = |places: &[f64]| places.iter().map(|at| (*at, "fill".to_owned())).collect::<Vec<_>>();
        let width = f64::from(text::width("fill") + LABEL_GAP);
        assert_eq!(legible(marks(&[1.0, 2.0, 3.0]), width).len(), 3);
        assert_eq!(legible(marks(&[1.0, 2.0, 3.0]), width * 0.99), marks(&[1.0, 3.0]));
        assert!(legible(Vec::new(), 1.0).is_empty());
    }

    #[test]
    fn a_place_gets_the_words_of_the_nearest_mark() {
        let marks = [(0.3, "50 %".to_owned()), (1.0, "90 %".to_owned())];
        assert_eq!(words_at(&marks, 0.301), "50 %");
        assert_eq!(words_at(&[], 0.301), "");
    }
}
