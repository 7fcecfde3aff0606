//! A verdict on a change, and the evidence for it.
//!
//! One question for each cell and metric: did it get worse by more than a floor? The null hypothesis is that the ratio
//! of head to base is at most 1 + floor (for metrics of which more is better: at least 1 / (1 + floor)). This file
//! *screens*; [`super::confirm`] decides on fresh measurements.

use super::metric::{Direction, Metric, Noise};
use super::ranking::CONFIDENCE;
use super::record::Measured;
use crate::stats::rank_sum::LARGEST_GROUP;
use crate::stats::{self, Interval, rank_sum_greater, sign_test_greater, sign_test_interval};

/// What is said about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Worse in a gate's fresh measurements too, corrected for the number of questions; or worse in an exact metric.
    Regressed,
    /// The interval lies beyond the floor on the worse side: worth fresh measurements. Of 100 unchanged cells a
    /// few can look like this by chance.
    Suspected,
    /// The interval lies beyond the floor on the better side.
    Improved,
    /// The interval lies inside the floor on both sides: a change, if any, is smaller than the floor.
    Unchanged,
    /// The measurements do not say. Not the same as unchanged.
    Inconclusive,
}

impl Verdict {
    /// Every verdict, the worst first.
    pub const ALL: [Self; 5] =
        [Self::Regressed, Self::Suspected, Self::Improved, Self::Unchanged, Self::Inconclusive];

    /// The word for it.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Suspected => "suspected",
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// How large a change must be to matter. It must exceed both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// As a share of the base: 0.03 is 3 %.
    pub relative: f64,
    /// In the metric's unit.
    pub absolute: f64,
}

impl Floor {
    /// Time, in ns: medians of two runs of the same code were seen to differ by up to 3 %; a quarter of a nanosecond is
    /// one cycle at 4 GHz, and code placement alone moves a loop by that.
    pub const TIME: Self = Self { relative: 0.03, absolute: 0.25 };
    /// Memory, in bytes: resident memory comes in pages and in the allocator's chunks, so small amounts jump.
    pub const MEMORY: Self = Self { relative: 0.05, absolute: 1_048_576.0 };
    /// Instructions: repeat exactly or within 2 in a million, so 1 in a thousand is a change.
    pub const INSTRUCTIONS: Self = Self { relative: 0.001, absolute: 0.0 };
    /// Counts of fixed work on one thread: one allocation more is one more.
    pub const EXACT: Self = Self { relative: 0.0, absolute: 0.0 };
    /// Otherwise exact counts of cells with more than one thread: who comes first at a shared structure varies.
    pub const THREADED: Self = Self { relative: 0.05, absolute: 0.0 };

    /// Percentiles of latency, in ns: tails repeat within a tenth at best, and counters step by ten nanoseconds.
    pub const LATENCY: Self = Self { relative: 0.10, absolute: 20.0 };
    /// Stalls, in a million steps: a machine that does other things as well makes some of its own.
    pub const STALLS: Self = Self { relative: 0.10, absolute: 10.0 };
    /// Usable to requested bytes: what a best-fit allocator hands out for a request depends a little on what lies free.
    pub const USABLE: Self = Self { relative: 0.005, absolute: 0.0 };
    /// A quotient of memory and memory.
    pub const BLOW_UP: Self = Self { relative: 0.05, absolute: 0.0 };
    /// Page faults and context switches: the process itself, beside the work, has some dozens.
    pub const EVENTS: Self = Self { relative: 0.05, absolute: 100.0 };
    /// CPU time of fixed work, in ns: kernels that count it by the tick step by up to ten milliseconds.
    pub const CPU: Self = Self { relative: 0.05, absolute: 1e7 };

    /// The floor of `metric`.
    pub const fn of(metric: Metric) -> Self {
        match metric {
            Metric::Time => Self::TIME,
            Metric::LatencyP50
            | Metric::LatencyP90
            | Metric::LatencyP99
            | Metric::LatencyP999
            | Metric::LatencyP9999 => Self::LATENCY,
            Metric::Stalls1us | Metric::Stalls10us => Self::STALLS,
            Metric::PeakRss
            | Metric::RetainedRss
            | Metric::RetainedLazyFree
            | Metric::RetainedRssIdle
            | Metric::RetainedRssLight
            | Metric::RetainedRssPurged => Self::MEMORY,
            Metric::BlowUp => Self::BLOW_UP,
            Metric::PageFaults | Metric::ContextSwitches => Self::EVENTS,
            Metric::CpuUser | Metric::CpuSystem => Self::CPU,
            Metric::Instructions => Self::INSTRUCTIONS,
            Metric::UsableRatio => Self::USABLE,
            Metric::Allocations
            | Metric::Frees
            | Metric::Reallocations
            | Metric::AllocatedBytes
            | Metric::PeakLive => Self::EXACT,
        }
    }

