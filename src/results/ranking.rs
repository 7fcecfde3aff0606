//! Scores and ranks of the allocators of one contract class, by time.
//!
//! All ratios are taken within a round, where the allocators of a case were measured directly after each other, so
//! that what the machine does slowly cancels; then the median and the sign-test interval are taken over the rounds.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::metric::Metric;
use super::record::{Measured, Params, Place, Record};
use crate::stats::{log_ratio, median, sign_test_interval};

/// How sure an interval is, at least: the sign test reaches 95 % with 6 rounds, which is why a run has 6.
pub const CONFIDENCE: f64 = 0.95;

/// The contract class that is measured but never ranked: do-nothing allocators that show the harness's overhead.
pub const CONTROL: &str = "control";

/// An allocator with less than this share of its class's cases is named and not ranked. Otherwise one that was run
/// on a handful would shrink the comparison of all the others to that handful.
const MINIMUM_SHARE: f64 = 0.5;

/// Logarithms of scores closer than this are equal: two allocators that are equally good in different cases sum the
/// same numbers in another order, which differs by about 1e-16 a case, in the same direction in every round.
pub(super) const ROUNDING: f64 = 1e-9;

/// How many times as large one measurement is as another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioEstimate {
    /// The ratio.
    pub value: f64,
    /// Where it lies with 95 % confidence; `None` if there are too few pairs for that (fewer than 6).
    pub interval: Option<(f64, f64)>,
}

/// The allocators of one class in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Best first: by rank, then by score.
    pub rows: Vec<Ranked>,
    /// How many cases the scores are over: those that every ranked allocator has.
    pub cells: usize,
    /// The allocators that lack some of the class's cases, in the order of the record.
    pub missing: Vec<Missing>,
}

/// An allocator's place among its class.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its id.
    pub allocator: String,
    /// 1 + the number of allocators that are better beyond doubt. Equal ranks mean "not told apart".
    pub rank: usize,
    /// Its time over the best's: 1 if it is the best in every case.
    pub score: f64,
    /// Where the score lies with 95 % confidence, if there are at least 6 rounds.
    pub interval: Option<(f64, f64)>,
    /// How many of the class's cases it was measured in: at least [`Ranking::cells`].
    pub cells: usize,
}

/// An allocator that lacks some of its class's cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its id.
    pub allocator: String,
    /// How many cases that another of its class has it lacks. Each of them is left out of the scores if this
    /// allocator is ranked.
    pub cases: usize,
    /// In how many of those it failed.
    pub failed: usize,
    /// Whether it is ranked all the same: if it has at least half of the class's cases.
    pub ranked: bool,
}

/// How many times as large `a` is as `b`, from pairs measured in the same round.
///
/// With dᵢ = ln aᵢ − ln bᵢ for each round i, the estimate is exp(median d) and the interval is the sign test's, on d,
/// exponentiated ([`sign_test_interval`]). If rounds cannot be paired, because the numbers of replicates differ or
/// there are none (imported results), the estimate is the ratio of the two values and has no interval.
///
/// `None` if a value is not positive and finite: it has no ratio.
pub fn paired_ratio(a: &Measured, b: &Measured) -> Option<RatioEstimate> {
    if a.replicates.is_empty() || a.replicates.len() != b.replicates.len() {
        let value = log_ratio(a.value, b.value)?.exp();
        return Some(RatioEstimate { value, interval: None });
    }
    let differences: Option<Vec<f64>> =
        a.replicates.iter().zip(&b.replicates).map(|(&a, &b)| log_ratio(a, b)).collect();
    estimate_from_logarithms(&differences?)
}

/// Ranks the allocators of `class` over all of the record's cases. See [`rank_cells`].
pub fn rank_class(record: &Record, class: &str) -> Ranking {
    rank_cells(record, class, |_| true)
}

