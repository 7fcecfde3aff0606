//! The command line: one file a subcommand, all with the same skeleton: flags, long help, `run`. [`barometer`] is the command
//! line of somebody else's executable, which measures itself.
//!
//! To add one: write `src/cli/<name>.rs` like its siblings, then add its `mod` line, its row in `Command` and its arm in
//! [`Cli::run`], which the compiler asks for. `cargo run -- help <name>` proves it.
//!
//! Standard output is data (paths, tables), standard error is talk.

pub mod barometer;
mod compare;
mod goals;
mod import;
mod list;
mod rank;
mod report;
mod run;
mod verify;

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::workloads::shape::Profile;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "allocmark",
    version,
    about = "The allocator barometer for Rust",
    arg_required_else_help = true
)]
#[command(after_help = "Exit codes: 0 fine, 1 what --fail-on names was found, 2 bad usage or bad input, \
4 the run is incomplete.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The subcommands, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    List(list::Flags),
    Run(run::Flags),
    Verify(verify::Flags),
    Report(report::Flags),
    Rank(rank::Flags),
    Goals(goals::Flags),
    Compare(compare::Flags),
    Import(import::Flags),
}

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing to object to.
    Fine = 0,
    /// What `--fail-on` names was found.
    Finding = 1,
    /// The command line or a file cannot be used; also every error that a command returns.
    BadInput = 2,
    /// Some cells failed.
    Incomplete = 4,
}

impl Cli {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If it could not do its work; [`one_sentence`] says why.
    pub fn run(&self) -> anyhow::Result<Exit> {
        match &self.command {
            Command::List(flags) => list::run(flags),
            Command::Run(flags) => run::run(flags),
            Command::Verify(flags) => verify::run(flags),
            Command::Report(flags) => report::run(flags),
            Command::Rank(flags) => rank::run(flags),
            Command::Goals(flags) => goals::run(flags),
            Command::Compare(flags) => compare::run(flags),
            Command::Import(flags) => import::run(flags),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The exit code of a command's end; an error is said first.
pub fn end(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::Fine.into(),
        Err(error) => {
            say(format_args!("allocmark: {}", one_sentence(&error)));
            Exit::BadInput.into()
        }
    }
}

/// The error with its causes on one line, each cause once: many errors already quote theirs.
pub fn one_sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !sentence.contains(&cause) {
            let colon = if sentence.is_empty() { "" } else { ": " };
            // Writing to a string cannot fail.
            let _ = write!(sentence, "{colon}{cause}");
        }
    }
    sentence.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether the reader of our output went away, as `head` does: not an error of ours.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.into_iter().any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The profile of that name, for flags.
fn profile(name: &str) -> Result<Profile, String> {
    Profile::named(name)
        .ok_or_else(|| format!("expected one of {}", Profile::ALL.map(Profile::id).join(", ")))
}

/// A line of data, on standard output.
fn print(line: impl fmt::Display) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("standard output")
}

/// A line of talk, on standard error. Nobody may be listening, which is no reason to stop.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_a_long_help_with_an_example() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example:\n  allocmark "), "{help}");
        }
    }

    #[test]
    fn a_cause_that_is_quoted_already_is_not_repeated() {
        let cause = io::Error::other("disk\nfull");
        let error =
            anyhow::Error::new(cause).context("a.json: disk\nfull; expected room").context("the record");
        assert_eq!(one_sentence(&error), "the record: a.json: disk full; expected room");
    }
}
