//! A record from a whole criterion directory.
//!
//! | criterion | record |
//! |---|---|
//! | group | workload |
//! | function | allocator; `-` for a benchmark without one |
//! | value `live=10,order=random` | parameters `live` and `order`, whole numbers as numbers |
//! | any other value | the parameter `value` |
//! | median of the samples' averages, and its interval | `time`, with the one replicate |
//!
//! The median and not criterion's headline (the slope) because our own records hold medians too. The time is that of one
//! iteration whatever the throughput: what an iteration is, only the benchmark's author knows.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::harness::criterion_files::{Estimate, ImportError, Measurement, find_benchmarks, read_benchmark};
use crate::harness::machine::{Machine, short_hash};
use crate::results::metric::Metric;
use crate::results::record::{
    Allocator, Axis, Cell, Checks, Measured, Parameter, Params, Place, Profile, Record, Tool, Value, Workload,
};
use crate::results::wire::LONGEST_NAME;

/// The allocator of a benchmark that names no function: one column for them all.
const NO_FUNCTION: &str = "-";

/// Criterion keeps the directories of benchmarks that no longer exist. Those written this long before the newest are
/// suspicious: a suite of a thousand benchmarks at criterion's default settings takes about three hours.
const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a record from criterion's output directory `root`: the last run of each benchmark in it.
///
/// What criterion does not keep (machine, versions, unit) the record does not claim. Benchmarks whose run was cut short
/// are left out and named in `checks.warnings`, as are suspiciously old ones, which are not left out.
///
/// # Errors
/// If a finished benchmark cannot be read in full, two are the same one, or there is none. One bad number refuses the
/// directory: a record that silently lacks a benchmark would rank allocators on different work.
pub fn import_tree(root: &Path) -> Result<Record, ImportError> {
    let found = find_benchmarks(root)?;
    let mut import = Import::default();
    for directory in found.finished {
        import.add(directory)?;
    }
    import.into_record(root, &found.unfinished)
}

/// The benchmarks so far.
#[derive(Default)]
struct Import {
    entries: Vec<(PathBuf, SystemTime, Cell)>,
    seen: HashMap<String, PathBuf>,
    /// What was read, in the order of the paths: the record's id is made from it.
    content: String,
}

impl Import {
    fn add(&mut self, directory: PathBuf) -> Result<(), ImportError> {
        let measurement = read_benchmark(&directory)?;
        let path = directory.join("new").join("benchmark.json");
        let place = place(&path, &measurement)?;
        let written = fs::metadata(&path).and_then(|data| data.modified()).map_err(|source| {
            ImportError::Io { path: path.clone(), expected: "a file with a time of change", source }
        })?;
        // Parameters in another order are the same case, and so is a function that is really called `-`.
        let mut shown: Vec<String> =
            place.params.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        shown.sort();
        let key = format!("{:?}", (&place.workload, &place.allocator, shown));
        if let Some(first) = self.seen.insert(key, directory.clone()) {
            return Err(ImportError::Duplicate { name: measurement.name(), first, second: directory });
        }
        self.content.push_str(&format!("{:?} {:?}\n", measurement.name(), measurement.per_iteration));
        let value = measurement.replicate();
        let interval = holding(value, measurement.estimates.median);
        let measured = Measured { value, interval, replicates: vec![value] };
        let metrics = BTreeMap::from([(Metric::Time, measured)]);
        let cell = Cell { place, served_by: None, metrics, memory: None, latency: None };
        self.entries.push((directory, written, cell));
        Ok(())
    }

    fn into_record(mut self, root: &Path, unfinished: &[PathBuf]) -> Result<Record, ImportError> {
        let Some(newest) = self.entries.iter().map(|(_, written, _)| *written).max() else {
            return Err(ImportError::Nothing { root: root.to_owned() });
        };
        let warnings = warnings(root, &self.entries, newest, unfinished);
        // Directory order says 10 before 9.
        self.entries.sort_by(|(_, _, a), (_, _, b)| a.place.cmp(&b.place));
        let cells: Vec<Cell> = self.entries.into_iter().map(|(_, _, cell)| cell).collect();
        Ok(Record {
            id: format!("{}-imported-{}", utc(newest), short_hash(&self.content)),
            tool: Tool {
                name: "criterion".to_owned(),
                version: "unknown".to_owned(),
                revision: None,
                dirty: false,
            },
            command: format!("allocmark import {}", root.display()),
            profile: Profile {
                name: "imported".to_owned(),
                rounds: BTreeMap::from([(Metric::Time.id().to_owned(), 1)]),
                warm_up_ms: None,
                measuring_ms: None,
                samples: None,
                seed: None,
                build: BTreeMap::new(),
            },
            machine: Machine { key: "unknown".to_owned(), ..Machine::default() },
            allocators: allocators(&cells),
            workloads: workloads(&cells),
            cells,
            absent: Vec::new(),
            failed: Vec::new(),
            checks: Checks { warnings, ..Checks::default() },
        })
    }
}

