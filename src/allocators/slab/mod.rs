//! `slab`: the general-purpose allocator.
//!
//! Size classes, spans of equal blocks, a heap for each thread, and messages that bring freed blocks home. How it works
//! is told in [`implementation`].
//!
//! # Costs
//! | operation | cost |
//! |---|---|
//! | allocate | one thread-local read, two loads, a store |
//! | free on the same thread | one thread-local read, four loads, three stores; no atomic read-modify-write |
//! | free on another thread | a link; one compare-exchange for up to 16 blocks |
//! | allocate when the bin's list is used up | the span's list; when that is empty too, a look into the inbox and the next span: tens of ns |
//! | a block above 3.5 MiB | a few atomic operations if a freed one of about that size is kept, else calls to the kernel |
//! | `owns` | two loads |
//! | memory at rest | a segment of 4 MiB address space for each thread, of which it touches two pages and what it uses |
//!
//! # When not to use it
//! - Programs whose threads mostly sleep while others free their blocks: a block that another thread freed comes back
//!   into use when its owner next needs one, so an owner that sleeps holds it. With [`jemalloc`](super::jemalloc) it stays
//!   in the cache of the thread that freed it, or goes back to an arena that threads share.
//! - Programs that free hundreds of megabytes in blocks above 3.5 MiB and then do nothing: what was kept for the next such
//!   block is given back by a later call, not by a clock. [`Slab::trim`] gives it back at once;
//!   [`jemalloc` with its background threads](super::jemalloc_bg) does so unasked.
//! - Where blocks are freed by other threads than made them, one here and one there: in `exchange` with two threads
//!   [`jemalloc`](super::jemalloc) took 22.7 ns, slab 34.4. (This and the next two: record `20261121T230647Z`.)
//! - Where small blocks are read far more often than they are allocated, after much coming and going: in `locality` after a churn
//!   [`jemalloc`](super::jemalloc), which hands out the lowest address first, took 3.8 ns for a block, slab 118.
//! - Where blocks of 1 to 16 MiB come and go for less than a second: until what is kept has grown to the program's peak, their
//!   pages are new. `large`, which warms up for 0.3 s, took 317 µs a block, [`mimalloc`](super::mimalloc) 22; after a second of
//!   warming up both took 7.
//! - Where the footprint of a long run with a drifting mix of sizes matters most: in `long-run` the peak over the live bytes
//!   was 1.55 for [`system`](super::system) and 3.1 for slab (`docs/effects.md`).
//! - For one size whose number is known: [`pool`](super::pool). For what ends together: [`arena`](super::arena).
//! - 32-bit targets with many threads: each takes at least one segment of 4 MiB address space, where threads share
//!   the arenas of [`system`](super::system).
//! - Where an attacker may provoke writes to freed memory: links lie in the free blocks, unprotected in release builds.
//!   The crates of mimalloc and snmalloc have features for that, `secure` and `check`; neither is measured here.
//!
//! # Examples
//! ```
//! use allocmark::allocators::slab::Slab;
//!
//! #[global_allocator]
//! static GLOBAL: Slab = Slab::new();
//!
//! let words: Vec<String> = (0..100).map(|n| format!("word {n}")).collect();
//! assert!(Slab::new().owns(std::ptr::NonNull::from(&words[0]).cast()));
//! ```

mod bin;
mod block;
mod class;
mod fault;
mod geometry;
mod handover;
mod heap;
mod heaps;
mod huge;
pub mod implementation;
mod interface;
mod mark;
mod overrun;
mod regions;
mod remote;
mod reserve;
mod room;
mod segment;
mod span;
mod spares;
mod statistics;
mod thread;
#[cfg(debug_assertions)]
mod walker;

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::{self, NonNull};

use self::block::Block;
pub use self::class::CLASSES;
use self::class::Class;
use self::segment::SegmentRef;
pub use self::statistics::{ClassStatistics, Statistics};
#[cfg(debug_assertions)]
pub use self::walker::Fault;
use super::contract::Facts;
use super::goal::{Against, Cells, Goal, Together};
use super::poison;

