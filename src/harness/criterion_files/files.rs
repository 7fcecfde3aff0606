//! Criterion's JSON files, one function each, and where they lie.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Estimate, Estimates, Found, ImportError, Throughput};

/// `benchmark.json`, what we need of it.
#[derive(Deserialize)]
pub(super) struct Identity {
    pub group_id: String,
    pub function_id: Option<String>,
    pub value_str: Option<String>,
    pub throughput: Option<Value>,
}

#[derive(Deserialize)]
struct Sample {
    iters: Vec<Option<f64>>,
    times: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct EstimatesFile {
    mean: EstimateFile,
    median: EstimateFile,
    slope: Option<EstimateFile>,
}

#[derive(Deserialize)]
struct EstimateFile {
    confidence_interval: IntervalFile,
    point_estimate: Option<f64>,
}

#[derive(Deserialize)]
struct IntervalFile {
    lower_bound: Option<f64>,
    upper_bound: Option<f64>,
}

pub(super) fn identity(path: &Path) -> Result<Identity, ImportError> {
    parse(path, "benchmark.json")
}

/// A throughput of a kind we know. Others are passed over: criterion adds kinds, and no number here depends on one.
pub(super) fn throughput(value: &Value) -> Option<Throughput> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let both = || {
        let both = value.get("ElementsAndBytes")?;
        let part = |key: &str| both.get(key).and_then(Value::as_u64);
        Some(Throughput::ElementsAndBytes { elements: part("elements")?, bytes: part("bytes")? })
    };
    number("Bytes")
        .or_else(|| number("BytesDecimal"))
        .map(Throughput::Bytes)
        .or_else(|| number("Elements").map(Throughput::Elements))
        .or_else(both)
}

/// The average time of each sample's iterations.
pub(super) fn per_iteration(path: &Path) -> Result<Vec<f64>, ImportError> {
    let sample: Sample = parse(path, "sample.json")?;
    if sample.times.is_empty() || sample.times.len() != sample.iters.len() {
        let problem = format!("{} times for {} iters", sample.times.len(), sample.iters.len());
        return Err(value(path, "times", problem, "one for each of iters, at least one"));
    }
    let mut averages = Vec::with_capacity(sample.times.len());
    for (index, (time, iterations)) in sample.times.into_iter().zip(sample.iters).enumerate() {
        let time = positive(path, &format!("times[{index}]"), time)?;
        let iterations = positive(path, &format!("iters[{index}]"), iterations)?;
        averages.push(positive(path, &format!("times[{index}] / iters[{index}]"), Some(time / iterations))?);
    }
    Ok(averages)
}

pub(super) fn estimates(path: &Path) -> Result<Estimates, ImportError> {
    let file: EstimatesFile = parse(path, "estimates.json")?;
    let read = |key: &str, file: EstimateFile| {
        Ok(Estimate {
            point: positive(path, &format!("{key}.point_estimate"), file.point_estimate)?,
            low: finite(
                path,
                &format!("{key}.confidence_interval.lower_bound"),
                file.confidence_interval.lower_bound,
            )?,
            high: finite(
                path,
                &format!("{key}.confidence_interval.upper_bound"),
                file.confidence_interval.upper_bound,
            )?,
        })
    };
    Ok(Estimates {
        mean: read("mean", file.mean)?,
        median: read("median", file.median)?,
        slope: file.slope.map(|slope| read("slope", slope)).transpose()?,
    })
}

/// Looks into `directory` and `depth` levels below.
///
/// A benchmark may itself be called `new` or `report`, so directories are told apart by what they hold: one with
/// criterion's data files in it is a run (`new`, `base`, a named baseline, `change`) and holds no benchmarks.
pub(super) fn walk(directory: &Path, depth: usize, found: &mut Found) -> Result<(), ImportError> {
    if ["benchmark.json", "sample.json", "estimates.json"].iter().any(|name| directory.join(name).is_file()) {
        return Ok(());
    }
    let new = directory.join("new");
    if new.join("benchmark.json").is_file() {
        found.finished.push(directory.to_owned());
    } else if ["tukey.json", "sample.json", "estimates.json"].iter().any(|name| new.join(name).is_file()) {
        found.unfinished.push(directory.to_owned());
    }
    if depth == 0 {
        return Ok(());
    }
    let failed = |source| ImportError::Io {
        path: directory.to_owned(),
        expected: "a directory that criterion wrote",
        source,
    };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Links are not followed: they could lead in a circle, and criterion makes none.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(path: &Path, kind: &'static str) -> Result<T, ImportError> {
    let expected = "the files of a finished criterion benchmark";
    let text =
        fs::read(path).map_err(|source| ImportError::Io { path: path.to_owned(), expected, source })?;
    serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let said = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        ImportError::Json { path: path.to_owned(), line, column, problem: said.to_owned(), kind }
    })
}

fn finite(path: &Path, key: &str, number: Option<f64>) -> Result<f64, ImportError> {
    match number {
        Some(number) if number.is_finite() => Ok(number),
        Some(number) => Err(value(path, key, number.to_string(), "a finite number")),
        None => Err(value(path, key, "null or missing".to_owned(), "a finite number")),
    }
}

fn positive(path: &Path, key: &str, number: Option<f64>) -> Result<f64, ImportError> {
    let number = finite(path, key, number)?;
    if number > 0.0 { Ok(number) } else { Err(value(path, key, number.to_string(), "a number above 0")) }
}

fn value(path: &Path, key: &str, problem: String, expected: &str) -> ImportError {
    ImportError::Value { path: path.to_owned(), key: key.to_owned(), problem, expected: expected.to_owned() }
}