/// Ranks the allocators of `class` over the cells that `keep` wants.
///
/// Notation: in case c, which belongs to one of F workload families, of which it has n cases, allocator a took
/// t(a, c, r) in round r; best(c) is the ranked allocator with the lowest value (median over rounds) in c. A case
/// weighs 1 / (F n), so no family wins by having more rows.
///
/// - Score of a round: s(a, r) = exp Σ_c weight(c) ln( t(a, c, r) / t(best(c), c, r) ), which is the geometric mean
///   of the ratio within each family, then over families.
/// - Score: the median of s(a, r) over rounds; its interval is the sign test's over the same numbers.
/// - Rank: 1 + the number of allocators b for which the interval of s(a, r) / s(b, r) over rounds lies wholly above 1.
///   The best of each case cancels there: only the two allocators matter.
///
/// The sums are over the cases that all ranked allocators have. With fewer than 6 rounds there are no intervals,
/// nothing is told apart, and all have rank 1: the scores are still there to read. The pairs are not corrected for
/// their number: of 100 pairs of equal allocators, up to 5 are told apart by chance.
///
/// A cell whose number of rounds differs from what most cells have cannot be paired and counts as missing, like one
/// with a time that is not positive. Allocators with no cell, or with fewer than half of the class's cases, are
/// not ranked but stand in `missing`. The class `control` has no rows.
pub fn rank_cells(record: &Record, class: &str, keep: impl Fn(&Place) -> bool) -> Ranking {
    if class == CONTROL {
        return Ranking::default();
    }
    let table = Table::collect(record, class, keep);
    let measured: Vec<usize> = table.allocators.iter().map(|row| row.times.len()).collect();
    let is_ranked: Vec<bool> = measured
        .iter()
        .map(|&cells| cells > 0 && cells as f64 >= MINIMUM_SHARE * table.cases.len() as f64)
        .collect();
    let missing = table.missing(&is_ranked);
    let ranked: Vec<usize> = (0..is_ranked.len()).filter(|&index| is_ranked[index]).collect();
    let (scores, cells) = table.round_scores(&ranked);
    if cells == 0 {
        return Ranking { rows: Vec::new(), cells, missing };
    }
    let mut rows: Vec<Ranked> = Vec::with_capacity(ranked.len());
    for (own, &index) in scores.iter().zip(&ranked) {
        let better = scores.iter().filter(|other| is_slower(own, other)).count();
        // The logarithms are finite: `collect` lets no other time in.
        if let Some(score) = estimate_from_logarithms(own) {
            rows.push(Ranked {
                allocator: table.allocators[index].id.to_owned(),
                rank: 1 + better,
                score: score.value,
                interval: score.interval,
                cells: measured[index],
            });
        }
    }
    rows.sort_by(|a, b| a.rank.cmp(&b.rank).then(a.score.total_cmp(&b.score)));
    Ranking { rows, cells, missing }
}

/// Whether the paired ratio of two allocators' scores lies wholly above 1.
fn is_slower(own: &[f64], other: &[f64]) -> bool {
    let differences: Vec<f64> = own.iter().zip(other).map(|(own, other)| own - other).collect();
    sign_test_interval(&differences, CONFIDENCE).is_some_and(|interval| interval.low > ROUNDING)
}

/// Median and interval of logarithms of ratios, taken back to ratios.
pub(super) fn estimate_from_logarithms(logarithms: &[f64]) -> Option<RatioEstimate> {
    let value = median(logarithms)?.exp();
    let interval =
        sign_test_interval(logarithms, CONFIDENCE).map(|interval| (interval.low.exp(), interval.high.exp()));
    Some(RatioEstimate { value, interval })
}

/// The times of one class: who has which case.
struct Table<'a> {
    /// The class's allocators, in the order of the record.
    allocators: Vec<Row<'a>>,
    /// Every case that at least one of them has, with its family, in the order of the record.
    cases: IndexMap<Case<'a>, &'a str>,
    /// How many rounds most cells have; at least 1.
    rounds: usize,
}

/// Workload id and parameters.
type Case<'a> = (&'a str, &'a Params);

