//! The loop: verify every cell once, then measure probe by probe, round by round; what is done already is not done again.

use std::collections::BTreeMap;

use super::build::Executable;
use super::journal::{Entry, Failure};
use super::plan::{self, PlannedCase, Runner};
use super::{CellName, Effort, RunError};
use crate::harness::findings::Findings;
use crate::workloads::probe::Probe;

/// What a run knows so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Cells whose content was checked → what was counted meanwhile.
    pub verified: BTreeMap<CellName, Findings>,
    /// (Cell, probe) → round → what came out.
    pub measured: BTreeMap<(CellName, Probe), BTreeMap<u32, Findings>>,
    /// Cell → how it was seen who served it.
    pub served: BTreeMap<CellName, String>,
    /// What a probe cannot measure → why.
    pub unprobed: BTreeMap<(CellName, Probe), String>,
    /// Cells that went wrong.
    pub failed: BTreeMap<CellName, Failure>,
}

impl State {
    /// Takes an entry in.
    pub fn learn(&mut self, entry: Entry) {
        match entry {
            Entry::Verified { cell, findings } => {
                self.verified.insert(cell, findings);
            }
            Entry::Measured { cell, probe, round, findings, served } => {
                if let Some(method) = served {
                    self.served.insert(cell.clone(), method);
                }
                self.measured.entry((cell, probe)).or_default().insert(round, findings);
            }
            Entry::Unprobed { cell, probe, reason } => {
                self.unprobed.insert((cell, probe), reason);
            }
            Entry::Failed { cell, failure } => {
                self.failed.insert(cell, failure);
            }
        }
    }

    /// Whether there is nothing to do any more for a cell in a round of a probe.
    fn settled(&self, cell: &CellName, probe: Probe, round: u32) -> bool {
        let key = (cell.clone(), probe);
        // A twin is the same code: what failed once is not measured as if it were another.
        let original = CellName { twin: false, ..cell.clone() };
        self.failed.contains_key(cell)
            || self.failed.contains_key(&original)
            || self.unprobed.contains_key(&key)
            || self.measured.get(&key).is_some_and(|rounds| rounds.contains_key(&round))
    }
}

/// What came of measuring a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// Numbers, and how it was seen who served.
    Found(Findings, Option<String>),
    /// The probe cannot measure this cell, which says nothing against the allocator: why.
    Unprobed(String),
    /// The cell went wrong.
    Failed(Failure),
}

/// Who runs a process for one cell. The real one starts executables; tests have one that knows its numbers.
///
/// An error stops the run and says nothing about the allocator: the disk is full, the program cannot be started. What is
/// the cell's own is in the answers.
pub trait Executor {
    /// Checks the cell's content, and counts meanwhile.
    ///
    /// # Errors
    /// What kept the executor itself from asking.
    fn verify(&mut self, cell: &CellName, runner: Runner) -> Result<Result<Findings, Failure>, RunError>;

    /// Measures the cell.
    ///
    /// # Errors
    /// What kept the executor itself from measuring.
    fn measure(&mut self, cell: &CellName, runner: Runner, probe: Probe) -> Result<Measured, RunError>;
}

/// Does what is left to do. `write` gets every entry before the next process starts, `tell` the number of processes that
/// are done and of all.
///
/// # Errors
/// Those of `write` and of the executor. What was written stays, and another call goes on from there.
pub fn drive(
    cases: &[PlannedCase],
    executables: &[Executable],
    (effort, seed): (&Effort, u64),
    state: &mut State,
    executor: &mut dyn Executor,
    write: &mut dyn FnMut(&Entry) -> Result<(), RunError>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), RunError> {
    // A twin is the same code: to verify it once is enough.
    let verifying: Vec<(usize, Runner)> = (0..cases.len())
        .flat_map(|case| cases[case].runners.iter().map(move |runner| (case, *runner)))
        .filter(|(_, runner)| !runner.twin)
        .collect();
    let rounds: Vec<(Probe, u32)> = effort
        .rounds
        .iter()
        .flat_map(|(probe, rounds)| (0..*rounds).map(move |round| (*probe, round)))
        .collect();
    let measuring = |probe: Probe| cases.iter().map(|case| case.runners(probe).count()).sum::<usize>();
    let all = verifying.len() + rounds.iter().map(|(probe, _)| measuring(*probe)).sum::<usize>();
    let mut done = 0;
    let mut step = |state: &mut State, entry: Option<Entry>| -> Result<(), RunError> {
        if let Some(entry) = entry {
            write(&entry)?;
            state.learn(entry);
        }
        done += 1;
        tell(done, all as u64);
        Ok(())
    };
    for (case, runner) in verifying {
        let cell = plan::cell(cases, executables, case, runner);
        let known = state.verified.contains_key(&cell) || state.failed.contains_key(&cell);
        let entry = match known {
            true => None,
            false => Some(match executor.verify(&cell, runner)? {
                Ok(findings) => Entry::Verified { cell, findings },
                Err(failure) => Entry::Failed { cell, failure },
            }),
        };
        step(state, entry)?;
    }
    for (probe, round) in rounds {
        for (case, runner) in plan::order(cases, seed, probe, round) {
            let cell = plan::cell(cases, executables, case, runner);
            let entry = match state.settled(&cell, probe, round) {
                true => None,
                false => Some(match executor.measure(&cell, runner, probe)? {
                    Measured::Found(findings, served) => {
                        Entry::Measured { cell, probe, round, findings, served }
                    }
                    Measured::Unprobed(reason) => Entry::Unprobed { cell, probe, reason },
                    Measured::Failed(failure) => Entry::Failed { cell, failure },
                }),
            };
            step(state, entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
