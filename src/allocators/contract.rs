//! What an allocator promises, as data, and the traits a benchmark drives it through.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::goal::Goal;

/// What kind of promise an allocator makes. Rankings stay inside a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Any size, individual free, any thread; can be the `#[global_allocator]`.
    General,
    /// Blocks of one size, individual free.
    FixedSize,
    /// Any size out of memory of its own, individual free, one thread.
    Region,
    /// Any size, released all together.
    Bulk,
    /// Does nothing useful: measured to show what the harness itself costs, never ranked.
    Control,
}

impl Class {
    /// Every class, in the order in which the site shows them.
    pub const ALL: [Self; 5] = [Self::General, Self::FixedSize, Self::Region, Self::Bulk, Self::Control];

    /// The word for it in records and on the command line.
    pub const fn id(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::FixedSize => "fixed-size",
            Self::Region => "region",
            Self::Bulk => "bulk",
            Self::Control => "control",
        }
    }
}

/// Everything about an allocator that does not change from run to run. One constant in each allocator's file.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Short, lower-case ASCII.
    pub id: &'static str,
    /// Whether the authors of this suite wrote it. The site says so, for they measure it too.
    pub ours: bool,
    /// The row that this is another configuration of. Such rows are measured from the profile `standard` on.
    pub configuration_of: Option<&'static str>,
    /// The name its users know it by.
    pub title: &'static str,
    /// What it is and how it works, in two or three sentences.
    pub description: &'static str,
    /// How it is configured here, in words; "default settings" for peers.
    pub configuration: &'static str,
    /// The crate it comes from (`None`: the standard library or this crate).
    pub package: Option<&'static str>,
    /// Entry points its binding lacks, with what happens instead.
    pub missing_entry_points: &'static [&'static str],
    /// Where to read more.
    pub links: &'static [&'static str],
    /// What its authors set out to reach. Only ours have any: we do not set goals for others.
    pub goals: &'static [Goal],
}

impl Facts {
    /// Facts of an allocator of somebody else's with default settings and nothing special; the rest by
    /// `Facts { links: &["…"], ..Facts::named(…) }`.
    pub const fn named(id: &'static str, title: &'static str, description: &'static str) -> Self {
        Self {
            id,
            ours: false,
            configuration_of: None,
            title,
            description,
            configuration: "default settings",
            package: None,
            missing_entry_points: &[],
            links: &[],
            goals: &[],
        }
    }
}

/// What an allocator promises, derived from what its type can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The class it is ranked in.
    pub class: Class,
    /// Blocks can be freed one at a time and their memory used again.
    pub frees: bool,
    /// Blocks of different sizes can be had from one instance.
    pub mixed_sizes: bool,
    /// Any thread may allocate, and free what another thread allocated.
    pub threads: bool,
}

/// What one case will ask of an allocator: what a scoped one needs to know to be built for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The one layout of all blocks; `None` where sizes are mixed.
    pub block: Option<Layout>,
    /// The most blocks alive at any time.
    pub live_blocks: usize,
    /// The bytes that one pass requests in total, alignment padding included: what an allocator that frees
    /// nothing must hold between two resets.
    pub pass_bytes: usize,
    /// Threads that use it at once.
    pub threads: usize,
}

impl Contract {
    /// Any size, individual free, any thread.
    pub const GENERAL: Self = Self { class: Class::General, frees: true, mixed_sizes: true, threads: true };
    /// One size, individual free, one thread.
    pub const FIXED_SIZE: Self =
        Self { class: Class::FixedSize, frees: true, mixed_sizes: false, threads: false };
    /// Any size out of memory of its own, individual free, one thread.
    pub const REGION: Self = Self { class: Class::Region, frees: true, mixed_sizes: true, threads: false };
    /// Any size, released all together, one thread.
    pub const BULK: Self = Self { class: Class::Bulk, frees: false, mixed_sizes: true, threads: false };
    /// What the do-nothing allocator can be driven through: as [`Contract::BULK`], and unranked.
    pub const CONTROL: Self = Self { class: Class::Control, ..Self::BULK };

    /// The same promise, made to all threads at once.
    pub const fn for_all_threads(self) -> Self {
        Self { threads: true, ..self }
    }
}

/// An allocator that a benchmark can build and drive.
///
/// The handle is the allocator as users meet it: cheap, copyable, an [`Allocator`]. All handles of one subject are the
/// same allocator, so a block may be freed through any of them (the contract of [`Allocator`] for clones).
pub trait Subject: Sized {
    /// The [`Allocator`] that the workloads use.
    type Handle<'a>: Allocator + Copy
    where
        Self: 'a;

    /// Builds one that can meet `demand`.
    ///
    /// # Errors
    /// [`AllocError`] when the memory cannot be had.
    fn for_demand(demand: &Demand) -> Result<Self, AllocError>;

    /// One more, for a program that has several. A wrapper hands on what it has been told.
    ///
    /// # Errors
    /// [`AllocError`] when the memory cannot be had.
    fn sibling(&self, demand: &Demand) -> Result<Self, AllocError> {
        Self::for_demand(demand)
    }

    /// A handle to it.
    fn handle(&self) -> Self::Handle<'_>;

    /// Whether `block`, which must be a live block of somebody's, lies in memory of this allocator.
    fn owns(&self, block: NonNull<u8>) -> bool;
}

/// A subject whose type says which allocator it is.
///
/// True of everything but the general allocators: those are all reached through the one `Global` handle, and which of
/// them answers is decided by the executable.
pub trait Known: Subject {
    /// Everything known about it beforehand.
    const FACTS: &'static Facts;
}

/// A subject that releases everything at once. `&mut` shows that no handle is out.
pub trait Bulk: Subject {
    /// Releases every block; the memory is kept for the next allocations.
    fn reset(&mut self);
}
