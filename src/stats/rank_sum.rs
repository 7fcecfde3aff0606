//! Two unpaired groups: how far one is shifted against the other, by order alone.
//!
//! If both groups have the same distribution up to a shift, then the number U of pairs (x, y) with x above y, after
//! taking the shift off x, has a distribution that is known exactly and does not depend on theirs. Sources: H. Mann and
//! D. Whitney, "On a test of whether one of two random variables is stochastically larger than the other", Annals of
//! Mathematical Statistics 18(1), 1947 (the test); J. Hodges and E. Lehmann, "Estimates of location based on rank tests",
//! ibid. 34(2), 1963 (the estimate); the interval is Moses', in M. Hollander, D. Wolfe and E. Chicken, *Nonparametric
//! Statistical Methods*, 3rd ed., Wiley 2014, §4.3.
//!
//! On logarithms of times "the same up to a shift" reads "the same up to a factor". Where the two groups differ in shape
//! as well, the coverage is approximate; with groups of equal size the error is small.

use super::median::{middle, sorted};
use super::sign_test::Interval;

/// Values of a group beyond this number are an error of the caller: the work grows with the cube of it.
pub const LARGEST_GROUP: usize = 100;

/// How far one group is shifted against another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The median of all differences x − y.
    pub estimate: f64,
    /// Where the shift lies; `None` if the groups are too small for the confidence asked for.
    pub interval: Option<Interval>,
}

/// The shift of `xs` against `ys`: the median of all pairwise differences d = x − y (Hodges & Lehmann), and the
/// narrowest interval (d₍ₖ₎, d₍ₘₙ₊₁₋ₖ₎) of them that covers with at least `confidence`.
///
/// Coverage is 1 − 2 P(U ≤ k − 1), exact for distributions that are the same up to the shift. At 95 %:
///
/// | m, n | k of m n differences | coverage |
/// |---|---|---|
/// | 4, 4 | 1 of 16 | 97.1 % |
/// | 6, 6 | 6 of 36 | 95.9 % |
/// | 9, 9 | 18 of 81 | 96.0 % |
/// | 12, 12 | 38 of 144 | 95.5 % |
///
/// `None` if a group is empty, larger than [`LARGEST_GROUP`] or has a value that is not finite.
///
/// # Examples
/// ```
/// let shift = allocmark::stats::shift(&[11.0, 12.0, 13.0, 14.0], &[1.0, 2.0, 3.0, 4.0], 0.95).unwrap();
/// assert_eq!(shift.estimate, 10.0);
/// let interval = shift.interval.unwrap();
/// assert_eq!((interval.low, interval.high), (7.0, 13.0));
/// ```
pub fn shift(xs: &[f64], ys: &[f64], confidence: f64) -> Option<Shift> {
    check_sizes(xs, ys)?;
    let differences: Vec<f64> = xs.iter().flat_map(|x| ys.iter().map(move |y| x - y)).collect();
    let differences = sorted(&differences)?;
    let interval = order_statistic(xs.len(), ys.len(), confidence).map(|(rank, coverage)| Interval {
        low: differences[rank - 1],
        high: differences[differences.len() - rank],
        coverage,
    });
    Some(Shift { estimate: middle(&differences), interval })
}

/// The one-sided p-value of "`xs` is shifted against `ys` by at most `threshold`": P(U ≥ number of pairs with
/// x − y > `threshold`).
///
/// A difference equal to `threshold` counts as not above it, as in [`super::sign_test_greater`]. The smallest p-value
/// that m and n values can give is 1 / C(m + n, m): 1/924 for 6 and 6.
///
/// `None` as for [`shift`], and if `threshold` is not finite.
pub fn rank_sum_greater(xs: &[f64], ys: &[f64], threshold: f64) -> Option<f64> {
    check_sizes(xs, ys)?;
    if !threshold.is_finite() || !xs.iter().chain(ys).all(|value| value.is_finite()) {
        return None;
    }
    let above: usize = xs.iter().map(|x| ys.iter().filter(|&y| x - y > threshold).count()).sum();
    // U is symmetric about m n / 2: the upper tail from `above` is the lower tail up to m n − `above`.
    let lower = xs.len() * ys.len() - above;
    Some(lower_tail(xs.len(), ys.len()).nth(lower).unwrap_or(1.0))
}

fn check_sizes(xs: &[f64], ys: &[f64]) -> Option<()> {
    let fits = |group: &[f64]| (1..=LARGEST_GROUP).contains(&group.len());
    (fits(xs) && fits(ys)).then_some(())
}

/// The largest k whose interval still covers with `confidence`, and its coverage.
fn order_statistic(m: usize, n: usize, confidence: f64) -> Option<(usize, f64)> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    lower_tail(m, n)
        .take((m * n).div_ceil(2))
        .map(|tail| 1.0 - 2.0 * tail)
        .enumerate()
        .take_while(|&(_, coverage)| coverage >= confidence)
        .last()
        .map(|(below, coverage)| (below + 1, coverage))
}

