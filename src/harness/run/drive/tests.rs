//! The loop with a clock that knows its numbers.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::*;
use crate::harness::metric::Metric;
use crate::harness::protocol::{self, Allocator, CaseName, Description, Outcome};
use crate::workloads::params::Params;

/// Answers with `time(cell, how often it was measured before)`, and keeps what it was asked.
struct Script {
    asked: Vec<String>,
    time: fn(&CellName, usize) -> Result<f64, Failure>,
    /// The process before which the executor itself breaks down.
    breaks_at: usize,
}

impl Script {
    fn breaks(&self) -> Result<(), RunError> {
        match self.asked.len() == self.breaks_at {
            true => Err(RunError::Process {
                executable: "slow".to_owned(),
                source: std::io::Error::from(ErrorKind::PermissionDenied),
            }),
            false => Ok(()),
        }
    }
}

impl Executor for Script {
    fn verify(&mut self, cell: &CellName, _runner: Runner) -> Result<Result<Findings, Failure>, RunError> {
        self.breaks()?;
        self.asked.push(format!("verify {cell}"));
        Ok(match cell.allocator.as_str() {
            "liar" => Err(Failure::Said(Outcome::WrongAnswer("a block lost its content".to_owned()))),
            _ => Ok(found(Metric::Allocations, 1.0)),
        })
    }

    fn measure(&mut self, cell: &CellName, _runner: Runner, probe: Probe) -> Result<Measured, RunError> {
        self.breaks()?;
        let name = format!("{} {cell}", probe.id());
        let before = self.asked.iter().filter(|asked| **asked == name).count();
        self.asked.push(name);
        if probe == Probe::Instructions && cell.allocator == "fast" {
            return Ok(Measured::Unprobed("it does not start under valgrind".to_owned()));
        }
        Ok(match (self.time)(cell, before) {
            Ok(time) => Measured::Found(found(Metric::Time, time), Some("it says so".to_owned())),
            Err(failure) => Measured::Failed(failure),
        })
    }
}

fn found(metric: Metric, value: f64) -> Findings {
    Findings { metrics: [(metric, value)].into(), ..Findings::default() }
}

fn executable(id: &str) -> Executable {
    let allocator = Allocator {
        id: id.to_owned(),
        ours: false,
        configuration_of: None,
        title: id.to_owned(),
        class: "general".to_owned(),
        description: String::new(),
        configuration: String::new(),
        package: None,
        library: None,
        missing_entry_points: Vec::new(),
        links: Vec::new(),
    };
    let description = Description {
        protocol: protocol::VERSION,
        allocator,
        workloads: Vec::new(),
        cells: ["one", "two"].map(|name| (case(name), Vec::new())).to_vec(),
        absent: Vec::new(),
    };
    Executable { path: PathBuf::new(), description, hash: String::new() }
}

fn case(workload: &str) -> CaseName {
    CaseName { workload: workload.to_owned(), params: Params::default() }
}

fn cell(workload: &str, allocator: &str) -> CellName {
    CellName { case: case(workload), allocator: allocator.to_owned(), twin: false }
}

const PROBES: [Probe; 2] = [Probe::Time, Probe::Instructions];

fn effort(time: u32) -> Effort {
    let rounds = [(Probe::Time, time), (Probe::Instructions, 1)].into();
    Effort { rounds, warm_up_ms: 1, measuring_ms: 1, samples: 10 }
}

struct Run {
    state: State,
    script: Script,
    written: Vec<Entry>,
    told: Vec<(u64, u64)>,
}

/// Drives two cases on `allocators` for three rounds, from `state`, until the journal has `room` lines.
fn drive_with(
    allocators: &[&str],
    mut state: State,
    room: usize,
    time: fn(&CellName, usize) -> Result<f64, Failure>,
) -> Run {
    let executables: Vec<Executable> = allocators.iter().map(|id| executable(id)).collect();
    let runners: Vec<Runner> =
        (0..executables.len()).map(|executable| Runner { executable, twin: false }).collect();
    let cases = ["one", "two"].map(|name| PlannedCase {
        name: case(name),
        runners: runners.clone(),
        probes: PROBES.to_vec(),
    });
    let mut script = Script { asked: Vec::new(), time, breaks_at: usize::MAX };
    let (mut written, mut told) = (Vec::new(), Vec::new());
    let effort = effort(3);
    let mut write = |entry: &Entry| {
        if written.len() == room {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(RunError::File { path: PathBuf::new(), expected: "room", source });
        }
        written.push(entry.clone());
        Ok(())
    };
    let done =
        drive(&cases, &executables, (&effort, 7), &mut state, &mut script, &mut write, &mut |done, all| {
            told.push((done, all));
        });
    assert_eq!(done.is_err(), written.len() == room, "a full disk ends the run, and nothing else does");
    Run { state, script, written, told }
}

fn steady(cell: &CellName, before: usize) -> Result<f64, Failure> {
    let base = if cell.allocator == "fast" { 10.0 } else { 20.0 };
    Ok(base + before as f64)
}