    /// Raised to twice `spread`, by how much the ratio of the same code to itself was off in this cell.
    #[must_use]
    pub fn at_least_twice(self, spread: f64) -> Self {
        // `max` ignores NaN: an unusable spread raises nothing.
        Self { relative: self.relative.max(2.0 * spread), absolute: self.absolute }
    }
}

/// What is asked about a cell's metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// Which way is better.
    pub direction: Direction,
    /// Whether the same code gives the same number.
    pub noise: Noise,
    /// How large a change must be to matter.
    pub floor: Floor,
}

impl Question {
    /// What to ask about `metric` in a cell that runs `threads` threads and whose A/A control was off by `spread`
    /// (see [`Floor::at_least_twice`]; applies to time alone).
    pub fn about(metric: Metric, threads: u64, spread: Option<f64>) -> Self {
        let (noise, floor) = match (metric.noise(), threads) {
            (Noise::Exact, 2..) => (Noise::Noisy, Floor::THREADED),
            (noise, _) => (noise, Floor::of(metric)),
        };
        let floor = match spread {
            Some(spread) if metric == Metric::Time => floor.at_least_twice(spread),
            _ => floor,
        };
        Self { direction: metric.direction(), noise, floor }
    }
}

/// How the rounds of base and head belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Round i of base and round i of head were measured next to each other: a gate.
    Paired,
    /// They were measured at different times: two stored records.
    Unpaired,
}

/// On which scale a change is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// head / base: no change is 1.
    Ratio,
    /// head − base, in the metric's unit, where a value of 0 or less leaves no ratio: no change is 0.
    Difference,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// How many rounds of base were used.
    pub base_rounds: usize,
    /// How many rounds of head were used.
    pub head_rounds: usize,
    /// What `estimate` and `interval` are.
    pub scale: Scale,
    /// The change.
    pub estimate: f64,
    /// Where the change lies with at least 95 % confidence; `None` for exact metrics and where there are too few rounds.
    pub interval: Option<(f64, f64)>,
    /// The exact coverage of `interval`.
    pub coverage: Option<f64>,
    /// What the change had to exceed: on the ratio scale as a share (0.03 asks for a ratio above 1.03, or below
    /// 1 / 1.03), on the difference scale in the metric's unit.
    pub floor: f64,
    /// One-sided p-value of "not worse by more than the floor"; `None` for exact metrics.
    pub p: Option<f64>,
    /// Whether every round of head lies beyond every round of base, by more than the floor.
    pub apart: bool,
}

impl Evidence {
    /// Whether a few more rounds may well decide: there were too few for an interval, but those there are lie apart.
    pub fn lacks_rounds_alone(&self) -> bool {
        // An exact metric has neither an interval nor a p-value, and needs none.
        self.interval.is_none() && self.p.is_some() && self.apart
    }
}

/// A verdict with its evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What is said.
    pub verdict: Verdict,
    /// What it rests on.
    pub evidence: Evidence,
}

