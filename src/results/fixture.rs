//! Small records for the tests of this folder.

use std::collections::BTreeMap;

use super::metric::Metric;
use super::record::{
    Allocator, Cell, Checks, Machine, Measured, Params, Place, Profile, Record, Tool, Value, Workload,
};
use crate::stats::median;

pub(super) fn assert_close(seen: f64, expected: f64) {
    assert!((seen / expected - 1.0).abs() < 1e-11, "{seen}, expected {expected}");
}

pub(super) fn measured(replicates: &[f64]) -> Measured {
    let value = median(replicates).unwrap_or(f64::NAN);
    Measured { value, interval: None, replicates: replicates.to_vec() }
}

pub(super) fn size(size: u64) -> Params {
    Params(vec![("size".into(), Value::Number(size))])
}

pub(super) fn add(record: &mut Record, workload: &str, bytes: u64, allocator: &str, replicates: &[f64]) {
    record.cells.push(Cell {
        place: Place { workload: workload.into(), params: size(bytes), allocator: allocator.into() },
        served_by: None,
        metrics: BTreeMap::from([(Metric::Time, measured(replicates))]),
        memory: None,
        latency: None,
    });
}

pub(super) fn record(allocators: &[(&str, &str)], workloads: &[(&str, &str)]) -> Record {
    Record {
        id: "test".into(),
        tool: Tool { name: "allocmark".into(), version: "0".into(), revision: None, dirty: false },
        command: String::new(),
        profile: Profile {
            name: "smoke".into(),
            rounds: BTreeMap::new(),
            warm_up_ms: None,
            measuring_ms: None,
            samples: None,
            seed: None,
            build: BTreeMap::new(),
        },
        machine: Machine::default(),
        allocators: allocators
            .iter()
            .map(|&(id, class)| Allocator {
                id: id.into(),
                ours: false,
                title: id.into(),
                class: class.into(),
                package: None,
                library: None,
                missing_entry_points: Vec::new(),
                configuration: String::new(),
                description: String::new(),
                links: Vec::new(),
            })
            .collect(),
        workloads: workloads
            .iter()
            .map(|&(id, family)| Workload {
                id: id.into(),
                title: id.into(),
                family: family.into(),
                why: String::new(),
                effect: String::new(),
                origin: String::new(),
                operation: String::new(),
                step: String::new(),
                needs: Vec::new(),
                parameters: Vec::new(),
            })
            .collect(),
        cells: Vec::new(),
        absent: Vec::new(),
        failed: Vec::new(),
        checks: Checks::default(),
    }
}
