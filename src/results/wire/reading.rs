//! From the file form to the record in memory, and everything that must be true of a record.

use std::collections::BTreeMap;

use super::file::{self, File, Ordered};
use super::places::{Fault, Places, fault, name, params};
use super::writing::axis_id;
use crate::results::metric::Metric;
use crate::results::record::{self, Axis, FailureKind, Record};

/// What the file says about a metric.
pub(super) fn metric_facts(metric: Metric) -> file::Metric {
    fn word(value: impl serde::Serialize) -> String {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(word)) => word,
            other => {
                unreachable!("a metric's facts are unit variants, which serialise as strings: {other:?}")
            }
        }
    }
    file::Metric {
        unit: word(metric.unit()),
        direction: word(metric.direction()),
        noise: word(metric.noise()),
    }
}

/// The record that `file` describes.
pub(super) fn to_record(file: File) -> Result<Record, Fault> {
    record_id(&file.id)?;
    metrics(&file.metrics)?;
    let mut places = Places::new(&file)?;
    let mut cells = Vec::with_capacity(file.cells.len());
    for (index, cell) in file.cells.into_iter().enumerate() {
        let (place, at) = places.claim("cells", index, cell.workload, cell.params, cell.allocator)?;
        let measured = cell_metrics(&at, cell.metrics, &file.metrics)?;
        let served_by =
            cell.served_by.map(|file::ServedBy { allocator, method }| record::ServedBy { allocator, method });
        let latency = cell.latency.map(|latency| self::latency(&at, latency)).transpose()?;
        cells.push(record::Cell { place, served_by, metrics: measured, memory: cell.memory, latency });
    }
    let mut absent = Vec::with_capacity(file.absent.len());
    for (index, entry) in file.absent.into_iter().enumerate() {
        let (place, at) = places.claim("absent", index, entry.workload, entry.params, entry.allocator)?;
        if entry.reason.is_empty() {
            return fault(at, "the reason is empty", "why the cell cannot exist");
        }
        absent.push(record::Absent { place, reason: entry.reason });
    }
    let mut failed = Vec::with_capacity(file.failed.len());
    for (index, entry) in file.failed.into_iter().enumerate() {
        let (place, at) = places.claim("failed", index, entry.workload, entry.params, entry.allocator)?;
        failed.push(record::Failed { place, kind: failure_kind(at, &entry.kind)?, detail: entry.detail });
    }
    let checks = checks(file.checks, &places)?;
    Ok(Record {
        id: file.id,
        tool: tool(file.tool),
        command: file.command,
        profile: profile(file.profile),
        machine: machine(file.machine),
        allocators: file.allocators.into_iter().map(allocator).collect(),
        workloads: file.workloads.into_iter().map(workload).collect::<Result<_, _>>()?,
        cells,
        absent,
        failed,
        checks,
    })
}

/// A record's id becomes the name of its file, so it is held to what every file system takes.
fn record_id(id: &str) -> Result<(), Fault> {
    name("id", id)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+".contains(letter);
    if id.starts_with(['.', '-']) || !id.chars().all(plain) {
        let expected =
            "letters, digits and -_.+ of ASCII, a letter or digit first, because it names the record's file";
        return fault("id", format!("{id:?} is not a file name"), expected);
    }
    Ok(())
}

fn metrics(table: &Ordered<file::Metric>) -> Result<(), Fault> {
    for (id, stated) in &table.0 {
        let known = metric_facts(metric(format!("metrics.{id}"), id)?);
        if *stated != known {
            return fault(
                format!("metrics.{id}"),
                format!("{} / {} / {}", stated.unit, stated.direction, stated.noise),
                format!(
                    "{} / {} / {}, which is what this version means by it",
                    known.unit, known.direction, known.noise
                ),
            );
        }
    }
    Ok(())
}

fn metric(place: String, id: &str) -> Result<Metric, Fault> {
    Metric::named(id).map_or_else(
        || {
            let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.id()).collect();
            fault(place, format!("unknown metric {id:?}"), format!("one of {}", known.join(", ")))
        },
        Ok,
    )
}