/// Screens one metric of one cell. Never answers [`Verdict::Regressed`] for a noisy metric: that takes fresh
/// measurements.
///
/// Noisy metrics are compared as logarithms. Paired rounds: median of the within-round differences and the sign test's
/// interval ([`sign_test_interval`]; 96.9 % for 6). Unpaired rounds: the Hodges–Lehmann estimate and Moses' interval
/// ([`stats::shift`]; 95.9 % for 6 and 6). The latter needs both sides to vary alike, which the sign test does not; the
/// alternative without that need, dividing the ends of the two sides' own intervals, was not chosen because it
/// finds little: at 6 rounds it spans from the lowest head over the highest base to the highest over the lowest.
///
/// Where a value is not positive (no page fault, no memory retained), differences take the place of logarithms and
/// the absolute floor alone applies. Exact metrics are compared by their values: no interval, no p-value.
///
/// If one side has no usable value (none at all, or one that is not finite) there is nothing to judge: `None`. Paired
/// rounds whose numbers differ are treated as unpaired. Beyond 100 rounds a side, the first 100 are used.
pub fn screen(question: &Question, base: &Measured, head: &Measured, rounds: Rounds) -> Option<Judgement> {
    let (base_values, head_values) = (values(base), values(head));
    if !base.value.is_finite() || !head.value.is_finite() {
        return None;
    }
    let positive = |values: &[f64], value: f64| value > 0.0 && values.iter().all(|&value| value > 0.0);
    let scale = if positive(base_values, base.value) && positive(head_values, head.value) {
        Scale::Ratio
    } else {
        Scale::Difference
    };
    let floor = match scale {
        Scale::Ratio => question.floor.relative.max(question.floor.absolute / base.value),
        Scale::Difference => question.floor.absolute,
    };
    let ruler = Ruler { scale, direction: question.direction };
    let margin = ruler.margin(floor);
    let mut evidence = Evidence {
        base_rounds: base_values.len(),
        head_rounds: head_values.len(),
        scale,
        estimate: 0.0,
        interval: None,
        coverage: None,
        floor,
        p: None,
        apart: false,
    };
    let verdict = match question.noise {
        Noise::Exact => {
            let worse = ruler.worse(head.value) - ruler.worse(base.value);
            evidence.estimate = ruler.back(worse);
            exact_verdict(worse, margin)
        }
        Noise::Noisy => {
            let on_ruler =
                |values: &[f64]| values.iter().map(|&value| ruler.worse(value)).collect::<Vec<_>>();
            let (base, head) = (on_ruler(base_values), on_ruler(head_values));
            let found = match rounds {
                Rounds::Paired if base.len() == head.len() => paired(&base, &head, margin)?,
                _ => unpaired(&base, &head, margin)?,
            };
            evidence.estimate = ruler.back(found.estimate);
            evidence.interval = found.interval.map(|interval| ruler.interval_back(&interval));
            evidence.coverage = found.interval.map(|interval| interval.coverage);
            evidence.p = Some(found.p);
            evidence.apart = lie_apart(&base, &head, margin);
            found.interval.map_or(Verdict::Inconclusive, |interval| noisy_verdict(&interval, margin))
        }
    };
    Some(Judgement { verdict, evidence })
}

/// The replicates, or the one value where there are none.
fn values(measured: &Measured) -> &[f64] {
    let values = if measured.replicates.is_empty() {
        std::slice::from_ref(&measured.value)
    } else {
        &measured.replicates
    };
    &values[..values.len().min(LARGEST_GROUP)]
}

/// What the statistics of one comparison give, on the scale on which larger is worse.
struct Found {
    estimate: f64,
    interval: Option<Interval>,
    p: f64,
}

/// Whether all of one side lie above all of the other, by more than `margin`.
fn lie_apart(base: &[f64], head: &[f64], margin: f64) -> bool {
    let least = |side: &[f64]| side.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |side: &[f64]| side.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    least(head) - most(base) > margin || least(base) - most(head) > margin
}

fn paired(base: &[f64], head: &[f64], margin: f64) -> Option<Found> {
    let worse: Vec<f64> = head.iter().zip(base).map(|(head, base)| head - base).collect();
    Some(Found {
        estimate: stats::median(&worse)?,
        interval: sign_test_interval(&worse, CONFIDENCE),
        p: sign_test_greater(&worse, margin)?,
    })
}

fn unpaired(base: &[f64], head: &[f64], margin: f64) -> Option<Found> {
    let shift = stats::shift(head, base, CONFIDENCE)?;
    Some(Found {
        estimate: shift.estimate,
        interval: shift.interval,
        p: rank_sum_greater(head, base, margin)?,
    })
}

fn noisy_verdict(interval: &Interval, margin: f64) -> Verdict {
    if interval.low > margin {
        Verdict::Suspected
    } else if interval.high < -margin {
        Verdict::Improved
    } else if interval.low >= -margin && interval.high <= margin {
        Verdict::Unchanged
    } else {
        Verdict::Inconclusive
    }
}

fn exact_verdict(worse: f64, margin: f64) -> Verdict {
    if worse > margin {
        Verdict::Regressed
    } else if worse < -margin {
        Verdict::Improved
    } else {
        Verdict::Unchanged
    }
}

