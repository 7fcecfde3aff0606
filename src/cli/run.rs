//! `allocmark run`: measure, and leave a record.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Exit, print, say};
use crate::allocators::list;
use crate::harness::machine;
use crate::harness::matrix;
use crate::harness::protocol::{self, CaseName};
use crate::harness::run::build::{self, Built};
use crate::harness::run::drive::{self, State};
use crate::harness::run::execute::Processes;
use crate::harness::run::journal::{self, Entry, Header, Journal};
use crate::harness::run::plan::{self, Filter, PlannedCase};
use crate::harness::run::{RunError, partial_directory};
use crate::results::{assemble, store};
use crate::workloads::probe::Probe;
use crate::workloads::shape::{Profile, Scope};

/// Measure, and leave a record
///
/// Builds the bench executables of the package in the current directory once, checks every cell's content, then measures
/// one process for each (round, case, allocator), in an order drawn from the seed. Every finished process is on disk
/// before the next begins: an interrupted run goes on with --resume. Nothing else should run meanwhile.
///
/// The record's path is printed on standard output. A cell that crashes, hangs, gives a wrong answer or is served by
/// another allocator is kept under `failed`, the rest of the record is complete, and the exit code is 4.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  allocmark run --profile quick\n  allocmark run --allocator 'system|mimalloc' --workload '^pair|^churn' --rounds 9"
)]
pub(super) struct Flags {
    #[command(flatten)]
    measuring: Measuring,
    /// Cargo features to build the benches with, beside the default ones
    #[arg(long, value_name = "FEATURES", default_value = "", conflicts_with = "resume")]
    features: String,
}

/// The flags of whoever measures: this command, and an executable that measures itself.
#[derive(Debug, clap::Args)]
pub(super) struct Measuring {
    /// How much to measure: smoke, quick, standard or full
    #[arg(long, value_name = "PROFILE", default_value = "standard", value_parser = super::profile)]
    profile: Profile,
    /// Only allocators whose id matches this regular expression somewhere
    #[arg(long, value_name = "REGEX", default_value = "")]
    allocator: String,
    /// Only cases whose name (workload/parameters) matches this regular expression somewhere
    #[arg(long, value_name = "REGEX", default_value = "")]
    workload: String,
    /// What to measure, of time, memory, latency and instructions; every workload has those that suit it. Instructions
    /// need valgrind
    #[arg(long, value_name = "PROBE,…", value_delimiter = ',', default_value = "time,memory,latency,instructions", value_parser = probe)]
    probes: Vec<Probe>,
    /// Rounds of time, memory and latency, instead of the profile's; intervals need 6
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// What all random choices are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Seconds after which a process counts as hanging and is killed [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: Option<u64>,
    /// Where to put the record
    #[arg(long, value_name = "DIR", default_value = store::DIRECTORY)]
    out: PathBuf,
    /// Go on with an interrupted run; all but --out and --time-limit is taken from it
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["profile", "allocator", "workload", "rounds", "probes", "seed", "dry_run"]
    )]
    resume: Option<String>,
    /// Print the cells and an estimate of the time, and measure nothing
    #[arg(long)]
    dry_run: bool,
}

/// A probe by its name, for the command line.
fn probe(name: &str) -> Result<Probe, String> {
    let names = || Probe::ALL.map(Probe::id).join(", ");
    Probe::named(name).ok_or_else(|| format!("expected one of {}", names()))
}

/// Seconds that a process may take unless the command line says otherwise: two hundred times what one needs.
const TIME_LIMIT_S: u64 = 60;

/// Where the bench executables come from.
pub(super) struct Source<'a> {
    /// The program that measures, for the record's command line.
    pub(super) program: String,
    /// How to call it so that it measures, for who wants to go on with a run.
    pub(super) call: String,
    /// Cargo features to build with.
    pub(super) features: &'a str,
    /// Has the executables: from the features and the profile's name.
    pub(super) executables: &'a dyn Fn(&str, &str) -> Result<Built, RunError>,
}

