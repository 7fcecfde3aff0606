//! The loop with a clock that knows its numbers.

use super::*;
use crate::harness::protocol::{Allocator, CaseName, Description};
use crate::workloads::params::Params;

/// Answers with `time(cell, how often it was measured before)`, and keeps what it was asked.
struct Script {
    asked: Vec<String>,
    time: fn(&CellName, usize) -> Result<f64, Failure>,
}

impl Executor for Script {
    fn verify(&mut self, cell: &CellName, _runner: Runner) -> Result<(), Failure> {
        self.asked.push(format!("verify {cell}"));
        match cell.allocator.as_str() {
            "liar" => Err(Failure::Said(Outcome::WrongAnswer("a block lost its content".to_owned()))),
            _ => Ok(()),
        }
    }

    fn measure(&mut self, cell: &CellName, _runner: Runner) -> Result<(f64, Option<String>), Failure> {
        let name = format!("measure {cell}");
        let before = self.asked.iter().filter(|asked| **asked == name).count();
        self.asked.push(name);
        (self.time)(cell, before).map(|time| (time, Some("it says so".to_owned())))
    }
}

fn executable(id: &str) -> Executable {
    let allocator = Allocator {
        id: id.to_owned(),
        ours: false,
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
        cells: ["one", "two"].map(case).to_vec(),
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
    let cases = ["one", "two"].map(|name| PlannedCase { name: case(name), runners: runners.clone() });
    let mut script = Script { asked: Vec::new(), time };
    let (mut written, mut told) = (Vec::new(), Vec::new());
    let effort = Effort { rounds: 3, warm_up_ms: 1, measuring_ms: 1, samples: 10 };
    let mut write = |entry: &Entry| {
        if written.len() == room {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(RunError::File { path: PathBuf::new(), expected: "room", source });
        }
        written.push(entry.clone());
        Ok(())
    };
    let done =
        drive(&cases, &executables, (effort, 7), &mut state, &mut script, &mut write, &mut |done, all| {
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
        let times = &run.state.measured[&cell("one", allocator)];
        assert_eq!(times.iter().collect::<Vec<_>>(), [(&0, &base), (&1, &(base + 1.0)), (&2, &(base + 2.0))]);
    }
    assert_eq!(run.told.last(), Some(&(16, 16)));
    assert!(run.script.asked[..4].iter().all(|asked| asked.starts_with("verify")), "{:?}", run.script.asked);
}

#[test]
fn a_cell_with_a_wrong_answer_is_never_measured() {
    let run = drive_with(&["fast", "liar"], State::default(), usize::MAX, steady);
    assert!(!run.script.asked.iter().any(|asked| asked.starts_with("measure") && asked.ends_with("liar")));
    assert_eq!(run.state.failed.len(), 2);
    assert!(!run.state.measured.contains_key(&cell("one", "liar")));
}

#[test]
fn a_cell_that_fails_in_a_later_round_is_not_measured_again() {
    let run = drive_with(&["fast", "slow"], State::default(), usize::MAX, |cell, before| {
        match (cell.allocator.as_str(), before) {
            ("slow", 1) => Err(Failure::TimeLimit("killed after 60 s".to_owned())),
            _ => Ok(1.0),
        }
    });
    let asked = run.script.asked.iter().filter(|asked| *asked == "measure one on slow").count();
    assert_eq!(asked, 2);
    assert!(run.state.failed.contains_key(&cell("one", "slow")));
    assert_eq!(run.state.measured[&cell("one", "fast")].len(), 3);
}

#[test]
fn a_run_that_stops_anywhere_goes_on_to_the_same_end() {
    let whole = drive_with(&["fast", "slow"], State::default(), usize::MAX, |_, _| Ok(5.0));
    for lines in 0..16 {
        let cut = drive_with(&["fast", "slow"], State::default(), lines, |_, _| Ok(5.0));
        assert_eq!(cut.written.len(), lines);
        let mut state = State::default();
        cut.written.into_iter().for_each(|entry| state.learn(entry));
        let rest = drive_with(&["fast", "slow"], state, usize::MAX, |_, _| Ok(5.0));
        assert_eq!(rest.state, whole.state, "cut after {lines} lines");
        assert_eq!(rest.written.len(), 16 - lines, "nothing is done twice");
    }
}
