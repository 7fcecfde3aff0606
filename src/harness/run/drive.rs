//! The loop: verify every cell once, then measure round after round; what is done already is not done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::build::Executable;
use super::journal::{Entry, Failure};
use super::plan::{self, PlannedCase, Runner};
use super::process::{self, Ended, Finished};
use super::{CellName, Effort, RunError};
use crate::harness::criterion_files::read_benchmark;
use crate::harness::protocol::{self, Outcome};

/// What a run knows so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Cells whose content was checked.
    pub verified: BTreeSet<CellName>,
    /// Cell → round → nanoseconds per operation.
    pub measured: BTreeMap<CellName, BTreeMap<u32, f64>>,
    /// Cell → how it was seen who served it.
    pub served: BTreeMap<CellName, String>,
    /// Cells that went wrong.
    pub failed: BTreeMap<CellName, Failure>,
}

impl State {
    /// Takes an entry in.
    pub fn learn(&mut self, entry: Entry) {
        match entry {
            Entry::Verified(cell) => {
                self.verified.insert(cell);
            }
            Entry::Measured { cell, round, time_ns, served } => {
                if let Some(method) = served {
                    self.served.insert(cell.clone(), method);
                }
                self.measured.entry(cell).or_default().insert(round, time_ns);
            }
            Entry::Failed { cell, failure } => {
                self.failed.insert(cell, failure);
            }
        }
    }

    fn has(&self, cell: &CellName, round: u32) -> bool {
        self.measured.get(cell).is_some_and(|rounds| rounds.contains_key(&round))
    }
}

/// Who runs a process for one cell. The real one starts executables; tests have one that knows its numbers.
pub trait Executor {
    /// Checks the cell's content.
    ///
    /// # Errors
    /// How it went wrong.
    fn verify(&mut self, cell: &CellName, runner: Runner) -> Result<(), Failure>;

    /// Measures the cell: nanoseconds per operation, and how it was seen who served.
    ///
    /// # Errors
    /// How it went wrong.
    fn measure(&mut self, cell: &CellName, runner: Runner) -> Result<(f64, Option<String>), Failure>;
}

/// Does what is left to do. `write` gets every entry before the next process starts, `tell` the number of processes that
/// are done and of all.
///
/// # Errors
/// Those of `write`.
pub fn drive(
    cases: &[PlannedCase],
    executables: &[Executable],
    (effort, seed): (Effort, u64),
    state: &mut State,
    executor: &mut dyn Executor,
    write: &mut dyn FnMut(&Entry) -> Result<(), RunError>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), RunError> {
    let cells: u64 = cases.iter().map(|case| case.runners.len() as u64).sum();
    let twins: u64 = cases.iter().flat_map(|case| &case.runners).filter(|runner| runner.twin).count() as u64;
    let (all, mut done) = (cells * (1 + u64::from(effort.rounds)) - twins, 0);
    let mut step = |state: &mut State, entry: Option<Entry>| -> Result<(), RunError> {
        if let Some(entry) = entry {
            write(&entry)?;
            state.learn(entry);
        }
        done += 1;
        tell(done, all);
        Ok(())
    };
    for (case, planned) in cases.iter().enumerate() {
        // A twin is the same code: once is enough.
        for &runner in planned.runners.iter().filter(|runner| !runner.twin) {
            let cell = plan::cell(cases, executables, case, runner);
            let known = state.verified.contains(&cell) || state.failed.contains_key(&cell);
            let entry = (!known).then(|| match executor.verify(&cell, runner) {
                Ok(()) => Entry::Verified(cell),
                Err(failure) => Entry::Failed { cell, failure },
            });
            step(state, entry)?;
        }
    }
    for round in 0..effort.rounds {
        for (case, runner) in plan::order(cases, seed, round) {
            let cell = plan::cell(cases, executables, case, runner);
            let known = state.has(&cell, round) || state.failed.contains_key(&cell);
            let entry = (!known).then(|| match executor.measure(&cell, runner) {
                Ok((time_ns, served)) => Entry::Measured { cell, round, time_ns, served },
                Err(failure) => Entry::Failed { cell, failure },
            });
            step(state, entry)?;
        }
    }
    Ok(())
}

