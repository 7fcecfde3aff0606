//! A record: everything one run produced, as the rest of the program sees it.
//!
//! The file form is in [`super::wire`]; conversions between the two are there and nowhere else.

use std::collections::BTreeMap;
use std::fmt;

use super::metric::Metric;
pub use crate::workloads::params::{Axis, Params, Value};

pub use crate::harness::findings::{Checkpoint, Latency, MemorySeries, Statistic};
pub use crate::harness::machine::Machine;

/// Everything one run produced.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// UTC start time, short revision, profile, machine key: sorts by time, is a valid file name.
    pub id: String,
    /// What measured it.
    pub tool: Tool,
    /// The exact command line.
    pub command: String,
    /// How much was measured, and how.
    pub profile: Profile,
    /// Where.
    pub machine: Machine,
    /// The allocators, in the order in which to show them.
    pub allocators: Vec<Allocator>,
    /// The workloads, in the order in which to show them.
    pub workloads: Vec<Workload>,
    /// What was measured. No two share workload, parameters and allocator, here or in the next two.
    pub cells: Vec<Cell>,
    /// What could not be measured, each with its reason.
    pub absent: Vec<Absent>,
    /// What was tried and went wrong.
    pub failed: Vec<Failed>,
    /// What the run found out about itself.
    pub checks: Checks,
}

/// The program that measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name: `allocmark`, or `criterion` for imported results.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The git revision it was built from, where known.
    pub revision: Option<String>,
    /// Whether the work tree had uncommitted changes.
    pub dirty: bool,
}

/// How much was measured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `smoke`, `quick`, `standard`, `full`; `imported` for foreign results.
    pub name: String,
    /// Rounds of each probe (`time` → 6).
    pub rounds: BTreeMap<String, u32>,
    /// Criterion's warm-up in each process, milliseconds.
    pub warm_up_ms: Option<u64>,
    /// Criterion's measuring time in each process, milliseconds.
    pub measuring_ms: Option<u64>,
    /// Criterion's samples in each process.
    pub samples: Option<u64>,
    /// What all random choices were drawn from.
    pub seed: Option<u64>,
    /// Cargo profile settings that change a 3 ns cell: name → value (`opt-level` → `3`).
    pub build: BTreeMap<String, String>,
}

/// An allocator, as its page describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocator {
    /// Short, lower-case ASCII in our own records; anything in foreign ones.
    pub id: String,
    /// Whether the authors of the suite that measured it wrote it.
    pub ours: bool,
    /// The name its users know it by.
    pub title: String,
    /// Contract class: `general`, `fixed-size`, `bulk`, `control`, …; `unstated` in imported records.
    pub class: String,
    /// Crate and version: `mimalloc 0.1.52`.
    pub package: Option<String>,
    /// The C library's own version and flags: `mimalloc 3.1.5`.
    pub library: Option<String>,
    /// Entry points its binding lacks, with what happens instead.
    pub missing_entry_points: Vec<String>,
    /// How it was configured.
    pub configuration: String,
    /// What it is.
    pub description: String,
    /// Where to read more.
    pub links: Vec<String>,
}

/// A workload, as its page describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Short, lower-case ASCII in our own records.
    pub id: String,
    /// One line: what it does.
    pub title: String,
    /// `basic`, `threads`, `applications`, `memory`, …; `imported`.
    pub family: String,
    /// Why it is measured: the page's introduction. Plain text, paragraphs separated by a blank line.
    pub why: String,
    /// Which differences should be seen, and why. Empty if nobody said.
    pub effect: String,
    /// Which public benchmark it descends from, and how it differs. Empty if nobody said.
    pub origin: String,
    /// What one operation is: `alloc + free`.
    pub operation: String,
    /// What the latency probe times as one step: `free + alloc`. Empty if it does not run.
    pub step: String,
    /// What it asks of an allocator, in words.
    pub needs: Vec<String>,
    /// Its parameters, in the order in which they stand in a case.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its key in a case: `size`.
    pub name: String,
    /// What it means: `bytes in each block`.
    pub title: String,
    /// How its values are drawn.
    pub axis: Axis,
}

