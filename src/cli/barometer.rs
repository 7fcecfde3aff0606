//! An executable that measures the allocators it contains: one file of somebody else's, and a site.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory, FromArgMatches, Parser};

use super::run::{self, Measuring, Source};
use super::{Exit, report};
use crate::harness::bench::Bench;
use crate::harness::protocol;
use crate::harness::run::build;
use crate::workloads::startup;

/// Allocators that are measured beside each other by the executable that contains them: without arguments a whole run, its
/// record, and its site.
///
/// At most one of them is general: it is the executable's `#[global_allocator]`. To compare several general ones, each
/// needs an executable of its own: a package with benches, in whose directory `allocmark run` is called (see
/// `docs/own.md`).
///
/// Every cell is measured in a process of its own, as `allocmark run` does it. That process is the same executable once
/// more, which finds in the environment what it is asked for (see [`protocol`]).
///
/// # Examples
/// The system's allocator beside our arena, over this crate's workloads:
///
/// ```no_run
/// use std::alloc::System;
/// use std::process::ExitCode;
///
/// use allocmark::Barometer;
/// use allocmark::allocators::arena::Arena;
/// use allocmark::allocators::system;
/// use allocmark::harness::bench;
///
/// fn main() -> ExitCode {
///     Barometer::new()
///         .allocator(bench::general(&system::FACTS, &System))
///         .allocator(bench::bulk::<Arena>())
///         .main()
/// }
/// ```
#[derive(Default)]
pub struct Barometer {
    benches: Vec<Bench>,
}

/// The command line of an executable that measures itself.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    measuring: Measuring,
    /// Where to put the site
    #[arg(long, value_name = "DIR", default_value = "site")]
    site: PathBuf,
    /// What cargo adds to the command line of a bench target
    #[arg(long, hide = true)]
    bench: bool,
}

impl Barometer {
    /// Without allocators yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One allocator more. The site shows them in this order.
    #[must_use]
    pub fn allocator(mut self, bench: Bench) -> Self {
        self.benches.push(bench);
        self
    }

    /// Does what the command line asks: `--help` has the rest.
    ///
    /// The paths of the record and of the site's first page are printed on standard output. The exit code is 0 if all went
    /// well, 2 on bad usage, 4 if some cells failed.
    ///
    /// With an allocator's id in `ALLOCMARK_ALLOCATOR` the executable is that allocator's bench executable and nothing
    /// else: its command line is criterion's (see [`Bench::main`]).
    pub fn main(&self) -> ExitCode {
        // Before everything else: see `startup`.
        if let Some(code) = startup::child() {
            return code;
        }
        if let Ok(id) = env::var(protocol::ALLOCATOR) {
            return match self.benches.iter().find(|bench| bench.id() == id) {
                Some(bench) => bench.main(),
                None => refuse(format_args!(
                    "{}: there is no allocator {id:?} here; expected one of {}",
                    protocol::ALLOCATOR,
                    self.ids().join(", ")
                )),
            };
        }
        if let Err(problem) = self.consistent(env::args_os().nth(1)) {
            return refuse(problem);
        }
        let flags = match Self::command().try_get_matches() {
            Ok(matches) => Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
            Err(error) => error.exit(),
        };
        super::end(self.run(&flags))
    }

    /// Measures with this very executable, and writes the site.
    fn run(&self, flags: &Flags) -> anyhow::Result<Exit> {
        let path = env::current_exe().context("the path of this executable")?;
        let program = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let ids = self.ids();
        let source = Source {
            call: program.clone(),
            program,
            features: "",
            executables: &|_, profile| build::ready(&path, &ids, profile),
        };
        let (exit, record) = run::record(&flags.measuring, &source)?;
        if let Some(record) = record {
            report::write(&[record], &flags.site)?;
        }
        Ok(exit)
    }

    fn command() -> Command {
        Flags::command()
            .about("Measure the allocators in this executable, and leave a record and a comparison site")
            .long_about(LONG_ABOUT)
            .version(None)
            .after_help("Exit codes: 0 fine, 2 bad usage or bad input, 4 the run is incomplete.")
    }

    fn ids(&self) -> Vec<&str> {
        self.benches.iter().map(Bench::id).collect()
    }

    /// Whether these allocators can be in one executable, and the first argument is not somebody's who takes it for the
    /// executable of one allocator.
    fn consistent(&self, argument: Option<OsString>) -> Result<(), String> {
        let ids = self.ids();
        if ids.is_empty() {
            return Err("there is nothing to measure: Barometer::allocator was never called".to_owned());
        }
        if let Some(twice) = (1..ids.len()).find(|&index| ids[..index].contains(&ids[index])) {
            return Err(format!("two allocators have the id {}; expected another for each", ids[twice]));
        }
        let general: Vec<&str> =
            self.benches.iter().filter(|bench| bench.is_general()).map(Bench::id).collect();
        if general.len() > 1 {
            return Err(format!(
                "{} are general allocators, and an executable has one global allocator: give each a bench target of its \
                 own, and measure with `allocmark run`",
                general.join(" and ")
            ));
        }
        let asked = argument.is_some_and(|first| first == protocol::DESCRIBE || first == protocol::VERIFY);
        if asked {
            return Err(format!(
                "it holds {} and measures them itself: call it without arguments, or name one in {}",
                ids.join(", "),
                protocol::ALLOCATOR
            ));
        }
        Ok(())
    }
}

const LONG_ABOUT: &str = "\
Measure the allocators in this executable, and leave a record and a comparison site

Checks every cell's content, then measures one process for each (round, case, allocator), in an order drawn from the seed. \
Every finished process is on disk before the next begins: an interrupted run goes on with --resume. Nothing else should \
run meanwhile.

The paths of the record and of the site's first page are printed on standard output. A cell that crashes, hangs, gives a \
wrong answer or is served by another allocator is kept under `failed`, the rest is complete, and the exit code is 4.";

fn refuse(sentence: impl std::fmt::Display) -> ExitCode {
    super::say(sentence);
    Exit::BadInput.into()
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::system;
    use crate::harness::bench;

    #[test]
    fn the_command_line_is_consistent() {
        Barometer::command().debug_assert();
    }

    #[test]
    fn allocators_that_cannot_be_in_one_executable_are_named() {
        let general = || bench::general(&system::FACTS, &System);
        let said = |barometer: Barometer| barometer.consistent(None).unwrap_err();
        assert!(said(Barometer::new()).contains("nothing to measure"));
        let arenas = Barometer::new().allocator(bench::bulk::<Arena>()).allocator(bench::bulk::<Arena>());
        assert!(said(arenas).contains("the id arena"));
        let other = bench::general(&crate::allocators::slab::FACTS, &System);
        let sentence = said(Barometer::new().allocator(general()).allocator(other));
        assert!(sentence.starts_with("system and slab are general"), "{sentence}");
        let both = Barometer::new().allocator(general()).allocator(bench::bulk::<Arena>());
        assert_eq!(both.consistent(None), Ok(()));
    }

    #[test]
    fn who_takes_it_for_the_executable_of_one_allocator_is_told() {
        let barometer = Barometer::new().allocator(bench::bulk::<Arena>());
        let sentence = barometer.consistent(Some(protocol::DESCRIBE.into())).unwrap_err();
        assert!(sentence.contains("arena") && sentence.contains(protocol::ALLOCATOR), "{sentence}");
    }
}
