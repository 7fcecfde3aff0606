//! Prints the tables of `docs/method.md`: what the verdicts can and cannot do, by simulation with fixed seeds.
//!
//! `scripts/method-tables.sh` runs it and puts the tables into the document.

mod job;
mod noise;

use allocmark::stats::{Random, seed_from, shift, sign_test_interval};

use job::{Confirmation, Outcome, Plan, run};
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
    control: true,
};

fn main() {
    // One table by its number, or all: `method_tables 3`.
    let wanted = std::env::args().nth(1);
    let tables: [fn(); 4] = [coverage, layouts, false_alarms, power];
    for (number, table) in tables.iter().enumerate() {
        if wanted.as_ref().is_none_or(|wanted| *wanted == (number + 1).to_string()) {
            table();
            println!();
        }
    }
}

/// How often the intervals hold the truth.
fn coverage() {
    println!("Share of 95 % intervals that hold the true ratio (spread 2 %):\n");
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
        "Share of jobs of 300 unchanged cells with a false *regressed*, and falsely suspected cells a job, if code \
         placement moves each cell by 1, 2 or 3 % (standard deviation; noise a mixture, spread 1 %):\n"
    );
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
    println!(
        "Share of jobs of 300 unchanged cells with a false *regressed*, and falsely suspected cells a job (placement \
         2 %, 6 rounds, 3 builds a side, fresh builds in the confirmation, A/A floors):\n"
    );
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
    println!(
        "Share of slower cells called *regressed* (in brackets: suspected by the screen), in jobs of 300 cells of which \
         10 are slower; noise a mixture, placement 1 %, 3 builds a side, fresh builds in the confirmation, A/A floors:\n"
    );
    println!("| spread | rounds | 3 % slower | 6 % | 10 % | 20 % |\n|---|---|---|---|---|---|");
    for spread in SPREADS {
        for rounds in ROUNDS {
            print!("| {} | {rounds} |", percent(spread));
            for slower in [0.03, 0.06, 0.10, 0.20] {
                let plan = Plan { unchanged: 290, slowed: (10, 1.0 + slower), rounds, ..GATE };
                let noise = Noise { shape: Shape::Mixed, spread, layout: 0.01 };
                let words = [SEED, 4, rounds as u64, (spread * 1000.0) as u64, (slower * 1000.0) as u64];
                let mut random = Random::new(seed_from(&words));
                let outcomes: Vec<Outcome> =
                    (0..POWER_JOBS).map(|_| run(&plan, &noise, &mut random)).collect();
                let share = |count: fn(&Outcome) -> usize| {
                    percent(outcomes.iter().map(count).sum::<usize>() as f64 / (10 * POWER_JOBS) as f64)
                };
                print!(" {} ({}) |", share(|outcome| outcome.regressed), share(|outcome| outcome.suspected));
            }
            println!();
        }
    }
}

fn percent(share: f64) -> String {
    let hundred = 100.0 * share;
    if hundred == 0.0 || hundred >= 99.95 { format!("{hundred:.0} %") } else { format!("{hundred:.1} %") }
}
