//! The sign test: what order alone says about a median.
//!
//! Each value lies above the true median with probability at most 1/2, whatever the shape of the distribution, so the
//! number of values above it is Binomial(n, 1/2). That assumes independent values and nothing else: no normality, no
//! equal variances, no symmetry. Source: W. J. Conover, *Practical Nonparametric Statistics*, 3rd ed., Wiley 1999, §3.4
//! (the test) and §3.2 (the interval for a quantile).

use super::binomial::binomial_upper_tail;
use super::median::sorted;

/// An interval and how often such an interval holds the true median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The exact probability with which an interval made this way holds the true value: at least what was asked for,
    /// for independent values.
    pub coverage: f64,
}

/// The narrowest interval (x₍ₖ₎, x₍ₙ₊₁₋ₖ₎) of order statistics that covers the median with at least `confidence`.
///
/// Coverage is 1 − 2 P(X ≥ n + 1 − k) with X ~ Binomial(n, 1/2). At 95 %:
///
/// | n | interval | coverage |
/// |---|---|---|
/// | 6 | 1st to 6th | 96.9 % |
/// | 9 | 2nd to 8th | 96.1 % |
/// | 12 | 3rd to 10th | 96.1 % |
/// | 20 | 6th to 15th | 95.9 % |
///
/// Deterministic: no resampling, no seed. `None` if there are too few values (fewer than 6 at 95 %), one is not
/// finite, or `confidence` is not in (0, 1).
///
/// # Examples
/// ```
/// let interval = allocmark::stats::sign_test_interval(&[5.0, 1.0, 4.0, 2.0, 6.0, 3.0], 0.95).unwrap();
/// assert_eq!((interval.low, interval.high, interval.coverage), (1.0, 6.0, 0.96875));
/// ```
pub fn sign_test_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let sorted = sorted(values)?;
    let (rank, coverage) = order_statistic(sorted.len(), confidence)?;
    Some(Interval { low: sorted[rank - 1], high: sorted[sorted.len() - rank], coverage })
}

/// The largest k whose interval (k-th to k-th from the end) still covers with `confidence`, and its coverage.
fn order_statistic(values: usize, confidence: f64) -> Option<(usize, f64)> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    (1..=values.div_ceil(2))
        .map(|rank| (rank, 1.0 - 2.0 * binomial_upper_tail(values + 1 - rank, values, 0.5).unwrap_or(1.0)))
        .take_while(|&(_, coverage)| coverage >= confidence)
        .last()
}

/// The one-sided p-value of "the median of these values is at most `threshold`":
/// P(X ≥ number of values above `threshold`) with X ~ Binomial(n, 1/2).
///
/// A value equal to `threshold` counts as not above it and stays in n. (Dropping ties is usual and gives smaller
/// p-values; here the question is whether something got worse, and a tie is no evidence that it did.) The smallest
/// p-value that n values can give is 2⁻ⁿ.
///
/// `None` if there are no values or one is not finite.
///
/// # Examples
/// ```
/// use allocmark::stats::sign_test_greater;
/// assert_eq!(sign_test_greater(&[1.1, 1.2, 1.3, 1.4], 1.0), Some(1.0 / 16.0));
/// ```
pub fn sign_test_greater(values: &[f64], threshold: f64) -> Option<f64> {
    if values.is_empty() || !threshold.is_finite() || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let above = values.iter().filter(|&&value| value > threshold).count();
    binomial_upper_tail(above, values.len(), 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to(n: u32) -> Vec<f64> {
        (1..=n).map(f64::from).collect()
    }

    #[test]
    fn the_interval_takes_the_order_statistics_of_the_table() {
        for (n, low, high, coverage) in [
            (6, 1.0, 6.0, 62.0 / 64.0),
            (7, 1.0, 7.0, 126.0 / 128.0),
            (8, 1.0, 8.0, 254.0 / 256.0),
            (9, 2.0, 8.0, 492.0 / 512.0),
            (12, 3.0, 10.0, 3938.0 / 4096.0),
            (20, 6.0, 15.0, 1_005_176.0 / 1_048_576.0),
        ] {
            let interval = sign_test_interval(&one_to(n), 0.95);
            assert_eq!(interval, Some(Interval { low, high, coverage }), "{n}");
        }
        let thirty = sign_test_interval(&one_to(30), 0.95).unwrap();
        assert_eq!((thirty.low, thirty.high), (10.0, 21.0));
    }

    #[test]
    fn five_values_are_too_few_for_95_percent() {
        for n in 0..6 {
            assert_eq!(sign_test_interval(&one_to(n), 0.95), None, "{n}");
        }
    }

    #[test]
    fn eight_values_are_needed_for_99_percent() {
        assert_eq!(sign_test_interval(&one_to(7), 0.99), None);
        assert!(sign_test_interval(&one_to(8), 0.99).is_some());
    }

    #[test]
    fn the_order_of_the_values_does_not_matter() {
        let mut reversed = one_to(12);
        reversed.reverse();
        assert_eq!(sign_test_interval(&reversed, 0.95), sign_test_interval(&one_to(12), 0.95));
    }

    #[test]
    fn thousands_of_values_have_an_interval_too() {
        let interval = sign_test_interval(&one_to(5_000), 0.95).unwrap();
        // 2500.5 ± 1.96 × √5000 / 2 = ± 69.3.
        assert_eq!((interval.low, interval.high), (2431.0, 2570.0));
    }

    #[test]
    fn all_values_above_give_the_smallest_p_value() {
        assert_eq!(sign_test_greater(&one_to(8), 0.0), Some(1.0 / 256.0));
        assert_eq!(sign_test_greater(&one_to(8), 1.5), Some(9.0 / 256.0));
        assert_eq!(sign_test_greater(&one_to(8), 9.0), Some(1.0));
    }

    #[test]
    fn a_tie_is_no_evidence() {
        assert_eq!(sign_test_greater(&[1.0, 1.0, 2.0, 2.0], 1.0), Some(11.0 / 16.0));
    }

    #[test]
    fn what_is_not_finite_gives_none() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut values = one_to(10);
            values[3] = bad;
            assert_eq!(sign_test_interval(&values, 0.95), None, "{bad}");
            assert_eq!(sign_test_interval(&one_to(10), bad), None, "{bad}");
            assert_eq!(sign_test_greater(&values, 0.0), None, "{bad}");
            assert_eq!(sign_test_greater(&one_to(10), bad), None, "{bad}");
        }
        assert_eq!(sign_test_greater(&[], 0.0), None);
        assert_eq!(sign_test_interval(&one_to(10), 1.0), None);
    }
}
