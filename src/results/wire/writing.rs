//! From the record in memory to its file form, and the file form's layout.

use serde::Serialize;

use super::file::{self, File, Ordered};
use super::reading::metric_facts;
use crate::results::metric::Metric;
use crate::results::record::{self, Axis, Params, Record};

/// The file form of `record`.
pub(super) fn to_file(record: &Record) -> File {
    let used = |metric: &Metric| record.cells.iter().any(|cell| cell.metrics.contains_key(metric));
    File {
        schema: super::SCHEMA,
        id: record.id.clone(),
        tool: tool(&record.tool),
        command: record.command.clone(),
        profile: profile(&record.profile),
        machine: machine(&record.machine),
        metrics: Ordered(
            Metric::ALL
                .iter()
                .copied()
                .filter(used)
                .map(|metric| (metric.id().to_owned(), metric_facts(metric)))
                .collect(),
        ),
        allocators: record.allocators.iter().map(allocator).collect(),
        workloads: record.workloads.iter().map(workload).collect(),
        cells: record.cells.iter().map(cell).collect(),
        absent: record.absent.iter().map(absent).collect(),
        failed: record.failed.iter().map(failed).collect(),
        checks: checks(&record.checks),
    }
}

impl File {
    /// The file's text: one line for each top-level key, and one for each element of the lists.
    pub(super) fn to_text(&self) -> String {
        let parts = [
            ("schema", line(&self.schema)),
            ("id", line(&self.id)),
            ("tool", line(&self.tool)),
            ("command", line(&self.command)),
            ("profile", line(&self.profile)),
            ("machine", line(&self.machine)),
            ("metrics", line(&self.metrics)),
            ("allocators", lines(&self.allocators)),
            ("workloads", lines(&self.workloads)),
            ("cells", lines(&self.cells)),
            ("absent", lines(&self.absent)),
            ("failed", lines(&self.failed)),
            ("checks", line(&self.checks)),
        ];
        let parts: Vec<String> = parts.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{\n{}\n}}\n", parts.join(",\n"))
    }
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the file's types have string keys and no failing serialiser")
}

fn lines<T: Serialize>(values: &[T]) -> String {
    if values.is_empty() {
        return "[]".to_owned();
    }
    let values: Vec<String> = values.iter().map(line).collect();
    format!("[\n{}\n]", values.join(",\n"))
}

fn tool(tool: &record::Tool) -> file::Tool {
    let record::Tool { name, version, revision, dirty } = tool.clone();
    file::Tool { name, version, revision, dirty }
}

fn profile(profile: &record::Profile) -> file::Profile {
    let record::Profile { name, rounds, warm_up_ms, measuring_ms, samples, seed, build } = profile.clone();
    file::Profile {
        name,
        rounds: Ordered(rounds.into_iter().collect()),
        warm_up_ms,
        measuring_ms,
        samples,
        seed,
        build: Ordered(build.into_iter().collect()),
    }
}

fn machine(machine: &record::Machine) -> file::Machine {
    // Taken apart in full, here and below: a field added to one of the two types must not be forgotten in the other.
    let record::Machine {
        key,
        cpu,
        cpu_model,
        logical_cpus,
        physical_cores,
        caches,
        memory_bytes,
        kernel,
        libc,
        transparent_huge_pages,
        governor,
        virtualisation,
        rustc,
        target,
    } = machine.clone();
    file::Machine {
        key,
        cpu,
        cpu_model,
        logical_cpus,
        physical_cores,
        caches,
        memory_bytes,
        kernel,
        libc,
        transparent_huge_pages,
        governor,
        virtualisation,
        rustc,
        target,
    }
}

fn allocator(allocator: &record::Allocator) -> file::Allocator {
    let record::Allocator {
        id,
        ours,
        title,
        class,
        package,
        library,
        missing_entry_points,
        configuration,
        description,
        links,
    } = allocator.clone();
    file::Allocator {
        id,
        ours,
        title,
        class,
        package,
        library,
        missing_entry_points,
        configuration,
        description,
        links,
    }
}

fn workload(workload: &record::Workload) -> file::Workload {
    let record::Workload { id, title, family, why, effect, origin, operation, step, needs, parameters } =
        workload.clone();
    let parameters = parameters
        .into_iter()
        .map(|record::Parameter { name, title, axis }| file::Parameter {
            name,
            title,
            axis: axis_id(axis).to_owned(),
        })
        .collect();
    file::Workload { id, title, family, why, effect, origin, operation, step, needs, parameters }
}

pub(super) const fn axis_id(axis: Axis) -> &'static str {
    match axis {
        Axis::Bytes => "bytes",
        Axis::Count => "count",
        Axis::Threads => "threads",
        Axis::Category => "category",
    }
}

fn params(params: &Params) -> Ordered<file::Value> {
    let value = |value: &record::Value| match value {
        record::Value::Number(number) => file::Value::Number(*number),
        record::Value::Word(word) => file::Value::Word(word.clone()),
    };
    Ordered(params.0.iter().map(|(name, given)| (name.clone(), value(given))).collect())
}

fn cell(cell: &record::Cell) -> file::Cell {
    let metrics =
        cell.metrics.iter().map(|(metric, measured)| (metric.id().to_owned(), self::measured(measured)));
    file::Cell {
        workload: cell.place.workload.clone(),
        params: params(&cell.place.params),
        allocator: cell.place.allocator.clone(),
        served_by: cell
            .served_by
            .clone()
            .map(|record::ServedBy { allocator, method }| file::ServedBy { allocator, method }),
        metrics: Ordered(metrics.collect()),
        memory: cell.memory.clone(),
        latency: cell.latency.clone(),
    }
}

fn measured(measured: &record::Measured) -> file::Measured {
    file::Measured {
        value: Some(measured.value),
        low: measured.interval.map(|(low, _)| low),
        high: measured.interval.map(|(_, high)| high),
        replicates: measured.replicates.iter().copied().map(Some).collect(),
    }
}

fn absent(absent: &record::Absent) -> file::Absent {
    file::Absent {
        workload: absent.place.workload.clone(),
        params: params(&absent.place.params),
        allocator: absent.place.allocator.clone(),
        reason: absent.reason.clone(),
    }
}

fn failed(failed: &record::Failed) -> file::Failed {
    file::Failed {
        workload: failed.place.workload.clone(),
        params: params(&failed.place.params),
        allocator: failed.place.allocator.clone(),
        kind: failed.kind.id().to_owned(),
        detail: failed.detail.clone(),
    }
}

fn checks(checks: &record::Checks) -> file::Checks {
    let overhead = checks.overhead.iter().map(|overhead| file::Overhead {
        workload: overhead.workload.clone(),
        params: params(&overhead.params),
        null_ns: Some(overhead.null_ns),
        fastest: overhead.fastest.clone(),
        fastest_ns: Some(overhead.fastest_ns),
    });
    let control = checks.control.iter().map(|control| file::Control {
        workload: control.place.workload.clone(),
        params: params(&control.place.params),
        allocator: control.place.allocator.clone(),
        ratio: Some(control.ratio),
        low: control.interval.map(|(low, _)| low),
        high: control.interval.map(|(_, high)| high),
        rounds: control.rounds.clone(),
    });
    file::Checks {
        overhead: overhead.collect(),
        control: control.collect(),
        unprobed: checks.unprobed.iter().map(unprobed).collect(),
        warnings: checks.warnings.clone(),
    }
}

fn unprobed(unprobed: &record::Unprobed) -> file::Unprobed {
    let record::Unprobed { probe, allocator, case, reason } = unprobed.clone();
    file::Unprobed { probe, allocator, case, reason }
}
