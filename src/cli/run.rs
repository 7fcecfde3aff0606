//! `allocmark run`: measure, and leave a record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use regex::Regex;

use super::{Exit, print, say};
use crate::allocators::list;
use crate::harness::machine;
use crate::harness::matrix;
use crate::harness::protocol::{self, CaseName};
use crate::harness::run::build::{self, Built};
use crate::harness::run::drive::{self, Processes, State};
use crate::harness::run::journal::{self, Entry, Header, Journal};
use crate::harness::run::plan::{self, Filter, PlannedCase};
use crate::harness::run::{RunError, partial_directory};
use crate::results::{assemble, store};
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
    /// How much to measure: smoke, quick, standard or full
    #[arg(long, value_name = "PROFILE", default_value = "standard", value_parser = super::profile)]
    profile: Profile,
    /// Only allocators whose id matches this regular expression somewhere
    #[arg(long, value_name = "REGEX", default_value = "")]
    allocator: String,
    /// Only cases whose name (workload/parameters) matches this regular expression somewhere
    #[arg(long, value_name = "REGEX", default_value = "")]
    workload: String,
    /// Rounds, instead of the profile's; intervals need 6
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// What all random choices are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Cargo features to build the benches with, beside the default ones
    #[arg(long, value_name = "FEATURES", default_value = "")]
    features: String,
    /// Seconds after which a process counts as hanging and is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,
    /// Where to put the record
    #[arg(long, value_name = "DIR", default_value = store::DIRECTORY)]
    out: PathBuf,
    /// Go on with an interrupted run; all but --out is taken from it
    #[arg(long, value_name = "ID")]
    resume: Option<String>,
    /// Print the cells and an estimate of the time, and measure nothing
    #[arg(long)]
    dry_run: bool,
}

/// Builds, measures, writes the record.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    match &flags.resume {
        Some(id) => {
            let directory = partial_directory(&flags.out, id);
            let (journal, header, entries) = Journal::resume(&directory)?;
            let built = build::build(Path::new("."), &header.features, &header.profile)?;
            unchanged(&header, &built)?;
            let mut state = State::default();
            entries.into_iter().for_each(|entry| state.learn(entry));
            measure(flags, header, built, Some(journal), state)
        }
        None => {
            // A regular expression that cannot be read, or a directory that cannot be written to, must not wait for the
            // build.
            filter(&flags.allocator, &flags.workload)?;
            if !flags.dry_run {
                fs::create_dir_all(&flags.out)
                    .with_context(|| format!("{}: cannot be made", flags.out.display()))?;
                tempfile::tempfile_in(&flags.out)
                    .with_context(|| format!("{}: cannot be written to", flags.out.display()))?;
            }
            let built = build::build(Path::new("."), &flags.features, flags.profile.id())?;
            measure(flags, header(flags, &built), built, None, State::default())
        }
    }
}

fn filter(allocator: &str, workload: &str) -> anyhow::Result<Filter> {
    let regex = |flag: &str, text: &str| {
        Regex::new(text).with_context(|| format!("{flag} {text:?} is not a regular expression"))
    };
    Ok(Filter { allocator: regex("--allocator", allocator)?, workload: regex("--workload", workload)? })
}

/// What this run is, from the command line and the machine.
fn header(flags: &Flags, built: &Built) -> Header {
    let mut effort = plan::effort(flags.profile);
    effort.rounds = flags.rounds.unwrap_or(effort.rounds);
    let revision = revision();
    let short = revision.as_ref().map_or("norev", |(revision, _)| revision.as_str());
    let start = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let key = machine::describe().key;
    Header {
        journal: journal::VERSION,
        id: format!("{start}-{short}-{}-{key}", flags.profile.id()),
        command: command_line(),
        profile: flags.profile.id().to_owned(),
        effort,
        seed: flags.seed,
        allocator_filter: flags.allocator.clone(),
        workload_filter: flags.workload.clone(),
        features: flags.features.clone(),
        time_limit_s: flags.time_limit,
        revision,
        executables: hashes(built),
        warnings: machine::warnings(),
    }
}

