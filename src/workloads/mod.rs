//! Layer 2: the workloads. They know contracts, never a concrete allocator.
//!
//! One file for each workload, all with the same skeleton: the case as a type, its facts (what the site prints as the
//! page's introduction), its cases, what it needs, and the body that runs between two readings of the clock. Shared
//! parts:
//!
//! | file | what |
//! |---|---|
//! | [`probe`] | what can be measured of a case |
//! | [`shape`] | the traits of a workload, profiles, the clock |
//! | [`heap`] | an allocator as a workload sees it |
//! | [`mode`] | touching blocks, or filling and checking them |
//! | [`slot`] | taking a block and giving it back |
//! | [`litter`] | free lists as an aged program leaves them |
//! | [`table`] | tables made before the clock, outside the allocator under test |
//! | [`sizes`] | distributions of block sizes |
//! | [`program`] | takes and frees drawn beforehand, with moments to look at memory |
//! | [`team`], [`queue`] | threads that wait for each other without spinning |
//! | [`birth`] | threads that are born and die inside the clock |
//! | [`document`] | texts to read, written beforehand, and checksums |
//! | [`text`] | a small text type over any allocator |
//!
//! To add a workload, write its file and add one row to [`each`].

pub mod batch;
pub mod birth;
pub mod bulk;
pub mod churn;
pub mod document;
pub mod fixed_size;
pub mod fragment;
pub mod frames;
pub mod grow;
pub mod handoff;
pub mod heap;
pub mod json;
pub mod litter;
pub mod local;
pub mod mode;
pub mod objects;
pub mod pair;
pub mod params;
pub mod pipeline;
pub mod probe;
pub mod program;
pub mod queue;
pub mod sawtooth;
pub mod scopes;
pub mod shape;
pub mod sizes;
pub mod slot;
pub mod stream;
pub mod strings;
pub mod table;
pub mod team;
pub mod text;
pub mod tree;

use shape::{ManyThreads, OneThread};

/// What [`each`] calls for every workload: one method for each bound that a body may have.
pub trait Visitor {
    /// A workload for one thread.
    fn one_thread<W: OneThread>(&mut self);

    /// A workload for several threads.
    fn many_threads<W: ManyThreads>(&mut self);
}

/// The one list of workloads, in the order in which the site shows them.
pub fn each(visitor: &mut impl Visitor) {
    visitor.one_thread::<pair::Pair>();
    visitor.one_thread::<batch::Batch>();
    visitor.one_thread::<churn::Churn>();
    visitor.one_thread::<grow::Grow>();
    visitor.one_thread::<bulk::BulkRelease>();
    visitor.one_thread::<fixed_size::FixedSize>();
    visitor.many_threads::<local::Local>();
    visitor.many_threads::<handoff::Handoff>();
    visitor.one_thread::<strings::Strings>();
    visitor.one_thread::<tree::Tree>();
    visitor.one_thread::<pipeline::Pipeline>();
    visitor.one_thread::<json::Json>();
    visitor.one_thread::<frames::Frames>();
    visitor.one_thread::<scopes::Nested>();
    visitor.many_threads::<objects::Loans>();
    visitor.one_thread::<stream::Stream>();
    visitor.one_thread::<fragment::Fragment>();
    visitor.one_thread::<sawtooth::Sawtooth>();
}
