//! The journal: every finished process, on disk before the next begins.
//!
//! A file of JSON lines. The first says what the run is; each further one what became of one process. A run that is
//! killed loses at most the process it was in: a last line that was cut short is not counted.
//!
//! A run that goes on measures no finished cell again. So of one (case, round), the one it was in, some allocators were
//! measured before the gap and the others after it: that replicate is paired across the gap, all others are of
//! neighbours. One pair in six or more moves a median little.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CellName, Effort, RunError};
use crate::harness::findings::Findings;
use crate::harness::protocol::Outcome;
use crate::workloads::probe::Probe;
use crate::workloads::shape::Profile;

/// What a run is: all that must be equal for it to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Rises when the meaning of a line changes.
    pub journal: u32,
    /// The record's id.
    pub id: String,
    /// The command line that began it.
    pub command: String,
    /// The profile's name.
    pub profile: String,
    /// How much is measured.
    pub effort: Effort,
    /// The seed.
    pub seed: u64,
    /// The filters.
    pub allocator_filter: String,
    /// The filters.
    pub workload_filter: String,
    /// Cargo features that were asked for.
    pub features: String,
    /// Seconds after which a process is killed.
    pub time_limit_s: u64,
    /// Git revision, and whether the work tree had changes.
    pub revision: Option<(String, bool)>,
    /// Each allocator's executable → its hash, sorted. All of them, whatever the filters say.
    pub executables: Vec<(String, String)>,
    /// The machine's key.
    pub machine: String,
    /// CPUs that the run may use: the cases with threads depend on it.
    pub cpus: usize,
    /// The compiler.
    pub rustc: Option<String>,
    /// What was wrong with the machine when the run began, in sentences.
    pub warnings: Vec<String>,
}

/// [`Header::journal`] of this version.
pub const VERSION: u32 = 3;

/// What became of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The cell's content was checked and is right.
    Verified {
        /// Which.
        cell: CellName,
        /// What was counted meanwhile.
        findings: Findings,
    },
    /// The cell was measured in a round.
    Measured {
        /// Which.
        cell: CellName,
        /// By what.
        probe: Probe,
        /// Counted from 0.
        round: u32,
        /// What came out.
        findings: Findings,
        /// How it was seen who served.
        served: Option<String>,
    },
    /// A probe cannot measure the cell, which says nothing against the allocator; it is not tried again.
    Unprobed {
        /// Which.
        cell: CellName,
        /// By what.
        probe: Probe,
        /// Why.
        reason: String,
    },
    /// It went wrong; the cell is not tried again.
    Failed {
        /// Which.
        cell: CellName,
        /// How.
        failure: Failure,
    },
}

/// How a process went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It said so itself.
    Said(Outcome),
    /// It died.
    Crash(String),
    /// It ran out of memory and said so on its way out.
    OutOfMemory(String),
    /// It was killed at its time limit.
    TimeLimit(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said(Outcome::WrongAnswer(detail)) => write!(out, "wrong answer: {detail}"),
            Self::Said(Outcome::WrongAllocator(detail)) => write!(out, "wrong allocator: {detail}"),
            Self::Said(Outcome::OutOfMemory(detail)) | Self::OutOfMemory(detail) => {
                write!(out, "out of memory: {detail}")
            }
            Self::Said(Outcome::Crash(detail)) | Self::Crash(detail) => write!(out, "crash: {detail}"),
            Self::Said(Outcome::Served(_)) => out.write_str("crash: it reported success and failed"),
            Self::TimeLimit(detail) => write!(out, "time limit: {detail}"),
        }
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// The journal's name in a run's directory.
pub const FILE: &str = "journal.jsonl";

