//! The second stage of a gate: fresh, paired rounds for the suspected cells alone.
//!
//! A screen of 300 cells suspects some by chance, and no correction could spare them: with 6 rounds the smallest one-sided
//! p-value is 1/64, and 300/64 is more than 1. The suspected set is small, so a correction over it can be met with a few
//! more rounds. Their number is fixed before they are measured, and only they are judged: looking in between, or
//! measuring again until the result pleases, would make the p-values meaningless.

use super::metric::Direction;
use super::ranking::CONFIDENCE;
use super::verdict::{Ruler, Scale};
use crate::stats::{holm, median, sign_test_greater, sign_test_interval};

/// The probability, at most, that a gate calls at least one cell *regressed* whose change is below its floor.
pub const SIGNIFICANCE: f64 = 0.05;

/// How many paired rounds the confirmation of `suspected` cells takes: the smallest n with 2⁻ⁿ ≤ 0.05 / `suspected`.
///
/// With fewer, even a cell that is slower in every round could not be confirmed. 8 for 10 cells, 11 for 100; 0 for none.
///
/// # Examples
/// ```
/// use allocmark::results::confirm::rounds_needed;
/// assert_eq!([0, 1, 10, 100].map(rounds_needed), [0, 5, 8, 11]);
/// ```
pub fn rounds_needed(suspected: usize) -> usize {
    if suspected == 0 {
        return 0;
    }
    // Ends by 69 rounds: 2⁶⁴ cells cannot be counted in a usize. All numbers here are exact but 0.05.
    (1..).find(|&rounds| 0.5_f64.powi(rounds) <= SIGNIFICANCE / suspected as f64).unwrap_or(i32::MAX) as usize
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
