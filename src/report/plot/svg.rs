//! A plotters backend that writes SVG with classes instead of colours, a `<title>` for each mark, and text as text.
//!
//! Plotters' own SVG backend writes colours, so that a plot cannot follow a dark theme, and has no titles.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

use super::ink::Ink;
use super::text;
use crate::report::look::Look;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// A drawing. Clones share it: one goes into plotters, one stays to set titles and to take the result.
#[derive(Clone)]
pub(super) struct Sheet(Rc<RefCell<Page>>);

struct Page {
    width: u32,
    height: u32,
    body: String,
    title: Option<String>,
}

impl Sheet {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self(Rc::new(RefCell::new(Page { width, height, body: String::new(), title: None })))
    }

    /// What hovering over the marks drawn from now on says; `None` for nothing.
    pub(super) fn title(&self, title: Option<&str>) {
        self.0.borrow_mut().title = title.map(str::to_owned);
    }

    /// The whole drawing, named `title` and described by `desc` for those who do not see it.
    pub(super) fn finish(&self, title: &str, desc: &str) -> String {
        let page = self.0.borrow();
        format!(
            "<svg class=\"plot\" role=\"img\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\
             <title>{}</title><desc>{}</desc>\n{}</svg>",
            escape(title),
            escape(desc),
            page.body,
            w = page.width,
            h = page.height,
        )
    }

    /// Writes one element: `<name class=… attributes>`, with the current title inside.
    fn element(&self, name: &str, classes: &str, attributes: std::fmt::Arguments<'_>) {
        let page = &mut *self.0.borrow_mut();
        // Writing to a `String` cannot fail.
        let _ = write!(page.body, "<{name} class=\"{classes}\" {attributes}");
        let _ = match &page.title {
            Some(title) => writeln!(page.body, "><title>{}</title></{name}>", escape(title)),
            None => writeln!(page.body, "/>"),
        };
    }
}

impl DrawingBackend for Sheet {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let page = self.0.borrow();
        (page.width, page.height)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        if let Some(ink) = visible(color) {
            let classes = format!("{} fill", ink.classes());
            self.element("rect", &classes, format_args!("x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\""));
        }
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        if let Some(ink) = visible(style.color()) {
            let ((x1, y1), (x2, y2)) = (from, to);
            let at = format_args!("x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"");
            self.element("line", &ink.classes(), at);
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if let Some(ink) = visible(style.color()) {
            let classes = format!("{}{}", ink.classes(), if fill { " fill" } else { "" });
            let ((x1, y1), (x2, y2)) = (from, to);
            let (x, y, width, height) = (x1.min(x2), y1.min(y2), (x2 - x1).abs(), (y2 - y1).abs());
            let at = format_args!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
            self.element("rect", &classes, at);
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if let Some(ink) = visible(style.color()) {
            self.element("polyline", &ink.classes(), format_args!("points=\"{}\"", points(path)));
        }
        Ok(())
    }

    /// A circle in the ink of an allocator's marker becomes that allocator's marker.
    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let Some(ink) = visible(style.color()) else { return Ok(()) };
        let (x, y) = center;
        if let Ink::Mark(look) = ink {
            let outline = marker(look.marker, f64::from(x), f64::from(y), f64::from(radius));
            self.element("path", &ink.classes(), format_args!("d=\"{outline}\""));
            return Ok(());
        }
        let classes = format!("{}{}", ink.classes(), if fill { " fill" } else { "" });
        self.element("circle", &classes, format_args!("cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if let Some(ink) = visible(style.color()) {
            let classes = format!("{} fill", ink.classes());
            self.element("polygon", &classes, format_args!("points=\"{}\"", points(path)));
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, content: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let Some(ink) = visible(style.color()) else { return Ok(()) };
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let baseline = y + match style.anchor().v_pos {
            VPos::Top => 10,
            VPos::Center => 4,
            VPos::Bottom => -2,
        };
        let turn = match style.transform() {
            FontTransform::None => String::new(),
            FontTransform::Rotate90 => format!(" transform=\"rotate(90 {x} {y})\""),
            FontTransform::Rotate180 => format!(" transform=\"rotate(180 {x} {y})\""),
            FontTransform::Rotate270 => format!(" transform=\"rotate(270 {x} {y})\""),
        };
        let page = &mut *self.0.borrow_mut();
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            page.body,
            "<text class=\"{}\" x=\"{x}\" y=\"{baseline}\" text-anchor=\"{anchor}\"{turn}>{}</text>",
            ink.classes(),
            escape(content)
        );
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        content: &str,
        _style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((text::width(content), text::LINE_HEIGHT as u32))
    }

    fn blit_bitmap(&mut self, _at: BackendCoord, _size: (u32, u32), _source: &[u8]) -> Drawn {
        // No plot here has a bitmap.
        Ok(())
    }
}

fn visible(color: BackendColor) -> Option<Ink> {
    (color.alpha > 0.0).then(|| Ink::from_rgb(color.rgb))
}

fn points(path: impl IntoIterator<Item = BackendCoord>) -> String {
    let points: Vec<String> = path.into_iter().map(|(x, y)| format!("{x},{y}")).collect();
    points.join(" ")
}

/// The outline of marker `shape` around a point, all shapes of about equal area.
fn marker(shape: u8, x: f64, y: f64, r: f64) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let steps: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{:.1} {:.1}", x + dx * r, y + dy * r)).collect();
        format!("M{}Z", steps.join("L"))
    };
    match shape {
        0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {:.1} 0a{r} {r} 0 1 0 {:.1} 0Z", x - r, 2.0 * r, -2.0 * r),
        1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => polygon(&[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)]),
        3 => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        4 => polygon(&[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)]),
        _ => polygon(&[
            (-0.4, -1.2),
            (0.4, -1.2),
            (0.4, -0.4),
            (1.2, -0.4),
            (1.2, 0.4),
            (0.4, 0.4),
            (0.4, 1.2),
            (-0.4, 1.2),
            (-0.4, 0.4),
            (-1.2, 0.4),
            (-1.2, -0.4),
            (-0.4, -0.4),
        ]),
    }
}