/// Where in a record `measurement` belongs.
fn place(path: &Path, measurement: &Measurement) -> Result<Place, ImportError> {
    let allocator = measurement.function.as_deref().unwrap_or(NO_FUNCTION);
    let params = measurement.value.as_deref().map(params).unwrap_or_default();
    let named = params.0.iter().map(|(name, _)| ("value_str", name.as_str()));
    for (key, name) in
        [("group_id", measurement.group.as_str()), ("function_id", allocator)].into_iter().chain(named)
    {
        let length = name.chars().count();
        if name.is_empty() || length > LONGEST_NAME || name.contains(char::is_control) {
            return Err(ImportError::Value {
                path: path.to_owned(),
                key: key.to_owned(),
                problem: format!(
                    "a name of {length} characters that begins {:?}",
                    name.chars().take(20).collect::<String>()
                ),
                expected: format!("1 to {LONGEST_NAME} printable characters"),
            });
        }
    }
    Ok(Place { workload: measurement.group.clone(), params, allocator: allocator.to_owned() })
}

/// `a=1,b=x` as two parameters; anything else as one, called `value`.
fn params(text: &str) -> Params {
    let mut params: Vec<(String, Value)> = Vec::new();
    for part in text.split(',') {
        let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        match part.split_once('=') {
            Some((name, given))
                if name.starts_with(|letter: char| letter.is_ascii_alphabetic())
                    && name.chars().all(word)
                    && !given.is_empty()
                    && params.iter().all(|(known, _)| known != name) =>
            {
                params.push((name.to_owned(), value(given)));
            }
            _ => return Params(vec![("value".to_owned(), value(text))]),
        }
    }
    Params(params)
}

/// A number if it prints as it was written: `007` and `+5` stay words.
fn value(text: &str) -> Value {
    match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => Value::Number(number),
        _ => Value::Word(text.to_owned()),
    }
}

/// The interval of `estimate`, if it holds `value`. Criterion takes it from other draws than the median itself, so it
/// may miss by rounding (then it is widened by that) or, rarely, in fact (then there is none).
fn holding(value: f64, estimate: Estimate) -> Option<(f64, f64)> {
    let rounding = 1e-9 * value;
    let holds = estimate.low > 0.0 && estimate.low <= value + rounding && value - rounding <= estimate.high;
    holds.then_some((estimate.low.min(value), estimate.high.max(value)))
}

fn warnings(
    root: &Path,
    entries: &[(PathBuf, SystemTime, Cell)],
    newest: SystemTime,
    unfinished: &[PathBuf],
) -> Vec<String> {
    let mut warnings = vec![
        "Imported: criterion's files state no unit; nanoseconds of wall time are assumed.".to_owned(),
        "Imported: one run of each cell, so the intervals hold what varied within it, not what varies between runs."
            .to_owned(),
    ];
    let name = |directory: &Path| directory.strip_prefix(root).unwrap_or(directory).display().to_string();
    let old = entries
        .iter()
        .filter(|(_, written, _)| newest.duration_since(*written).is_ok_and(|age| age > STALE_AFTER));
    for (directory, written, _) in old {
        warnings.push(format!(
            "{}: written at {}, long before the newest benchmark at {}: stale?",
            name(directory),
            utc(*written),
            utc(newest),
        ));
    }
    for directory in unfinished {
        warnings.push(format!("{}: left out, its run did not finish.", name(directory)));
    }
    warnings
}

/// `20260102T030405Z`.
fn utc(time: SystemTime) -> String {
    // Times that jiff cannot hold lie before the year -9999 or after 9999: a broken clock, shown as 1970.
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn allocators(cells: &[Cell]) -> Vec<Allocator> {
    let mut ids: Vec<&str> = cells.iter().map(|cell| cell.place.allocator.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let described = |id: &str| Allocator {
        id: id.to_owned(),
        ours: false,
        title: if id == NO_FUNCTION { "no function named".to_owned() } else { id.to_owned() },
        class: "unstated".to_owned(),
        package: None,
        library: None,
        missing_entry_points: Vec::new(),
        configuration: String::new(),
        description: "Imported from criterion's files, which do not describe it.".to_owned(),
        links: Vec::new(),
    };
    ids.into_iter().map(described).collect()
}

fn workloads(cells: &[Cell]) -> Vec<Workload> {
    let mut workloads: Vec<Workload> = Vec::new();
    for cell in cells {
        let id = &cell.place.workload;
        // Cells are sorted by workload.
        if workloads.last().is_none_or(|last| last.id != *id) {
            workloads.push(Workload {
                id: id.clone(),
                title: id.clone(),
                family: "imported".to_owned(),
                why: "Imported from criterion's files, which do not say why it is measured.".to_owned(),
                effect: String::new(),
                origin: String::new(),
                operation: "one iteration of the benchmark".to_owned(),
                step: String::new(),
                needs: Vec::new(),
                parameters: Vec::new(),
            });
        }
        let Some(workload) = workloads.last_mut() else { continue };
        for (name, value) in &cell.place.params.0 {
            let axis = axis(name, value);
            match workload.parameters.iter_mut().find(|known| known.name == *name) {
                // One word among numbers makes them all labels.
                Some(known) if axis == Axis::Category => known.axis = Axis::Category,
                Some(_) => {}
                None => workload.parameters.push(Parameter { name: name.clone(), title: name.clone(), axis }),
            }
        }
    }
    workloads
}

fn axis(name: &str, value: &Value) -> Axis {
    match (value, name) {
        (Value::Word(_), _) => Axis::Category,
        (Value::Number(_), "size" | "bytes") => Axis::Bytes,
        (Value::Number(_), "threads") => Axis::Threads,
        (Value::Number(_), _) => Axis::Count,
    }
}

#[cfg(test)]
mod tests;