struct Row<'a> {
    id: &'a str,
    /// Its usable times, by index into `Table::cases`.
    times: HashMap<usize, &'a Measured>,
    /// The cases in which it failed.
    failed: Vec<Case<'a>>,
}

impl<'a> Table<'a> {
    fn collect(record: &'a Record, class: &str, keep: impl Fn(&Place) -> bool) -> Self {
        let members = || record.allocators.iter().filter(|allocator| allocator.class == class);
        let index: HashMap<&str, usize> =
            members().enumerate().map(|(index, allocator)| (allocator.id.as_str(), index)).collect();
        let families: HashMap<&str, &str> = record
            .workloads
            .iter()
            .map(|workload| (workload.id.as_str(), workload.family.as_str()))
            .collect();
        let mut allocators: Vec<Row<'a>> = members()
            .map(|member| Row { id: &member.id, times: HashMap::new(), failed: Vec::new() })
            .collect();

        let candidates: Vec<(usize, Case<'a>, &'a Measured)> = record
            .cells
            .iter()
            .filter(|cell| keep(&cell.place))
            .filter_map(|cell| {
                let allocator = *index.get(cell.place.allocator.as_str())?;
                let time = cell.metrics.get(&Metric::Time)?;
                Some((allocator, case(&cell.place), time))
            })
            .collect();
        let rounds = commonest(candidates.iter().map(|(_, _, time)| rounds(time)));

        let mut cases = IndexMap::new();
        for (allocator, case, time) in candidates {
            if rounds != self::rounds(time) || !(0..rounds).all(|round| is_positive(replicate(time, round))) {
                continue;
            }
            let family = families.get(case.0).copied().unwrap_or_default();
            let number = cases.insert_full(case, family).0;
            allocators[allocator].times.insert(number, time);
        }
        for failed in record.failed.iter().filter(|failed| keep(&failed.place)) {
            if let Some(&allocator) = index.get(failed.place.allocator.as_str()) {
                allocators[allocator].failed.push(case(&failed.place));
            }
        }
        Self { allocators, cases, rounds }
    }

    fn missing(&self, is_ranked: &[bool]) -> Vec<Missing> {
        self.allocators
            .iter()
            .zip(is_ranked)
            .filter(|(row, _)| row.times.len() < self.cases.len() || row.times.is_empty())
            .map(|(row, &ranked)| Missing {
                allocator: row.id.to_owned(),
                cases: self.cases.len() - row.times.len(),
                failed: row.failed.iter().filter(|case| self.cases.contains_key(*case)).count(),
                ranked,
            })
            .collect()
    }

    /// For each ranked allocator the logarithm of its score in each round; and over how many cases.
    fn round_scores(&self, ranked: &[usize]) -> (Vec<Vec<f64>>, usize) {
        let mut scores = vec![vec![0.0; self.rounds]; ranked.len()];
        if ranked.is_empty() {
            return (scores, 0);
        }
        let common: Vec<(&str, Vec<&Measured>)> = self
            .cases
            .values()
            .enumerate()
            .filter_map(|(number, &family)| {
                let times: Option<Vec<&Measured>> =
                    ranked.iter().map(|&index| self.allocators[index].times.get(&number).copied()).collect();
                Some((family, times?))
            })
            .collect();
        let mut family_sizes: HashMap<&str, usize> = HashMap::new();
        for (family, _) in &common {
            *family_sizes.entry(family).or_default() += 1;
        }
        for (family, times) in &common {
            let weight = 1.0 / (family_sizes.len() * family_sizes[family]) as f64;
            let Some(best) = times.iter().min_by(|a, b| middle(a).total_cmp(&middle(b))) else { continue };
            for (score, time) in scores.iter_mut().zip(times) {
                for (round, sum) in score.iter_mut().enumerate() {
                    *sum += weight * (replicate(time, round).ln() - replicate(best, round).ln());
                }
            }
        }
        (scores, common.len())
    }
}

fn case(place: &Place) -> Case<'_> {
    (&place.workload, &place.params)
}

