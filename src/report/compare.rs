//! Ratios between allocators, as tables show them.

use super::numbers;
use super::site::Case;
use crate::results::ranking::{RatioEstimate, paired_ratio};
use crate::results::record::Measured;
use crate::stats::geometric_mean;

/// How allocator `a` does in `case` compared with `b`: below 1 is faster.
pub(crate) fn ratio(case: &Case<'_>, a: usize, b: usize) -> Option<RatioEstimate> {
    paired_ratio(case.slots[a].time()?, case.slots[b].time()?)
}

/// Whether a ratio's interval lies on one side of 1. Without an interval nothing is told apart.
pub(crate) fn told_apart(ratio: &RatioEstimate) -> bool {
    ratio.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0)
}

/// The ratio of the geometric means of two allocators over `cases`, taken within rounds. `None` unless both have all
/// of them.
pub(crate) fn mean_ratio(cases: &[&Case<'_>], a: usize, b: usize) -> Option<RatioEstimate> {
    paired_ratio(&mean(cases, a)?, &mean(cases, b)?)
}

/// The geometric mean over `cases`, of each round where all have the same number of them.
fn mean(cases: &[&Case<'_>], index: usize) -> Option<Measured> {
    let times: Vec<&Measured> =
        cases.iter().map(|case| case.slots[index].time()).collect::<Option<Vec<_>>>()?;
    let rounds = times.first()?.replicates.len();
    let paired = times.iter().all(|time| time.replicates.len() == rounds);
    let of_round =
        |round: usize| geometric_mean(&times.iter().map(|time| time.replicates[round]).collect::<Vec<_>>());
    let replicates = if paired { (0..rounds).map(of_round).collect::<Option<_>>()? } else { Vec::new() };
    let value = geometric_mean(&times.iter().map(|time| time.value).collect::<Vec<_>>())?;
    Some(Measured { value, interval: None, replicates })
}

/// `1.23 (1.20–1.27)` in words of the site.
pub(crate) fn interval(ratio: &RatioEstimate) -> Option<String> {
    ratio.interval.map(numbers::ratio_interval)
}

/// The geometric mean of each allocator of `members` over `cases`, in nanoseconds: over those cases that all of
/// them have which have any. With it those cases.
///
/// `None` for an allocator that has none of the cases.
pub(crate) fn common_means<'c, 'a>(
    cases: &'c [Case<'a>],
    members: &[usize],
) -> (Vec<Option<f64>>, Vec<&'c Case<'a>>) {
    let present: Vec<bool> =
        members.iter().map(|member| cases.iter().any(|case| case.time_ns(*member).is_some())).collect();
    let common: Vec<&Case<'a>> = cases
        .iter()
        .filter(|case| {
            members.iter().zip(&present).all(|(member, present)| !present || case.time_ns(*member).is_some())
        })
        .collect();
    let means = members.iter().map(|member: &usize| {
        let times: Option<Vec<f64>> = common.iter().map(|case| case.time_ns(*member)).collect();
        geometric_mean(&times?)
    });
    (means.collect(), common)
}