fn cell_metrics(
    at: &str,
    metrics: Ordered<file::Measured>,
    table: &Ordered<file::Metric>,
) -> Result<BTreeMap<Metric, record::Measured>, Fault> {
    if metrics.0.is_empty() {
        return fault(at, "no metrics", "at least one; what was not measured belongs under absent or failed");
    }
    let mut read = BTreeMap::new();
    for (id, measured) in metrics.0 {
        let at = format!("{at}, {id}");
        let metric = metric(at.clone(), &id)?;
        if table.0.iter().all(|(listed, _)| *listed != id) {
            return fault(
                at,
                format!("{id:?} is not listed"),
                "a name from the record's `metrics`, with its unit",
            );
        }
        read.insert(metric, self::measured(&at, metric, measured)?);
    }
    Ok(read)
}

fn measured(at: &str, metric: Metric, measured: file::Measured) -> Result<record::Measured, Fault> {
    let value = number(&format!("{at}.value"), metric, measured.value)?;
    let interval = match (measured.low, measured.high) {
        (None, None) => None,
        (low, high) => {
            let low = number(&format!("{at}.low"), metric, low)?;
            let high = number(&format!("{at}.high"), metric, high)?;
            if !(low <= value && value <= high) {
                let problem = format!("the interval {low} to {high} does not hold the value {value}");
                return fault(at, problem, "low ≤ value ≤ high");
            }
            Some((low, high))
        }
    };
    if measured.replicates.is_empty() {
        return fault(at, "no replicates", "one for each round, at least one");
    }
    let mut replicates = Vec::with_capacity(measured.replicates.len());
    for (round, replicate) in measured.replicates.into_iter().enumerate() {
        replicates.push(number(&format!("{at}.replicates[{round}]"), metric, replicate)?);
    }
    Ok(record::Measured { value, interval, replicates })
}

/// Time per operation cannot be zero: scores divide by it. Everything else can.
fn number(at: &str, metric: Metric, given: Option<f64>) -> Result<f64, Fault> {
    let positive = metric == Metric::Time;
    let expected = if positive { "a finite number above 0" } else { "a finite number, not below 0" };
    match given {
        None => fault(at, "null or missing", expected),
        Some(number) if number.is_finite() && (number > 0.0 || (number == 0.0 && !positive)) => Ok(number),
        Some(number) => fault(at, format!("{number}"), expected),
    }
}

/// Times are finite and not negative, and the buckets hold every step once, in ascending order.
fn latency(at: &str, latency: record::Latency) -> Result<record::Latency, Fault> {
    let times = [
        ("quantum_ns", latency.quantum_ns),
        ("cost_ns", latency.cost_ns),
        ("plain_ns", latency.plain_ns),
        ("probed_ns", latency.probed_ns),
    ];
    for (name, time) in times {
        if !(time.is_finite() && time >= 0.0) {
            return fault(format!("{at}.latency.{name}"), format!("{time}"), "a finite number, not below 0");
        }
    }
    let at = format!("{at}.latency.buckets");
    if let Some(pair) = latency.buckets.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return fault(at, format!("{} after {}", pair[1].0, pair[0].0), "ascending bounds");
    }
    let steps = latency.buckets.iter().try_fold(0_u64, |sum, (_, steps)| sum.checked_add(*steps));
    if steps != Some(latency.steps) {
        return fault(at, format!("not {} steps in all", latency.steps), "every step in one bucket");
    }
    Ok(latency)
}

fn failure_kind(at: String, id: &str) -> Result<FailureKind, Fault> {
    let found = FailureKind::ALL.into_iter().find(|kind| kind.id() == id);
    found.map_or_else(
        || {
            let known: Vec<&str> = FailureKind::ALL.iter().map(|kind| kind.id()).collect();
            fault(at, format!("unknown kind {id:?}"), format!("one of {}", known.join(", ")))
        },
        Ok,
    )
}

