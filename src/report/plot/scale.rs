//! How values are spaced on an axis, and an axis with the ticks that it is told to have. Plotters' own binding of ticks to a range of `f64` cannot label them.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// How far apart values are on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Equal differences are equal distances.
    Linear,
    /// Equal ratios are: sizes and thread counts double, and times are compared by ratios.
    Logarithmic,
    /// For shares of a whole: each step of −log₁₀(1 − p) leaves a tenth of what was beyond the one before, so that
    /// 90, 99 and 99.9 % are equally far apart.
    Percentile,
}

impl Spacing {
    /// Whether `value` has a place.
    pub(super) fn has(self, value: f64) -> bool {
        match self {
            Self::Linear => value.is_finite(),
            Self::Logarithmic => value > 0.0 && value.is_finite(),
            Self::Percentile => (0.0..1.0).contains(&value),
        }
    }

    /// Where `value` stands.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.log10(),
            Self::Percentile => -(1.0 - value).log10(),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_as_far_apart_as_what_they_leave_is_rarer() {
        let place = |share: f64| Spacing::Percentile.place(share);
        assert!((place(0.9) - 1.0).abs() < 1e-9);
        assert!((place(0.99) - 2.0).abs() < 1e-9);
        assert!((place(0.999) - 3.0).abs() < 1e-9);
        assert!((place(0.5) - std::f64::consts::LOG10_2).abs() < 1e-9);
        assert!(!Spacing::Percentile.has(1.0));
    }

    #[test]
    fn zero_has_a_place_on_a_linear_axis_alone() {
        assert!(Spacing::Linear.has(0.0) && !Spacing::Logarithmic.has(0.0));
        assert!(!Spacing::Linear.has(f64::NAN));
        assert!((Spacing::Logarithmic.place(1000.0) - 3.0).abs() < 1e-12);
    }
}
