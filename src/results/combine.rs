//! What the processes of one cell found, round by round, made into the cell's numbers.

use std::collections::BTreeMap;

use super::metric::Metric;
use super::record::{Latency, Measured};
use crate::harness::findings::Findings;
use crate::stats;

/// The probability with which an interval covers the true median, at least.
const CONFIDENCE: f64 = 0.95;

/// Every metric that all rounds have, with one replicate for each.
///
/// A percentile that was below resolution in one round and above it in others is left out: the replicates of two
/// allocators belong together by their index, which is the round.
pub(super) fn metrics<'f>(rounds: impl Iterator<Item = &'f Findings> + Clone) -> BTreeMap<Metric, Measured> {
    let of = |metric: Metric| -> Option<Vec<f64>> {
        rounds.clone().map(|findings| findings.metrics.get(&metric).copied()).collect()
    };
    Metric::ALL
        .into_iter()
        .filter_map(|metric| Some((metric, measured(of(metric).filter(|values| !values.is_empty())?))))
        .collect()
}

/// Median and sign-test interval of one value a round.
pub(super) fn measured(replicates: Vec<f64>) -> Measured {
    let value = stats::median(&replicates).expect("there is at least one round, and values are finite");
    let interval =
        stats::sign_test_interval(&replicates, CONFIDENCE).map(|interval| (interval.low, interval.high));
    Measured { value, interval, replicates }
}

/// The histograms of all rounds as one; `None` if there is none.
pub(super) fn latency<'f>(rounds: impl Iterator<Item = &'f Latency>) -> Option<Latency> {
    let all: Vec<&Latency> = rounds.collect();
    let median = |of: fn(&Latency) -> f64| stats::median(&all.iter().map(|it| of(it)).collect::<Vec<f64>>());
    let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
    for (bound, steps) in all.iter().flat_map(|latency| &latency.buckets) {
        *buckets.entry(*bound).or_default() += steps;
    }
    Some(Latency {
        // The coarsest counter decides what can be shown.
        quantum_ns: all.iter().map(|latency| latency.quantum_ns).fold(0.0, f64::max),
        cost_ns: median(|latency| latency.cost_ns)?,
        plain_ns: median(|latency| latency.plain_ns)?,
        probed_ns: median(|latency| latency.probed_ns)?,
        steps: all.iter().map(|latency| latency.steps).sum(),
        max_ns: all.iter().map(|latency| latency.max_ns).max()?,
        buckets: buckets.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[(Metric, f64)]) -> Findings {
        Findings { metrics: values.iter().copied().collect(), ..Findings::default() }
    }

    #[test]
    fn a_metric_has_one_replicate_for_each_round() {
        let rounds: Vec<Findings> = [3.0, 1.0, 2.0].map(|time| found(&[(Metric::Time, time)])).into();
        let metrics = metrics(rounds.iter());
        assert_eq!(metrics.len(), 1);
        let time = &metrics[&Metric::Time];
        assert_eq!(
            (time.value, time.interval, time.replicates.as_slice()),
            (2.0, None, [3.0, 1.0, 2.0].as_slice())
        );
    }

    #[test]
    fn a_metric_that_one_round_lacks_is_left_out() {
        let rounds = [
            found(&[(Metric::LatencyP50, 60.0), (Metric::LatencyP99, 90.0)]),
            found(&[(Metric::LatencyP99, 80.0)]),
        ];
        assert_eq!(metrics(rounds.iter()).into_keys().collect::<Vec<_>>(), [Metric::LatencyP99]);
        assert!(metrics([].iter()).is_empty());
    }

    #[test]
    fn histograms_add_up() {
        let one = |quantum_ns: f64, buckets: &[(u64, u64)], max_ns: u64| Latency {
            quantum_ns,
            cost_ns: quantum_ns * 2.0,
            plain_ns: 10.0,
            probed_ns: 40.0,
            steps: buckets.iter().map(|(_, steps)| steps).sum(),
            max_ns,
            buckets: buckets.to_vec(),
        };
        let rounds = [one(10.0, &[(50, 3), (70, 1)], 70), one(12.0, &[(50, 2), (60, 1)], 60)];
        let all = latency(rounds.iter()).unwrap();
        assert_eq!(all.buckets, [(50, 5), (60, 1), (70, 1)]);
        assert_eq!((all.steps, all.max_ns, all.quantum_ns, all.cost_ns), (7, 70, 12.0, 22.0));
        assert_eq!(latency([].iter()), None);
    }
}
