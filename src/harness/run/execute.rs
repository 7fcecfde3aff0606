//! One cell by one probe: which process that is, and what its answer means.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::build::{Executable, file_name};
use super::callgrind;
use super::drive::{Executor, Measured};
use super::journal::Failure;
use super::plan::Runner;
use super::process::{self, Ended, Finished};
use super::{CellName, Effort, RunError};
use crate::harness::criterion_files::{ImportError, find_benchmarks, read_benchmark};
use crate::harness::findings::Findings;
use crate::harness::metric::Metric;
use crate::harness::probes::memory;
use crate::harness::protocol::{self, Answer, Outcome, Verified};
use crate::workloads::probe::Probe;

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
    /// Where a process may write; emptied for each.
    pub scratch: PathBuf,
    /// Executable → why it cannot run under valgrind, or that it can; asked once for each.
    pub countable: HashMap<usize, Result<(), String>>,
}

impl Processes<'_> {
    fn command(&self, runner: Runner) -> Command {
        let executable = &self.executables[runner.executable];
        let mut command = Command::new(&executable.path);
        process::without_tuning(&mut command);
        command.env(protocol::ALLOCATOR, &executable.description.allocator.id);
        command.env(protocol::PROFILE, &self.profile).env(protocol::SEED, self.seed.to_string());
        command
    }

    fn run(&self, command: Command, runner: Runner, limit: Duration) -> Result<Finished, RunError> {
        process::run(command, limit).map_err(|source| {
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

    fn for_criterion(&self, command: &mut Command) {
        let seconds = |milliseconds: u64| format!("{}", milliseconds as f64 / 1_000.0);
        command
            .env("CRITERION_HOME", &self.scratch)
            .args(["--bench", "--noplot", "--warm-up-time", &seconds(self.effort.warm_up_ms)])
            .args(["--measurement-time", &seconds(self.effort.measuring_ms)])
            .args(["--sample-size", &self.effort.samples.to_string()])
            // Resampling feeds criterion's own intervals, which are not used here: the fewest it takes without a warning.
            .args(["--nresamples", "1001"]);
    }

    /// What the process said of itself, if it said anything.
    fn answer(&self, outcome: &Path) -> Result<Option<Answer>, RunError> {
        match fs::read(outcome) {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.scratch_error(error)),
        }
    }

    /// Nothing of the last process may be taken for this one's.
    fn empty_scratch(&self) -> Result<(), RunError> {
        if self.scratch.exists() {
            fs::remove_dir_all(&self.scratch).map_err(|error| self.scratch_error(error))?;
        }
        fs::create_dir_all(&self.scratch).map_err(|error| self.scratch_error(error))
    }

    /// Whether valgrind is there and the executable starts under it: a reason, if not.
    fn countable(&mut self, runner: Runner) -> Result<Result<(), String>, RunError> {
        if let Some(known) = self.countable.get(&runner.executable) {
            return Ok(known.clone());
        }
        let trial = callgrind::trial(&self.command(runner));
        let answer = match process::run(trial, self.limit) {
            Ok(finished) if finished.ended == Ended::Well => Ok(()),
            Ok(finished) => Err(callgrind::cannot(&finished)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(callgrind::MISSING.to_owned()),
            Err(source) => {
                return Err(RunError::Process { executable: callgrind::PROGRAM.to_owned(), source });
            }
        };
        self.countable.insert(runner.executable, answer.clone());
        Ok(answer)
    }
}

impl Executor for Processes<'_> {
    fn verify(&mut self, cell: &CellName, runner: Runner) -> Result<Result<Findings, Failure>, RunError> {
        let mut command = self.command(runner);
        command.arg(protocol::VERIFY).arg(cell.case.to_string());
        let finished = self.run(command, runner, self.limit)?;
        let said = serde_json::from_slice::<Verified>(&finished.stdout);
        Ok(match said {
            Ok((_, Outcome::Served(_), findings)) if finished.ended == Ended::Well => Ok(findings),
            Ok((_, outcome, _)) if !matches!(outcome, Outcome::Served(_)) => Err(Failure::Said(outcome)),
            _ => Err(self.failure(&finished).unwrap_or_else(|| silent(&finished))),
        })
    }

    fn measure(&mut self, cell: &CellName, runner: Runner, probe: Probe) -> Result<Measured, RunError> {
        let mut limit = self.limit;
        let mut command = self.command(runner);
        if probe == Probe::Instructions {
            if let Err(reason) = self.countable(runner)? {
                return Ok(Measured::Unprobed(reason));
            }
            command = callgrind::around(&command, &self.scratch.join(callgrind::FILE));
            limit *= callgrind::SLOWER;
        }
        if probe == Probe::Memory {
            // What is waited for on purpose is not hanging.
            limit += memory::LONGEST_REST;
        }
        self.empty_scratch()?;
        let outcome = self.scratch.join("outcome.json");
        command
            .env(protocol::CELL, cell.case.to_string())
            .env(protocol::PROBE, probe.id())
            .env(protocol::OUTCOME, &outcome);
        if probe == Probe::Time {
            self.for_criterion(&mut command);
        }
        let finished = self.run(command, runner, limit)?;
        let answer = self.answer(&outcome)?;
        if let Some(Answer { unprobed: Some(reason), .. }) = answer {
            return Ok(Measured::Unprobed(reason));
        }
        let Some(Answer { outcome: Outcome::Served(served), findings, operations, .. }) =
            answer.clone().filter(|_| finished.ended == Ended::Well)
        else {
            let failure = match answer {
                Some(Answer { outcome, .. }) if !matches!(outcome, Outcome::Served(_)) => {
                    Failure::Said(outcome)
                }
                _ => self.failure(&finished).unwrap_or_else(|| silent(&finished)),
            };
            return Ok(match probe {
                // Valgrind is not a machine that allocators are made for.
                Probe::Instructions => Measured::Unprobed(format!("under valgrind: {failure}")),
                _ => Measured::Failed(failure),
            });
        };
        Ok(match probe {
            Probe::Memory | Probe::Latency => Measured::Found(findings, served),
            Probe::Time => match benchmark(&self.scratch, cell) {
                Ok(time_ns) => Measured::Found(of_one(Metric::Time, time_ns), served),
                Err(Unread::Disk(error)) => return Err(self.scratch_error(error)),
                Err(Unread::Wrong(problem)) => Measured::Failed(Failure::Crash(problem)),
            },
            Probe::Instructions => {
                let file = self.scratch.join(callgrind::FILE);
                let text = match fs::read(file) {
                    Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    // Options in somebody's .valgrindrc can give it another name.
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        return Ok(Measured::Unprobed("callgrind left no counts".to_owned()));
                    }
                    Err(error) => return Err(self.scratch_error(error)),
                };
                match callgrind::instructions(&text) {
                    Ok(counted) if operations > 0 => {
                        let each = counted as f64 / operations as f64;
                        Measured::Found(of_one(Metric::Instructions, each), served)
                    }
                    Ok(_) => Measured::Unprobed("it did no operation under valgrind".to_owned()),
                    Err(reason) => Measured::Unprobed(reason),
                }
            }
        })
    }
}