/// The facts for the list of allocators.
pub const FACTS: Facts = Facts {
    id: "slab",
    ours: true,
    configuration_of: None,
    title: "slab",
    description: "Our general-purpose allocator. Each thread allocates from its own spans of equal blocks without atomic \
                  instructions; blocks freed by other threads come back in batches, as messages to the owner; heaps of \
                  threads that ended are handed on to new ones.",
    configuration: "67 size classes up to 3.5 MiB, segments of 4 MiB, at most 8 empty segments kept for the process, and of freed huge blocks what was needed in the last two seconds",
    package: None,
    missing_entry_points: &[],
    links: &[],
    goals: &[
        Goal::mean_of("time", OPERATIONS, Against::BestRankedPeer, 0.85),
        Goal::mean_of("time", OPERATIONS, Against::BestPeerOfEachCell, 1.05),
        Goal { together: Together::Worst, ..Goal::of_time(OPERATIONS, 1.60) },
        Goal::mean_of("peak_rss", RESIDENCE, Against::MedianPeer, 0.90),
        Goal::mean_of("peak_rss", RESIDENCE, Against::BestPeerOfEachCell, 1.15),
        Goal::mean_of("retained_rss", RESIDENCE, Against::MedianPeer, 0.90),
        Goal::mean_of("retained_rss", RESIDENCE, Against::BestPeerOfEachCell, 1.15),
    ],
};

/// Where it should be fast: single operations, on one thread and on several.
const OPERATIONS: Cells = Cells::Families(&["basic", "threads"]);
/// Where it should be small.
const RESIDENCE: Cells = Cells::Families(&["memory"]);

/// The general-purpose allocator. All values are the same one: a front of the process-wide heap.
///
/// An allocator with a heap for each value would need a thread-local for each (value, thread) pair, looked up at every
/// operation, and a rule for values that are dropped while blocks are live. One heap for the process is what `malloc`
/// is, needs neither, and makes `Slab` a zero-sized, `const`-constructible, copyable handle.
///
/// In debug builds a block that is freed twice, with another layout, or that is not of this allocator, a write to a block
/// after it was freed, and one beyond its size end the process with a message when they are noticed. The last is looked for
/// in blocks that came from [`GlobalAlloc`], since [`Allocator`](allocator_api2::alloc::Allocator) lends the whole of a block;
/// so a block goes back through the trait that it came from. Memory exhaustion is null or
/// `AllocError`, never a panic.
///
/// After `fork` the child may allocate and free: no lock is ever waited for. What other threads held at that moment
/// stays unused in the child. [`statistics`](Self::statistics) must not be called in a child whose parent had several
/// threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slab;

impl Slab {
    /// The allocator.
    pub const fn new() -> Self {
        Self
    }

    /// Whether `block` lies in memory of this allocator. Safe for any pointer, whoever it is from; the pointer is not
    /// followed.
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        regions::contains(block.addr().get())
    }

    /// How many bytes a block can hold: those of its size class; of a huge block, its pages.
    ///
    /// # Safety
    /// `block` is a live block of this allocator.
    pub unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        let address = block.addr().get();
        let bytes = if regions::is_segment(address) {
            // SAFETY: the block is live, so its segment is mapped.
            unsafe { SegmentRef::of(address) }.span_of(address).class().shape().block
        } else {
            // SAFETY: a live block outside of all segments is a huge one.
            unsafe { huge::usable(block.as_ptr()) }
        };
        // What may be used may be written.
        poison::unpoison(block.as_ptr(), bytes);
        overrun::stop_looking();
        bytes
    }

    /// What the allocator holds, class by class. Walks all headers; waits for another such walk, but stops no thread
    /// that allocates.
    pub fn statistics(&self) -> Statistics {
        statistics::collect()
    }

    /// Gives memory back to the operating system that is held for later: this thread's free slices, what is free in the
    /// heaps of threads that have ended, the reserve, and the mappings of freed huge blocks. For programs that know that they will be idle.
    pub fn trim(&self) {
        let heap = thread::current();
        if !heap.is_placeholder() {
            heap.outbox.flush(heaps::post);
            heap.settle();
            heap.purge();
            heap.idle.set(false);
        }
        heaps::collect_idle();
        reserve::release_all();
        huge::release_spares();
    }

    /// Checks every invariant of the calling thread's heap and returns its live blocks. Debug builds only.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    #[cfg(debug_assertions)]
    pub fn check_invariants(&self) -> Result<usize, Fault> {
        walker::check()
    }
}

/// The bytes of a block of `layout`: to the end of its class; of a huge block those that were asked for.
#[inline]
fn block_bytes(layout: Layout) -> usize {
    Class::of(layout).map_or(layout.size(), |class| class.shape().block)
}

