//! The probes: what can be measured of a case, each in processes of its own.

use serde::{Deserialize, Serialize};

/// A way of measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Wall time per operation, by criterion.
    Time,
    /// What fixed work costs in resident memory, page faults and CPU time.
    Memory,
    /// Each step timed by itself: percentiles and stalls.
    Latency,
    /// Instructions of fixed work on one thread.
    Instructions,
}

impl Probe {
    /// Every probe, in the order in which a run goes through them.
    pub const ALL: [Self; 4] = [Self::Time, Self::Memory, Self::Latency, Self::Instructions];

    /// Its name on the command line and in records.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Latency => "latency",
            Self::Instructions => "instructions",
        }
    }

    /// The probe of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|probe| probe.id() == name)
    }
}
