//! Which cells, how many rounds, in which order.

use regex::Regex;

use super::build::Executable;
use super::{CellName, Effort, RunError};
use crate::allocators::contract::Class;
use crate::harness::protocol::CaseName;
use crate::stats::random::{Random, seed_from};
use crate::workloads::probe::Probe;
use crate::workloads::shape::Profile;

/// How much a profile measures.
///
/// Time has the rounds that an interval needs in `quick` and above: six is the smallest number at which the sign test
/// reaches 95 %. Memory repeats within a few percent, percentiles are of a million steps each, and instructions repeat
/// exactly: they take fewer. Fifty milliseconds of warm-up and twenty samples in 150 ms repeat a median within a few percent on a shared
/// machine; more time in one process narrows nothing, since processes differ more than samples do. `quick` takes a little
/// less of both, so that it keeps its five minutes.
pub fn effort(profile: Profile, probes: &[Probe]) -> Effort {
    let (time, others) = match profile {
        Profile::Smoke => (1, 1),
        Profile::Quick => (6, 3),
        Profile::Standard => (9, 3),
        Profile::Full => (12, 6),
    };
    let rounds = |probe: &Probe| match probe {
        Probe::Time => time,
        Probe::Memory | Probe::Latency => others,
        Probe::Instructions => 1,
    };
    let (warm_up_ms, measuring_ms, samples) = match profile {
        Profile::Smoke => (5, 20, 10),
        Profile::Quick => (30, 120, 20),
        Profile::Standard => (50, 150, 20),
        Profile::Full => (100, 300, 30),
    };
    let rounds = probes.iter().map(|probe| (*probe, rounds(probe))).collect();
    Effort { rounds, warm_up_ms, measuring_ms, samples }
}

/// A case and the allocators that can run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCase {
    /// The case.
    pub name: CaseName,
    /// Who runs it, in the order of the list; last the A/A control, if there is one.
    pub runners: Vec<Runner>,
    /// What is measured of it, of what was asked for.
    pub probes: Vec<Probe>,
}

impl PlannedCase {
    /// Who is measured by `probe`: the A/A control is one of time.
    pub fn runners(&self, probe: Probe) -> impl Iterator<Item = Runner> {
        let measured = self.probes.contains(&probe);
        self.runners.iter().copied().filter(move |runner| measured && (probe == Probe::Time || !runner.twin))
    }
}

/// Who runs a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runner {
    /// Index of the executable.
    pub executable: usize,
    /// The same executable once more, as if it were another allocator.
    pub twin: bool,
}

impl Runner {
    const fn of(executable: usize) -> Self {
        Self { executable, twin: false }
    }
}

/// Which allocators and workloads are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Matched anywhere in an allocator's id.
    pub allocator: Regex,
    /// Matched anywhere in a case's name, `churn/live=10000,size=64,heap=clean`.
    pub workload: Regex,
}

impl Filter {
    /// From the flags `--allocator` and `--workload`; an empty one matches everything.
    ///
    /// # Errors
    /// If one is not a regular expression; the error says which.
    pub fn parse(allocator: &str, workload: &str) -> Result<Self, RunError> {
        let regex = |flag, text: &str| {
            Regex::new(text).map_err(|source| RunError::Pattern { flag, text: text.to_owned(), source })
        };
        Ok(Self { allocator: regex("--allocator", allocator)?, workload: regex("--workload", workload)? })
    }
}

/// The cases that the filter leaves, in the order in which the executables name them.
///
/// The first general allocator of each case (of cases without one, the first that is no control) is measured twice, as if
/// it were two: what differs between the two is what the machine does to the same code.
///
/// A case of which no probe that was asked for measures anything is left out.
pub fn cases(executables: &[Executable], filter: &Filter, wanted: &Effort) -> Vec<PlannedCase> {
    let mut cases: Vec<PlannedCase> = Vec::new();
    for (index, executable) in executables.iter().enumerate() {
        if !filter.allocator.is_match(&executable.description.allocator.id) {
            continue;
        }
        for (name, probes) in &executable.description.cells {
            if !filter.workload.is_match(&name.to_string()) {
                continue;
            }
            if let Some(case) = cases.iter_mut().find(|case| case.name == *name) {
                case.runners.push(Runner::of(index));
                continue;
            }
            let mut probes = probes.clone();
            probes.retain(|probe| wanted.rounds.contains_key(probe));
            if !probes.is_empty() {
                cases.push(PlannedCase { name: name.clone(), runners: vec![Runner::of(index)], probes });
            }
        }
    }
    let class = |runner: &Runner| executables[runner.executable].description.allocator.class.as_str();
    for case in cases.iter_mut().filter(|case| case.probes.contains(&Probe::Time)) {
        let general = case.runners.iter().find(|runner| class(runner) == Class::General.id());
        let other = || case.runners.iter().find(|runner| class(runner) != Class::Control.id());
        if let Some(&first) = general.or_else(other) {
            case.runners.push(Runner { twin: true, ..first });
        }
    }
    cases
}

