//! What one process of a probe found: numbers, and what stands beside them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// What one process yields for its cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// One number for each metric; what cannot be said is left out.
    pub metrics: BTreeMap<Metric, f64>,
    /// Memory over the course of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySeries>,
    /// How long single steps took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Memory at the checkpoints of a workload, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySeries {
    /// What the kernel said.
    pub checkpoints: Vec<Checkpoint>,
    /// What the allocator said of itself, if it can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<Statistic>,
}

/// A moment in a workload. All bytes are net of the process before the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// What the workload was doing: `fill`, `drain`.
    pub phase: String,
    /// Bytes requested and not given back.
    pub live_bytes: u64,
    /// Resident bytes, lazily freed pages included.
    pub resident_bytes: u64,
    /// The part of them that was lazily given back to the kernel.
    pub lazy_free_bytes: u64,
}

/// A number from the allocator itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistic {
    /// When: the phase of a checkpoint.
    pub phase: String,
    /// What the allocator calls it.
    pub name: String,
    /// How much.
    pub bytes: u64,
}

/// How long single steps took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The smallest difference that the counter shows, nanoseconds.
    pub quantum_ns: f64,
    /// What reading the counter takes, nanoseconds; it is in every step's time.
    pub cost_ns: f64,
    /// A thread's time over its steps without the probe, nanoseconds, what lies between them included: the control.
    pub plain_ns: f64,
    /// The same with the probe, nanoseconds.
    pub probed_ns: f64,
    /// Steps that were timed.
    pub steps: u64,
    /// The longest one, nanoseconds. It measures the machine: shown, never judged.
    pub max_ns: u64,
    /// Upper bound of a bucket in nanoseconds → steps in it; ascending, empty buckets left out.
    pub buckets: Vec<(u64, u64)>,
}
