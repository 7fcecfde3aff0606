//! Where the ticks of an axis stand.

/// Round numbers within `low..=high` for a logarithmic axis: 1, 2, 5 × powers of ten, or powers of ten alone when
/// there would be more than `most`.
pub(super) fn logarithmic(low: f64, high: f64, most: usize) -> Vec<f64> {
    if low <= 0.0 || high < low {
        return Vec::new();
    }
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let candidates = |steps: &[f64], every: usize| -> Vec<f64> {
        (first..=last)
            .step_by(every)
            .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
            .filter(|tick| *tick >= low * 0.999 && *tick <= high * 1.001)
            .collect()
    };
    let fine = candidates(&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0], 1);
    if fine.len() < 3 {
        // Less than a doubling: equal steps are nearly equal distances there.
        let step = round_step((high - low) / most.clamp(1, 5) as f64);
        let first = (low / step).ceil() as i64;
        return (first..).map(|n| n as f64 * step).take_while(|tick| *tick <= high).take(most).collect();
    }
    if fine.len() <= most && high / low < 8.0 {
        return fine;
    }
    let medium = candidates(&[1.0, 2.0, 5.0], 1);
    if medium.len() <= most {
        return medium;
    }
    let decades = (last - first + 1) as usize;
    candidates(&[1.0], decades.div_ceil(most.max(1)).max(1))
}

/// Round numbers within `0..=high` for a linear axis, at most about `most`.
pub(super) fn linear(high: f64, most: usize) -> Vec<f64> {
    if high <= 0.0 || !high.is_finite() {
        return vec![0.0];
    }
    let step = round_step(high / most.max(1) as f64);
    (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= high * 1.000_001).collect()
}

/// The smallest 1, 2 or 5 × a power of ten that is at least `raw`.
fn round_step(raw: f64) -> f64 {
    if raw.is_nan() || raw <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * power).find(|step| *step >= raw).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithmic_ticks_are_round_and_few() {
        assert_eq!(logarithmic(3.0, 60.0, 8), [5.0, 10.0, 20.0, 50.0]);
        assert_eq!(logarithmic(1.0, 1e6, 8), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
        assert!(logarithmic(1e-9, 1e12, 8).len() <= 8);
        assert_eq!(logarithmic(1.08, 1.21, 8).len(), 3);
        assert!(logarithmic(0.0, 1.0, 8).is_empty());
    }

    #[test]
    fn linear_ticks_begin_at_zero() {
        assert_eq!(linear(10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear(0.0, 5), [0.0]);
    }
}