/// The cells of one round of a probe in the order in which to measure them, as (case, runner).
///
/// Cases come in an order drawn for the round; the allocators of a case follow each other directly, in an order drawn
/// for the (case, round).
pub fn order(cases: &[PlannedCase], seed: u64, probe: Probe, round: u32) -> Vec<(usize, Runner)> {
    let mut positions: Vec<usize> = (0..cases.len()).collect();
    let (probe_number, round) = (probe as u64, u64::from(round));
    Random::new(seed_from(&[seed, probe_number, round])).shuffle(&mut positions);
    let mut cells = Vec::new();
    for position in positions {
        let case = &cases[position];
        let mut runners: Vec<Runner> = case.runners(probe).collect();
        Random::new(seed_from(&[seed, probe_number, round, hash(&case.name)])).shuffle(&mut runners);
        cells.extend(runners.into_iter().map(|runner| (position, runner)));
    }
    cells
}

/// A case's own number: its name's bytes, so that it does not depend on which other cases run.
fn hash(name: &CaseName) -> u64 {
    let words: Vec<u64> = name.to_string().bytes().map(u64::from).collect();
    seed_from(&words)
}

/// A cell's name.
pub fn cell(cases: &[PlannedCase], executables: &[Executable], case: usize, runner: Runner) -> CellName {
    CellName {
        case: cases[case].name.clone(),
        allocator: executables[runner.executable].description.allocator.id.clone(),
        twin: runner.twin,
    }
}

/// Milliseconds that one measuring process takes beside warm-up and measuring: start, tables, analysis, proof of who
/// served. Seen with 50 ms of warm-up and 150 ms of measuring: 230 to 300 ms a process in all.
const PROCESS_MS: u64 = 60;

/// Milliseconds that verifying a cell takes on average, process start included.
const VERIFY_MS: u64 = 40;

/// Milliseconds of a process of the latency probe, which has times of its own.
const LATENCY_MS: u64 = 330;

/// Milliseconds of a process of the memory probe, without the states that are waited for.
const MEMORY_MS: u64 = 600;

/// Milliseconds of a process of the memory probe where idleness and light use are waited for.
const MEMORY_WAITED_MS: u64 = 27_000;

/// Milliseconds of a process under callgrind, which is fifty times slower.
const INSTRUCTIONS_MS: u64 = 1_500;

/// About how long a run will take, in seconds.
pub fn estimate_seconds(cases: &[PlannedCase], effort: &Effort, profile: Profile) -> u64 {
    let process = |probe: Probe| match probe {
        Probe::Time => effort.warm_up_ms + effort.measuring_ms + PROCESS_MS,
        Probe::Latency => LATENCY_MS,
        Probe::Memory if profile <= Profile::Quick => MEMORY_MS,
        Probe::Memory => MEMORY_WAITED_MS,
        Probe::Instructions => INSTRUCTIONS_MS,
    };
    let cell = |case: &PlannedCase| {
        let measured = effort.rounds.iter().map(|(probe, rounds)| {
            case.runners(*probe).count() as u64 * u64::from(*rounds) * process(*probe)
        });
        measured.sum::<u64>() + case.runners.len() as u64 * VERIFY_MS
    };
    cases.iter().map(cell).sum::<u64>() / 1_000
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workloads::params::Params;

    fn cases() -> Vec<PlannedCase> {
        ["pair", "churn", "tree"]
            .into_iter()
            .map(|workload| PlannedCase {
                name: CaseName { workload: workload.to_owned(), params: Params::default() },
                runners: (0..6).map(Runner::of).collect(),
                probes: vec![Probe::Time, Probe::Latency],
            })
            .collect()
    }

    #[test]
    fn a_filter_that_is_no_regular_expression_is_named() {
        assert!(Filter::parse("system|^slab$", "").is_ok());
        let error = Filter::parse("system", "(").unwrap_err().to_string();
        assert_eq!(error, r#"--workload "(" is not a regular expression"#);
    }

    #[test]
    fn a_round_measures_every_cell_once() {
        let cells: BTreeSet<_> = order(&cases(), 1, Probe::Time, 0).into_iter().collect();
        assert_eq!(cells.len(), 18);
    }

    #[test]
    fn the_control_is_measured_for_time_alone_and_a_probe_only_where_it_is_asked_for() {
        let mut cases = cases();
        cases[0].runners.push(Runner { executable: 1, twin: true });
        assert_eq!(order(&cases, 1, Probe::Time, 0).len(), 19);
        assert_eq!(order(&cases, 1, Probe::Latency, 0).len(), 18);
        assert_eq!(order(&cases, 1, Probe::Memory, 0), []);
    }

    #[test]
    fn the_allocators_of_a_case_follow_each_other() {
        for round in 0..20 {
            let cells = order(&cases(), 1, Probe::Time, round);
            for group in cells.chunks(6) {
                assert!(group.iter().all(|(case, _)| *case == group[0].0));
            }
        }
    }

    #[test]
    fn the_order_depends_on_seed_and_round_and_on_nothing_else() {
        assert_eq!(order(&cases(), 1, Probe::Time, 3), order(&cases(), 1, Probe::Time, 3));
        assert_ne!(order(&cases(), 1, Probe::Time, 3), order(&cases(), 1, Probe::Time, 4));
        assert_ne!(order(&cases(), 1, Probe::Time, 3), order(&cases(), 2, Probe::Time, 3));
    }

    #[test]
    fn every_allocator_comes_first_in_about_a_sixth_of_the_rounds() {
        let mut first = [0; 6];
        for round in 0..600 {
            first[order(&cases()[..1], 1, Probe::Time, round)[0].1.executable] += 1;
        }
        assert!(first.iter().all(|count| (70..=130).contains(count)), "{first:?}");
    }
}
