//! What a bench executable and `allocmark run` tell each other.
//!
//! | asked | how | answer |
//! |---|---|---|
//! | who are you? | [`DESCRIBE`] | a [`Description`] as JSON on stdout |
//! | is this cell right? | [`VERIFY`] with the case's name | a [`Verified`] as JSON on stdout |
//! | measure this cell | [`CELL`], [`PROBE`] and [`OUTCOME`] in the environment, criterion's own arguments | an [`Answer`] in the file that [`OUTCOME`] names; for time, criterion's files beside it |
//!
//! An executable may hold several allocators: [`ALLOCATOR`] in the environment says which of them is meant. One that holds a
//! single one need not look at it.
//!
//! An executable that does not answer the first question is somebody's ordinary benchmark and is left alone.

use serde::{Deserialize, Serialize};

use super::binding::Fault;
use super::findings::Findings;
use super::matrix::{self, Case};
use crate::allocators::contract;
use crate::workloads::params::{Axis, Params};
use crate::workloads::probe::Probe;

/// Argument: print the description.
pub const DESCRIBE: &str = "--allocmark-describe";

/// Argument: verify the named cases, or all.
pub const VERIFY: &str = "--allocmark-verify";

/// Environment: the profile, by name.
pub const PROFILE: &str = "ALLOCMARK_PROFILE";

/// Environment: the seed of all random choices.
pub const SEED: &str = "ALLOCMARK_SEED";

/// Environment: which of the executable's allocators is meant, by its id.
pub const ALLOCATOR: &str = "ALLOCMARK_ALLOCATOR";

/// Environment: the one case to measure.
pub const CELL: &str = "ALLOCMARK_CELL";

/// Environment: where to write the outcome.
pub const OUTCOME: &str = "ALLOCMARK_OUTCOME";

/// Environment: what to measure the case with, as [`Probe::id`]; time if unset.
pub const PROBE: &str = "ALLOCMARK_PROBE";

/// Rises when the meaning of anything here changes.
pub const VERSION: u32 = 3;

/// An allocator's bench executable, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// [`VERSION`] of the executable.
    pub protocol: u32,
    /// The allocator it measures.
    pub allocator: Allocator,
    /// The workloads it knows, in the order in which to show them.
    pub workloads: Vec<Workload>,
    /// The cases it can run, and what is measured of each.
    pub cells: Vec<(CaseName, Vec<Probe>)>,
    /// The cases it cannot, with the reason.
    pub absent: Vec<(CaseName, String)>,
}

/// An allocator: what its page says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocator {
    /// Short name.
    pub id: String,
    /// Whether the authors of this suite wrote it.
    pub ours: bool,
    /// The allocator that this is another configuration of.
    pub configuration_of: Option<String>,
    /// The name its users know.
    pub title: String,
    /// Contract class.
    pub class: String,
    /// What it is.
    pub description: String,
    /// How it is configured.
    pub configuration: String,
    /// The crate it comes from, without version.
    pub package: Option<String>,
    /// What its library says of itself.
    pub library: Option<String>,
    /// What its binding lacks.
    pub missing_entry_points: Vec<String>,
    /// Where to read more.
    pub links: Vec<String>,
}

/// A workload: what its page says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Short name.
    pub id: String,
    /// One line.
    pub title: String,
    /// Family.
    pub family: String,
    /// The page's introduction.
    pub why: String,
    /// What should be seen of it.
    pub effect: String,
    /// Which public benchmark it descends from.
    pub origin: String,
    /// What one operation is.
    pub operation: String,
    /// What the latency probe times as one step; empty if it does not run.
    pub step: String,
    /// What it needs, in words.
    pub needs: Vec<String>,
    /// Name, title and axis of each parameter.
    pub parameters: Vec<(String, String, Axis)>,
}

/// A case's name: workload and parameters. Prints as `churn/live=10000,size=64,heap=clean`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseName {
    /// The workload's id.
    pub workload: String,
    /// Its parameters.
    pub params: Params,
}

impl std::fmt::Display for CaseName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.workload)?;
        if self.params.0.is_empty() { Ok(()) } else { write!(out, "/{}", self.params) }
    }
}

/// What became of one cell in one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It went well; how it was seen who served, where that was looked at.
    Served(Option<String>),
    /// A content check failed.
    WrongAnswer(String),
    /// Another allocator served it.
    WrongAllocator(String),
    /// A request was refused.
    OutOfMemory(String),
    /// The code panicked.
    Crash(String),
}

/// A cell that was checked: which, how it went, and what was counted meanwhile.
pub type Verified = (CaseName, Outcome, Findings);

/// What a measuring process says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// How it went.
    pub outcome: Outcome,
    /// What it found itself: nothing for time, which criterion writes down.
    #[serde(default)]
    pub findings: Findings,
    /// Operations done while somebody else counted: instructions are counted from outside.
    #[serde(default)]
    pub operations: u64,
    /// Why this probe cannot measure here, which says nothing of the allocator.
    #[serde(default)]
    pub unprobed: Option<String>,
}

impl Answer {
    /// An outcome without numbers.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, findings: Findings::default(), operations: 0, unprobed: None }
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::WrongAnswer(detail) => Self::WrongAnswer(detail),
            Fault::WrongAllocator(detail) => Self::WrongAllocator(detail),
            Fault::OutOfMemory(detail) => Self::OutOfMemory(detail),
            Fault::Crash(detail) => Self::Crash(detail),
        }
    }
}

impl Allocator {
    /// From what is known beforehand, and what the library says.
    pub fn new(facts: &contract::Facts, class: contract::Class, library: Option<String>) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            id: facts.id.to_owned(),
            ours: facts.ours,
            configuration_of: facts.configuration_of.map(str::to_owned),
            title: facts.title.to_owned(),
            class: class.id().to_owned(),
            description: facts.description.to_owned(),
            configuration: facts.configuration.to_owned(),
            package: facts.package.map(str::to_owned),
            library,
            missing_entry_points: owned(facts.missing_entry_points),
            links: owned(facts.links),
        }
    }
}

impl From<&Case> for CaseName {
    fn from(case: &Case) -> Self {
        Self { workload: case.workload.id.to_owned(), params: case.params.clone() }
    }
}

/// The workloads of these cases, each once, in their order.
pub fn workloads(cases: &[Case]) -> Vec<Workload> {
    let mut workloads: Vec<Workload> = Vec::new();
    for case in cases {
        let facts = case.workload;
        if workloads.iter().any(|known| known.id == facts.id) {
            continue;
        }
        let needs: Vec<_> =
            cases.iter().filter(|other| other.workload.id == facts.id).map(|other| other.needs).collect();
        let parameter = |parameter: &crate::workloads::shape::Parameter| {
            (parameter.name.to_owned(), parameter.title.to_owned(), parameter.axis)
        };
        workloads.push(Workload {
            id: facts.id.to_owned(),
            title: facts.title.to_owned(),
            family: facts.family.id().to_owned(),
            why: facts.why.to_owned(),
            effect: facts.effect.to_owned(),
            origin: facts.origin.to_owned(),
            operation: facts.operation.to_owned(),
            step: facts.step.to_owned(),
            needs: matrix::needs_in_words(&needs),
            parameters: facts.parameters.iter().map(parameter).collect(),
        });
    }
    workloads
}
