//! The driver: builds the bench executables once, then measures one process for each (round, case, allocator).
//!
//! | file | what |
//! |---|---|
//! | [`build`] | the executables, from cargo, and what they say of themselves |
//! | [`plan`] | which cells, how many rounds, in which order |
//! | [`journal`] | every finished process, on disk before the next begins |
//! | [`process`] | one process with a time limit |
//! | [`drive`] | the loop |
//!
//! The allocators of a case follow each other directly, so that what the machine does slowly meets all of them alike; in
//! which order is drawn anew for each (case, round), so that none profits from its place.

pub mod build;
pub mod drive;
pub mod journal;
pub mod plan;
pub mod process;

use std::path::{Path, PathBuf};

use super::protocol::CaseName;

/// Why a run did not get as far as measuring, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file system said no.
    #[error("{}: {source}; expected {expected}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What would have been right.
        expected: &'static str,
        /// What the file system said.
        source: std::io::Error,
    },
    /// Cargo did not build the executables. Its own message stands above.
    #[error("cargo did not build the bench executables ({detail}); expected a package with benches in {}", directory.display())]
    Build {
        /// Where cargo ran.
        directory: PathBuf,
        /// How it ended.
        detail: String,
    },
    /// No executable speaks our protocol. Use `allocmark::harness::bench` in a bench target's `main`.
    #[error("none of the {built} bench executables in {} measures an allocator; expected a main that calls allocmark::harness::bench", directory.display())]
    NoBenches {
        /// Where cargo ran.
        directory: PathBuf,
        /// How many executables were asked.
        built: usize,
    },
    /// The filters leave nothing.
    #[error(
        "no cell is left by --allocator {allocator:?} and --workload {workload:?}; `allocmark list` shows what there is"
    )]
    Nothing {
        /// The filter.
        allocator: String,
        /// The filter.
        workload: String,
    },
    /// The journal of an interrupted run cannot be used.
    #[error("{}, line {line}: {problem}; expected the journal of a run that this version began", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The code changed since the run began: its two halves would not be one record.
    #[error(
        "the run {id} cannot go on: {what} changed since it began; check out what it was begun with, or begin anew"
    )]
    Changed {
        /// The run.
        id: String,
        /// What is different.
        what: String,
    },
}

/// An allocator and a case: where a result belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct CellName {
    /// The case.
    pub case: CaseName,
    /// The allocator's id.
    pub allocator: String,
    /// The second of two measurements of the same code, as if it were another allocator: the A/A control.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub twin: bool,
}

impl std::fmt::Display for CellName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let twin = if self.twin { " (again, as the A/A control)" } else { "" };
        write!(out, "{} on {}{twin}", self.case, self.allocator)
    }
}

/// How much is measured in each process, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Effort {
    /// Rounds.
    pub rounds: u32,
    /// Criterion's warm-up, milliseconds.
    pub warm_up_ms: u64,
    /// Criterion's measuring time, milliseconds.
    pub measuring_ms: u64,
    /// Criterion's samples; at least 10.
    pub samples: u64,
}

/// The directory in which a run keeps its journal until its record is written.
pub fn partial_directory(out: &Path, id: &str) -> PathBuf {
    out.join(format!("{id}.partial"))
}
