//! What a recording says: percentiles, stalls, and the distribution itself.

use super::counter::Resolution;
use super::steps::Recording;
use crate::harness::findings::{Findings, Latency};
use crate::harness::metric::Metric;

/// The percentiles, each as the number of steps among which one may take longer.
const PERCENTILES: [(Metric, u64); 5] = [
    (Metric::LatencyP50, 2),
    (Metric::LatencyP90, 10),
    (Metric::LatencyP99, 100),
    (Metric::LatencyP999, 1_000),
    (Metric::LatencyP9999, 10_000),
];

/// Steps that must lie above a percentile: it moves by its own share for each step that is there or not, and with fewer
/// than ten one of the machine's own interruptions would be a tenth of what decides it.
const LEAST_ABOVE: u64 = 10;

/// Quanta that a percentile must have: below five, one quantum more or less is more than a fifth of the number.
const LEAST_QUANTA: f64 = 5.0;

/// Time per step over whole passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PerStep {
    /// Without the probe, nanoseconds.
    pub(super) plain_ns: f64,
    /// With it, nanoseconds.
    pub(super) probed_ns: f64,
}

/// The findings of a recording that has steps.
///
/// A percentile that is too short for the counter, or that too few steps lie above, is left out.
pub(super) fn findings(recording: &Recording, resolution: Resolution, time: PerStep) -> Findings {
    let (steps, buckets) = (recording.steps(), recording.buckets());
    let in_a_million = |count: u64| count as f64 * 1e6 / steps as f64;
    let percentiles = PERCENTILES.into_iter().filter_map(|(metric, one_in)| {
        let ns = percentile(&buckets, one_in)? as f64;
        (ns >= LEAST_QUANTA * resolution.quantum_ns).then_some((metric, ns))
    });
    let stalls = [
        (Metric::Stalls1us, in_a_million(recording.stalls_1us())),
        (Metric::Stalls10us, in_a_million(recording.stalls_10us())),
    ];
    Findings {
        metrics: percentiles.chain(stalls).collect(),
        memory: None,
        latency: Some(Latency {
            quantum_ns: resolution.quantum_ns,
            cost_ns: resolution.cost_ns,
            plain_ns: time.plain_ns,
            probed_ns: time.probed_ns,
            steps,
            max_ns: recording.max_ns(),
            buckets,
        }),
    }
}

/// The smallest bound of a bucket such that all steps but one in `one_in` lie at or below it: the share
/// 1 - 1 / `one_in` of them at least. `None` if there are fewer than ten such steps that may lie above.
fn percentile(buckets: &[(u64, u64)], one_in: u64) -> Option<u64> {
    let steps: u64 = buckets.iter().map(|(_, count)| count).sum();
    let above = steps / one_in;
    if above < LEAST_ABOVE {
        return None;
    }
    let mut at_or_below = 0;
    for &(bound, count) in buckets {
        at_or_below += count;
        if at_or_below >= steps - above {
            return Some(bound);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Resolution = Resolution { quantum_ns: 10.0, cost_ns: 8.5 };
    const TIME: PerStep = PerStep { plain_ns: 40.0, probed_ns: 70.0 };

    /// So many steps of so many nanoseconds each.
    fn recording(steps: &[(u64, u64)]) -> Recording {
        let mut recording = Recording::new();
        for &(ns, count) in steps {
            for _ in 0..count {
                recording.add(ns);
            }
        }
        recording
    }

    fn metrics(steps: &[(u64, u64)]) -> Vec<(Metric, f64)> {
        findings(&recording(steps), FINE, TIME).metrics.into_iter().collect()
    }

    #[test]
    fn a_percentile_is_the_smallest_bound_that_enough_steps_lie_at_or_below() {
        // Of 100 steps, 50 at or below: 50. One step less there, and it is the next bucket.
        assert_eq!(percentile(&[(50, 50), (60, 50)], 2), Some(50));
        assert_eq!(percentile(&[(50, 49), (60, 51)], 2), Some(60));
        assert_eq!(percentile(&[(50, 90), (60, 10)], 10), Some(50));
        assert_eq!(percentile(&[(50, 89), (60, 11)], 10), Some(60));
        // An odd number: 51 of 101 are at least half.
        assert_eq!(percentile(&[(50, 51), (60, 50)], 2), Some(50));
        assert_eq!(percentile(&[(50, 50), (60, 51)], 2), Some(60));
    }

    #[test]
    fn a_percentile_needs_ten_steps_above_it() {
        assert_eq!(percentile(&[(50, 99_999)], 10_000), None);
        assert_eq!(percentile(&[(50, 100_000)], 10_000), Some(50));
        assert_eq!(percentile(&[(50, 19)], 2), None);
        assert_eq!(percentile(&[], 2), None);
    }

    #[test]
    fn the_tail_decides_the_high_percentiles_exactly() {
        // Of 100 000 steps: half at 60 ns, 40 % at 100 ns, then 9 %, 0.9 %, 0.09 % and 0.01 %.
        let steps = [(60, 50_000), (100, 40_000), (200, 9_000), (240, 900), (2_000, 90), (50_000, 10)];
        let bound = |ns| recording(&[(ns, 1)]).buckets()[0].0 as f64;
        assert_eq!(
            metrics(&steps),
            [
                (Metric::LatencyP50, 60.0),
                (Metric::LatencyP90, 100.0),
                (Metric::LatencyP99, 200.0),
                (Metric::LatencyP999, 240.0),
                (Metric::LatencyP9999, bound(2_000)),
                (Metric::Stalls1us, 1_000.0),
                (Metric::Stalls10us, 100.0),
            ]
        );
    }

    #[test]
    fn what_is_below_five_quanta_is_left_out() {
        assert_eq!(
            metrics(&[(49, 95), (50, 105)]),
            [
                (Metric::LatencyP50, 50.0),
                (Metric::LatencyP90, 50.0),
                (Metric::Stalls1us, 0.0),
                (Metric::Stalls10us, 0.0),
            ]
        );
        assert_eq!(metrics(&[(49, 105), (50, 95)])[0], (Metric::LatencyP90, 50.0));
    }

    #[test]
    fn the_buckets_hold_every_step_once_in_ascending_order() {
        let spread: Vec<(u64, u64)> = (0..2_000).map(|at| (at * at * 400, 1 + at % 3)).collect();
        let steps: u64 = spread.iter().map(|(_, count)| count).sum();
        let latency = findings(&recording(&spread), FINE, TIME).latency.unwrap();
        assert_eq!(latency.buckets.iter().map(|(_, count)| count).sum::<u64>(), steps);
        assert_eq!((latency.steps, latency.max_ns), (steps, 1_999 * 1_999 * 400));
        assert!(latency.buckets.is_sorted_by(|(first, _), (second, _)| first < second));
        assert!(latency.buckets.iter().all(|(_, count)| *count > 0));
    }
}
