//! Percentiles from buckets, and which of them say something.

use super::numbers;
use crate::results::metric::Metric;
use crate::results::record::{Cell, Latency, Measured};
use crate::units::{TimeUnit, decimals_for};

/// The percentiles that tables show: the share of steps, its name, and its metric.
pub(crate) const SHOWN: [(f64, &str, Metric); 5] = [
    (0.5, "p50", Metric::LatencyP50),
    (0.9, "p90", Metric::LatencyP90),
    (0.99, "p99", Metric::LatencyP99),
    (0.999, "p99.9", Metric::LatencyP999),
    (0.9999, "p99.99", Metric::LatencyP9999),
];

/// What is shorter than this many of the counter's quanta is not told from other such times.
const QUANTA: f64 = 5.0;

/// A curve ends where fewer steps than this lie beyond it: single steps make no percentile.
const FEWEST_BEYOND: f64 = 10.0;

/// Points on a curve for each tenfold of what it leaves: as close as plots can show.
const POINTS_A_TENFOLD: f64 = 16.0;

/// The shortest time that the counter tells from shorter ones, nanoseconds.
pub(crate) fn resolution_ns(latency: &Latency) -> f64 {
    latency.quantum_ns * QUANTA
}

/// The time that `share` of all steps took at most, nanoseconds: the bound of the bucket in which that step is.
pub(crate) fn quantile_ns(latency: &Latency, share: f64) -> Option<f64> {
    let steps: u64 = latency.buckets.iter().map(|(_, steps)| steps).sum();
    let wanted = share * steps as f64;
    let mut seen = 0;
    for (bound, steps) in &latency.buckets {
        seen += steps;
        // The tolerance is for products such as 0.9 × 10, which is a little above 9.
        if seen as f64 >= wanted * (1.0 - 1e-12) {
            return Some(*bound as f64);
        }
    }
    None
}

/// The curve from the median on: shares with their times in nanoseconds, [`SHOWN`] among them, up to where fewer
/// than ten steps lie beyond.
pub(crate) fn curve(latency: &Latency) -> Vec<(f64, f64)> {
    let steps: u64 = latency.buckets.iter().map(|(_, steps)| steps).sum();
    let least = FEWEST_BEYOND / steps as f64;
    let even = (0..).map(|n| 1.0 - 0.5 * 10f64.powf(-f64::from(n) / POINTS_A_TENFOLD));
    let mut shares: Vec<f64> = even.take_while(|share| 1.0 - share >= least).collect();
    shares.extend(SHOWN.iter().map(|(share, ..)| *share).filter(|share| 1.0 - share >= least * (1.0 - 1e-9)));
    shares.sort_by(f64::total_cmp);
    shares.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
    shares.into_iter().filter_map(|share| Some((share, quantile_ns(latency, share)?))).collect()
}

/// A percentile, or why there is none.
pub(crate) enum Percentile<'c> {
    /// With the counter's quantum, nanoseconds, where it is known.
    Measured(&'c Measured, Option<f64>),
    /// Shorter than this, nanoseconds, which is the shortest that the counter tells.
    Below(f64),
    /// Below resolution in some rounds and above it in others, so it has no median over rounds. All rounds together
    /// took at most this, nanoseconds.
    BelowInSome(f64),
    /// So far out that too few steps of a round lie beyond it.
    TooFew,
}

impl<'c> Percentile<'c> {
    /// The one that `share` of the steps of `cell` stayed within, which is called `metric`. `None` if its latency was
    /// not measured. The metric is there only if each of the `rounds`, alone, has it.
    pub(crate) fn of(cell: &'c Cell, share: f64, metric: Metric, rounds: u32) -> Option<Self> {
        if let Some(measured) = cell.metrics.get(&metric) {
            return Some(Self::Measured(measured, cell.latency.as_ref().map(|it| it.quantum_ns)));
        }
        let latency = cell.latency.as_ref()?;
        let steps: u64 = latency.buckets.iter().map(|(_, steps)| steps).sum();
        let of_a_round = steps as f64 / f64::from(rounds.max(1));
        let time = quantile_ns(latency, share);
        let Some(time) = time.filter(|_| of_a_round * (1.0 - share) >= FEWEST_BEYOND * (1.0 - 1e-9)) else {
            return Some(Self::TooFew);
        };
        let resolution = resolution_ns(latency);
        Some(if time < resolution { Self::Below(resolution) } else { Self::BelowInSome(time) })
    }