/// Turns values into numbers of which larger is worse and whose differences measure change, and changes back.
pub(super) struct Ruler {
    pub(super) scale: Scale,
    pub(super) direction: Direction,
}

impl Ruler {
    pub(super) fn worse(&self, value: f64) -> f64 {
        self.signed(match self.scale {
            Scale::Ratio => value.ln(),
            Scale::Difference => value,
        })
    }

    pub(super) fn margin(&self, floor: f64) -> f64 {
        match self.scale {
            Scale::Ratio => floor.ln_1p(),
            Scale::Difference => floor,
        }
    }

    /// A change as the reader sees it: head / base or head − base, whichever way is better.
    pub(super) fn back(&self, worse: f64) -> f64 {
        let change = self.signed(worse);
        match self.scale {
            Scale::Ratio => change.exp(),
            Scale::Difference => change,
        }
    }

    pub(super) fn interval_back(&self, interval: &Interval) -> (f64, f64) {
        let (one, other) = (self.back(interval.low), self.back(interval.high));
        (one.min(other), one.max(other))
    }

    fn signed(&self, number: f64) -> f64 {
        match self.direction {
            Direction::Lower => number,
            Direction::Higher => -number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{assert_close, measured};

    const TIME: Question = Question { direction: Direction::Lower, noise: Noise::Noisy, floor: Floor::TIME };
    const BASE: [f64; 6] = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0];

    fn screened(question: &Question, base: &[f64], head: &[f64], rounds: Rounds) -> Judgement {
        screen(question, &measured(base), &measured(head), rounds).unwrap()
    }

    #[test]
    fn ten_percent_slower_in_each_pair_is_suspected() {
        let found = screened(&TIME, &BASE, &BASE.map(|time| time * 1.1), Rounds::Paired);
        assert_eq!(found.verdict, Verdict::Suspected);
        assert_close(found.evidence.estimate, 1.1);
        assert_close(found.evidence.interval.unwrap().0, 1.1);
        assert_eq!(found.evidence.coverage, Some(62.0 / 64.0));
        assert_eq!(found.evidence.p, Some(1.0 / 64.0));
        assert_eq!((found.evidence.base_rounds, found.evidence.head_rounds), (6, 6));
        assert_eq!(found.evidence.floor, 0.03);
    }

    #[test]
    fn ten_percent_slower_is_suspected_without_pairs_too_but_less_sharply() {
        let found = screened(&TIME, &BASE, &BASE.map(|time| time * 1.1), Rounds::Unpaired);
        assert_eq!(found.verdict, Verdict::Suspected);
        assert_close(found.evidence.estimate, 1.1);
        let (low, high) = found.evidence.interval.unwrap();
        // The sixth smallest and the sixth largest of the 36 ratios.
        assert_close(low, 1.1 * 102.0 / 105.0);
        assert_close(high, 1.1 * 105.0 / 102.0);
        assert!((found.evidence.coverage.unwrap() - 0.9589).abs() < 5e-5);
    }

    #[test]
    fn the_mirror_image_is_improved() {
        for rounds in [Rounds::Paired, Rounds::Unpaired] {
            let found = screened(&TIME, &BASE.map(|time| time * 1.1), &BASE, rounds);
            assert_eq!(found.verdict, Verdict::Improved);
            assert_close(found.evidence.estimate, 1.0 / 1.1);
            assert_eq!(found.evidence.p, Some(1.0));
        }
    }

    #[test]
    fn two_percent_is_below_the_floor_and_unchanged() {
        let found = screened(&TIME, &BASE, &BASE.map(|time| time * 1.02), Rounds::Paired);
        assert_eq!(found.verdict, Verdict::Unchanged);
    }

    #[test]
    fn an_interval_across_the_floor_is_inconclusive() {
        let head = [100.0, 101.0, 110.0, 103.0, 104.0, 105.0];
        let found = screened(&TIME, &BASE, &head, Rounds::Paired);
        assert_eq!(found.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn too_few_rounds_are_inconclusive_however_large_the_change() {
        let found = screened(&TIME, &[1.0; 5], &[9.0; 5], Rounds::Paired);
        assert_eq!((found.verdict, found.evidence.interval), (Verdict::Inconclusive, None));
        assert_close(found.evidence.estimate, 9.0);
        let found = screened(&TIME, &[1.0], &[9.0], Rounds::Unpaired);
        assert_eq!((found.verdict, found.evidence.p), (Verdict::Inconclusive, Some(0.5)));
    }

    #[test]
    fn a_quarter_of_a_nanosecond_is_the_least_that_counts() {
        let base = [2.0; 6];
        let found = screened(&TIME, &base, &[2.2; 6], Rounds::Paired);
        assert_eq!((found.verdict, found.evidence.floor), (Verdict::Unchanged, 0.125));
        let found = screened(&TIME, &base, &[2.3; 6], Rounds::Paired);
        assert_eq!(found.verdict, Verdict::Suspected);
    }

    #[test]
    fn the_floor_rises_to_twice_the_spread_of_the_same_code() {
        let question = Question { floor: Floor::TIME.at_least_twice(0.06), ..TIME };
        let found = screened(&question, &BASE, &BASE.map(|time| time * 1.1), Rounds::Paired);
        assert_eq!((found.verdict, found.evidence.floor), (Verdict::Unchanged, 0.12));
        assert_eq!(Floor::TIME.at_least_twice(0.01), Floor::TIME);
        assert_eq!(Floor::TIME.at_least_twice(f64::NAN), Floor::TIME);
    }

    #[test]
    fn less_of_what_should_be_more_is_suspected() {
        let question = Question { direction: Direction::Higher, ..TIME };
        let found = screened(&question, &BASE, &BASE.map(|rate| rate * 0.8), Rounds::Paired);
        assert_eq!(found.verdict, Verdict::Suspected);
        assert_close(found.evidence.estimate, 0.8);
        let (low, high) = found.evidence.interval.unwrap();
        assert!(low <= high);
    }

    #[test]
    fn exact_metrics_need_no_statistics() {
        let count = Question { direction: Direction::Lower, noise: Noise::Exact, floor: Floor::EXACT };
        let verdict = |base, head| screened(&count, &[base], &[head], Rounds::Unpaired).verdict;
        assert_eq!(verdict(1000.0, 1001.0), Verdict::Regressed);
        assert_eq!(verdict(1000.0, 1000.0), Verdict::Unchanged);
        assert_eq!(verdict(1000.0, 999.0), Verdict::Improved);
        assert_eq!(verdict(0.0, 1.0), Verdict::Regressed);
        let instructions = Question { floor: Floor::INSTRUCTIONS, ..count };
        let found = screened(&instructions, &[1_000_000.0], &[1_000_900.0], Rounds::Unpaired);
        assert_eq!((found.verdict, found.evidence.p), (Verdict::Unchanged, None));
        let found = screened(&instructions, &[1_000_000.0], &[1_001_100.0], Rounds::Unpaired);
        assert_eq!(found.verdict, Verdict::Regressed);
    }

    #[test]
    fn where_there_is_no_ratio_the_difference_is_judged() {
        let memory = Question { direction: Direction::Lower, noise: Noise::Noisy, floor: Floor::MEMORY };
        let found = screened(&memory, &[0.0; 6], &[5e6; 6], Rounds::Unpaired);
        assert_eq!((found.verdict, found.evidence.scale), (Verdict::Suspected, Scale::Difference));
        assert_eq!((found.evidence.estimate, found.evidence.floor), (5e6, 1_048_576.0));
        let found = screened(&memory, &[0.0; 6], &[4096.0; 6], Rounds::Unpaired);
        assert_eq!(found.verdict, Verdict::Unchanged);
    }

    #[test]
    fn what_is_not_finite_is_not_judged() {
        for bad in [f64::NAN, f64::INFINITY] {
            for rounds in [Rounds::Paired, Rounds::Unpaired] {
                let bad = Measured { value: bad, interval: None, replicates: Vec::new() };
                assert_eq!(screen(&TIME, &measured(&BASE), &bad, rounds), None);
                assert_eq!(screen(&TIME, &bad, &measured(&BASE), rounds), None);
                let within = Measured { value: 1.0, interval: None, replicates: vec![1.0, bad.value] };
                assert_eq!(screen(&TIME, &measured(&BASE), &within, rounds), None);
            }
        }
    }

    #[test]
    fn more_rounds_than_the_statistics_take_are_cut() {
        let found = screened(&TIME, &[1.0; 1000], &[2.0; 500], Rounds::Paired);
        assert_eq!((found.evidence.base_rounds, found.evidence.head_rounds), (100, 100));
        assert_eq!(found.verdict, Verdict::Suspected);
    }
}
