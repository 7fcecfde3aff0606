//! The median.

/// The middle value: element (n + 1) / 2 of the sorted values, or the mean of the two middle ones if n is even.
///
/// `None` if there are no values or one is not finite.
///
/// # Examples
/// ```
/// assert_eq!(allocmark::stats::median(&[3.0, 1.0, 2.0]), Some(2.0));
/// assert_eq!(allocmark::stats::median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
/// ```
pub fn median(values: &[f64]) -> Option<f64> {
    sorted(values).map(|sorted| middle(&sorted))
}

/// The values in ascending order; `None` if there are none or one is not finite.
pub(super) fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(sorted)
}

/// The median of values that are sorted and not empty.
pub(super) fn middle(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[upper]
    } else {
        // Halves before the sum: the sum of two large values could overflow.
        sorted[upper - 1] / 2.0 + sorted[upper] / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_of_values_has_one_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[7.0]), Some(7.0));
    }

    #[test]
    fn an_even_number_of_values_has_the_mean_of_two() {
        assert_eq!(median(&[10.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(&[-1.0, 1.0]), Some(0.0));
    }

    #[test]
    fn one_outlier_does_not_move_it() {
        assert_eq!(median(&[1.0, 2.0, 3.0, 4.0, 1e300]), Some(3.0));
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    #[test]
    fn nothing_comes_from_nothing_nor_from_what_is_not_finite() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN, 2.0]), None);
        assert_eq!(median(&[1.0, f64::INFINITY]), None);
    }
}
