//! Criterion's output directory, read.
//!
//! [`read_benchmark`] reads what one benchmark left, for our own driver and for
//! [`import_tree`](crate::results::import::import_tree), which makes a record of a whole directory.
//!
//! Criterion (0.3.3 to 0.8) gives each benchmark a directory with `new/` (the last run) and `base/` (the run compared
//! with). In `new/` it writes `sample.json`, then `estimates.json`, and last `benchmark.json`, which says who the
//! benchmark is: directory names are cut and changed, so they tell nothing. The format is not promised, so unknown
//! keys are passed over; a number that is missing, `null` (criterion's NaN) or impossible is an error with file and key.

mod files;

use std::path::{Path, PathBuf};

use crate::stats;

/// Why a criterion directory was not read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system said no. Check the path and its permissions.
    #[error("{}: {source}; expected {expected}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What would have been right.
        expected: &'static str,
        /// What the file system said.
        source: std::io::Error,
    },
    /// Not the JSON that criterion writes. Delete the benchmark's directory and run the benchmark again.
    #[error("{}, line {line}, column {column}: {problem}; expected the {kind} that criterion 0.8 writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
        /// The file's name in criterion's layout.
        kind: &'static str,
    },
    /// A value that cannot be used. Delete the benchmark's directory, or run the benchmark again.
    #[error("{}, {key}: {problem}; expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key in it: `times[3]`.
        key: String,
        /// What is wrong there.
        problem: String,
        /// What would have been right.
        expected: String,
    },
    /// Two directories hold the same benchmark. Delete the one that is stale.
    #[error("{}: the same benchmark ({name}) as {}; expected each benchmark once", second.display(), first.display())]
    Duplicate {
        /// The benchmark.
        name: String,
        /// Its first directory.
        first: PathBuf,
        /// Its second directory.
        second: PathBuf,
    },
    /// Nothing to import. Point at the directory that criterion wrote, often `target/criterion`.
    #[error("{}: no finished benchmark; expected a directory that criterion wrote, such as target/criterion", root.display())]
    Nothing {
        /// The directory that was searched.
        root: PathBuf,
    },
}

/// What criterion measured in one benchmark. Times are per iteration, in the unit of criterion's measurement:
/// nanoseconds unless the benchmark chose another (the files do not say).
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The group's id; for a benchmark without a group, its name.
    pub group: String,
    /// The function's id.
    pub function: Option<String>,
    /// The parameter, as the benchmark printed it.
    pub value: Option<String>,
    /// The work of one iteration, where stated in a way we know.
    pub throughput: Option<Throughput>,
    /// The average time of each sample's iterations, in the order of the samples. Never empty, all above 0.
    pub per_iteration: Vec<f64>,
    /// Criterion's own estimates.
    pub estimates: Estimates,
}

/// The work that one iteration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throughput {
    /// This many bytes.
    Bytes(u64),
    /// This many things.
    Elements(u64),
    /// Both.
    ElementsAndBytes {
        /// This many things.
        elements: u64,
        /// This many bytes.
        bytes: u64,
    },
}

/// Criterion's estimates of the time of one iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimates {
    /// The mean of the samples' averages.
    pub mean: Estimate,
    /// Their median.
    pub median: Estimate,
    /// The slope of a line through the samples; absent in flat sampling, where all samples have equal iterations.
    pub slope: Option<Estimate>,
}

/// An estimate with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate itself.
    pub point: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Measurement {
    /// The one value that this process gives: the median of the averages. A sample that an interrupt hit moves it
    /// little, where it moves the mean and the slope.
    pub fn replicate(&self) -> f64 {
        stats::median(&self.per_iteration)
            .expect("read_benchmark refuses empty samples and numbers that are not finite")
    }

    /// `group/function/value`, as criterion prints it.
    pub fn name(&self) -> String {
        let parts = [Some(&self.group), self.function.as_ref(), self.value.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

/// Reads the last run of the benchmark whose directory (the one with `new/` in it) is `directory`.
///
/// # Errors
/// If a file is missing or not what criterion writes, holds a number that cannot be a time, or the files of `new/` come
/// from different runs.
pub fn read_benchmark(directory: &Path) -> Result<Measurement, ImportError> {
    let new = directory.join("new");
    let identity = files::identity(&new.join("benchmark.json"))?;
    let per_iteration = files::per_iteration(&new.join("sample.json"))?;
    let path = new.join("estimates.json");
    let estimates = files::estimates(&path)?;
    let measurement = Measurement {
        group: identity.group_id,
        function: identity.function_id,
        value: identity.value_str,
        throughput: identity.throughput.as_ref().and_then(files::throughput),
        per_iteration,
        estimates,
    };
    let (ours, theirs) = (measurement.replicate(), measurement.estimates.median.point);
    // The same median of the same numbers: more than rounding between them means files of two runs.
    if (ours - theirs).abs() > 1e-6 * ours {
        return Err(ImportError::Value {
            path,
            key: "median.point_estimate".to_owned(),
            problem: format!("{theirs} is not the median of sample.json, {ours}"),
            expected: "files of one run".to_owned(),
        });
    }
    Ok(measurement)
}

/// The directories of benchmarks under a root, each group sorted by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Those whose last run finished: `read_benchmark` takes them.
    pub finished: Vec<PathBuf>,
    /// Those whose first run was cut short.
    pub unfinished: Vec<PathBuf>,
}

/// Looks for benchmarks in `root` and, as deep as criterion nests (group, function, value), under it.
///
/// # Errors
/// If a directory cannot be read.
pub fn find_benchmarks(root: &Path) -> Result<Found, ImportError> {
    let mut found = Found::default();
    files::walk(root, 3, &mut found)?;
    found.finished.sort();
    found.unfinished.sort();
    Ok(found)
}
