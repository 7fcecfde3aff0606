//! The `allocmark` command: parses, dispatches, prints the error chain, and sets the exit code.

use std::process::ExitCode;

use allocmark::cli::{self, Cli, Exit};
use clap::Parser;

fn main() -> ExitCode {
    // On bad usage clap itself prints what is wrong and exits with 2.
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) if cli::is_broken_pipe(&error) => Exit::Fine.into(),
        Err(error) => {
            cli::say(format_args!("allocmark: {}", cli::one_sentence(&error)));
            Exit::BadInput.into()
        }
    }
}
