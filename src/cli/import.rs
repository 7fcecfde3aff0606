//! `allocmark import`: a record from criterion's output directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exit, print, say};
use crate::results::{import, store};

/// Make a record from criterion's output directory
///
/// Reads the last run of every finished benchmark under CRITERION_DIR and writes one record, which `report`, `rank` and
/// `compare` take like one of our own. The group becomes the workload, the function the allocator, the value the
/// parameters (`live=10,size=64` as two). What criterion does not keep, such as the machine and the unit, stays unknown;
/// nanoseconds are assumed.
///
/// A number that is no time, or a benchmark that is there twice, refuses the directory. Benchmarks whose run did not
/// finish are left out, and said to be.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  allocmark import target/criterion --out results/mine.json.gz")]
pub(super) struct Flags {
    /// The directory that criterion wrote, often target/criterion
    #[arg(value_name = "CRITERION_DIR")]
    directory: PathBuf,
    /// Where to write the record, packed if the name ends in .gz [default: results/<id>.json.gz]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the record and prints its path.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let record = import::import_tree(&flags.directory)?;
    let path = match &flags.out {
        Some(path) => path.clone(),
        None => {
            let directory = Path::new(store::DIRECTORY);
            fs::create_dir_all(directory)
                .with_context(|| format!("{}: cannot be made", directory.display()))?;
            store::path_in(directory, &record)
        }
    };
    store::write(&record, &path)?;
    for warning in &record.checks.warnings {
        say(warning);
    }
    say(format_args!(
        "{} cells: {} workloads, {} allocators",
        record.cells.len(),
        record.workloads.len(),
        record.allocators.len()
    ));
    print(path.display())?;
    Ok(Exit::Fine)
}
