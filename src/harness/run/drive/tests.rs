//! The loop with a clock that knows its numbers.

use super::*;
use crate::harness::protocol::{Allocator, CaseName, Description};
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
    fn verify(&mut self, cell: &CellName, _runner: Runner) -> Result<Result<(), Failure>, RunError> {
        self.breaks()?;
        self.asked.push(format!("verify {cell}"));
        Ok(match cell.allocator.as_str() {
            "liar" => Err(Failure::Said(Outcome::WrongAnswer("a block lost its content".to_owned()))),
            _ => Ok(()),
        })
    }

    fn measure(&mut self, cell: &CellName, _runner: Runner) -> Result<Result<Time, Failure>, RunError> {
        self.breaks()?;
        let name = format!("measure {cell}");
        let before = self.asked.iter().filter(|asked| **asked == name).count();
        self.asked.push(name);
        Ok((self.time)(cell, before).map(|time| (time, Some("it says so".to_owned()))))
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
    let mut script = Script { asked: Vec::new(), time, breaks_at: usize::MAX };
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

#[test]
fn an_executor_that_breaks_down_stops_the_run_and_blames_nobody() {
    let executables = [executable("slow")];
    let runners = vec![Runner { executable: 0, twin: false }];
    let cases = [PlannedCase { name: case("one"), runners }];
    let effort = Effort { rounds: 2, warm_up_ms: 1, measuring_ms: 1, samples: 10 };
    for breaks_at in 0..3 {
        let mut script = Script { asked: Vec::new(), time: steady, breaks_at };
        let (mut state, mut written) = (State::default(), 0);
        let done = drive(
            &cases,
            &executables,
            (effort, 7),
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
