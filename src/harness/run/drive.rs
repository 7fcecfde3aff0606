//! The loop: verify every cell once, then measure round after round; what is done already is not done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::build::{Executable, file_name};
use super::journal::{Entry, Failure};
use super::plan::{self, PlannedCase, Runner};
use super::process::{self, Ended, Finished};
use super::{CellName, Effort, RunError};
use crate::harness::criterion_files::{ImportError, find_benchmarks, read_benchmark};
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
///
/// The outer error stops the run and says nothing about the allocator: the disk is full, the program cannot be started.
/// The inner one is the cell's own.
pub trait Executor {
    /// Checks the cell's content.
    ///
    /// # Errors
    /// What kept the executor itself from asking.
    fn verify(&mut self, cell: &CellName, runner: Runner) -> Result<Result<(), Failure>, RunError>;

    /// Measures the cell: nanoseconds per operation, and how it was seen who served.
    ///
    /// # Errors
    /// What kept the executor itself from measuring.
    fn measure(&mut self, cell: &CellName, runner: Runner) -> Result<Result<Time, Failure>, RunError>;
}

/// Nanoseconds per operation, and how it was seen who served.
pub type Time = (f64, Option<String>);

/// Does what is left to do. `write` gets every entry before the next process starts, `tell` the number of processes that
/// are done and of all.
///
/// # Errors
/// Those of `write` and of the executor. What was written stays, and another call goes on from there.
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
            let entry = match known {
                true => None,
                false => Some(match executor.verify(&cell, runner)? {
                    Ok(()) => Entry::Verified(cell),
                    Err(failure) => Entry::Failed { cell, failure },
                }),
            };
            step(state, entry)?;
        }
    }
    for round in 0..effort.rounds {
        for (case, runner) in plan::order(cases, seed, round) {
            let cell = plan::cell(cases, executables, case, runner);
            let known = state.has(&cell, round) || state.failed.contains_key(&cell);
            let entry = match known {
                true => None,
                false => Some(match executor.measure(&cell, runner)? {
                    Ok((time_ns, served)) => Entry::Measured { cell, round, time_ns, served },
                    Err(failure) => Entry::Failed { cell, failure },
                }),
            };
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
        process::without_tuning(&mut command);
        command.env(protocol::PROFILE, &self.profile).env(protocol::SEED, self.seed.to_string());
        command
    }

    fn run(&self, command: Command, runner: Runner) -> Result<Finished, RunError> {
        process::run(command, self.limit).map_err(|source| {
            let executable = file_name(&self.executables[runner.executable].path);
            RunError::Process { executable, source }
        })
    }

    fn scratch_error(&self, source: std::io::Error) -> RunError {
        let expected = "a directory that can be emptied, written and read";
        RunError::File { path: self.scratch.clone(), expected, source }
    }

    fn failure(&self, finished: &Finished) -> Option<Failure> {
        match &finished.ended {
            Ended::Well => None,
            Ended::TimeLimit => {
                Some(Failure::TimeLimit(format!("killed after {} s", self.limit.as_secs_f64())))
            }
            Ended::Badly(how) => {
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
    fn verify(&mut self, cell: &CellName, runner: Runner) -> Result<Result<(), Failure>, RunError> {
        let mut command = self.command(runner);
        command.arg(protocol::VERIFY).arg(cell.case.to_string());
        let finished = self.run(command, runner)?;
        let said = serde_json::from_slice::<(protocol::CaseName, Outcome)>(&finished.stdout);
        Ok(match said {
            Ok((_, Outcome::Served(_))) if finished.ended == Ended::Well => Ok(()),
            Ok((_, outcome)) if !matches!(outcome, Outcome::Served(_)) => Err(Failure::Said(outcome)),
            _ => Err(self.failure(&finished).unwrap_or_else(|| silent(&finished))),
        })
    }

    fn measure(&mut self, cell: &CellName, runner: Runner) -> Result<Result<Time, Failure>, RunError> {
        // Nothing of the last process may be taken for this one's.
        if self.scratch.exists() {
            fs::remove_dir_all(&self.scratch).map_err(|error| self.scratch_error(error))?;
        }
        fs::create_dir_all(&self.scratch).map_err(|error| self.scratch_error(error))?;
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
        let finished = self.run(command, runner)?;
        let said = match fs::read(&outcome) {
            Ok(json) => serde_json::from_slice::<Outcome>(&json).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(self.scratch_error(error)),
        };
        Ok(match said {
            Some(Outcome::Served(method)) if finished.ended == Ended::Well => {
                match benchmark(&self.scratch, cell) {
                    Ok(time_ns) => Ok((time_ns, method)),
                    Err(Unread::Disk(error)) => return Err(self.scratch_error(error)),
                    Err(Unread::Wrong(problem)) => Err(Failure::Crash(problem)),
                }
            }
            Some(outcome) if !matches!(outcome, Outcome::Served(_)) => Err(Failure::Said(outcome)),
            _ => Err(self.failure(&finished).unwrap_or_else(|| silent(&finished))),
        })
    }
}

/// Why criterion's output gave no time.
#[derive(Debug)]
enum Unread {
    /// The file system, which is nobody's fault.
    Disk(std::io::Error),
    /// The executable did not leave what it should have.
    Wrong(String),
}

impl From<ImportError> for Unread {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Io { source, .. } if source.kind() != ErrorKind::NotFound => Self::Disk(source),
            other => Self::Wrong(other.to_string()),
        }
    }
}

/// The time in the one benchmark that criterion left in `home`, which must be that of `cell`.
fn benchmark(home: &Path, cell: &CellName) -> Result<f64, Unread> {
    let found = find_benchmarks(home)?;
    let [directory] = found.finished.as_slice() else {
        let count = found.finished.len();
        return Err(Unread::Wrong(format!("it left {count} finished benchmarks of criterion's, expected 1")));
    };
    let benchmark = read_benchmark(directory)?;
    let (allocator, params) = (cell.allocator.as_str(), cell.case.params.to_string());
    let named = match (benchmark.function.as_deref(), benchmark.value.as_deref()) {
        (Some(function), Some(value)) => function == allocator && value == params,
        // A case without parameters has one of the two.
        (Some(name), None) | (None, Some(name)) => params.is_empty() && name == allocator,
        (None, None) => false,
    };
    if !named || benchmark.group != cell.case.workload {
        let name = benchmark.name();
        return Err(Unread::Wrong(format!(
            "it measured {name}, expected {}/{allocator}/{params}",
            cell.case.workload
        )));
    }
    Ok(benchmark.replicate())
}

fn silent(finished: &Finished) -> Failure {
    Failure::Crash(format!("it ended well and left no outcome; its last words: {}", finished.last_words()))
}

#[cfg(test)]
mod tests;
