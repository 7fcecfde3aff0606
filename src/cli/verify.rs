//! `allocmark verify`: every cell once, its content checked, nothing timed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;

use super::{Exit, print, say};
use crate::harness::run::RunError;
use crate::harness::run::build;
use crate::harness::run::drive::Executor;
use crate::harness::run::execute::Processes;
use crate::harness::run::plan::{self, Filter};
use crate::workloads::probe::Probe;
use crate::workloads::shape::Profile;

/// Run every cell once and check its content
///
/// Each cell runs in a process of its own, with every block filled and checked: overlap, alignment, content kept when
/// blocks grow, results equal to the system allocator's, nothing left behind. Prints a line for each cell that is wrong;
/// the exit code is 4 if there is one. Nothing is timed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  allocmark verify --allocator slab --profile standard")]
pub(super) struct Flags {
    /// The profile whose cells to check
    #[arg(long, value_name = "PROFILE", default_value = "standard", value_parser = super::profile)]
    profile: Profile,
    /// Only allocators whose id matches this regular expression somewhere
    #[arg(long, value_name = "REGEX", default_value = "")]
    allocator: String,
    /// Only cases whose name (workload/parameters) matches this regular expression somewhere
    #[arg(long, value_name = "REGEX", default_value = "")]
    workload: String,
    /// What all random choices are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Cargo features to build the benches with, beside the default ones
    #[arg(long, value_name = "FEATURES", default_value = "")]
    features: String,
    /// Seconds after which a process counts as hanging and is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,
}

/// Builds and checks.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let filter = Filter::parse(&flags.allocator, &flags.workload)?;
    let built = build::build(Path::new("."), &flags.features, flags.profile.id())?;
    for (target, why) in &built.silent {
        say(format_args!("{target}: left out, it did not say who it is: {why}"));
    }
    let effort = plan::effort(flags.profile, &Probe::ALL);
    let cases = plan::cases(&built.executables, &filter, &effort);
    if cases.is_empty() {
        let (allocator, workload) = (flags.allocator.clone(), flags.workload.clone());
        return Err(RunError::Nothing { allocator, workload }.into());
    }
    let mut processes = Processes {
        executables: &built.executables,
        effort,
        seed: flags.seed,
        profile: flags.profile.id().to_owned(),
        limit: Duration::from_secs(flags.time_limit),
        scratch: PathBuf::new(),
        countable: HashMap::new(),
    };
    let cells = cases.iter().flat_map(|case| &case.runners).filter(|runner| !runner.twin).count();
    let bar = ProgressBar::new(cells as u64);
    let mut wrong = 0;
    for (case, planned) in cases.iter().enumerate() {
        for &runner in planned.runners.iter().filter(|runner| !runner.twin) {
            let cell = plan::cell(&cases, &built.executables, case, runner);
            if let Err(failure) = processes.verify(&cell, runner)? {
                wrong += 1;
                bar.suspend(|| print(format_args!("{cell}: {failure}")))?;
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    say(format_args!("{cells} cells checked, {wrong} wrong"));
    Ok(if wrong == 0 { Exit::Fine } else { Exit::Incomplete })
}