/// P(U ≤ 0), P(U ≤ 1), …, P(U ≤ m n) for two groups of `m` and `n` values.
///
/// The number of orders with U = u is the coefficient of qᵘ in the Gaussian binomial coefficient
/// ∏_{i=1..m} (1 − qⁿ⁺ⁱ) / (1 − qⁱ), built up factor by factor. Each coefficient is computed from those of lower order
/// alone, which are not larger, so the tails lose nothing to rounding.
fn lower_tail(m: usize, n: usize) -> impl Iterator<Item = f64> {
    let mut orders = vec![0.0_f64; m * n + 1];
    orders[0] = 1.0;
    for i in 1..=m {
        for u in (n + i..orders.len()).rev() {
            orders[u] -= orders[u - (n + i)];
        }
        for u in i..orders.len() {
            orders[u] += orders[u - i];
        }
    }
    // The product first: each intermediate result is a whole number.
    let all = (1..=m).fold(1.0, |all, i| all * (n + i) as f64 / i as f64);
    orders.into_iter().scan(0.0, move |sum, count| {
        *sum += count;
        Some((*sum / all).min(1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_of_two_and_two_are_counted() {
        // U = 0, 1, 2, 3, 4 in 1, 1, 2, 1, 1 of 6 orders.
        let tail: Vec<f64> = lower_tail(2, 2).collect();
        assert_eq!(tail, [1.0 / 6.0, 2.0 / 6.0, 4.0 / 6.0, 5.0 / 6.0, 1.0]);
    }

    #[test]
    fn the_distribution_agrees_with_counting_every_order() {
        for (m, n) in [(1, 1), (1, 5), (3, 4), (4, 3), (6, 6)] {
            let mut counts = vec![0_u32; m * n + 1];
            for chosen in 0_u32..1 << (m + n) {
                if chosen.count_ones() as usize == m {
                    // Each x, a set bit, is above the clear bits below it.
                    let u: u32 = (0..m + n)
                        .filter(|bit| chosen >> bit & 1 == 1)
                        .map(|bit| (!chosen & ((1 << bit) - 1)).count_ones())
                        .sum();
                    counts[u as usize] += 1;
                }
            }
            let all = f64::from(counts.iter().sum::<u32>());
            let mut sum = 0.0;
            for (tail, count) in lower_tail(m, n).zip(counts) {
                sum += f64::from(count);
                assert!((tail - sum / all).abs() < 1e-12, "{m} {n}");
            }
        }
    }

    #[test]
    fn intervals_take_the_order_statistics_of_the_table() {
        for (size, rank, coverage) in
            [(4, 1, 0.9714), (5, 3, 0.9683), (6, 6, 0.9589), (9, 18, 0.9600), (12, 38, 0.9551)]
        {
            let (seen, covered) = order_statistic(size, size, 0.95).unwrap();
            assert_eq!(seen, rank, "{size}");
            assert!((covered - coverage).abs() < 5e-5, "{size}: {covered}");
        }
        assert_eq!(order_statistic(3, 3, 0.95), None);
        assert_eq!(order_statistic(3, 4, 0.95), None);
    }

    #[test]
    fn large_groups_agree_with_the_normal_approximation() {
        // m n / 2 − 1.96 √(m n (m + n + 1) / 12) = 5000 − 802.1.
        let (rank, coverage) = order_statistic(100, 100, 0.95).unwrap();
        assert!((4195..=4200).contains(&rank), "{rank}");
        assert!((0.95..0.951).contains(&coverage), "{coverage}");
        assert!((lower_tail(100, 100).last().unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn three_values_a_side_have_a_shift_but_no_interval() {
        let found = shift(&[5.0, 6.0, 7.0], &[1.0, 2.0, 3.0], 0.95).unwrap();
        assert_eq!(found, Shift { estimate: 4.0, interval: None });
    }

    #[test]
    fn six_values_a_side_that_do_not_overlap_give_the_smallest_p_value() {
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        assert_eq!(rank_sum_greater(&high, &low, 0.0), Some(1.0 / 924.0));
        assert_eq!(rank_sum_greater(&low, &high, 0.0), Some(1.0));
        // A difference of exactly 1 is not above 1: 7 − 6.
        assert_eq!(rank_sum_greater(&high, &low, 1.0), Some(2.0 / 924.0));
    }

    #[test]
    fn what_is_not_finite_empty_or_too_large_gives_none() {
        let fine = [1.0, 2.0, 3.0, 4.0];
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(shift(&[bad], &fine, 0.95), None);
            assert_eq!(shift(&fine, &[bad], 0.95), None);
            assert_eq!(rank_sum_greater(&[bad], &fine, 0.0), None);
            assert_eq!(rank_sum_greater(&fine, &fine, bad), None);
        }
        assert_eq!(shift(&[], &fine, 0.95), None);
        assert_eq!(shift(&fine, &[1.0; LARGEST_GROUP + 1], 0.95), None);
        assert_eq!(rank_sum_greater(&[1.0; LARGEST_GROUP + 1], &fine, 0.0), None);
    }
}
