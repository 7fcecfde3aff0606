//! The A/A control: base against base, built in another layout and measured like a change.
//!
//! No verdict on it can be true but *unchanged* and *inconclusive*. It tells how far a machine can be trusted today, and
//! how much each cell moves without any change in the code.

use super::verdict::{Evidence, Judgement, Scale, Verdict};
use crate::stats::{binomial_upper_tail, median};

/// A control whose number of found changes is less likely than this by chance is too noisy. One honest job in 100 is
/// turned away, at most: a change is called found with a probability below the interval's error, because it must
/// also exceed the floor.
const SIGNIFICANCE: f64 = 0.01;

/// A control whose median interval is wider than this says nothing about the changes that people make: with ± 5 %
/// even 10 % slower would mostly be inconclusive.
const WIDEST: f64 = 0.10;

/// What the control of a job says about the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Control {
    /// How many cells have an interval.
    pub cells: usize,
    /// In how many of them a change was found, on either side.
    pub found: usize,
    /// The probability, at most, of that many or more by chance.
    pub p: f64,
    /// The median over cells of high / low − 1 of the interval; `None` if no cell has one.
    pub median_width: Option<f64>,
    /// Whether the job should stop here: the machine is too noisy to say anything.
    pub too_noisy: bool,
}

/// Judges the machine by the verdicts on a change that is none.
pub fn judge_control(judgements: &[Judgement]) -> Control {
    let usable: Vec<(&Judgement, f64, f64)> = judgements
        .iter()
        .filter_map(|judgement| {
            let (low, high) = judgement.evidence.interval?;
            let is_ratio = judgement.evidence.scale == Scale::Ratio;
            is_ratio.then_some((judgement, judgement.evidence.coverage?, high / low - 1.0))
        })
        .collect();
    let is_found =
        |judgement: &Judgement| matches!(judgement.verdict, Verdict::Suspected | Verdict::Improved);
    let found = usable.iter().filter(|(judgement, ..)| is_found(judgement)).count();
    // Cells may differ in their number of rounds. The largest error of all is the bound that holds for each.
    let error = usable.iter().map(|(_, coverage, _)| 1.0 - coverage).fold(0.0, f64::max);
    let p = binomial_upper_tail(found, usable.len(), error).unwrap_or(1.0);
    let widths: Vec<f64> = usable.iter().map(|&(.., width)| width).collect();
    let median_width = median(&widths);
    Control {
        cells: usable.len(),
        found,
        p,
        median_width,
        too_noisy: p < SIGNIFICANCE || median_width.is_some_and(|width| width > WIDEST),
    }
}

/// A cell's A/A spread: how far its ratio of the same code to itself is from 1, as a share.
///
/// The estimate and not the ends of its interval: what scatters from round to round widens the interval of a real change
/// as well and is accounted for there; the floor is for what stays the same over all rounds, such as code
/// placement. `None` where there is no ratio.
pub fn spread(evidence: &Evidence) -> Option<f64> {
    (evidence.scale == Scale::Ratio).then(|| evidence.estimate.max(1.0 / evidence.estimate) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{assert_close, measured};
    use crate::results::metric::Metric;
    use crate::results::verdict::{Question, Rounds, screen};

    fn judged(ratios: [f64; 6]) -> Judgement {
        let question = Question::about(Metric::Time, 1, None);
        let head = ratios.map(|ratio| 100.0 * ratio);
        screen(&question, &measured(&[100.0; 6]), &measured(&head), Rounds::Paired).unwrap()
    }

    #[test]
    fn a_calm_control_passes() {
        let control = judge_control(&[judged([1.0, 1.01, 0.99, 1.0, 1.01, 0.99]); 20]);
        assert_eq!((control.cells, control.found, control.p), (20, 0, 1.0));
        assert_close(control.median_width.unwrap(), 1.01 / 0.99 - 1.0);
        assert!(!control.too_noisy);
    }

    #[test]
    fn more_changes_than_chance_allows_are_too_noisy_on_either_side() {
        let calm = judged([1.0; 6]);
        let (up, down) = (judged([1.1; 6]), judged([0.9; 6]));
        let with = |found: usize| {
            let mut all = vec![calm; 300 - found];
            all.extend((0..found).map(|index| if index % 2 == 0 { up } else { down }));
            judge_control(&all)
        };
        // 300 × 1/32 = 9.4 are expected at most; 17 or more have a probability of 1.5 %, 18 of 0.7 %.
        assert!(!with(17).too_noisy, "{:?}", with(17));
        assert!(with(18).too_noisy, "{:?}", with(18));
    }

    #[test]
    fn wide_intervals_are_too_noisy_but_a_single_one_is_not() {
        let (calm, wide) = (judged([1.0; 6]), judged([0.9, 1.1, 1.0, 1.0, 1.0, 1.0]));
        assert!(!judge_control(&[calm, calm, wide]).too_noisy);
        assert!(judge_control(&[calm, wide, wide]).too_noisy);
    }

    #[test]
    fn nothing_measured_is_not_too_noisy() {
        let control = judge_control(&[]);
        assert_eq!((control.cells, control.p, control.median_width), (0, 1.0, None));
        assert!(!control.too_noisy);
    }

    #[test]
    fn the_spread_is_the_distance_from_one_on_either_side() {
        assert_close(spread(&judged([1.05; 6]).evidence).unwrap(), 0.05);
        assert_close(spread(&judged([1.0 / 1.05; 6]).evidence).unwrap(), 0.05);
    }
}
