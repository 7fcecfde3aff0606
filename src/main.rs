//! The `allocmark` command: parses, dispatches, and sets the exit code.

use std::process::ExitCode;

use allocmark::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    // On bad usage clap itself prints what is wrong and exits with 2.
    cli::end(Cli::parse().run())
}
