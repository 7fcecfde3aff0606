//! The second stage of a gate: fresh, paired rounds for the suspected cells alone.
//!
//! A screen of 300 cells suspects some by chance, and no correction could spare them: with 6 rounds the smallest one-sided
//! p-value is 1/64, and 300/64 is more than 1. The suspected set is small, so a correction over it can be met with a few
//! more rounds. Their number is fixed before they are measured, and only they are judged: looking in between, or
//! measuring again until the result pleases, would make the p-values meaningless.

use super::metric::Direction;
use super::ranking::CONFIDENCE;
use super::verdict::{Ruler, Scale};
use crate::stats::{binomial_upper_tail, holm, median, sign_test_greater, sign_test_interval};

/// The probability, at most, that a gate calls at least one cell *regressed* whose change is below its floor.
pub const SIGNIFICANCE: f64 = 0.05;

/// How many rounds of the confirmation may fail to show a change without hiding it: what a gate asks
/// [`rounds_allowing`] for.
///
/// By simulation (`docs/method.md`, "Room in the confirmation"), at 2 % spread between processes a cell 10 % slower
/// passes the confirmation 70 % of the time with no room, 91 % with room for one round, 95 % with room for two and
/// 98 % with room for four, at 8, 12, 15 and 21 rounds for 10 suspected cells; false alarms stay the same.
pub const ROOM: usize = 2;

/// How many paired rounds the confirmation of `suspected` cells takes at least: the smallest n with
/// 2⁻ⁿ ≤ 0.05 / `suspected`.
///
/// With fewer, even a cell that is slower in every round could not be confirmed. 8 for 10 cells, 11 for 100; 0 for none.
///
/// # Examples
/// ```
/// use allocmark::results::confirm::rounds_needed;
/// assert_eq!([0, 1, 10, 100].map(rounds_needed), [0, 5, 8, 11]);
/// ```
pub fn rounds_needed(suspected: usize) -> usize {
    rounds_allowing(0, suspected)
}

/// How many paired rounds it takes to confirm all of `suspected` cells if each may lie within its floor in `misses` of
/// them: the smallest n with P(X ≥ n − `misses`) ≤ 0.05 / `suspected`, X ~ Binomial(n, 1/2).
///
/// [`rounds_needed`] leaves no room for a single disturbed round, which on a noisy machine hides most changes near the
/// floor; a few more rounds for the few suspected cells cost little beside the screen of all.
///
/// # Examples
/// ```
/// use allocmark::results::confirm::rounds_allowing;
/// assert_eq!([0, 1, 2].map(|misses| rounds_allowing(misses, 10)), [8, 12, 15]);
/// ```
pub fn rounds_allowing(misses: usize, suspected: usize) -> usize {
    if suspected == 0 {
        return 0;
    }
    let level = SIGNIFICANCE / suspected as f64;
    let is_enough = |rounds: usize| {
        binomial_upper_tail(rounds.saturating_sub(misses), rounds, 0.5).is_some_and(|tail| tail <= level)
    };
    // The tail falls towards 0 with n, so there is such an n; doubling first, it is found for any number of misses.
    let mut enough = misses + 1;
    while !is_enough(enough) {
        enough *= 2;
    }
    let (mut too_few, mut enough) = (enough / 2, enough);
    while enough - too_few > 1 {
        let between = too_few + (enough - too_few) / 2;
        if is_enough(between) { enough = between } else { too_few = between }
    }
    enough
}

/// The fresh rounds of one suspected cell and metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Fresh {
    /// Which way is better.
    pub direction: Direction,
    /// On which scale the screen judged it.
    pub scale: Scale,
    /// What the change must exceed: the [`super::verdict::Evidence::floor`] of the screen.
    pub floor: f64,
    /// (base, head) of each round, measured next to each other.
    pub rounds: Vec<(f64, f64)>,
}

/// The outcome for one suspected cell and metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confirmation {
    /// Whether it is *regressed*. If not, the gate calls it inconclusive: the suspicion was neither confirmed nor
    /// refuted.
    pub confirmed: bool,
    /// How many rounds were judged.
    pub rounds: usize,
    /// head / base (or head − base, see [`Fresh::scale`]): the median over rounds.
    pub estimate: f64,
    /// The sign test's 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// One-sided p-value of the sign test against 1 + floor.
    pub p: f64,
    /// `p` corrected by Holm's method for the number of suspected: confirmed if at most 5 %.
    pub corrected_p: f64,
}

/// Judges all suspected cells together, on their fresh rounds alone.
///
/// The result is in the order of the input. `None` for a cell that has no rounds or a value that is not positive and
/// finite (its process failed, say): it counts among the questions all the same, with p = 1, because leaving it out
/// would make the others easier to confirm.
pub fn confirm(suspected: &[Fresh]) -> Vec<Option<Confirmation>> {
    let judged: Vec<Option<Confirmation>> = suspected.iter().map(uncorrected).collect();
    let p_values: Vec<f64> = judged.iter().map(|one| one.map_or(1.0, |one| one.p)).collect();
    // Every p-value is one of the sign test or 1, so Holm's method takes them.
    let corrected = holm(&p_values).unwrap_or_else(|| vec![1.0; p_values.len()]);
    judged
        .into_iter()
        .zip(corrected)
        .map(|(one, corrected_p)| {
            one.map(|one| Confirmation { confirmed: corrected_p <= SIGNIFICANCE, corrected_p, ..one })
        })
        .collect()
}

