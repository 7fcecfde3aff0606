//! Drawings: from values and looks to inline SVG. Nothing here knows a page, and no page knows a coordinate.
//!
//! | file | what |
//! |---|---|
//! | `rows` | one row for each allocator: bars, or points with intervals |
//! | `lines` | one line for each allocator: over a parameter, time or percentiles |
//! | `scale` | how values are spaced on an axis |
//! | `ticks` | where the ticks of an axis stand |
//! | `labels` | end labels that avoid each other |
//! | `text` | the width of text |
//! | `ink` | what a mark is, on its way through plotters |
//! | `svg` | the backend |

mod ink;
mod labels;
mod lines;
mod rows;
mod scale;
mod svg;
mod text;
mod ticks;

use super::ReportError;
use super::look::Look;

pub(crate) use lines::{Chart, Quantity, Reference, Shade, lines};
pub(crate) use rows::{Form, Row, Rows, rows};
pub(crate) use scale::Spacing;

/// A drawing and what it is called.
#[derive(serde::Serialize)]
pub(crate) struct Plot {
    /// The `<svg>` element.
    pub(crate) svg: String,
    /// The sentence above it.
    pub(crate) caption: String,
    /// What of the data is not in it, if anything.
    pub(crate) note: Option<String>,
}

/// One allocator's line.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) look: Look,
    /// In ascending order of `x`.
    pub(crate) points: Vec<Point>,
}

/// A value on a line.
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) interval: Option<(f64, f64)>,
    /// What hovering over it says. `None` for a bend of the line that has no marker.
    pub(crate) title: Option<String>,
}

/// Maps plotters' errors, which borrow its types, to ours.
fn drawn<T, E: std::fmt::Debug>(plot: &'static str, result: Result<T, E>) -> Result<T, ReportError> {
    result.map_err(|error| ReportError::Plot { plot, detail: format!("{error:?}") })
}

/// The allocator's marker as a drawing of its own, for tables and headings.
pub(crate) fn swatch(look: Look) -> String {
    svg::swatch(look)
}
