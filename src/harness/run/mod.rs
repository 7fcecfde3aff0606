//! The driver: builds the bench executables once, then measures one process for each (probe, round, case, allocator).
//!
//! | file | what |
//! |---|---|
//! | [`build`] | the executables, from cargo, and what they say of themselves |
//! | [`plan`] | which cells, how many rounds, in which order |
//! | [`journal`] | every finished process, on disk before the next begins |
//! | [`drive`] | the loop |
//! | [`execute`] | one cell by one probe: which process, and what its answer means |
//! | [`callgrind`] | counting instructions under valgrind |
//! | [`process`] | one process with a time limit |
//!
//! The allocators of a case follow each other directly, so that what the machine does slowly meets all of them alike; in
//! which order is drawn anew for each (case, round), so that none profits from its place.

pub mod build;
pub mod callgrind;
pub mod drive;
pub mod execute;
pub mod journal;
pub mod plan;
pub mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::protocol::CaseName;
use crate::workloads::probe::Probe;

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
        "no cell is left by --allocator {allocator:?} and --workload {workload:?}; a --dry-run without the two shows what there is"
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
    /// The code or the machine changed since the run began: its two halves would not be one record.
    #[error(
        "the run {id} cannot go on: {what} changed since it began; check out what it was begun with, or begin anew"
    )]
    Changed {
        /// The run.
        id: String,
        /// What is different.
        what: String,
    },
    /// Another process writes this journal. Wait for it, or end it.
    #[error("{}: another process is running this run; expected a run that was interrupted", path.display())]
    Running {
        /// The journal.
        path: PathBuf,
    },
    /// There is a record of this run already. Records are never overwritten.
    #[error("{}: this record exists already; expected a run without one (begin anew, or give another --out)", path.display())]
    Exists {
        /// The record.
        path: PathBuf,
    },
    /// An id that cannot be a file's name.
    #[error("{id:?} is not the id of a run; expected the name of a directory in --out, without .partial")]
    Id {
        /// What was given.
        id: String,
    },
    /// A filter that cannot be read.
    #[error("{flag} {text:?} is not a regular expression")]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// Two executables say that they measure the same allocator. Give one of them another id.
    #[error("two bench executables measure the allocator {id}: {first} and {second}; expected one")]
    Twice {
        /// The allocator.
        id: String,
        /// The name of one executable.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// Two executables mean different things by one workload. Build both from the same version.
    #[error("{first} and {second} describe the workload {workload} differently; expected one description")]
    Disagree {
        /// The workload.
        workload: String,
        /// The name of one executable.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// What an executable says of itself cannot become a record.
    #[error("{executable}: {problem}; expected {expected}")]
    Description {
        /// The executable's name.
        executable: String,
        /// What is wrong.
        problem: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// An executable could not be started or watched; that says nothing about the allocator in it.
    #[error(
        "{executable}: could not be started or watched: {source}; expected an executable that cargo just built"
    )]
    Process {
        /// The executable's name.
        executable: String,
        /// What the system said.
        source: std::io::Error,
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Effort {
    /// Rounds of each probe; a probe that is not in it does not run.
    pub rounds: BTreeMap<Probe, u32>,
    /// Criterion's warm-up, milliseconds.
    pub warm_up_ms: u64,
    /// Criterion's measuring time, milliseconds.
    pub measuring_ms: u64,
    /// Criterion's samples; at least 10.
    pub samples: u64,
}

/// The directory in which a run keeps its journal until its record is written.
///
/// # Errors
/// If the id is not the name of a file in `out`: it may come from the command line.
pub fn partial_directory(out: &Path, id: &str) -> Result<PathBuf, RunError> {
    let strange = |letter: char| letter.is_control() || "/\\".contains(letter);
    if id.is_empty() || id.starts_with('.') || id.len() > LONGEST_ID_BYTES || id.contains(strange) {
        return Err(RunError::Id { id: id.to_owned() });
    }
    Ok(out.join(format!("{id}.partial")))
}

/// File systems take names of 255 bytes; `.partial` and `.json.gz` have to fit as well.
const LONGEST_ID_BYTES: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_leads_out_of_the_directory_is_refused() {
        for id in ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\nb", "a\0b", &"x".repeat(241)] {
            assert!(matches!(partial_directory(Path::new("out"), id), Err(RunError::Id { .. })), "{id:?}");
        }
        let path = partial_directory(Path::new("out"), "20260101T000000Z-norev-quick-cpu-01234567").unwrap();
        assert_eq!(path, Path::new("out/20260101T000000Z-norev-quick-cpu-01234567.partial"));
    }
}
