//! Writes a trace: of a workload for one thread, recorded, or of births and deaths, generated.
//!
//! ```text
//! record_trace --workload ID [--case PARAMETERS] [--passes N] [--seed N] --out FILE
//! record_trace --generate [--live N] [--replacements N] [--seed N] --out FILE
//! ```
//!
//! Without further words the first writes one pass of the workload's first case, and the second writes what is shipped as
//! `births`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use allocmark::workloads::trace::generate::{Births, SHIPPED, generate};
use allocmark::workloads::trace::operation::Counts;
use allocmark::workloads::trace::record::{Wanted, record};
use anyhow::{Context, Result};
use clap::Parser;

#[derive(Parser)]
struct Words {
    /// The workload to record.
    #[arg(long, conflicts_with = "generate")]
    workload: Option<String>,
    /// Its case, as `allocmark list` prints the parameters.
    #[arg(long, requires = "workload")]
    case: Option<String>,
    /// How often it runs, each time with tables of its own.
    #[arg(long, default_value_t = 1, requires = "workload")]
    passes: u64,
    /// Generate births and deaths instead.
    #[arg(long, required_unless_present = "workload")]
    generate: bool,
    /// Blocks alive.
    #[arg(long, default_value_t = SHIPPED.live, requires = "generate", value_parser = clap::value_parser!(u32).range(1..))]
    live: u32,
    /// Blocks that replace others.
    #[arg(long, default_value_t = SHIPPED.replacements, requires = "generate")]
    replacements: u32,
    /// Where the draws begin.
    #[arg(long, default_value_t = SHIPPED.seed)]
    seed: u64,
    /// Where to write.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let Words { workload, case, passes, live, replacements, seed, out, .. } = Words::parse();
    let file = File::create(&out).with_context(|| format!("{} could not be made", out.display()))?;
    let (mut file, Counts { slots, operations, .. }) = match workload {
        Some(workload) => record(&Wanted { workload, case, passes, seed }, BufWriter::new(file))?,
        None => generate(Births { live, replacements, seed }, BufWriter::new(file))?,
    };
    file.flush()?;
    println!("{}: {operations} calls, at most {slots} blocks alive", out.display());
    Ok(())
}