fn uncorrected(fresh: &Fresh) -> Option<Confirmation> {
    let ruler = Ruler { scale: fresh.scale, direction: fresh.direction };
    // The logarithm of what has none is not finite, which the statistics below answer with `None`.
    let worse: Vec<f64> =
        fresh.rounds.iter().map(|&(base, head)| ruler.worse(head) - ruler.worse(base)).collect();
    let p = sign_test_greater(&worse, ruler.margin(fresh.floor))?;
    Some(Confirmation {
        confirmed: false,
        rounds: worse.len(),
        estimate: ruler.back(median(&worse)?),
        interval: sign_test_interval(&worse, CONFIDENCE).map(|interval| ruler.interval_back(&interval)),
        p,
        corrected_p: p,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::assert_close;

    fn fresh(ratios: &[f64]) -> Fresh {
        let rounds = ratios.iter().map(|ratio| (10.0, 10.0 * ratio)).collect();
        Fresh { direction: Direction::Lower, scale: Scale::Ratio, floor: 0.03, rounds }
    }

    #[test]
    fn the_number_of_rounds_grows_by_one_when_the_suspects_double() {
        let expected =
            [(0, 0), (1, 5), (2, 6), (3, 6), (4, 7), (10, 8), (12, 8), (13, 9), (100, 11), (300, 13)];
        for (suspected, rounds) in expected {
            assert_eq!(rounds_needed(suspected), rounds, "{suspected}");
        }
    }

    #[test]
    fn more_rounds_leave_room_for_some_that_do_not_show_it() {
        for (misses, suspected, rounds) in
            [(0, 0, 0), (3, 0, 0), (1, 1, 8), (1, 10, 12), (2, 10, 15), (4, 10, 21)]
        {
            assert_eq!(rounds_allowing(misses, suspected), rounds, "{misses} {suspected}");
        }
        let rounds = rounds_allowing(2, 10);
        let mut ratios = vec![1.1; rounds - 2];
        ratios.extend([1.0, 0.9]);
        assert!(confirm(&vec![fresh(&ratios); 10]).iter().all(|one| one.unwrap().confirmed));
        ratios[0] = 1.0;
        assert!(confirm(&vec![fresh(&ratios); 10]).iter().all(|one| !one.unwrap().confirmed));
    }

    #[test]
    fn a_cell_that_is_slower_in_every_round_is_confirmed() {
        let found = confirm(&[fresh(&[1.1; 5])])[0].unwrap();
        assert!(found.confirmed);
        assert_eq!((found.rounds, found.p, found.corrected_p), (5, 1.0 / 32.0, 1.0 / 32.0));
        assert_close(found.estimate, 1.1);
        assert_eq!(found.interval, None);
    }

    #[test]
    fn with_the_rounds_needed_every_slower_cell_can_be_confirmed_and_no_other_is() {
        let rounds = rounds_needed(10);
        let mut cells = vec![fresh(&vec![1.2; rounds]); 5];
        cells.extend(vec![fresh(&vec![1.02; rounds]); 5]);
        let found = confirm(&cells);
        assert!(found[..5].iter().all(|one| one.unwrap().confirmed));
        assert!(found[5..].iter().all(|one| !one.unwrap().confirmed));
        // 10/256, and for the others 1.
        assert_eq!(found[0].unwrap().corrected_p, 10.0 / 256.0);
        assert_eq!(found[9].unwrap().corrected_p, 1.0);
    }

    #[test]
    fn one_round_within_the_floor_leaves_a_cell_of_many_unconfirmed() {
        let mut ratios = vec![1.1; 8];
        ratios[3] = 1.0;
        let found = confirm(&vec![fresh(&ratios); 10])[0].unwrap();
        assert!(!found.confirmed);
        assert_eq!((found.p, found.corrected_p), (9.0 / 256.0, 90.0 / 256.0));
    }

    #[test]
    fn a_ratio_of_exactly_the_floor_is_no_evidence() {
        let exact = Fresh { floor: 0.0, ..fresh(&[1.0; 8]) };
        assert_eq!(confirm(&[exact])[0].unwrap().p, 1.0);
    }

    #[test]
    fn less_of_what_should_be_more_is_confirmed() {
        let fresh = Fresh { direction: Direction::Higher, ..fresh(&[0.8; 6]) };
        let found = confirm(&[fresh])[0].unwrap();
        assert!(found.confirmed);
        assert_close(found.estimate, 0.8);
        assert_close(found.interval.unwrap().1, 0.8);
    }

    #[test]
    fn where_there_is_no_ratio_the_difference_is_confirmed() {
        let memory = Fresh {
            direction: Direction::Lower,
            scale: Scale::Difference,
            floor: 1_048_576.0,
            rounds: vec![(0.0, 5e6); 5],
        };
        let found = confirm(&[memory])[0].unwrap();
        assert!(found.confirmed);
        assert_eq!(found.estimate, 5e6);
    }

    #[test]
    fn a_cell_without_usable_rounds_counts_among_the_questions() {
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            let found = confirm(&[fresh(&[1.1; 5]), fresh(&[1.1, 1.1, bad, 1.1, 1.1])]);
            assert_eq!(found[1], None);
            assert_eq!(found[0].unwrap().corrected_p, 2.0 / 32.0);
        }
        assert_eq!(confirm(&[fresh(&[])]), [None]);
        assert_eq!(confirm(&[]), []);
    }
}
