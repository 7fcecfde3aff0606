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
//! | [`lifetimes`] | who dies next in a heap of constant size |
//! | [`program`] | takes and frees drawn beforehand, with moments to look at memory |
//! | [`team`], [`queue`] | threads that wait for each other without spinning |
//! | [`board`] | a table of blocks that threads swap with each other |
//! | [`label`] | blocks that carry their own size |
//! | [`birth`] | threads that are born and die inside the clock |
//! | [`document`] | texts to read, written beforehand |
//! | [`text`] | a small text type over any allocator |
//! | [`hash`] | a hash function that is the same in every process |
//! | [`checksum`] | checksums over results |
//!
//! To add a workload, write its file and add one row to [`each`]. One that lives in another crate stands in a [`Suite`]
//! there.

pub mod aligned;
pub mod batch;
pub mod birth;
pub mod blow_up;
pub mod board;
pub mod bulk;
pub mod bulk_threads;
pub mod checksum;
pub mod churn;
pub mod document;
pub mod exchange;
pub mod false_sharing;
pub mod fixed_size;
pub mod fragment;
pub mod frames;
pub mod graph;
pub mod grow;
pub mod handoff;
pub mod hash;
pub mod heap;
pub mod hot_cold;
pub mod json;
pub mod label;
pub mod large;
pub mod larson;
pub mod lifetimes;
pub mod litter;
pub mod local;
pub mod locality;
pub mod long_run;
pub mod maps;
pub mod messages;
pub mod mixed_order;
pub mod mode;
pub mod objects;
pub mod order_book;
pub mod pair;
pub mod params;
pub mod pipeline;
pub mod probe;
pub mod production;
pub mod program;
pub mod queue;
pub mod sawtooth;
pub mod scopes;
pub mod shape;
pub mod sizes;
pub mod slot;
pub mod startup;
pub mod stream;
pub mod strings;
pub mod table;
pub mod team;
pub mod text;
pub mod thread_birth;
pub mod ticks;
pub mod trace;
pub mod tree;
pub mod vectors;
pub mod zeroed;

use shape::{ManyThreads, OneThread};

/// What [`each`] calls for every workload: one method for each bound that a body may have.
pub trait Visitor {
    /// A workload for one thread.
    fn one_thread<W: OneThread>(&mut self);

    /// A workload for several threads.
    fn many_threads<W: ManyThreads>(&mut self);
}

/// A list of workloads, in the order in which the site shows them. Whoever measures workloads of their own writes one.
///
/// A list may contain another: the catalogue and one more workload, or a few of the catalogue's alone.
///
/// ```
/// use allocmark::workloads::{Catalogue, Suite, Visitor, churn, tree};
///
/// struct Some;
///
/// impl Suite for Some {
///     fn each(visitor: &mut impl Visitor) {
///         visitor.one_thread::<churn::Churn>();
///         visitor.one_thread::<tree::Tree>();
///     }
/// }
///
/// struct AllAndMine;
///
/// impl Suite for AllAndMine {
///     fn each(visitor: &mut impl Visitor) {
///         Catalogue::each(visitor);
///         // visitor.one_thread::<mine::Mine>();
///     }
/// }
/// ```
pub trait Suite: 'static {
    /// Calls the method of `visitor` that suits each workload, once.
    fn each(visitor: &mut impl Visitor);
}

/// The workloads of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue;

impl Suite for Catalogue {
    fn each(visitor: &mut impl Visitor) {
        each(visitor);
    }
}

/// The list of this crate's workloads, in the order in which the site shows them.
pub fn each(visitor: &mut impl Visitor) {
    visitor.one_thread::<pair::Pair>();
    visitor.one_thread::<batch::Batch>();
    visitor.one_thread::<churn::Churn>();
    visitor.one_thread::<hot_cold::HotCold>();
    visitor.one_thread::<grow::Grow>();
    visitor.one_thread::<zeroed::Zeroed>();
    visitor.one_thread::<aligned::Aligned>();
    visitor.one_thread::<large::Large>();
    visitor.one_thread::<bulk::BulkRelease>();
    visitor.one_thread::<fixed_size::FixedSize>();
    visitor.one_thread::<locality::Locality>();
    visitor.one_thread::<startup::Startup>();
    visitor.many_threads::<local::Local>();
    visitor.many_threads::<bulk_threads::BulkThreads>();
    visitor.many_threads::<larson::Larson>();
    visitor.many_threads::<handoff::Handoff>();
    visitor.many_threads::<exchange::Exchange>();
    visitor.many_threads::<false_sharing::FalseSharing>();
    visitor.many_threads::<thread_birth::ThreadBirth>();
    visitor.many_threads::<mixed_order::MixedOrder>();
    visitor.many_threads::<messages::Messages>();
    visitor.one_thread::<vectors::Vectors>();
    visitor.one_thread::<strings::Strings>();
    visitor.one_thread::<maps::Maps>();
    visitor.one_thread::<tree::Tree>();
    visitor.one_thread::<graph::Graph>();
    visitor.one_thread::<order_book::OrderBook>();
    visitor.one_thread::<pipeline::Pipeline>();
    visitor.one_thread::<json::Json>();
    visitor.one_thread::<frames::Frames>();
    visitor.one_thread::<ticks::Ticks>();
    visitor.one_thread::<production::Production>();
    visitor.one_thread::<trace::Trace>();
    visitor.one_thread::<scopes::Nested>();
    visitor.many_threads::<objects::Loans>();
    visitor.one_thread::<stream::Stream>();
    visitor.one_thread::<fragment::Fragment>();
    visitor.one_thread::<sawtooth::Sawtooth>();
    visitor.many_threads::<blow_up::BlowUp>();
    visitor.one_thread::<long_run::LongRun>();
}