fn of_one(metric: Metric, value: f64) -> Findings {
    Findings { metrics: [(metric, value)].into(), ..Findings::default() }
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
mod tests {
    use super::*;
    use crate::harness::protocol::CaseName;
    use crate::workloads::params::Params;

    fn cell(workload: &str, allocator: &str) -> CellName {
        let case = CaseName { workload: workload.to_owned(), params: Params::default() };
        CellName { case, allocator: allocator.to_owned(), twin: false }
    }

    /// Criterion's files for one benchmark of 5 ns.
    fn leave(home: &Path, group: &str, function: &str, value: &str) {
        let new = home.join(group).join(function).join(value).join("new");
        fs::create_dir_all(&new).unwrap();
        let estimate = r#"{"confidence_interval":{"confidence_level":0.95,"lower_bound":5,"upper_bound":5},"point_estimate":5,"standard_error":0}"#;
        let put = |file: &str, text: String| fs::write(new.join(file), text).unwrap();
        put("sample.json", r#"{"sampling_mode":"Linear","iters":[1,2],"times":[5,10]}"#.to_owned());
        put("estimates.json", format!(r#"{{"mean":{estimate},"median":{estimate},"slope":null}}"#));
        put(
            "benchmark.json",
            format!(
                r#"{{"group_id":"{group}","function_id":"{function}","value_str":"{value}","throughput":null}}"#
            ),
        );
    }

    #[test]
    fn the_one_benchmark_that_criterion_left_must_be_the_cells() {
        let mut wanted = cell("one", "slow");
        wanted.case.params = Params::default().with("size", 8_usize);
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(benchmark(home.path(), &wanted), Err(Unread::Wrong(_))), "none");
        leave(home.path(), "one", "slow", "size=8");
        assert_eq!(benchmark(home.path(), &wanted).unwrap(), 5.0);
        for other in [cell("one", "slow"), CellName { allocator: "fast".to_owned(), ..wanted.clone() }] {
            let Err(Unread::Wrong(why)) = benchmark(home.path(), &other) else { panic!("{other}") };
            assert!(why.contains("it measured one/slow/size=8"), "{why}");
        }
        leave(home.path(), "one", "fast", "size=8");
        let Err(Unread::Wrong(why)) = benchmark(home.path(), &wanted) else { panic!("two") };
        assert!(why.contains("2 finished"), "{why}");
    }
}