fn measure(
    flags: &Flags,
    header: Header,
    built: Built,
    journal: Option<Journal>,
    mut state: State,
) -> anyhow::Result<Exit> {
    let filter = filter(&header.allocator_filter, &header.workload_filter)?;
    let cases = plan::cases(&built.executables, &filter);
    if cases.is_empty() {
        return Err(RunError::Nothing {
            allocator: header.allocator_filter,
            workload: header.workload_filter,
        }
        .into());
    }
    let cells: usize = cases.iter().map(|case| case.runners.len()).sum();
    let minutes = plan::estimate_seconds(cells, header.effort) as f64 / 60.0;
    if flags.dry_run {
        for (case, runner) in plan::order(&cases, header.seed, 0) {
            print(plan::cell(&cases, &built.executables, case, runner))?;
        }
        say(format_args!("{cells} cells, {} rounds: about {minutes:.1} minutes", header.effort.rounds));
        return Ok(Exit::Fine);
    }
    say(format_args!(
        "{}: {cells} cells, {} rounds, about {minutes:.1} minutes",
        header.id, header.effort.rounds
    ));
    header.warnings.iter().for_each(say);

    let directory = partial_directory(&flags.out, &header.id);
    let mut journal = match journal {
        Some(journal) => journal,
        None => {
            fs::create_dir(&directory).with_context(|| format!("{}: cannot be made", directory.display()))?;
            Journal::begin(&directory, &header)?
        }
    };
    let mut processes = Processes {
        executables: &built.executables,
        effort: header.effort,
        seed: header.seed,
        profile: header.profile.clone(),
        limit: Duration::from_secs(header.time_limit_s),
        scratch: directory.join("criterion"),
    };
    let bar = progress_bar();
    let mut write = |entry: &Entry| {
        if let Entry::Failed { cell, failure } = entry {
            bar.suspend(|| say(format_args!("{cell}: {failure}")));
        }
        journal.write(entry)
    };
    let mut tell = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let settings = (header.effort, header.seed);
    drive::drive(&cases, &built.executables, settings, &mut state, &mut processes, &mut write, &mut tell)?;
    bar.finish_and_clear();

    let others = unbuilt(&built, &filter, &header.profile, &cases);
    let record = assemble::record(&header, machine::describe(), &built, &cases, &state, others);
    if record.cells.is_empty() {
        let first = record.failed.first().map(|failed| format!("{}: {}", failed.place, failed.detail));
        bail!("every cell failed, so there is no record; the first: {}", first.unwrap_or_default());
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
    Ok(if failed == 0 { Exit::Fine } else { Exit::Incomplete })
}

/// Allocators of the list that have no executable here, with their cells and the reason.
fn unbuilt(
    built: &Built,
    filter: &Filter,
    profile: &str,
    cases: &[PlannedCase],
) -> Vec<(protocol::Allocator, Vec<(CaseName, String)>)> {
    let ours = cases.iter().any(|case| matrix_has(&case.name, profile));
    let missing = |id: &str| !built.executables.iter().any(|it| it.description.allocator.id == id);
    if !ours {
        return Vec::new();
    }
    list::all()
        .into_iter()
        .filter(|row| missing(row.facts.id) && filter.allocator.is_match(row.facts.id))
        .map(|row| {
            let reasons = pairs(profile)
                .into_iter()
                .filter(|(other, _, _)| other.facts.id == row.facts.id)
                .map(|(_, case, verdict)| {
                    let reason =
                        verdict.err().unwrap_or_else(|| "no bench executable was built for it".to_owned());
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

fn hashes(built: &Built) -> Vec<(String, String)> {
    built.executables.iter().map(|it| (it.description.allocator.id.clone(), it.hash.clone())).collect()
}

fn unchanged(header: &Header, built: &Built) -> Result<(), RunError> {
    let changed = |what: String| Err(RunError::Changed { id: header.id.clone(), what });
    let now = hashes(built);
    for (allocator, hash) in &header.executables {
        match now.iter().find(|(known, _)| known == allocator) {
            None => return changed(format!("the allocator {allocator} is gone: its executable")),
            Some((_, other)) if other != hash => return changed(format!("the executable of {allocator}")),
            Some(_) => {}
        }
    }
    Ok(())
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
fn command_line() -> String {
    let quoted = |argument: String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
        match !argument.is_empty() && argument.bytes().all(plain) {
            true => argument,
            false => format!("'{}'", argument.replace('\'', r"'\''")),
        }
    };
    let arguments = std::env::args().skip(1).map(quoted);
    std::iter::once("allocmark".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// A bar on standard error with the time left; nothing where that is not a terminal.
fn progress_bar() -> ProgressBar {
    let style = "{bar:30} {pos}/{len} processes, {elapsed} gone, {eta} left";
    ProgressBar::new(1)
        .with_style(ProgressStyle::with_template(style).expect("a template without unknown keys"))
}
