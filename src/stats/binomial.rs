//! The binomial distribution.

/// P(X ≥ `successes`) for X ~ Binomial(`trials`, `probability`):
/// Σ_{i ≥ successes} C(trials, i) pⁱ (1 − p)^{trials − i}.
///
/// Summed term by term, so a small tail keeps its precision (it is not 1 minus a large one). For p = 1/2 and up to 50
/// trials every term is exact.
///
/// `None` if `probability` is not in [0, 1].
///
/// # Examples
/// ```
/// // Six heads in six throws.
/// assert_eq!(allocmark::stats::binomial_upper_tail(6, 6, 0.5), Some(1.0 / 64.0));
/// ```
pub fn binomial_upper_tail(successes: usize, trials: usize, probability: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&probability) {
        return None;
    }
    if successes == 0 {
        return Some(1.0);
    }
    if successes > trials {
        return Some(0.0);
    }
    if probability == 1.0 {
        return Some(1.0);
    }
    let tail: f64 = terms(trials, probability).skip(successes).sum();
    // The sum of rounded terms can exceed 1 by an ulp.
    Some(tail.min(1.0))
}

/// P(X = 0), P(X = 1), …, P(X = trials), for a probability below 1.
fn terms(trials: usize, probability: f64) -> impl Iterator<Item = f64> {
    let odds = probability / (1.0 - probability);
    let first_ln = trials as f64 * (1.0 - probability).ln();
    // exp(−700) is just above the smallest normal number. Beyond that the recurrence would start from 0 and stay
    // there, so it runs on logarithms, where p = 1/2 is no longer exact.
    let direct = first_ln > -700.0;
    let first = if direct { (1.0 - probability).powi(trials as i32) } else { first_ln };
    (0..=trials).scan(first, move |term, index| {
        let current = *term;
        let (up, down) = ((trials - index) as f64, (index + 1) as f64);
        if direct {
            // The product first: C(n, i) × (n − i) is divisible by i + 1, which keeps p = 1/2 exact.
            *term = current * up * odds / down;
            Some(current)
        } else {
            *term = current + (up * odds / down).ln();
            Some(current.exp())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fair_coins_are_counted_exactly() {
        assert_eq!(binomial_upper_tail(5, 6, 0.5), Some(7.0 / 64.0));
        assert_eq!(binomial_upper_tail(8, 9, 0.5), Some(10.0 / 512.0));
        assert_eq!(binomial_upper_tail(10, 12, 0.5), Some(79.0 / 4096.0));
        assert_eq!(binomial_upper_tail(15, 20, 0.5), Some(21_700.0 / 1_048_576.0));
    }

    #[test]
    fn an_unfair_coin_agrees_with_the_sum_by_hand() {
        // 3 × 0.1² × 0.9 + 0.1³ = 0.028.
        let tail = binomial_upper_tail(2, 3, 0.1).unwrap();
        assert!((tail - 0.028).abs() < 1e-15, "{tail}");
        // Five or more false alarms among 300 questions of 0.5 % each: 1 − Σ_{i<5} = 0.018358…
        let by_complement = 1.0
            - (0..5)
                .map(|count| choose(300, count) * 0.005_f64.powi(count) * 0.995_f64.powi(300 - count))
                .sum::<f64>();
        let tail = binomial_upper_tail(5, 300, 0.005).unwrap();
        assert!((tail - by_complement).abs() < 1e-12, "{tail} {by_complement}");
    }

    #[test]
    fn thousands_of_trials_do_not_underflow() {
        // Symmetry: P(X ≥ n/2 + 1) + P(X ≥ n/2) = 1 for even n and a fair coin.
        let sum =
            binomial_upper_tail(5001, 10_000, 0.5).unwrap() + binomial_upper_tail(5000, 10_000, 0.5).unwrap();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn certain_and_impossible_events_have_probability_one_and_zero() {
        assert_eq!(binomial_upper_tail(0, 5, 0.3), Some(1.0));
        assert_eq!(binomial_upper_tail(6, 5, 0.3), Some(0.0));
        assert_eq!(binomial_upper_tail(5, 5, 1.0), Some(1.0));
        assert_eq!(binomial_upper_tail(1, 5, 0.0), Some(0.0));
        assert_eq!(binomial_upper_tail(0, 0, 0.5), Some(1.0));
    }

    #[test]
    fn a_probability_outside_zero_to_one_is_none() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(binomial_upper_tail(1, 2, bad), None, "{bad}");
        }
    }

    fn choose(n: i32, k: i32) -> f64 {
        (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
    }
}