/// How many values a measurement has. Without replicates its value is the one.
pub(super) fn rounds(measured: &Measured) -> usize {
    measured.replicates.len().max(1)
}

pub(super) fn replicate(measured: &Measured, round: usize) -> f64 {
    measured.replicates.get(round).copied().unwrap_or(measured.value)
}

/// The median over rounds, from the replicates where there are any: what the scores are computed from.
pub(super) fn middle(measured: &Measured) -> f64 {
    median(&measured.replicates).unwrap_or(measured.value)
}

pub(super) fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// The number that comes most often, the larger one if two do; 1 if there are none.
pub(super) fn commonest(numbers: impl Iterator<Item = usize>) -> usize {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    for number in numbers {
        *seen.entry(number).or_default() += 1;
    }
    seen.into_iter().max_by_key(|&(number, times)| (times, number)).map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{add, assert_close, measured, record, size};
    use crate::results::record::{Failed, FailureKind};

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_ratios() {
        let a = measured(&[2.0, 40.0, 4.0, 6.0, 8.0, 2.0]);
        let b = measured(&[1.0, 10.0, 2.0, 3.0, 4.0, 4.0]);
        // Ratios: 2, 4, 2, 2, 2, 0.5.
        let ratio = paired_ratio(&a, &b).unwrap();
        assert_close(ratio.value, 2.0);
        let (low, high) = ratio.interval.unwrap();
        assert_close(low, 0.5);
        assert_close(high, 4.0);
    }

    #[test]
    fn drift_that_both_feel_cancels() {
        let a = measured(&[2.2, 4.4, 8.8, 17.6, 35.2, 70.4]);
        let b = measured(&[2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
        let ratio = paired_ratio(&a, &b).unwrap();
        let (low, high) = ratio.interval.unwrap();
        assert_close(low, 1.1);
        assert_close(ratio.value, 1.1);
        assert_close(high, 1.1);
    }

    #[test]
    fn five_rounds_give_a_ratio_without_an_interval() {
        let ratio = paired_ratio(&measured(&[2.0; 5]), &measured(&[1.0; 5])).unwrap();
        assert_close(ratio.value, 2.0);
        assert_eq!(ratio.interval, None);
    }

    #[test]
    fn rounds_that_do_not_pair_give_the_ratio_of_the_values() {
        let ratio = paired_ratio(&measured(&[6.0; 6]), &measured(&[2.0; 7])).unwrap();
        assert_close(ratio.value, 3.0);
        assert_eq!(ratio.interval, None);
        let without = Measured { value: 4.0, interval: None, replicates: Vec::new() };
        assert_close(paired_ratio(&without, &without).unwrap().value, 1.0);
    }

    #[test]
    fn what_is_not_positive_has_no_ratio() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(paired_ratio(&measured(&[1.0, bad]), &measured(&[1.0, 1.0])), None, "{bad}");
            assert_eq!(paired_ratio(&measured(&[1.0, 1.0]), &measured(&[1.0, bad])), None, "{bad}");
        }
    }

    #[test]
    fn a_family_does_not_win_by_having_more_rows() {
        // Family one: 3 cases in which `b` takes 8 times as long. Family two: one case in which `a` takes twice as long.
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w1", "one"), ("w2", "two")]);
        for size in [1, 2, 3] {
            add(&mut record, "w1", size, "a", &[1.0; 6]);
            add(&mut record, "w1", size, "b", &[8.0; 6]);
        }
        add(&mut record, "w2", 1, "a", &[2.0; 6]);
        add(&mut record, "w2", 1, "b", &[1.0; 6]);
        let ranking = rank_class(&record, "general");
        assert_eq!(ranking.cells, 4);
        assert_eq!(names_and_ranks(&ranking), [("a", 1), ("b", 2)]);
        // √(1 × 2) and √(8 × 1).
        assert_close(ranking.rows[0].score, 2.0_f64.sqrt());
        assert_close(ranking.rows[1].score, 8.0_f64.sqrt());
        assert_eq!(ranking.missing, []);
    }

    #[test]
    fn allocators_that_are_not_told_apart_share_a_rank() {
        let mut record = record(&[("slow", "general"), ("b", "general"), ("a", "general")], &[("w", "one")]);
        add(&mut record, "w", 1, "slow", &[3.0, 3.1, 3.2, 3.0, 3.1, 3.2]);
        add(&mut record, "w", 1, "b", &[1.01, 1.01, 1.01, 1.01, 1.01, 0.99]);
        add(&mut record, "w", 1, "a", &[1.0; 6]);
        let ranking = rank_class(&record, "general");
        assert_eq!(names_and_ranks(&ranking), [("a", 1), ("b", 1), ("slow", 3)]);
        let (low, high) = ranking.rows[1].interval.unwrap();
        assert_close(ranking.rows[1].score, 1.01);
        assert_close(low, 0.99);
        assert_close(high, 1.01);
    }

    #[test]
    fn ranks_come_from_pairs_and_not_from_overlapping_intervals() {
        // The machine slows down to a tenth over the rounds; `b` is 1 % slower in each.
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w", "one")]);
        let drift = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
        add(&mut record, "w", 1, "a", &drift);
        add(&mut record, "w", 1, "b", &drift.map(|time| time * 1.01));
        assert_eq!(names_and_ranks(&rank_class(&record, "general")), [("a", 1), ("b", 2)]);
    }

    #[test]
    fn equally_good_in_different_cases_is_not_told_apart() {
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w", "one")]);
        for (bytes, a, b) in [(1, 1.0, 3.3), (2, 3.3, 1.0), (3, 1.0, 1.7), (4, 1.0, 1.0), (5, 1.7, 1.0)] {
            add(&mut record, "w", bytes, "a", &[a; 6]);
            add(&mut record, "w", bytes, "b", &[b; 6]);
        }
        let ranking = rank_class(&record, "general");
        assert!(ranking.rows.iter().all(|row| row.rank == 1), "{ranking:?}");
    }

    #[test]
    fn one_round_tells_nobody_apart() {
        let mut record = record(&[("a", "unstated"), ("b", "unstated")], &[("w", "imported")]);
        add(&mut record, "w", 1, "b", &[10.0]);
        add(&mut record, "w", 1, "a", &[1.0]);
        let ranking = rank_class(&record, "unstated");
        assert_eq!(names_and_ranks(&ranking), [("a", 1), ("b", 1)]);
        assert_close(ranking.rows[1].score, 10.0);
        assert_eq!(ranking.rows[1].interval, None);
    }

    #[test]
    fn a_cell_that_failed_for_one_drops_out_for_all_and_is_told() {
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w", "one")]);
        for size in [1, 2, 3] {
            add(&mut record, "w", size, "a", &[1.0; 6]);
        }
        add(&mut record, "w", 1, "b", &[2.0; 6]);
        add(&mut record, "w", 2, "b", &[2.0; 6]);
        let place = Place { workload: "w".into(), params: size(3), allocator: "b".into() };
        record.failed.push(Failed { place, kind: FailureKind::Crash, detail: String::new() });
        let ranking = rank_class(&record, "general");
        assert_eq!(ranking.cells, 2);
        assert_eq!(ranking.rows[0].cells, 3);
        assert_eq!(ranking.missing, [Missing { allocator: "b".into(), cases: 1, failed: 1, ranked: true }]);
    }

    #[test]
    fn an_allocator_with_few_or_no_cells_is_named_and_does_not_empty_the_comparison() {
        let allocators = [("a", "general"), ("b", "general"), ("few", "general"), ("none", "general")];
        let mut record = record(&allocators, &[("w", "one")]);
        for size in 1..=5 {
            add(&mut record, "w", size, "a", &[1.0; 6]);
            add(&mut record, "w", size, "b", &[2.0; 6]);
        }
        add(&mut record, "w", 1, "few", &[0.5; 6]);
        add(&mut record, "w", 2, "few", &[0.5; 6]);
        let ranking = rank_class(&record, "general");
        assert_eq!(ranking.cells, 5);
        assert_eq!(names_and_ranks(&ranking), [("a", 1), ("b", 2)]);
        assert_eq!(
            ranking.missing,
            [
                Missing { allocator: "few".into(), cases: 3, failed: 0, ranked: false },
                Missing { allocator: "none".into(), cases: 5, failed: 0, ranked: false },
            ]
        );
    }

    #[test]
    fn a_cell_with_other_rounds_or_a_time_that_is_not_positive_counts_as_missing() {
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w", "one")]);
        for size in 1..=4 {
            add(&mut record, "w", size, "a", &[1.0; 6]);
        }
        add(&mut record, "w", 1, "b", &[2.0; 6]);
        add(&mut record, "w", 2, "b", &[2.0; 6]);
        add(&mut record, "w", 3, "b", &[2.0; 5]);
        add(&mut record, "w", 4, "b", &[2.0, 2.0, 2.0, 0.0, 2.0, 2.0]);
        let ranking = rank_class(&record, "general");
        assert_eq!(ranking.cells, 2);
        assert_eq!(ranking.missing[0].cases, 2);
    }

    #[test]
    fn other_classes_do_not_matter_and_controls_are_never_ranked() {
        let mut record = record(&[("a", "general"), ("bump", "bulk"), ("null", CONTROL)], &[("w", "one")]);
        add(&mut record, "w", 1, "a", &[4.0; 6]);
        add(&mut record, "w", 1, "bump", &[2.0; 6]);
        add(&mut record, "w", 1, "null", &[1.0; 6]);
        assert_close(rank_class(&record, "general").rows[0].score, 1.0);
        assert_close(rank_class(&record, "bulk").rows[0].score, 1.0);
        assert_eq!(rank_class(&record, CONTROL), Ranking::default());
        assert_eq!(rank_class(&record, "fifo"), Ranking::default());
    }

    #[test]
    fn a_case_without_a_time_is_no_case_of_the_ranking() {
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w", "one"), ("held", "memory")]);
        add(&mut record, "w", 1, "a", &[1.0; 6]);
        add(&mut record, "w", 1, "b", &[2.0; 6]);
        for (size, allocator) in [(1, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a")] {
            add(&mut record, "held", size, allocator, &[4096.0; 6]);
        }
        for cell in record.cells.iter_mut().filter(|cell| cell.place.workload == "held") {
            let resident = cell.metrics.remove(&Metric::Time).unwrap();
            cell.metrics.insert(Metric::PeakRss, resident);
        }
        let place = Place { workload: "held".into(), params: size(2), allocator: "b".into() };
        record.failed.push(Failed { place, kind: FailureKind::OutOfMemory, detail: String::new() });
        let ranking = rank_class(&record, "general");
        assert_eq!(ranking.cells, 1);
        assert_eq!(names_and_ranks(&ranking), [("a", 1), ("b", 2)]);
        assert_close(ranking.rows[1].score, 2.0);
        assert_eq!(ranking.missing, []);
        assert_eq!(rank_cells(&record, "general", |place| place.workload == "held").rows, []);
    }

    #[test]
    fn a_choice_of_cells_is_ranked_by_itself() {
        let mut record = record(&[("a", "general"), ("b", "general")], &[("w1", "one"), ("w2", "one")]);
        add(&mut record, "w1", 1, "a", &[1.0; 6]);
        add(&mut record, "w1", 1, "b", &[2.0; 6]);
        add(&mut record, "w2", 1, "a", &[3.0; 6]);
        add(&mut record, "w2", 1, "b", &[1.0; 6]);
        let ranking = rank_cells(&record, "general", |place| place.workload == "w2");
        assert_eq!(names_and_ranks(&ranking), [("b", 1), ("a", 2)]);
        assert_close(ranking.rows[1].score, 3.0);
    }

    fn names_and_ranks(ranking: &Ranking) -> Vec<(&str, usize)> {
        ranking.rows.iter().map(|row| (row.allocator.as_str(), row.rank)).collect()
    }
}