    /// Its time in `unit`, or the reason that there is none.
    pub(crate) fn text(&self, unit: TimeUnit) -> String {
        match self {
            Self::Measured(measured, quantum_ns) => {
                numbers::stepped(measured.value, quantum_ns.unwrap_or(0.0), unit)
            }
            Self::Below(limit) => format!("< {}", bound(*limit, unit)),
            Self::BelowInSome(limit) => format!("≤ {}", bound(*limit, unit)),
            Self::TooFew => "too few steps".to_owned(),
        }
    }
}

/// A limit in `unit`, two digits of it.
fn bound(ns: f64, unit: TimeUnit) -> String {
    let limit = ns / unit.in_ns();
    let text = format!("{limit:.*}", decimals_for(limit, 2));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::results::record::{Params, Place};

    fn latency(buckets: &[(u64, u64)]) -> Latency {
        Latency {
            quantum_ns: 10.0,
            cost_ns: 12.0,
            plain_ns: 20.0,
            probed_ns: 40.0,
            steps: buckets.iter().map(|(_, steps)| steps).sum(),
            max_ns: buckets.last().map_or(0, |(bound, _)| *bound),
            buckets: buckets.to_vec(),
        }
    }

    fn cell(metrics: &[(Metric, f64)], latency: Option<Latency>) -> Cell {
        let measured = |value| Measured { value, interval: None, replicates: vec![value] };
        Cell {
            place: Place { workload: "w".into(), params: Params::default(), allocator: "a".into() },
            served_by: None,
            metrics: metrics
                .iter()
                .map(|(metric, value)| (*metric, measured(*value)))
                .collect::<BTreeMap<_, _>>(),
            memory: None,
            latency,
        }
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let found = latency(&[(20, 5), (30, 4), (1000, 1)]);
        let at = |share| quantile_ns(&found, share);
        assert_eq!(
            [at(0.5), at(0.51), at(0.9), at(0.91), at(1.0)],
            [20.0, 30.0, 30.0, 1000.0, 1000.0].map(Some)
        );
        assert_eq!(quantile_ns(&latency(&[]), 0.5), None);
    }

    #[test]
    fn a_curve_ends_where_ten_steps_lie_beyond() {
        let curve = curve(&latency(&[(40, 900), (90, 90), (5000, 10)]));
        assert_eq!(curve.first(), Some(&(0.5, 40.0)));
        let (last, time) = curve[curve.len() - 1];
        assert!((last - 0.99).abs() < 1e-9, "{last}");
        assert_eq!(time, 90.0);
        assert!(curve.contains(&(0.9, 40.0)));
    }

    #[test]
    fn few_steps_or_one_bucket_make_a_short_or_a_flat_curve() {
        assert!(curve(&latency(&[(40, 3)])).is_empty());
        assert!(curve(&latency(&[])).is_empty());
        assert!(curve(&latency(&[(40, 1_000_000)])).iter().all(|(_, time)| *time == 40.0));
    }

    #[test]
    fn a_percentile_without_a_number_says_why() {
        let ns = TimeUnit::Nanoseconds;
        let p99 =
            |cell: &Cell, unit| Percentile::of(cell, 0.99, Metric::LatencyP99, 2).map(|it| it.text(unit));
        assert_eq!(p99(&cell(&[(Metric::LatencyP99, 63.4)], None), ns).as_deref(), Some("63.4"));
        let stepped = cell(&[(Metric::LatencyP99, 63.4)], Some(latency(&[(70, 1000)])));
        assert_eq!(p99(&stepped, ns).as_deref(), Some("63"));
        let fast = cell(&[], Some(latency(&[(30, 2000)])));
        assert_eq!(p99(&fast, ns).as_deref(), Some("< 50"));
        assert_eq!(p99(&fast, TimeUnit::Microseconds).as_deref(), Some("< 0.05"));
        // Enough for both rounds together, too few for each.
        for few in [latency(&[(30, 1999)]), latency(&[(30, 10), (900, 1989)])] {
            assert_eq!(p99(&cell(&[], Some(few)), ns).as_deref(), Some("too few steps"));
        }
        let mixed = cell(&[], Some(latency(&[(30, 1900), (61, 100)])));
        assert_eq!(p99(&mixed, ns).as_deref(), Some("≤ 61"));
        assert_eq!(p99(&cell(&[], None), ns), None);
    }
}
