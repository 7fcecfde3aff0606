//! The file form of a record: schema 1, one JSON document.
//!
//! `results/README.md` describes the format in words. `file` has its types, `writing` and `reading` join them to
//! the record in memory, `places` knows which names and places a record allows. Reading is strict: a file that is not understood in full is an error that names the file,
//! the place in it and what was expected, because a benchmark number that was misread looks like any other number.

mod file;
mod places;
mod reading;
mod writing;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::record::Record;

/// The schema that this version reads and writes.
pub const SCHEMA: u64 = 1;

/// The longest id or title of a thing, in characters. Names stand in tables and plots; longer ones are data.
pub const LONGEST_NAME: usize = 200;

/// Why a text is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or not the JSON of a record. Mend the file at that place, or write it again.
    #[error("{}, line {line}, column {column}: {problem}; expected a record as results/README.md describes it", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A record of another schema. Read it with the version of the program that wrote it.
    #[error("{}: schema {found}: this version reads {SCHEMA}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What the file calls its schema.
        found: String,
    },
    /// JSON of the right shape whose content cannot be true. Mend what is at that place, or leave the entry out.
    #[error("{}, {place}: {problem}; expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The place in it: `cells[3] (churn/jemalloc/size=64)`.
        place: String,
        /// What is wrong there.
        problem: String,
        /// What would have been right.
        expected: String,
    },
}

/// The part of every schema that all versions can read.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Envelope {
    schema: Option<serde_json::Value>,
}

/// The file form of `record`. The same record gives the same text; each cell stands on a line of its own, so that
/// two records can be compared line by line.
pub fn to_json(record: &Record) -> String {
    writing::to_file(record).to_text()
}

/// Reads the file form of a record. `path` is only named in errors.
///
/// # Errors
/// If `text` is not a record of schema [`SCHEMA`], or contradicts itself.
pub fn from_json(text: &str, path: &Path) -> Result<Record, RecordError> {
    // The schema first: a newer file should be refused as newer, not for its first unknown field.
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| json_error(path, text, &error))?;
    let schema = envelope.schema.ok_or_else(|| RecordError::Content {
        path: path.to_owned(),
        place: "top level".to_owned(),
        problem: "no `schema`".to_owned(),
        expected: format!("a record with \"schema\": {SCHEMA}"),
    })?;
    if schema.as_u64() != Some(SCHEMA) {
        let found = schema.to_string().chars().take(40).collect();
        return Err(RecordError::Schema { path: path.to_owned(), found });
    }
    let file: file::File = serde_json::from_str(text).map_err(|error| json_error(path, text, &error))?;
    reading::to_record(file).map_err(|fault| RecordError::Content {
        path: path.to_owned(),
        place: one_line(&fault.place),
        problem: one_line(&fault.problem),
        expected: fault.expected,
    })
}

fn json_error(path: &Path, text: &str, error: &serde_json::Error) -> RecordError {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let said = whole.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&whole);
    // A number that was cut after its point is a bad number to the parser, though the file is what is too short.
    let last = text.lines().last().unwrap_or_default();
    let at_end = line == text.lines().count() && column >= last.len() && !text.ends_with('\n');
    let problem =
        if error.is_eof() || at_end { format!("the file ends too early ({said})") } else { one_line(said) };
    RecordError::Json { path: path.to_owned(), line, column, problem }
}

/// `text` without control characters and cut to a length that a terminal line bears: errors quote foreign names.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