/// Who sees debug assertions has most likely forgotten `--release`.
const UNOPTIMISED: &str = "The allocators were built with debug assertions, most likely without optimisation: the times say \
                           nothing of a release build.";

/// Builds, measures, writes the record.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let source = Source {
        program: "allocmark".to_owned(),
        call: "allocmark run".to_owned(),
        features: &flags.features,
        executables: &|features, profile| build::build(Path::new("."), features, profile),
    };
    record(&flags.measuring, &source).map(|(exit, _)| exit)
}

/// Measures what `source` has; gives back where the record is, if there is one, and prints it.
pub(super) fn record(flags: &Measuring, source: &Source<'_>) -> anyhow::Result<(Exit, Option<PathBuf>)> {
    match &flags.resume {
        Some(id) => {
            let directory = partial_directory(&flags.out, id)?;
            let (journal, mut header, entries) = Journal::resume(&directory, id)?;
            no_record(&flags.out, id)?;
            // A cell that was killed at the limit stays failed; the others may have more time from here on.
            header.time_limit_s = flags.time_limit.unwrap_or(header.time_limit_s);
            let built = (source.executables)(&header.features, &header.profile)?;
            unchanged(&header, &Identity::of(&built))?;
            let mut state = State::default();
            entries.into_iter().for_each(|entry| state.learn(entry));
            measure(flags, source, header, built, Some(journal), state)
        }
        None => {
            // A regular expression that cannot be read, or a directory that cannot be written to, must not wait for the
            // build.
            Filter::parse(&flags.allocator, &flags.workload)?;
            if !flags.dry_run {
                fs::create_dir_all(&flags.out)
                    .with_context(|| format!("{}: cannot be made", flags.out.display()))?;
                tempfile::tempfile_in(&flags.out)
                    .with_context(|| format!("{}: cannot be written to", flags.out.display()))?;
            }
            let built = (source.executables)(source.features, flags.profile.id())?;
            measure(flags, source, header(flags, source, &built), built, None, State::default())
        }
    }
}

/// What this run is, from the command line and the machine.
fn header(flags: &Measuring, source: &Source<'_>, built: &Built) -> Header {
    let mut effort = plan::effort(flags.profile, &flags.probes);
    for (probe, rounds) in &mut effort.rounds {
        // What repeats exactly is counted once.
        if *probe != Probe::Instructions {
            *rounds = flags.rounds.unwrap_or(*rounds);
        }
    }
    let revision = revision();
    let short = revision.as_ref().map_or("norev", |(revision, _)| revision.as_str());
    let start = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let Identity { executables, machine, cpus, rustc } = Identity::of(built);
    Header {
        journal: journal::VERSION,
        id: format!("{start}-{short}-{}-{machine}", flags.profile.id()),
        command: command_line(&source.program),
        profile: flags.profile.id().to_owned(),
        effort,
        seed: flags.seed,
        allocator_filter: flags.allocator.clone(),
        workload_filter: flags.workload.clone(),
        features: source.features.to_owned(),
        time_limit_s: flags.time_limit.unwrap_or(TIME_LIMIT_S),
        revision,
        executables,
        machine,
        cpus,
        rustc,
        warnings: Vec::new(),
    }
}