fn checks(checks: file::Checks, places: &Places) -> Result<record::Checks, Fault> {
    let mut overhead = Vec::with_capacity(checks.overhead.len());
    for (index, entry) in checks.overhead.into_iter().enumerate() {
        let at = format!("checks.overhead[{index}] ({})", entry.workload);
        let params = params(entry.params);
        places.check_case(&at, &entry.workload, &params)?;
        overhead.push(record::Overhead {
            workload: entry.workload,
            params,
            null_ns: number(&format!("{at}.null_ns"), Metric::Time, entry.null_ns)?,
            fastest: entry.fastest,
            fastest_ns: number(&format!("{at}.fastest_ns"), Metric::Time, entry.fastest_ns)?,
        });
    }
    let mut control = Vec::with_capacity(checks.control.len());
    for (index, entry) in checks.control.into_iter().enumerate() {
        let at = format!("checks.control[{index}] ({} on {})", entry.workload, entry.allocator);
        let params = params(entry.params);
        places.check_case(&at, &entry.workload, &params)?;
        // A ratio of times is above 0, as a time is.
        let ratio = number(&format!("{at}.ratio"), Metric::Time, entry.ratio)?;
        let interval = match (entry.low, entry.high) {
            (None, None) => None,
            (Some(low), Some(high)) if 0.0 < low && low <= ratio && ratio <= high => Some((low, high)),
            (low, high) => {
                let problem = format!("low {low:?} and high {high:?} with a ratio of {ratio}");
                return fault(&at, problem, "both, with the ratio between them, or neither");
            }
        };
        let place = record::Place { workload: entry.workload, params, allocator: entry.allocator };
        let times = entry.rounds.iter().flat_map(|(first, second)| [*first, *second]);
        for (index, time) in times.enumerate() {
            number(&format!("{at}.rounds[{}]", index / 2), Metric::Time, Some(time))?;
        }
        control.push(record::Control { place, ratio, interval, rounds: entry.rounds });
    }
    let unprobed = checks.unprobed.into_iter().map(|file::Unprobed { probe, allocator, case, reason }| {
        record::Unprobed { probe, allocator, case, reason }
    });
    Ok(record::Checks { overhead, control, unprobed: unprobed.collect(), warnings: checks.warnings })
}

fn tool(tool: file::Tool) -> record::Tool {
    let file::Tool { name, version, revision, dirty } = tool;
    record::Tool { name, version, revision, dirty }
}

fn profile(profile: file::Profile) -> record::Profile {
    let file::Profile { name, rounds, warm_up_ms, measuring_ms, samples, seed, build } = profile;
    let (rounds, build) = (rounds.0.into_iter().collect(), build.0.into_iter().collect());
    record::Profile { name, rounds, warm_up_ms, measuring_ms, samples, seed, build }
}

fn machine(machine: file::Machine) -> record::Machine {
    record::Machine {
        key: machine.key,
        cpu: machine.cpu,
        cpu_model: machine.cpu_model,
        logical_cpus: machine.logical_cpus,
        physical_cores: machine.physical_cores,
        caches: machine.caches,
        memory_bytes: machine.memory_bytes,
        kernel: machine.kernel,
        libc: machine.libc,
        transparent_huge_pages: machine.transparent_huge_pages,
        governor: machine.governor,
        virtualisation: machine.virtualisation,
        rustc: machine.rustc,
        target: machine.target,
    }
}

fn allocator(allocator: file::Allocator) -> record::Allocator {
    record::Allocator {
        id: allocator.id,
        ours: allocator.ours,
        title: allocator.title,
        class: allocator.class,
        package: allocator.package,
        library: allocator.library,
        missing_entry_points: allocator.missing_entry_points,
        configuration: allocator.configuration,
        description: allocator.description,
        links: allocator.links,
    }
}

fn workload(workload: file::Workload) -> Result<record::Workload, Fault> {
    let file::Workload { id, title, family, why, effect, origin, operation, step, needs, parameters } =
        workload;
    let mut read = Vec::with_capacity(parameters.len());
    for file::Parameter { name, title, axis } in parameters {
        let known = [Axis::Bytes, Axis::Count, Axis::Threads, Axis::Category];
        let Some(axis) = known.into_iter().find(|known| axis_id(*known) == axis) else {
            let names: Vec<&str> = known.into_iter().map(axis_id).collect();
            let at = format!("workloads ({id}), parameter {name}");
            return fault(at, format!("unknown axis {axis:?}"), format!("one of {}", names.join(", ")));
        };
        read.push(record::Parameter { name, title, axis });
    }
    Ok(record::Workload { id, title, family, why, effect, origin, operation, step, needs, parameters: read })
}