/// Starts the executables.
#[derive(Debug)]
pub struct Processes<'e> {
    /// Indexed by the runner's executable.
    pub executables: &'e [Executable],
    /// Criterion's settings.
    pub effort: Effort,
    /// Seed of the workloads' tables: the same in every process, so that all allocators do the same work.
    pub seed: u64,
    /// The profile's name.
    pub profile: String,
    /// When to kill a process.
    pub limit: Duration,
    /// Where criterion may write; emptied for each process.
    pub scratch: PathBuf,
}

impl Processes<'_> {
    fn command(&self, runner: Runner) -> Command {
        let mut command = Command::new(&self.executables[runner.executable].path);
        command.env(protocol::PROFILE, &self.profile).env(protocol::SEED, self.seed.to_string());
        command
    }

    fn failure(&self, finished: &Finished) -> Option<Failure> {
        match &finished.ended {
            Ended::Well => None,
            Ended::TimeLimit => {
                Some(Failure::TimeLimit(format!("killed after {} s", self.limit.as_secs_f64())))
            }
            Ended::Badly(how) | Ended::NotStarted(how) => {
                let words = finished.last_words();
                let detail = if words.is_empty() { how.clone() } else { format!("{how}: {words}") };
                // The standard library's words when the global allocator refuses.
                match finished.stderr.contains("memory allocation of") {
                    true => Some(Failure::OutOfMemory(detail)),
                    false => Some(Failure::Crash(detail)),
                }
            }
        }
    }
}

impl Executor for Processes<'_> {
    fn verify(&mut self, cell: &CellName, runner: Runner) -> Result<(), Failure> {
        let mut command = self.command(runner);
        command.arg(protocol::VERIFY).arg(cell.case.to_string());
        let finished = process::run(command, self.limit);
        let said = serde_json::from_slice::<(protocol::CaseName, Outcome)>(&finished.stdout);
        match said {
            Ok((_, Outcome::Served(_))) if finished.ended == Ended::Well => Ok(()),
            Ok((_, outcome)) if !matches!(outcome, Outcome::Served(_)) => Err(Failure::Said(outcome)),
            _ => Err(self.failure(&finished).unwrap_or_else(|| silent(&finished))),
        }
    }

    fn measure(&mut self, cell: &CellName, runner: Runner) -> Result<(f64, Option<String>), Failure> {
        let lost = |error: std::io::Error| Failure::Crash(format!("{}: {error}", self.scratch.display()));
        // Nothing of the last process may be taken for this one's.
        if self.scratch.exists() {
            fs::remove_dir_all(&self.scratch).map_err(lost)?;
        }
        fs::create_dir_all(&self.scratch).map_err(lost)?;
        let outcome = self.scratch.join("outcome.json");
        let mut command = self.command(runner);
        let seconds = |milliseconds: u64| format!("{}", milliseconds as f64 / 1_000.0);
        command
            .env("CRITERION_HOME", &self.scratch)
            .env(protocol::CELL, cell.case.to_string())
            .env(protocol::OUTCOME, &outcome)
            .args(["--bench", "--noplot", "--warm-up-time", &seconds(self.effort.warm_up_ms)])
            .args(["--measurement-time", &seconds(self.effort.measuring_ms)])
            .args(["--sample-size", &self.effort.samples.to_string()])
            // Resampling feeds criterion's own intervals, which are not used here: the fewest it takes without a warning.
            .args(["--nresamples", "1001"]);
        let finished = process::run(command, self.limit);
        let said = fs::read(&outcome).ok().and_then(|json| serde_json::from_slice::<Outcome>(&json).ok());
        match said {
            Some(Outcome::Served(method)) if finished.ended == Ended::Well => {
                let benchmark = read_benchmark(&directory(&self.scratch, cell))
                    .map_err(|error| Failure::Crash(error.to_string()))?;
                Ok((benchmark.replicate(), method))
            }
            Some(outcome) if !matches!(outcome, Outcome::Served(_)) => Err(Failure::Said(outcome)),
            _ => Err(self.failure(&finished).unwrap_or_else(|| silent(&finished))),
        }
    }
}

fn silent(finished: &Finished) -> Failure {
    Failure::Crash(format!("it ended well and left no outcome; its last words: {}", finished.last_words()))
}

/// Where criterion puts the benchmark of a cell. The names survive its file-name rules: a test of the matrix sees to it.
fn directory(home: &Path, cell: &CellName) -> PathBuf {
    let allocator = home.join(&cell.case.workload).join(&cell.allocator);
    match cell.case.params.0.is_empty() {
        true => allocator,
        false => allocator.join(cell.case.params.to_string()),
    }
}

#[cfg(test)]
mod tests;
