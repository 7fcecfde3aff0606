//! Ratios and their mean.

/// The geometric mean: exp( (1/n) Σ ln xᵢ ).
///
/// It is the one mean of ratios that does not depend on what they were taken to: dividing all by the same reference
/// divides the mean by it. Source: Fleming & Wallace, "How not to lie with statistics: the correct way to summarize
/// benchmark results", CACM 29(3), 1986.
///
/// `None` if there are no values or one is not positive and finite.
///
/// # Examples
/// ```
/// assert_eq!(allocmark::stats::geometric_mean(&[0.5, 2.0]), Some(1.0));
/// ```
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|&value| is_positive(value)) {
        return None;
    }
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    Some((sum / values.len() as f64).exp())
}

/// ln (a / b), as a difference of logarithms, so that no quotient overflows.
///
/// On this scale "twice as slow" and "half as slow" are equally far from 0, and the median of the logarithms, taken
/// back by `exp`, is the median ratio (for an even number of ratios: the geometric mean of the two middle ones).
///
/// `None` unless both are positive and finite.
pub fn log_ratio(a: f64, b: f64) -> Option<f64> {
    (is_positive(a) && is_positive(b)).then(|| a.ln() - b.ln())
}

/// Whether a logarithm of it means anything. False for NaN.
fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_mean_of_two_and_eight_is_four() {
        let mean = geometric_mean(&[2.0, 8.0]).unwrap();
        assert!((mean - 4.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn the_reference_cancels() {
        let plain = geometric_mean(&[3.0, 5.0, 7.0]).unwrap();
        let divided = geometric_mean(&[3.0 / 11.0, 5.0 / 11.0, 7.0 / 11.0]).unwrap();
        assert!((plain / 11.0 - divided).abs() < 1e-15);
    }

    #[test]
    fn a_ratio_and_its_inverse_are_equally_far_from_equal() {
        assert_eq!(log_ratio(4.0, 2.0).unwrap(), -log_ratio(2.0, 4.0).unwrap());
        assert_eq!(log_ratio(5.0, 5.0), Some(0.0));
        assert!(log_ratio(f64::MAX, f64::MIN_POSITIVE).unwrap().is_finite());
    }

    #[test]
    fn zero_negative_and_not_finite_values_have_no_ratio() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(log_ratio(bad, 1.0), None, "{bad}");
            assert_eq!(log_ratio(1.0, bad), None, "{bad}");
            assert_eq!(geometric_mean(&[1.0, bad]), None, "{bad}");
        }
        assert_eq!(geometric_mean(&[]), None);
    }
}