impl Journal {
    /// Begins the journal of a new run in `directory`, which must exist.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn begin(directory: &Path, header: &Header) -> Result<Self, RunError> {
        let path = directory.join(FILE);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|source| unwritable(&path, source))?;
        lock(&file, &path)?;
        let mut journal = Self { file, path };
        journal.line(header)?;
        Ok(journal)
    }

    /// Opens the journal of the interrupted run `id`: what it is, and what it has. A last line that was cut short is
    /// removed.
    ///
    /// # Errors
    /// If there is none, if the run still runs, or if a line is not what this version writes.
    pub fn resume(directory: &Path, id: &str) -> Result<(Self, Header, Vec<Entry>), RunError> {
        let path = directory.join(FILE);
        let failed = |source| RunError::File {
            path: path.clone(),
            expected: "the journal of an interrupted run (its id is the directory's name without .partial)",
            source,
        };
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        // Before anything is read: a process that still writes would have its last line cut off.
        lock(&file, &path)?;
        let mut reader = BufReader::new(&file);
        let (mut header, mut entries, mut whole) = (None, Vec::new(), 0);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let length = reader.read_until(b'\n', &mut bytes).map_err(failed)?;
            if length == 0 || bytes.last() != Some(&b'\n') {
                break;
            }
            let wrong = |problem: String| RunError::Journal { path: path.clone(), line: number, problem };
            if header.is_none() {
                header = Some(read_header(&bytes, id).map_err(wrong)?);
            } else {
                entries.push(serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?);
            }
            whole += length as u64;
        }
        let header = header.ok_or_else(|| RunError::Journal {
            path: path.clone(),
            line: 1,
            problem: "the first line is missing or cut short".to_owned(),
        })?;
        file.set_len(whole).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok((Self { path, file }, header, entries))
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// If the disk is full or gone: the run cannot go on without losing what it measures.
    pub fn write(&mut self, entry: &Entry) -> Result<(), RunError> {
        self.line(entry)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), RunError> {
        let mut line = serde_json::to_vec(value).expect("texts and finite numbers are JSON");
        line.push(b'\n');
        // One write: a process that is killed leaves the whole line or a part without its end, never two mixed.
        self.file.write_all(&line).map_err(|source| unwritable(&self.path, source))
    }
}

/// The first line, if it is the one of run `id` and this version can go on with it.
fn read_header(line: &[u8], id: &str) -> Result<Header, String> {
    // The version first: a journal of another one may have other fields.
    #[derive(Deserialize)]
    struct Versioned {
        journal: u32,
    }
    let Versioned { journal } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if journal != VERSION {
        return Err(format!("journal version {journal}, this version writes {VERSION}"));
    }
    let header: Header = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if header.id != id {
        return Err(format!("it is the journal of the run {:?}, not of {id:?}", header.id));
    }
    if Profile::named(&header.profile).is_none() {
        return Err(format!("there is no profile {:?}", header.profile));
    }
    Ok(header)
}

/// Keeps the journal for this process; the system lets go of it when the process ends, however it ends.
fn lock(file: &File, path: &Path) -> Result<(), RunError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RunError::Running { path: path.to_owned() }),
        // Some network file systems have no locks. Being unable to run there at all would be worse.
        Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(source)) => {
            Err(RunError::File { path: path.to_owned(), expected: "a file that can be locked", source })
        }
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> RunError {
    RunError::File { path: path.to_owned(), expected: "a directory that can be written to", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(id: &str, profile: &str) -> Header {
        Header {
            journal: VERSION,
            id: id.to_owned(),
            command: "allocmark run".to_owned(),
            profile: profile.to_owned(),
            effort: Effort { rounds: [(Probe::Time, 1)].into(), warm_up_ms: 1, measuring_ms: 1, samples: 10 },
            seed: 1,
            allocator_filter: String::new(),
            workload_filter: String::new(),
            features: String::new(),
            time_limit_s: 60,
            revision: None,
            executables: Vec::new(),
            machine: "cpu-00000000".to_owned(),
            cpus: 2,
            rustc: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_run_that_still_runs_cannot_be_resumed() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::begin(directory.path(), &header("a", "smoke")).unwrap();
        let running = Journal::resume(directory.path(), "a").unwrap_err();
        assert!(matches!(running, RunError::Running { .. }), "{running}");
        drop(journal);
        let (resumed, read, entries) = Journal::resume(directory.path(), "a").unwrap();
        assert_eq!((read, entries), (header("a", "smoke"), Vec::new()));
        assert!(Journal::resume(directory.path(), "a").is_err(), "a resumed run holds the lock as well");
        drop(resumed);
    }

    #[test]
    fn a_journal_of_another_run_profile_or_version_is_refused() {
        let other = Header { journal: VERSION + 1, ..header("a", "smoke") };
        for (header, words) in [
            (header("b", "smoke"), r#"it is the journal of the run "b", not of "a""#),
            (header("a", "gigantic"), r#"there is no profile "gigantic""#),
            (other, "journal version 4, this version writes 3"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            drop(Journal::begin(directory.path(), &header).unwrap());
            let error = Journal::resume(directory.path(), "a").unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("line 1"), "{error}");
        }
    }
}
