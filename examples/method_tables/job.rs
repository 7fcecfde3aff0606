//! A gate's job from first to last: screen all cells, confirm the suspected ones, count what was said.

use allocmark::results::confirm::{Fresh, confirm, rounds_allowing};
use allocmark::results::control::spread;
use allocmark::results::metric::{Direction, Noise as NoiseClass};
use allocmark::results::record::Measured;
use allocmark::results::verdict::{Floor, Question, Rounds, Scale, Verdict, screen};
use allocmark::stats::{Random, median};

use crate::noise::{Cell, Layouts, Noise};

/// How a job goes about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// How many cells are unchanged.
    pub(crate) unchanged: usize,
    /// How many cells are slower, and how many times as long they take.
    pub(crate) slowed: (usize, f64),
    /// Rounds of the screen.
    pub(crate) rounds: usize,
    /// Builds of each side, over which the rounds are spread.
    pub(crate) layouts: usize,
    /// How the confirmation gets its builds.
    pub(crate) confirmation: Confirmation,
    /// In how many rounds of the confirmation a slower cell may fail to show it.
    pub(crate) misses: usize,
    /// Whether each cell's A/A control (base against base in another layout) raises its floor.
    pub(crate) control: bool,
}

/// How the confirmation gets its builds and rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// The screen's builds again.
    SameBuilds,
    /// As many builds as in the screen, but new ones.
    FreshBuilds,
    /// A new build of each side for each round.
    BuildEachRound,
}

/// What a job said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Unchanged cells that the screen suspected.
    pub(crate) falsely_suspected: usize,
    /// Unchanged cells that were called regressed: false alarms.
    pub(crate) falsely_regressed: usize,
    /// Slower cells that the screen suspected.
    pub(crate) suspected: usize,
    /// Slower cells that were called regressed.
    pub(crate) regressed: usize,
}

/// A suspected cell on its way to confirmation.
struct Suspect {
    cell: Cell,
    ratio: f64,
    floor: f64,
    builds: (Layouts, Layouts),
}

/// Runs one job.
pub(crate) fn run(plan: &Plan, noise: &Noise, random: &mut Random) -> Outcome {
    let ratios =
        std::iter::repeat_n(1.0, plan.unchanged).chain(std::iter::repeat_n(plan.slowed.1, plan.slowed.0));
    let suspects: Vec<Suspect> = ratios.filter_map(|ratio| screened(plan, noise, ratio, random)).collect();
    let rounds = rounds_allowing(plan.misses, suspects.len());
    let is_unchanged: Vec<bool> = suspects.iter().map(|suspect| suspect.ratio == 1.0).collect();
    let fresh: Vec<Fresh> = suspects
        .into_iter()
        .map(|mut suspect| {
            let (base, head) = builds(plan, noise, suspect.builds, rounds, random);
            Fresh {
                direction: Direction::Lower,
                scale: Scale::Ratio,
                floor: suspect.floor,
                rounds: suspect.cell.paired(rounds, suspect.ratio, (&base, &head), random),
            }
        })
        .collect();
    let mut outcome = Outcome::default();
    for (confirmation, is_unchanged) in confirm(&fresh).iter().zip(is_unchanged) {
        let confirmed = usize::from(confirmation.is_some_and(|confirmation| confirmation.confirmed));
        if is_unchanged {
            outcome.falsely_suspected += 1;
            outcome.falsely_regressed += confirmed;
        } else {
            outcome.suspected += 1;
            outcome.regressed += confirmed;
        }
    }
    outcome
}

fn builds(
    plan: &Plan,
    noise: &Noise,
    screened: (Layouts, Layouts),
    rounds: usize,
    random: &mut Random,
) -> (Layouts, Layouts) {
    let count = match plan.confirmation {
        Confirmation::SameBuilds => return screened,
        Confirmation::FreshBuilds => plan.layouts,
        Confirmation::BuildEachRound => rounds,
    };
    (Layouts::draw(count, noise, random), Layouts::draw(count, noise, random))
}

fn screened(plan: &Plan, noise: &Noise, ratio: f64, random: &mut Random) -> Option<Suspect> {
    let mut cell = Cell::new(noise, random);
    let base = Layouts::draw(plan.layouts, noise, random);
    let head = Layouts::draw(plan.layouts, noise, random);
    let mut floor = Floor::TIME;
    if plan.control {
        let control = cell.paired(plan.rounds, 1.0, (&base, &base.rotated()), random);
        let (one, other) = control.into_iter().unzip();
        let question = Question { direction: Direction::Lower, noise: NoiseClass::Noisy, floor };
        let judgement = screen(&question, &measured(one)?, &measured(other)?, Rounds::Paired)?;
        floor = floor.at_least_twice(spread(&judgement.evidence)?);
    }
    let (base_times, head_times) =
        cell.paired(plan.rounds, ratio, (&base, &head), random).into_iter().unzip();
    let question = Question { direction: Direction::Lower, noise: NoiseClass::Noisy, floor };
    let judgement = screen(&question, &measured(base_times)?, &measured(head_times)?, Rounds::Paired)?;
    (judgement.verdict == Verdict::Suspected).then_some(Suspect {
        cell,
        ratio,
        floor: judgement.evidence.floor,
        builds: (base, head),
    })
}

/// A measurement as a record holds it.
pub(crate) fn measured(replicates: Vec<f64>) -> Option<Measured> {
    Some(Measured { value: median(&replicates)?, interval: None, replicates })
}
