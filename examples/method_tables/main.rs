//! Prints the tables of `docs/method.md`: what the verdicts can and cannot do, by simulation with fixed seeds.
//!
//! `scripts/method-tables.sh` runs it and puts the tables into the document.

mod job;
mod noise;

use std::process::ExitCode;

use allocmark::results::confirm::{ROOM, rounds_allowing};
use allocmark::results::metric::Metric;
use allocmark::results::verdict::{Question, Rounds, Verdict, screen};
use allocmark::stats::{Random, seed_from, shift, sign_test_interval};

use job::{Confirmation, Outcome, Plan, measured, run};
use noise::{Cell, Layouts, Noise, Shape};

/// All tables follow from it.
const SEED: u64 = 1;
/// Intervals per entry of the coverage tables: a share of 95 % is then known to ± 0.3 % (two standard errors).
const INTERVALS: u64 = 20_000;
/// Jobs per entry of the other tables: a share of 1 % is then known to ± 0.45 %, and none in 2000 means less than 0.15 %
/// (with 95 % confidence).
const JOBS: u64 = 2_000;
/// Jobs per entry of the power table, which has 10 slower cells in each: a share of 50 % is known to ± 1 %.
const POWER_JOBS: u64 = 1_000;

const ROUNDS: [usize; 4] = [6, 9, 12, 20];
const SPREADS: [f64; 5] = [0.005, 0.01, 0.02, 0.04, 0.08];

const GATE: Plan = Plan {
    unchanged: 300,
    slowed: (0, 1.0),
    rounds: 6,
    layouts: 3,
    confirmation: Confirmation::FreshBuilds,
    misses: ROOM,
    control: true,
};

/// A table's name, as in the document's markers, and what prints it.
const TABLES: [(&str, fn()); 6] = [
    ("coverage", coverage),
    ("layouts", layouts),
    ("false-alarms", false_alarms),
    ("power", power),
    ("room", room),
    ("records", records),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    if let Some((_, table)) = TABLES.iter().find(|(name, _)| Some(*name) == wanted.as_deref()) {
        table();
        return ExitCode::SUCCESS;
    }
    let names: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: method_tables {}", names.join(" | "));
    // The exit code for bad usage, as of `allocmark`.
    ExitCode::from(2)
}

/// How often the intervals hold the truth.
fn coverage() {
    println!("| rounds | noise | 6 | 9 | 12 | 20 |\n|---|---|---|---|---|---|");
    for paired in [true, false] {
        for (index, shape) in Shape::ALL.into_iter().enumerate() {
            let name = if paired { "paired" } else { "two records" };
            print!("| {name} | {} |", shape.title());
            for rounds in ROUNDS {
                let mut random = Random::new(seed_from(&[SEED, 1, index as u64, rounds as u64]));
                let noise = Noise { shape, spread: 0.02, layout: 0.0 };
                let held = (0..INTERVALS).filter(|_| holds(paired, rounds, &noise, &mut random)).count();
                print!(" {} |", percent(held as f64 / INTERVALS as f64));
            }
            println!();
        }
    }
}

fn holds(paired: bool, rounds: usize, noise: &Noise, random: &mut Random) -> bool {
    let level = Layouts::draw(1, noise, random);
    let mut cell = Cell::new(noise, random);
    let interval = if paired {
        let rounds = cell.paired(rounds, 1.0, (&level, &level), random);
        let differences: Vec<f64> = rounds.iter().map(|(base, head)| (head / base).ln()).collect();
        sign_test_interval(&differences, 0.95)
    } else {
        let logarithms = |times: Vec<f64>| times.iter().map(|time| time.ln()).collect::<Vec<_>>();
        let base = logarithms(cell.alone(rounds, 1.0, &level, random));
        // Another day: the cell keeps its kind of noise, the machine's state and its drift are new.
        cell.another_day(random);
        let head = logarithms(cell.alone(rounds, 1.0, &level, random));
        shift(&head, &base, 0.95).and_then(|shift| shift.interval)
    };
    interval.is_some_and(|interval| interval.low <= 0.0 && 0.0 <= interval.high)
}

/// What the number of builds, fresh builds and the A/A control each contribute.
fn layouts() {
    println!(
        "| builds a side | confirmation | A/A floors | 0 % | 1 % | 2 % | 3 % |\n|---|---|---|---|---|---|---|"
    );
    let plans = [
        (1, Confirmation::SameBuilds, false),
        (1, Confirmation::SameBuilds, true),
        (3, Confirmation::SameBuilds, false),
        (3, Confirmation::SameBuilds, true),
        (3, Confirmation::FreshBuilds, false),
        (3, Confirmation::FreshBuilds, true),
        (6, Confirmation::FreshBuilds, false),
        (6, Confirmation::FreshBuilds, true),
        (3, Confirmation::BuildEachRound, false),
        (3, Confirmation::BuildEachRound, true),
    ];
    for (index, (layouts, confirmation, control)) in plans.into_iter().enumerate() {
        let words = match confirmation {
            Confirmation::SameBuilds => "same builds",
            Confirmation::FreshBuilds => "fresh builds",
            Confirmation::BuildEachRound => "a build each round",
        };
        print!("| {layouts} | {words} | {} |", if control { "yes" } else { "no" });
        for layout in [0.0, 0.01, 0.02, 0.03] {
            let plan = Plan { layouts, confirmation, control, ..GATE };
            let noise = Noise { shape: Shape::Mixed, spread: 0.01, layout };
            let mut random = Random::new(seed_from(&[SEED, 2, index as u64, (layout * 1000.0) as u64]));
            print!(" {} |", alarms(&plan, &noise, &mut random));
        }
        println!();
    }
}

