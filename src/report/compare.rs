//! Ratios between allocators, as tables show them.

use super::numbers;
use super::site::Case;
use crate::results::ranking::{RatioEstimate, paired_ratio};
use crate::stats::geometric_mean;

/// How allocator `a` does in `case` compared with `b`: below 1 is faster.
pub(crate) fn ratio(case: &Case<'_>, a: usize, b: usize) -> Option<RatioEstimate> {
    paired_ratio(case.slots[a].time()?, case.slots[b].time()?)
}

/// Whether a ratio's interval lies on one side of 1; `None` if there is no interval.
pub(crate) fn told_apart(ratio: &RatioEstimate) -> Option<bool> {
    ratio.interval.map(|(low, high)| low > 1.0 || high < 1.0)
}

/// `1.23 (1.20–1.27)` in words of the site.
pub(crate) fn interval(ratio: &RatioEstimate) -> Option<String> {
    ratio.interval.map(numbers::ratio_interval)
}

/// The geometric mean of each allocator of `members` over `cases`, in nanoseconds: over those cases that all of
/// them have which have any. With it the number of cases used.
///
/// `None` for an allocator that has none of the cases.
pub(crate) fn common_means(cases: &[Case<'_>], members: &[usize]) -> (Vec<Option<f64>>, usize) {
    let present: Vec<bool> =
        members.iter().map(|member| cases.iter().any(|case| case.time_ns(*member).is_some())).collect();
    let common: Vec<&Case<'_>> = cases
        .iter()
        .filter(|case| {
            members.iter().zip(&present).all(|(member, present)| !present || case.time_ns(*member).is_some())
        })
        .collect();
    let mean = |member: &usize| {
        let times: Option<Vec<f64>> = common.iter().map(|case| case.time_ns(*member)).collect();
        geometric_mean(&times?)
    };
    (members.iter().map(mean).collect(), common.len())
}
