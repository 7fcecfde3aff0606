//! Correction for asking many questions at once.

/// Holm's step-down correction: p-values that may be compared with α as they are, such that the probability of one or
/// more false findings among all questions is at most α, however the questions depend on each other.
///
/// With p₍₁₎ ≤ … ≤ p₍ₘ₎ the corrected values are max_{j ≤ i} min(1, (m + 1 − j) p₍ⱼ₎). Source: S. Holm, "A simple
/// sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979. It finds everything
/// that Bonferroni's correction finds and assumes no more.
///
/// The result is in the order of the input. `None` if a p-value is not in [0, 1]; no questions have no answers, `[]`.
///
/// # Examples
/// ```
/// assert_eq!(allocmark::stats::holm(&[0.25, 0.0625, 0.5]), Some(vec![0.5, 0.1875, 0.5]));
/// ```
pub fn holm(p_values: &[f64]) -> Option<Vec<f64>> {
    if !p_values.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (smaller, index) in order.into_iter().enumerate() {
        let factor = (p_values.len() - smaller) as f64;
        largest = largest.max((factor * p_values[index]).min(1.0));
        corrected[index] = largest;
    }
    Some(corrected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_needs_no_correction() {
        assert_eq!(holm(&[0.03]), Some(vec![0.03]));
        assert_eq!(holm(&[]), Some(vec![]));
    }

    #[test]
    fn the_smallest_is_multiplied_by_the_number_of_questions() {
        // 4 × 1/256, 3 × 1/64, 2 × 1/4, 1 × 3/4.
        assert_eq!(
            holm(&[0.75, 1.0 / 256.0, 0.25, 1.0 / 64.0]),
            Some(vec![0.75, 4.0 / 256.0, 0.5, 3.0 / 64.0])
        );
    }

    #[test]
    fn a_larger_p_value_never_gets_the_smaller_correction() {
        // 2 × 0.25 = 0.5 holds for the second too, though 1 × 0.375 is less.
        assert_eq!(holm(&[0.375, 0.25]), Some(vec![0.5, 0.5]));
    }

    #[test]
    fn nothing_exceeds_one() {
        assert_eq!(holm(&[0.5, 0.75, 1.0]), Some(vec![1.0, 1.0, 1.0]));
    }

    #[test]
    fn what_is_no_p_value_gives_none() {
        for bad in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            assert_eq!(holm(&[0.5, bad]), None, "{bad}");
        }
    }
}