/// Frees `block`.
///
/// # Safety
/// It is a live block of this allocator, allocated with a layout of the same class; nobody uses it any more.
#[inline]
unsafe fn free(block: *mut u8, layout: Layout) {
    if class::is_huge(layout) {
        // SAFETY: as the caller says; layouts that are huge have huge blocks.
        return unsafe { huge::free(block) };
    }
    #[cfg(debug_assertions)]
    if let Some(class) = Class::of(layout) {
        walker::check_free(block.cast(), class);
    }
    // The caller's pointer may access the block as it was requested; links are written to any of it.
    let block = ptr::with_exposed_provenance_mut::<Block>(block.addr());
    if cfg!(allocmark_poison) {
        // Before anybody else can have it.
        poison::poison(block.cast(), block_bytes(layout));
    }
    // SAFETY: the block is live, so its segment is mapped.
    let segment = unsafe { SegmentRef::of(block.addr()) };
    let heap = thread::current();
    if ptr::eq(segment.owner(), heap) {
        // SAFETY: the owner is the calling thread's heap, and the block is live.
        unsafe { heap.free(segment, block) };
    } else {
        // SAFETY: the block is live, and of the class of its layout.
        unsafe { heap.free_remotely(segment, block, layout) };
    }
}

/// The block of `layout` at `old` as one of `new`, with the content that fits both; null if there is no memory, and then
/// nothing has changed. New bytes are uninitialised.
///
/// # Safety
/// As for [`free`], with success; both layouts have the same alignment.
#[inline]
unsafe fn reallocate(old: *mut u8, layout: Layout, new: Layout) -> *mut u8 {
    match (Class::of(layout), Class::of(new)) {
        // In place only within the class: so a block's class always follows from its layout, and the bound on waste
        // holds for blocks that shrank.
        // Not `old` itself: the caller's pointer may have the right to the old size alone, and the new one may be more.
        (Some(from), Some(to)) if from == to => {
            if cfg!(allocmark_poison) {
                poison::bound(old, new.size(), to.shape().block);
            }
            ptr::with_exposed_provenance_mut(old.addr())
        }
        // SAFETY: both are huge; the block is live and of this alignment.
        (None, None) => unsafe { huge::resize(old, layout.align(), new.size()) },
        // SAFETY: as the caller says.
        _ => unsafe { move_block(old, layout, new) },
    }
}

/// # Safety
/// As for [`reallocate`].
#[inline(never)]
unsafe fn move_block(old: *mut u8, layout: Layout, new: Layout) -> *mut u8 {
    let block = allocate(new);
    if !block.is_null() {
        // SAFETY: both blocks are live, different, and hold at least the smaller size; the old one is given up.
        unsafe {
            block.copy_from_nonoverlapping(old, layout.size().min(new.size()));
            free(old, layout);
        }
    }
    block
}

#[inline]
fn allocate(layout: Layout) -> *mut u8 {
    let Some(class) = Class::of_small(layout) else { return allocate_otherwise(layout) };
    let block = thread::current().allocate(class);
    poison::unpoison(block, layout.size());
    block
}

/// Apart, so that the way of small blocks stays short and saves no registers.
#[inline(never)]
fn allocate_otherwise(layout: Layout) -> *mut u8 {
    let Some(class) = Class::of(layout) else { return huge::allocate(layout).0 };
    let block = thread::current().allocate(class);
    poison::unpoison(block, layout.size());
    block
}

#[inline]
fn allocate_zeroed(layout: Layout) -> *mut u8 {
    match Class::of(layout) {
        Some(class) => thread::current().allocate_zeroed(class, layout.size()),
        None => allocate_huge_zeroed(layout),
    }
}

fn allocate_huge_zeroed(layout: Layout) -> *mut u8 {
    let (block, zero) = huge::allocate(layout);
    if !block.is_null() && !zero {
        // SAFETY: the block is as long as the layout says.
        unsafe { block.write_bytes(0, layout.size()) };
    }
    block
}

// SAFETY: blocks are disjoint, at least as large and as aligned as requested, and stay valid until they are freed, from
// any thread; nothing here unwinds.
unsafe impl GlobalAlloc for Slab {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        overrun::set(allocate(layout), layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller says that it is a live block of this allocator and layout.
        unsafe {
            overrun::check(block, layout);
            free(block, layout);
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        overrun::set(allocate_zeroed(layout), layout)
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that `new_size` is valid for this alignment, and that the block is live and of `layout`.
        unsafe {
            overrun::check(block, layout);
            let new = Layout::from_size_align_unchecked(new_size, layout.align());
            overrun::set(reallocate(block, layout, new), new)
        }
    }
}