/// An allocator's marker alone, sized for a line of text. It says nothing that the name beside it does not.
pub(super) fn swatch(look: Look) -> String {
    format!(
        "<svg class=\"swatch\" aria-hidden=\"true\" width=\"12\" height=\"12\" viewBox=\"0 0 12 12\">\
         <path class=\"{}\" d=\"{}\"/></svg>",
        Ink::Mark(look).classes(),
        marker(look.marker, 6.0, 6.0, 4.2)
    )
}

/// `text` as XML character data. Characters that XML forbids become the replacement character.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(' '),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::look;
    use plotters::prelude::*;

    fn draw(look_id: &str) -> String {
        let sheet = Sheet::new(100, 50);
        let area = sheet.clone().into_drawing_area();
        sheet.title(Some("<b> & \"x\""));
        area.draw(&Circle::new((10, 10), 4, ShapeStyle::from(Ink::Mark(look::of(look_id)).rgb()).filled()))
            .expect("drawing to a string cannot fail");
        sheet.title(None);
        area.draw(&PathElement::new(vec![(0, 0), (5, 5)], Ink::Line(look::of(look_id)).rgb()))
            .expect("drawing to a string cannot fail");
        drop(area);
        sheet.finish("a < b", "desc")
    }

    #[test]
    fn marks_carry_classes_and_titles_and_no_colours() {
        let svg = draw("mimalloc");
        let look = look::of("mimalloc");
        assert!(svg.contains(&format!("class=\"mark hue-{}\"", look.hue)), "{svg}");
        assert!(svg.contains("<title>&lt;b&gt; &amp; &quot;x&quot;</title>"), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title><desc>desc</desc>"), "{svg}");
        assert!(!svg.contains('#') && !svg.contains("rgb") && !svg.contains("style="), "{svg}");
    }

    #[test]
    fn every_marker_shape_is_an_outline_of_its_own() {
        let outlines: std::collections::HashSet<String> =
            (0..look::MARKERS).map(|shape| marker(shape, 10.0, 10.0, 4.0)).collect();
        assert_eq!(outlines.len(), usize::from(look::MARKERS));
    }
}