fn measure(
    flags: &Measuring,
    source: &Source<'_>,
    mut header: Header,
    built: Built,
    journal: Option<Journal>,
    mut state: State,
) -> anyhow::Result<(Exit, Option<PathBuf>)> {
    let filter = Filter::parse(&header.allocator_filter, &header.workload_filter)?;
    for (target, why) in &built.silent {
        say(format_args!("{target}: left out, it did not say who it is: {why}"));
    }
    let cases = plan::cases(&built.executables, &filter, &header.effort);
    if cases.is_empty() {
        return Err(RunError::Nothing {
            allocator: header.allocator_filter,
            workload: header.workload_filter,
        }
        .into());
    }
    let cells: usize = cases.iter().map(|case| case.runners.len()).sum();
    let profile = Profile::named(&header.profile).expect("a header holds the name of a profile");
    let minutes = plan::estimate_seconds(&cases, &header.effort, profile) as f64 / 60.0;
    let rounds = header.effort.rounds.iter().map(|(probe, rounds)| format!("{} {rounds}", probe.id()));
    let rounds = rounds.collect::<Vec<_>>().join(", ");
    if flags.dry_run {
        for (case, planned) in cases.iter().enumerate() {
            for &runner in &planned.runners {
                print(plan::cell(&cases, &built.executables, case, runner))?;
            }
        }
        say(format_args!("{cells} cells; rounds: {rounds}; about {minutes:.1} minutes"));
        return Ok((Exit::Fine, None));
    }
    say(format_args!("{}: {cells} cells; rounds: {rounds}; about {minutes:.1} minutes", header.id));
    let began = machine::Activity::now();
    // What the executables were built with is what this was, where they are this; elsewhere cargo builds them.
    if built.profile.get("debug-assertions").is_some_and(|assertions| assertions == "true") {
        learn(&mut header.warnings, UNOPTIMISED.to_owned());
    }
    for warning in machine::warnings() {
        learn(&mut header.warnings, warning);
    }
    header.warnings.iter().for_each(say);

    let directory = partial_directory(&flags.out, &header.id)?;
    let mut journal = match journal {
        Some(journal) => journal,
        None => {
            no_record(&flags.out, &header.id)?;
            fs::create_dir(&directory).with_context(|| format!("{}: cannot be made", directory.display()))?;
            Journal::begin(&directory, &header)?
        }
    };
    let mut processes = Processes {
        executables: &built.executables,
        effort: header.effort.clone(),
        seed: header.seed,
        profile: header.profile.clone(),
        limit: Duration::from_secs(header.time_limit_s),
        scratch: directory.join("process"),
        countable: HashMap::new(),
    };
    let bar = progress_bar();
    let mut told = HashSet::new();
    let mut write = |entry: &Entry| {
        match entry {
            Entry::Failed { cell, failure } => bar.suspend(|| say(format_args!("{cell}: {failure}"))),
            Entry::Unprobed { cell, probe, reason } if told.insert((*probe, reason.clone())) => {
                bar.suspend(|| say(format_args!("{cell}: no {}: {reason}", probe.id())));
            }
            _ => {}
        }
        journal.write(entry)
    };
    let mut tell = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let settings = (&header.effort, header.seed);
    drive::drive(&cases, &built.executables, settings, &mut state, &mut processes, &mut write, &mut tell)
        .with_context(|| {
            let out = flags.out.display();
            format!("the run stopped; `{} --resume {} --out {out}` goes on with it", source.call, header.id)
        })?;
    bar.finish_and_clear();
    for warning in machine::Activity::warnings_since(began) {
        say(&warning);
        learn(&mut header.warnings, warning);
    }

    let others = unbuilt(&built, &filter, &header.profile, &cases);
    let record = assemble::record(&header, machine::describe(), &built, (&filter, &cases), &state, others);
    if record.cells.is_empty() {
        let first = record.failed.first().map(|failed| format!("{}: {}", failed.place, failed.detail));
        let (first, directory) = (first.unwrap_or_default(), directory.display());
        say(format_args!(
            "every cell failed, so there is no record; the first: {first}; the journal is in {directory}"
        ));
        return Ok((Exit::Incomplete, None));
    }
    let path = flags.out.join(format!("{}.json", record.id));
    store::write(&record, &path)?;
    // The record holds all that the journal does; what cannot be removed is in nobody's way.
    let _ = fs::remove_dir_all(&directory);
    let failed = record.failed.len();
    say(format_args!(
        "{} cells measured, {} absent, {failed} failed",
        record.cells.len(),
        record.absent.len()
    ));
    print(path.display())?;
    Ok((if failed == 0 { Exit::Fine } else { Exit::Incomplete }, Some(path)))
}