/// Case × allocator: where a result, an absence or a failure belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The workload's id.
    pub workload: String,
    /// The case's parameters.
    pub params: Params,
    /// The allocator's id.
    pub allocator: String,
}

/// A measured cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Which.
    pub place: Place,
    /// Which allocator was seen to serve it; `None` where nobody looked (imported).
    pub served_by: Option<ServedBy>,
    /// What was measured. Never empty.
    pub metrics: BTreeMap<Metric, Measured>,
    /// Memory over the course of the work, in the first round of the memory probe.
    pub memory: Option<MemorySeries>,
    /// How long single steps took, all rounds of the latency probe together.
    pub latency: Option<Latency>,
}

/// Proof of who served a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy {
    /// The allocator's id.
    pub allocator: String,
    /// How that was seen, in words.
    pub method: String,
}

/// One metric of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The median over rounds.
    pub value: f64,
    /// The interval's ends, where the rounds suffice for one.
    pub interval: Option<(f64, f64)>,
    /// One value a round, in the order of the rounds: equal indices of two allocators of one case were measured
    /// next to each other.
    pub replicates: Vec<f64>,
}

/// A cell that cannot exist here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Which.
    pub place: Place,
    /// Why, for a reader of the site.
    pub reason: String,
}

/// A cell that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which.
    pub place: Place,
    /// How.
    pub kind: FailureKind,
    /// What was seen.
    pub detail: String,
}

/// How a cell went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The content check failed: the allocator or the workload is broken.
    WrongAnswer,
    /// Another allocator than the claimed one served the requests.
    WrongAllocator,
    /// The process died.
    Crash,
    /// The process ran longer than its limit.
    TimeLimit,
    /// The process ran out of memory.
    OutOfMemory,
}

/// What the run found out about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// Each case that `null` ran, beside the fastest peer's time. Empty if not measured.
    pub overhead: Vec<Overhead>,
    /// The A/A control: cells that were measured twice, as if their allocator were two. Empty if not measured.
    pub control: Vec<Control>,
    /// What a probe could not measure though the cell exists, with the reason.
    pub unprobed: Vec<Unprobed>,
    /// Conditions that make numbers doubtful, in sentences.
    pub warnings: Vec<String>,
}

/// What a probe could not measure though the cells exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprobed {
    /// The probe: `instructions`.
    pub probe: String,
    /// For which allocator; `None`: for all.
    pub allocator: Option<String>,
    /// In which case, as `churn/live=10000,size=64`; `None`: in all.
    pub case: Option<String>,
    /// Why, for a reader of the site.
    pub reason: String,
}

/// What the harness costs in one case: `null`'s time beside the fastest peer's.
#[derive(Clone, Debug, PartialEq)]
pub struct Overhead {
    /// The workload's id.
    pub workload: String,
    /// The case's parameters.
    pub params: Params,
    /// `null`'s time per operation, ns.
    pub null_ns: f64,
    /// The id of the fastest peer there: a general allocator that is not ours.
    pub fastest: String,
    /// Its time per operation, ns.
    pub fastest_ns: f64,
}

/// One cell measured twice: the same code as if it were two allocators.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Which.
    pub place: Place,
    /// The second's time over the first's, median over rounds; 1 if the machine treats both alike.
    pub ratio: f64,
    /// The ratio's interval, where the rounds suffice for one.
    pub interval: Option<(f64, f64)>,
    /// (first, second) of each round, ns per operation. Empty in old records.
    pub rounds: Vec<(f64, f64)>,
}

impl Control {
    /// How far the ratio is from 1, as a share, whichever way.
    pub fn spread(&self) -> f64 {
        self.ratio.max(1.0 / self.ratio) - 1.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.workload, self.allocator)?;
        if self.params.0.is_empty() { Ok(()) } else { write!(out, "/{}", self.params) }
    }
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::WrongAnswer, Self::WrongAllocator, Self::Crash, Self::TimeLimit, Self::OutOfMemory];

    /// The words for it.
    pub const fn id(self) -> &'static str {
        match self {
            Self::WrongAnswer => "wrong answer",
            Self::WrongAllocator => "wrong allocator",
            Self::Crash => "crash",
            Self::TimeLimit => "time limit",
            Self::OutOfMemory => "out of memory",
        }
    }
}
