//! The verdicts under simulated noise: what `docs/method.md` promises, in a size that fits a test run.
//!
//! The seeds are fixed, so the outcomes are too. The tables in the document come from the same simulation, in
//! `examples/method_tables/`, with many more jobs.
#![cfg(feature = "harness")]

#[path = "../examples/method_tables/job.rs"]
mod job;
#[path = "../examples/method_tables/noise.rs"]
mod noise;

use allocmark::results::confirm::ROOM;
use allocmark::stats::{Interval, Random, shift, sign_test_interval};

use job::{Confirmation, Outcome, Plan, run};
use noise::{Cell, Layouts, Noise, Shape};

const GATE: Plan = Plan {
    unchanged: 300,
    slowed: (0, 1.0),
    rounds: 6,
    layouts: 3,
    confirmation: Confirmation::FreshBuilds,
    misses: ROOM,
    control: true,
};

fn outcomes(jobs: usize, plan: &Plan, noise: &Noise, seed: u64) -> Vec<Outcome> {
    let mut random = Random::new(seed);
    (0..jobs).map(|_| run(plan, noise, &mut random)).collect()
}

fn jobs_with_a_false_alarm(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.falsely_regressed > 0).count()
}

#[test]
fn paired_intervals_hold_the_truth_under_every_kind_of_noise() {
    for shape in Shape::ALL {
        for rounds in [6, 9, 12, 20] {
            let held = share_that_holds(shape, |cell, level, random| {
                let pairs = cell.paired(rounds, 1.0, (level, level), random);
                let differences: Vec<f64> = pairs.iter().map(|(base, head)| (head / base).ln()).collect();
                sign_test_interval(&differences, 0.95)
            });
            // The lowest exact coverage is 95.9 %; 2000 intervals know a share to ± 1.3 % (three standard errors).
            assert!(held >= 0.946, "{}, {rounds} rounds: {held}", shape.title());
        }
    }
}

#[test]
fn unpaired_intervals_hold_the_truth_while_the_machine_stands_still_and_not_when_it_drifts() {
    let between_records = |cell: &mut Cell, level: &Layouts, random: &mut Random| {
        let base = logarithms(cell.alone(6, 1.0, level, random));
        cell.another_day(random);
        let head = logarithms(cell.alone(6, 1.0, level, random));
        shift(&head, &base, 0.95).and_then(|shift| shift.interval)
    };
    for shape in [Shape::Normal, Shape::HeavyTails, Shape::Bimodal] {
        let held = share_that_holds(shape, between_records);
        assert!(held >= 0.946, "{}: {held}", shape.title());
    }
    assert!(share_that_holds(Shape::Drifting, between_records) < 0.7);
}

#[test]
fn at_most_one_job_of_a_hundred_of_unchanged_cells_raises_an_alarm() {
    for spread in [0.005, 0.02, 0.08] {
        let noise = Noise { shape: Shape::Mixed, spread, layout: 0.02 };
        let alarms = jobs_with_a_false_alarm(&outcomes(100, &GATE, &noise, 11));
        assert!(alarms <= 1, "{alarms} of 100 jobs at a spread of {spread}");
    }
}

#[test]
fn without_several_builds_placement_raises_an_alarm_in_most_jobs() {
    let noise = Noise { shape: Shape::Mixed, spread: 0.01, layout: 0.02 };
    let plan = Plan { layouts: 1, confirmation: Confirmation::SameBuilds, ..GATE };
    assert!(jobs_with_a_false_alarm(&outcomes(20, &plan, &noise, 12)) > 15);
    let plan = Plan { layouts: 1, confirmation: Confirmation::BuildEachRound, ..GATE };
    assert!(jobs_with_a_false_alarm(&outcomes(20, &plan, &noise, 12)) <= 1);
}

#[test]
fn ten_percent_slower_is_found_on_a_calm_machine() {
    let plan = Plan { unchanged: 90, slowed: (10, 1.10), rounds: 9, ..GATE };
    let noise = Noise { shape: Shape::Mixed, spread: 0.01, layout: 0.01 };
    let found: usize = outcomes(30, &plan, &noise, 13).iter().map(|outcome| outcome.regressed).sum();
    assert!(found >= 270, "{found} of 300");
}

#[test]
fn no_cell_is_regressed_that_was_not_suspected() {
    let plan = Plan { unchanged: 50, slowed: (20, 1.06), ..GATE };
    let noise = Noise { shape: Shape::Mixed, spread: 0.02, layout: 0.02 };
    for outcome in outcomes(20, &plan, &noise, 14) {
        assert!(outcome.regressed <= outcome.suspected, "{outcome:?}");
        assert!(outcome.falsely_regressed <= outcome.falsely_suspected, "{outcome:?}");
    }
}

fn share_that_holds(
    shape: Shape,
    interval: impl Fn(&mut Cell, &Layouts, &mut Random) -> Option<Interval>,
) -> f64 {
    let noise = Noise { shape, spread: 0.02, layout: 0.0 };
    let mut random = Random::new(10);
    let held = (0..2000).filter(|_| {
        let level = Layouts::draw(1, &noise, &mut random);
        let mut cell = Cell::new(&noise, &mut random);
        interval(&mut cell, &level, &mut random)
            .is_some_and(|interval| interval.low <= 0.0 && 0.0 <= interval.high)
    });
    held.count() as f64 / 2000.0
}

fn logarithms(times: Vec<f64>) -> Vec<f64> {
    times.into_iter().map(f64::ln).collect()
}