/// Allocators of the list that have no executable here, with their cells and the reason.
fn unbuilt(
    built: &Built,
    filter: &Filter,
    profile: &str,
    cases: &[PlannedCase],
) -> Vec<(protocol::Allocator, Vec<(CaseName, String)>)> {
    // The list is that of this package. Somebody else's, which uses our harness, has its own allocators.
    let ours = built.package.as_deref() == Some(env!("CARGO_PKG_NAME"))
        && cases.iter().any(|case| matrix_has(&case.name, profile));
    let missing = |id: &str| !built.executables.iter().any(|it| it.description.allocator.id == id);
    if !ours {
        return Vec::new();
    }
    list::all()
        .into_iter()
        .filter(|row| missing(row.facts.id) && filter.allocator.is_match(row.facts.id))
        .filter(|row| Profile::named(profile).is_some_and(|it| matrix::postponed(row.facts, it).is_none()))
        .map(|row| {
            let reasons = pairs(profile)
                .into_iter()
                .filter(|(other, _, _)| other.facts.id == row.facts.id)
                .map(|(_, case, verdict)| {
                    let silent = built.silent.iter().find(|(target, _)| target == row.facts.id);
                    let built = || match silent {
                        Some((_, why)) => format!("its bench executable did not say who it is: {why}"),
                        None => "no bench executable was built for it".to_owned(),
                    };
                    let reason = verdict.err().unwrap_or_else(built);
                    (CaseName::from(&case), reason)
                })
                .collect();
            (protocol::Allocator::new(row.facts, row.contract.class, None), reasons)
        })
        .collect()
}

fn pairs(profile: &str) -> Vec<(list::Row, matrix::Case, Result<(), String>)> {
    let profile = Profile::named(profile).expect("a header holds the name of a profile");
    matrix::pairs(Scope { profile, cpus: std::thread::available_parallelism().map_or(1, usize::from) })
}

/// Whether a case is one of ours, rather than of somebody else's package.
fn matrix_has(name: &CaseName, profile: &str) -> bool {
    pairs(profile).iter().any(|(_, case, _)| CaseName::from(case) == *name)
}

/// What must be the same for a run to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    executables: Vec<(String, String)>,
    machine: String,
    cpus: usize,
    rustc: Option<String>,
}

impl Identity {
    fn of(built: &Built) -> Self {
        let hash = |it: &build::Executable| (it.description.allocator.id.clone(), it.hash.clone());
        let mut executables: Vec<_> = built.executables.iter().map(hash).collect();
        executables.sort();
        let machine = machine::describe();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self { executables, machine: machine.key, cpus, rustc: machine.rustc }
    }
}

/// A new executable is a change too: with another allocator every order that is drawn is another.
fn unchanged(header: &Header, now: &Identity) -> Result<(), RunError> {
    let changed = |what: String| Err(RunError::Changed { id: header.id.clone(), what });
    for (allocator, hash) in &header.executables {
        match now.executables.iter().find(|(known, _)| known == allocator) {
            None => return changed(format!("the allocator {allocator} is gone: the list of executables")),
            Some((_, other)) if other != hash => return changed(format!("the executable of {allocator}")),
            Some(_) => {}
        }
    }
    let known = |allocator: &str| header.executables.iter().any(|(known, _)| known == allocator);
    if let Some((allocator, _)) = now.executables.iter().find(|(allocator, _)| !known(allocator)) {
        return changed(format!("the allocator {allocator} is new: the list of executables"));
    }
    if now.executables != header.executables {
        return changed("the list of executables".to_owned());
    }
    if now.machine != header.machine {
        return changed(format!("the machine (it was {}, and is {})", header.machine, now.machine));
    }
    if now.cpus != header.cpus {
        return changed(format!("the number of CPUs (it was {}, and is {})", header.cpus, now.cpus));
    }
    if now.rustc != header.rustc {
        return changed("the compiler".to_owned());
    }
    Ok(())
}

