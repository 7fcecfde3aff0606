//! An axis with the ticks that it is told to have. Plotters' own binding of ticks to a range of `f64` cannot label them.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// A linear map from a range to pixels. Logarithmic axes take logarithms before they come here.
pub(super) struct Scale {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Scale {
    /// A range that is not empty is made of one that is, so that a single value stands in the middle.
    pub(super) fn new(range: Range<f64>, ticks: Vec<f64>) -> Self {
        let range = if range.end > range.start { range } else { range.start - 0.5..range.start + 0.5 };
        Self { range, ticks }
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        // Light points are the ones between the ticks: there are none.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}