#[test]
fn every_cell_is_verified_once_and_measured_once_a_round() {
    let run = drive_with(&["fast", "slow"], State::default(), usize::MAX, steady);
    assert_eq!(run.state.verified.len(), 4);
    for (allocator, base) in [("fast", 10.0), ("slow", 20.0)] {
        let rounds = &run.state.measured[&(cell("one", allocator), Probe::Time)];
        let times: Vec<_> = rounds.iter().map(|(round, it)| (*round, it.metrics[&Metric::Time])).collect();
        assert_eq!(times, [(0, base), (1, base + 1.0), (2, base + 2.0)]);
        assert_eq!(run.state.verified[&cell("one", allocator)], found(Metric::Allocations, 1.0));
    }
    assert_eq!(run.told.last(), Some(&(20, 20)));
    assert!(run.script.asked[..4].iter().all(|asked| asked.starts_with("verify")), "{:?}", run.script.asked);
}

#[test]
fn a_cell_with_a_wrong_answer_is_never_measured() {
    let run = drive_with(&["fast", "liar"], State::default(), usize::MAX, steady);
    assert!(!run.script.asked.iter().any(|asked| !asked.starts_with("verify") && asked.ends_with("liar")));
    assert_eq!(run.state.failed.len(), 2);
    assert!(!run.state.measured.contains_key(&(cell("one", "liar"), Probe::Time)));
}

#[test]
fn a_cell_that_fails_in_a_later_round_is_not_measured_again() {
    let run = drive_with(&["fast", "slow"], State::default(), usize::MAX, |cell, before| {
        match (cell.allocator.as_str(), before) {
            ("slow", 1) => Err(Failure::TimeLimit("killed after 60 s".to_owned())),
            _ => Ok(1.0),
        }
    });
    let asked = run.script.asked.iter().filter(|asked| *asked == "time one on slow").count();
    assert_eq!(asked, 2);
    assert!(run.state.failed.contains_key(&cell("one", "slow")));
    assert_eq!(run.state.measured[&(cell("one", "fast"), Probe::Time)].len(), 3);
}

#[test]
fn a_run_that_stops_anywhere_goes_on_to_the_same_end() {
    let whole = drive_with(&["fast", "slow"], State::default(), usize::MAX, |_, _| Ok(5.0));
    for lines in 0..20 {
        let cut = drive_with(&["fast", "slow"], State::default(), lines, |_, _| Ok(5.0));
        assert_eq!(cut.written.len(), lines);
        let mut state = State::default();
        cut.written.into_iter().for_each(|entry| state.learn(entry));
        let rest = drive_with(&["fast", "slow"], state, usize::MAX, |_, _| Ok(5.0));
        assert_eq!(rest.state, whole.state, "cut after {lines} lines");
        assert_eq!(rest.written.len(), 20 - lines, "nothing is done twice");
    }
}

#[test]
fn an_executor_that_breaks_down_stops_the_run_and_blames_nobody() {
    let executables = [executable("slow")];
    let runners = vec![Runner { executable: 0, twin: false }];
    let cases = [PlannedCase { name: case("one"), runners, probes: PROBES.to_vec() }];
    let effort = effort(2);
    for breaks_at in 0..3 {
        let mut script = Script { asked: Vec::new(), time: steady, breaks_at };
        let (mut state, mut written) = (State::default(), 0);
        let done = drive(
            &cases,
            &executables,
            (&effort, 7),
            &mut state,
            &mut script,
            &mut |_| {
                written += 1;
                Ok(())
            },
            &mut |_, _| {},
        );
        assert!(matches!(done, Err(RunError::Process { .. })));
        assert_eq!((written, state.failed.len()), (breaks_at, 0), "what was finished is kept");
    }
}

#[test]
fn the_twin_of_a_cell_that_failed_is_not_measured() {
    let executables = [executable("liar")];
    let runners = [false, true].map(|twin| Runner { executable: 0, twin }).to_vec();
    let cases = [PlannedCase { name: case("one"), runners, probes: PROBES.to_vec() }];
    let mut script = Script { asked: Vec::new(), time: steady, breaks_at: usize::MAX };
    let mut state = State::default();
    let effort = effort(2);
    drive(&cases, &executables, (&effort, 7), &mut state, &mut script, &mut |_| Ok(()), &mut |_, _| {})
        .unwrap();
    assert_eq!(script.asked, ["verify one on liar"]);
}

#[test]
fn what_a_probe_cannot_measure_is_said_once_and_does_not_fail_the_cell() {
    let run = drive_with(&["fast", "slow"], State::default(), usize::MAX, steady);
    let reason = &run.state.unprobed[&(cell("one", "fast"), Probe::Instructions)];
    assert_eq!(reason, "it does not start under valgrind");
    assert!(run.state.failed.is_empty());
    assert!(run.state.measured.contains_key(&(cell("one", "slow"), Probe::Instructions)));
}