/// Records are never overwritten; better to find out before hours of measuring than after.
fn no_record(out: &Path, id: &str) -> Result<(), RunError> {
    let names = ["json", "json.gz"].map(|ending| out.join(format!("{id}.{ending}")));
    match names.into_iter().find(|path| path.exists()) {
        Some(path) => Err(RunError::Exists { path }),
        None => Ok(()),
    }
}

/// Adds a sentence that is not there yet: a run that goes on finds the same conditions again.
fn learn(warnings: &mut Vec<String>, warning: String) {
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// The short git revision, and whether tracked files have changes; `None` outside a repository.
fn revision() -> Option<(String, bool)> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=9", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some((revision, !changes.is_empty()))
}

/// The command line as it could be typed again; the program by its name, wherever it lies.
fn command_line(program: &str) -> String {
    let quoted = |argument: String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
        match !argument.is_empty() && argument.bytes().all(plain) {
            true => argument,
            false => format!("'{}'", argument.replace('\'', r"'\''")),
        }
    };
    let arguments = std::env::args().skip(1);
    std::iter::once(program.to_owned()).chain(arguments).map(quoted).collect::<Vec<_>>().join(" ")
}

/// A bar on standard error with the time left; nothing where that is not a terminal.
fn progress_bar() -> ProgressBar {
    let style = "{bar:30} {pos}/{len} processes, {elapsed} gone, {eta} left";
    ProgressBar::new(1)
        .with_style(ProgressStyle::with_template(style).expect("a template without unknown keys"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changed_since_a_run_began_is_named() {
        let pairs =
            |names: &[&str]| names.iter().map(|it| ((*it).to_owned(), format!("{it}-hash"))).collect();
        let began = Identity {
            executables: pairs(&["pool", "slab"]),
            machine: "cpu-00000000".to_owned(),
            cpus: 2,
            rustc: Some("rustc 1.95.0".to_owned()),
        };
        let header = Header {
            journal: journal::VERSION,
            id: "begun".to_owned(),
            command: String::new(),
            profile: "smoke".to_owned(),
            effort: plan::effort(Profile::Smoke, &Probe::ALL),
            seed: 1,
            allocator_filter: String::new(),
            workload_filter: String::new(),
            features: String::new(),
            time_limit_s: TIME_LIMIT_S,
            revision: None,
            executables: began.executables.clone(),
            machine: began.machine.clone(),
            cpus: began.cpus,
            rustc: began.rustc.clone(),
            warnings: Vec::new(),
        };
        assert!(unchanged(&header, &began).is_ok());
        let mut other = began.clone();
        other.executables[1].1 = "another".to_owned();
        for (now, words) in [
            (other, "the executable of slab"),
            (Identity { executables: pairs(&["pool"]), ..began.clone() }, "the allocator slab is gone"),
            (Identity { executables: pairs(&["arena", "pool", "slab"]), ..began.clone() }, "arena is new"),
            (Identity { machine: "cpu-1".to_owned(), ..began.clone() }, "the machine"),
            (Identity { cpus: 4, ..began.clone() }, "it was 2, and is 4"),
            (Identity { rustc: None, ..began.clone() }, "the compiler"),
        ] {
            let error = unchanged(&header, &now).unwrap_err().to_string();
            assert!(error.contains(words), "{words} in {error}");
        }
    }

    #[test]
    fn a_record_that_exists_is_found_packed_or_not() {
        let out = tempfile::tempdir().unwrap();
        assert!(no_record(out.path(), "a").is_ok());
        for name in ["a.json", "b.json.gz"] {
            fs::write(out.path().join(name), "").unwrap();
            assert!(no_record(out.path(), &name[..1]).unwrap_err().to_string().contains(name));
        }
    }
}
