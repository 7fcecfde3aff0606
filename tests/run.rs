//! `allocmark run` from outside, on benches that behave and benches that go wrong.

#![cfg(feature = "harness")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use allocmark::results::metric::Metric;
use allocmark::results::record::{FailureKind, Record};
use allocmark::results::store;
use tempfile::TempDir;

/// The fixture package in a place of its own, built once for all tests.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/benches");
        let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("misbehaving");
        fs::create_dir_all(package.join("benches")).unwrap();
        for folder in ["", "benches"] {
            for entry in fs::read_dir(source.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::copy(&path, package.join(folder).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        let built =
            Command::new(env!("CARGO")).args(["bench", "--no-run", "--quiet"]).current_dir(&package).status();
        assert!(built.unwrap().success());
        package
    })
}

/// `allocmark` in the fixture package, with `out` for records and a log of what the benches were asked.
fn allocmark(out: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allocmark"));
    command
        .current_dir(package())
        .env_remove("CARGO_TARGET_DIR")
        .env("FIXTURE_LOG", out.path().join("log"))
        .args(arguments)
        .arg("--out")
        .arg(out.path());
    command
}

fn run(out: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let output = allocmark(out, &[&["run", "--profile", "smoke"], arguments].concat()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn record(path: &str) -> Record {
    store::read(Path::new(path.trim())).unwrap()
}

/// How often each line stands in the log.
fn log(out: &TempDir) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(out.path().join("log")).unwrap_or_default().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn a_run_leaves_a_record_whose_medians_and_intervals_are_those_of_its_rounds() {
    let out = TempDir::new().unwrap();
    let (code, stdout, stderr) = run(&out, &["--allocator", "good|other", "--rounds", "6", "--seed", "7"]);
    assert_eq!(code, 0, "{stderr}");
    let record = record(&stdout);
    assert_eq!(record.cells.len(), 6);
    for cell in &record.cells {
        let time = &cell.metrics[&Metric::Time];
        let expected = if cell.place.allocator == "good" { 10.0 } else { 20.0 };
        assert_eq!((time.value, time.interval), (expected, Some((expected, expected))));
        assert_eq!(time.replicates, [expected; 6]);
        assert_eq!(cell.served_by.as_ref().unwrap().method, "it says so");
    }
    assert_eq!(record.profile.seed, Some(7));
    assert_eq!(record.profile.rounds["time"], 6);
    assert!(
        record.command.starts_with("allocmark run --profile smoke --allocator 'good|other'"),
        "{}",
        record.command
    );
    let log = log(&out);
    // Twice a round: the first general allocator is its own A/A control.
    assert_eq!(log["measured good work/size=1"], 12);
    assert_eq!(log["verify good work/size=1"], 1);
}

#[test]
fn what_goes_wrong_stands_under_failed_and_the_rest_is_kept() {
    let out = TempDir::new().unwrap();
    let (code, stdout, stderr) = run(&out, &["--workload", "size=1", "--time-limit", "2"]);
    assert_eq!(code, 4, "{stderr}");
    let record = record(&stdout);
    let measured: Vec<&str> = record.cells.iter().map(|cell| cell.place.allocator.as_str()).collect();
    assert_eq!(measured, ["good", "other"]);
    let failed: BTreeMap<&str, (FailureKind, &str)> = record
        .failed
        .iter()
        .map(|failed| (failed.place.allocator.as_str(), (failed.kind, failed.detail.as_str())))
        .collect();
    assert_eq!(failed.len(), 4);
    assert_eq!(failed["crashes"].0, FailureKind::Crash);
    assert_eq!(failed["crashes"].1, "killed by signal 6 (abort): corrupted free list");
    assert_eq!(failed["hangs"], (FailureKind::TimeLimit, "killed after 2 s"));
    assert_eq!(failed["lies"].0, FailureKind::WrongAnswer);
    assert_eq!(failed["impostor"].0, FailureKind::WrongAllocator);
    for word in ["crash", "time limit", "wrong answer", "wrong allocator"] {
        assert!(stderr.contains(word), "{word} in {stderr}");
    }
    // A wrong answer never becomes a number.
    assert!(!log(&out).keys().any(|line| line.starts_with("measure lies")));
}

#[test]
fn a_cell_that_failed_is_not_tried_again_in_later_rounds() {
    let out = TempDir::new().unwrap();
    let (code, _, _) = run(&out, &["--allocator", "good|crashes", "--workload", "size=1", "--rounds", "5"]);
    assert_eq!(code, 4);
    let log = log(&out);
    // Once as itself and once as its own A/A control.
    assert_eq!((log["measure crashes work/size=1"], log["measured good work/size=1"]), (2, 5));
}

#[test]
fn a_run_that_was_killed_goes_on_and_measures_no_finished_cell_again() {
    let out = TempDir::new().unwrap();
    let arguments = ["run", "--profile", "smoke", "--allocator", "good|other", "--rounds", "6"];
    let mut child = allocmark(&out, &arguments)
        .env("FIXTURE_PAUSE_MS", "30")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Somewhere in the third round; where exactly depends on the machine, and must not matter.
    while log(&out).values().sum::<usize>() < 36 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let partial: Vec<PathBuf> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "partial"))
        .collect();
    assert_eq!(partial.len(), 1, "a journal and no record");
    let id = partial[0].file_stem().unwrap().to_str().unwrap().to_owned();
    let journal = fs::read_to_string(partial[0].join("journal.jsonl")).unwrap();
    let finished: Vec<String> =
        journal.lines().filter(|line| line.starts_with(r#"{"measured""#)).map(str::to_owned).collect();

    let output = allocmark(&out, &["run", "--resume", &id]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let record = record(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!(record.id, id);
    assert_eq!(record.cells.len(), 6);
    assert!(record.cells.iter().all(|cell| cell.metrics[&Metric::Time].replicates.len() == 6));
    assert!(!partial[0].exists(), "the journal is gone once the record is there");

    // 54 cells and rounds in all, the A/A control among them. Whatever was on disk was not measured again; the one process that was cut off was.
    let asked: usize =
        log(&out).iter().filter(|(line, _)| line.starts_with("measure ")).map(|(_, count)| count).sum();
    assert!(finished.len() >= 6, "killed too early to mean anything");
    assert!((54..=55).contains(&asked), "{asked} processes for 54 measurements");
}

#[test]
fn a_run_goes_on_only_with_the_code_it_began_with() {
    let out = TempDir::new().unwrap();
    let partial = out.path().join("begun.partial");
    fs::create_dir(&partial).unwrap();
    let header = r#"{"journal":3,"id":"begun","command":"allocmark run","profile":"smoke","effort":{"rounds":{"time":1},"warm_up_ms":5,"measuring_ms":20,"samples":10},"seed":1,"allocator_filter":"good","workload_filter":"","features":"","time_limit_s":60,"revision":null,"executables":[["good","00000000"]],"machine":"","cpus":1,"rustc":null,"warnings":[]}"#;
    fs::write(partial.join("journal.jsonl"), format!("{header}\n")).unwrap();
    let output = allocmark(&out, &["run", "--resume", "begun"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the executable of good changed since it began"), "{stderr}");
}

#[test]
fn bad_usage_is_said_in_one_sentence_with_exit_code_2() {
    let out = TempDir::new().unwrap();
    for (arguments, words) in [
        (["--allocator", "nobody"], "no cell is left by --allocator \"nobody\""),
        (["--workload", "("], "--workload \"(\" is not a regular expression"),
    ] {
        let (code, stdout, stderr) = run(&out, &arguments);
        let sentence = stderr.lines().last().unwrap_or_default();
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(sentence.contains(words), "{words} in {sentence}");
    }
}

#[test]
fn a_run_to_go_on_with_is_named_by_its_id_and_takes_no_other_flags() {
    let out = TempDir::new().unwrap();
    for (arguments, words) in [
        (["--resume", "nothing", "--time-limit", "5"].as_slice(), "nothing.partial/journal.jsonl"),
        (&["--resume", "../nothing"], "is not the id of a run"),
        (&["--resume", "nothing", "--seed", "1"], "cannot be used with"),
    ] {
        let output = allocmark(&out, &[&["run"], arguments].concat()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words), "{words} in {stderr}");
    }
}

#[test]
fn every_pair_of_an_allocator_and_a_case_that_is_wanted_is_a_cell_or_absent_or_failed() {
    let out = TempDir::new().unwrap();
    let (_, stdout, stderr) = run(&out, &["--allocator", "good|picky|lies", "--workload", "size=[23]"]);
    assert!(stderr.contains("mute: left out, it did not say who it is: killed by signal 6"), "{stderr}");
    assert!(!stderr.contains("foreign"), "{stderr}");
    let record = record(&stdout);
    let allocators: Vec<&str> = record.allocators.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(allocators, ["good", "lies", "picky"], "our own list is not that of another package");
    let mut reasons: Vec<String> =
        record.absent.iter().map(|it| format!("{}: {}", it.place, it.reason)).collect();
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "work/picky/size=2: a fixture without such blocks",
            "work/picky/size=3: its bench executable does not know this case",
        ]
    );
    assert_eq!((record.cells.len(), record.failed.len()), (2, 2));
}

#[test]
fn what_tunes_an_allocator_is_not_inherited() {
    let out = TempDir::new().unwrap();
    let output =
        allocmark(&out, &["run", "--profile", "smoke", "--allocator", "good", "--workload", "size=1"])
            .env("MALLOC_ARENA_MAX", "1")
            .env("_RJEM_MALLOC_CONF", "background_thread:true")
            .env("MIMALLOC_VERBOSE", "0")
            .env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
            .output()
            .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = log(&out);
    assert_eq!(log["measured good work/size=1"], 2);
    assert!(!log.keys().any(|line| line.starts_with("inherited")), "{log:?}");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_found_before_anything_is_measured() {
    let out = TempDir::new().unwrap();
    let file = out.path().join("a-file");
    fs::write(&file, "in the way").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_allocmark"))
        .current_dir(package())
        .env("FIXTURE_LOG", out.path().join("log"))
        .args(["run", "--profile", "smoke", "--out"])
        .arg(&file)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("a-file"), "{stderr}");
    assert!(log(&out).is_empty());
}

#[test]
fn every_cell_failing_leaves_no_record() {
    let out = TempDir::new().unwrap();
    let (code, stdout, stderr) = run(&out, &["--allocator", "lies"]);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    assert!(stderr.contains("every cell failed") && stderr.contains(".partial"), "{stderr}");
    let left = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path());
    let partial: Vec<PathBuf> = left.filter(|path| path.join("journal.jsonl").exists()).collect();
    assert_eq!(partial.len(), 1, "the journal is kept");
}

#[test]
fn a_dry_run_names_the_cells_and_measures_none() {
    let out = TempDir::new().unwrap();
    let (code, stdout, stderr) = run(&out, &["--allocator", "good", "--dry-run"]);
    assert_eq!(code, 0, "{stderr}");
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    lines.retain(|line| !line.ends_with("(again, as the A/A control)"));
    assert_eq!(lines, ["work/size=1 on good", "work/size=2 on good", "work/size=3 on good"]);
    assert!(stderr.contains("6 cells; rounds: time 1, memory 1, latency 1, instructions 1"), "{stderr}");
    assert!(log(&out).is_empty());
}
