//! Which cells, how many rounds, in which order.

use regex::Regex;

use super::build::Executable;
use super::{CellName, Effort, RunError};
use crate::allocators::contract::Class;
use crate::harness::protocol::CaseName;
use crate::stats::random::{Random, seed_from};
use crate::workloads::shape::Profile;

/// How much a profile measures.
///
/// `quick` and above have the rounds that an interval needs: six is the smallest number at which the sign test reaches
/// 95 %. Fifty milliseconds of warm-up and twenty samples in 150 ms repeat a median within a few percent on a shared
/// machine; more time in one process narrows nothing, since processes differ more than samples do.
pub const fn effort(profile: Profile) -> Effort {
    match profile {
        Profile::Smoke => Effort { rounds: 1, warm_up_ms: 5, measuring_ms: 20, samples: 10 },
        Profile::Quick => Effort { rounds: 6, warm_up_ms: 50, measuring_ms: 150, samples: 20 },
        Profile::Standard => Effort { rounds: 9, warm_up_ms: 50, measuring_ms: 150, samples: 20 },
        Profile::Full => Effort { rounds: 12, warm_up_ms: 100, measuring_ms: 300, samples: 30 },
    }
}

/// A case and the allocators that can run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCase {
    /// The case.
    pub name: CaseName,
    /// Who runs it, in the order of the list; last the A/A control, if there is one.
    pub runners: Vec<Runner>,
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
    /// Matched anywhere in a case's name, `churn/live=10000,size=64`.
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
/// The first general allocator of each case is measured twice, as if it were two: what differs between the two is what
/// the machine does to the same code.
pub fn cases(executables: &[Executable], filter: &Filter) -> Vec<PlannedCase> {
    let mut cases: Vec<PlannedCase> = Vec::new();
    for (index, executable) in executables.iter().enumerate() {
        if !filter.allocator.is_match(&executable.description.allocator.id) {
            continue;
        }
        for name in &executable.description.cells {
            if !filter.workload.is_match(&name.to_string()) {
                continue;
            }
            match cases.iter_mut().find(|case| case.name == *name) {
                Some(case) => case.runners.push(Runner::of(index)),
                None => cases.push(PlannedCase { name: name.clone(), runners: vec![Runner::of(index)] }),
            }
        }
    }
    let general =
        |runner: &&Runner| executables[runner.executable].description.allocator.class == Class::General.id();
    for case in &mut cases {
        if let Some(&first) = case.runners.iter().find(general) {
            case.runners.push(Runner { twin: true, ..first });
        }
    }
    cases
}

/// The cells of one round in the order in which to measure them, as (case, runner).
///
/// Cases come in an order drawn for the round; the allocators of a case follow each other directly, in an order drawn
/// for the (case, round).
pub fn order(cases: &[PlannedCase], seed: u64, round: u32) -> Vec<(usize, Runner)> {
    let mut positions: Vec<usize> = (0..cases.len()).collect();
    Random::new(seed_from(&[seed, u64::from(round)])).shuffle(&mut positions);
    let mut cells = Vec::new();
    for position in positions {
        let case = &cases[position];
        let mut runners = case.runners.clone();
        Random::new(seed_from(&[seed, u64::from(round), hash(&case.name)])).shuffle(&mut runners);
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

/// About how long a run of `cells` cells will take, in seconds.
pub fn estimate_seconds(cells: usize, effort: Effort) -> u64 {
    let measured = u64::from(effort.rounds) * (effort.warm_up_ms + effort.measuring_ms + PROCESS_MS);
    cells as u64 * (measured + VERIFY_MS) / 1_000
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
        let cells: BTreeSet<_> = order(&cases(), 1, 0).into_iter().collect();
        assert_eq!(cells.len(), 18);
    }

    #[test]
    fn the_allocators_of_a_case_follow_each_other() {
        for round in 0..20 {
            let cells = order(&cases(), 1, round);
            for group in cells.chunks(6) {
                assert!(group.iter().all(|(case, _)| *case == group[0].0));
            }
        }
    }

    #[test]
    fn the_order_depends_on_seed_and_round_and_on_nothing_else() {
        assert_eq!(order(&cases(), 1, 3), order(&cases(), 1, 3));
        assert_ne!(order(&cases(), 1, 3), order(&cases(), 1, 4));
        assert_ne!(order(&cases(), 1, 3), order(&cases(), 2, 3));
    }

    #[test]
    fn every_allocator_comes_first_in_about_a_sixth_of_the_rounds() {
        let mut first = [0; 6];
        for round in 0..600 {
            first[order(&cases()[..1], 1, round)[0].1.executable] += 1;
        }
        assert!(first.iter().all(|count| (70..=130).contains(count)), "{first:?}");
    }
}