/// How often a job of unchanged cells raises an alarm.
fn false_alarms() {
    println!("| noise | 0.5 % | 1 % | 2 % | 4 % | 8 % |\n|---|---|---|---|---|---|");
    for (index, shape) in Shape::ALL.into_iter().enumerate() {
        print!("| {} |", shape.title());
        for spread in SPREADS {
            let mut random = Random::new(seed_from(&[SEED, 3, index as u64, (spread * 1000.0) as u64]));
            let noise = Noise { shape, spread, layout: 0.02 };
            print!(" {} |", alarms(&GATE, &noise, &mut random));
        }
        println!();
    }
}

fn alarms(plan: &Plan, noise: &Noise, random: &mut Random) -> String {
    let outcomes: Vec<Outcome> = (0..JOBS).map(|_| run(plan, noise, random)).collect();
    let jobs = outcomes.iter().filter(|outcome| outcome.falsely_regressed > 0).count();
    let suspected: usize = outcomes.iter().map(|outcome| outcome.falsely_suspected).sum();
    format!("{} ({:.1})", percent(jobs as f64 / JOBS as f64), suspected as f64 / JOBS as f64)
}

/// How often a slower cell is found.
fn power() {
    println!("| spread | rounds | 3 % slower | 6 % | 10 % | 20 % |\n|---|---|---|---|---|---|");
    for spread in SPREADS {
        for rounds in ROUNDS {
            print!("| {} | {rounds} |", percent(spread));
            for slower in [0.03, 0.06, 0.10, 0.20] {
                let plan = Plan { unchanged: 290, slowed: (10, 1.0 + slower), rounds, ..GATE };
                let noise = Noise { shape: Shape::Mixed, spread, layout: 0.01 };
                let words = [SEED, 4, rounds as u64, (spread * 1000.0) as u64, (slower * 1000.0) as u64];
                let mut random = Random::new(seed_from(&words));
                let (regressed, suspected) = found(&plan, &noise, &mut random);
                print!(" {regressed} ({suspected}) |");
            }
            println!();
        }
    }
}

/// What more rounds in the confirmation and the A/A floors do to false alarms and power.
fn room() {
    println!(
        "| rounds that may miss | A/A floors | rounds for 10 | false alarms | 6 % slower, spread 2 % | 10 %, 2 % | \
         10 %, 4 % | 20 %, 4 % |\n|---|---|---|---|---|---|---|---|"
    );
    for misses in [0, 1, 2, 4] {
        for control in [true, false] {
            let plan = Plan { misses, control, ..GATE };
            let words = if control { "yes" } else { "no" };
            let mut random = Random::new(seed_from(&[SEED, 5, misses as u64, u64::from(control)]));
            let calm = Noise { shape: Shape::Mixed, spread: 0.02, layout: 0.02 };
            let alarms = alarms(&plan, &calm, &mut random);
            print!("| {misses} | {words} | {} | {alarms} |", rounds_allowing(misses, 10));
            for (slower, spread) in [(0.06, 0.02), (0.10, 0.02), (0.10, 0.04), (0.20, 0.04)] {
                let plan = Plan { unchanged: 290, slowed: (10, 1.0 + slower), ..plan };
                let noise = Noise { shape: Shape::Mixed, spread, layout: 0.01 };
                let (regressed, suspected) = found(&plan, &noise, &mut random);
                print!(" {regressed} ({suspected}) |");
            }
            println!();
        }
    }
}

/// How often two stored records of the same code look different.
fn records() {
    println!("| noise | 0.5 % | 1 % | 2 % | 4 % | 8 % |\n|---|---|---|---|---|---|");
    for (index, shape) in Shape::ALL.into_iter().enumerate() {
        print!("| {} |", shape.title());
        for spread in SPREADS {
            let mut random = Random::new(seed_from(&[SEED, 6, index as u64, (spread * 1000.0) as u64]));
            let noise = Noise { shape, spread, layout: 0.0 };
            let suspected =
                (0..INTERVALS).filter(|_| is_suspected_between_records(&noise, &mut random)).count();
            print!(" {:.1} |", 300.0 * suspected as f64 / INTERVALS as f64);
        }
        println!();
    }
}

fn is_suspected_between_records(noise: &Noise, random: &mut Random) -> bool {
    let level = Layouts::draw(1, noise, random);
    let mut cell = Cell::new(noise, random);
    let base = cell.alone(6, 1.0, &level, random);
    cell.another_day(random);
    let head = cell.alone(6, 1.0, &level, random);
    let question = Question::about(Metric::Time, 1, None);
    let (Some(base), Some(head)) = (measured(base), measured(head)) else { return false };
    screen(&question, &base, &head, Rounds::Unpaired)
        .is_some_and(|judgement| judgement.verdict == Verdict::Suspected)
}

/// The shares of slower cells called regressed, and suspected.
fn found(plan: &Plan, noise: &Noise, random: &mut Random) -> (String, String) {
    let outcomes: Vec<Outcome> = (0..POWER_JOBS).map(|_| run(plan, noise, random)).collect();
    let cells = (plan.slowed.0 as u64 * POWER_JOBS) as f64;
    let share =
        |count: fn(&Outcome) -> usize| percent(outcomes.iter().map(count).sum::<usize>() as f64 / cells);
    (share(|outcome| outcome.regressed), share(|outcome| outcome.suspected))
}

fn percent(share: f64) -> String {
    let hundred = 100.0 * share;
    if hundred == 0.0 || hundred >= 99.95 { format!("{hundred:.0} %") } else { format!("{hundred:.1} %") }
}
