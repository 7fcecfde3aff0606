//! `Counting`: an allocator whose every call is counted.
//!
//! It counts blocks taken, given back and resized, the bytes asked for, the bytes alive and the most that ever were. It
//! forwards each entry point to the same one of the wrapped allocator and emulates none: what is counted is what would
//! have happened without it.
//!
//! | operation | cost beside the wrapped allocator's |
//! |---|---|
//! | allocate | three atomic additions on the thread's own cache lines, a fourth atomic while live bytes rise |
//! | free | two |
//! | resize | as allocate |
//! | ... every 16 KiB that a thread's live bytes move, and for larger blocks | two on a line that all threads share |
//! | memory | 8 KiB, inside the value; nothing is ever allocated |
//!
//! # Threads
//! The counts lie in shards, one for each thread up to 64, or the counting would be the contention that it is to look for.
//! A thread's number is a constant-initialised thread-local without destructor, so that counting works before `main` and
//! while a thread ends.
//!
//! # Live bytes
//! The most bytes that were alive at one time cannot be had from shards that know nothing of each other: one thread
//! allocates, another frees, and the peaks of the two say nothing. So each shard keeps its own movement, and the highest it
//! stood, exactly, and adds it to a common number when it exceeds a grain of 16 KiB either way; larger blocks are added
//! at once. The peak is the highest that the common number and the shards' own movements give together.
//!
//! - While one thread allocates, it is exact.
//! - While several do, the shards' highest moments need not have been the same one: the peak is off by less than three
//!   grains for each thread, upwards or downwards.
//! - Counts and live bytes are exact whenever no other thread is inside the allocator and the reader has synchronised
//!   with those that were (joined them, or met them at a barrier).
//!
//! # What counts
//! A block that is resized counts by what it grew. `alloc_zeroed` is an allocation. A block of no bytes is no block: no
//! allocator is asked for it through `Global`. What was refused is not counted.
//!
//! # When not to use it
//! Around an allocator that is being timed: the additions take longer than the shortest path of any allocator here. To
//! find who allocates: it keeps no call stacks.
//!
//! # Examples
//! ```
//! use std::alloc::System;
//! use allocmark::instruments::counting::Counting;
//!
//! #[global_allocator]
//! static GLOBAL: Counting<System> = Counting::new(System);
//!
//! let before = GLOBAL.tally().snapshot();
//! let squares: Vec<u64> = (0..100).map(|number| number * number).collect();
//! let during = GLOBAL.tally().snapshot() - before;
//! assert_eq!((during.allocations, during.frees), (1, 0));
//! assert_eq!(during.requested_bytes, 800);
//! drop(squares);
//! ```

mod tally;

use std::alloc::{GlobalAlloc, Layout};
use std::borrow::Borrow;
use std::ptr::NonNull;
use std::sync::Arc;

use allocator_api2::alloc::{AllocError, Allocator};

pub use self::tally::{Counts, Tally};
use crate::allocators::contract::{Bulk, Demand, Subject};

/// Asks how many bytes a live block can really hold.
pub type Usable = fn(NonNull<u8>) -> usize;

/// An allocator and the tally of its calls: as `#[global_allocator]` around a [`GlobalAlloc`], or as a [`Subject`] around
/// another. See the [module](self).
///
/// The tally is a part of it, or, where somebody else reads it meanwhile, behind a pointer: `Counting<S, Arc<Tally>>`.
#[derive(Debug)]
pub struct Counting<A, T = Tally> {
    inner: A,
    tally: T,
    usable: Option<Usable>,
}

impl<A> Counting<A> {
    /// Counts the calls of `inner`.
    pub const fn new(inner: A) -> Self {
        Self::with(inner, Tally::new(), None)
    }
}

impl<A, T> Counting<A, T> {
    /// Counts the calls of `inner` in `tally`, and asks `usable` about every block that is handed out or resized. It must
    /// not allocate.
    pub const fn with(inner: A, tally: T, usable: Option<Usable>) -> Self {
        Self { inner, tally, usable }
    }
}

impl<A, T: Borrow<Tally>> Counting<A, T> {
    /// The counts.
    pub fn tally(&self) -> &Tally {
        self.tally.borrow()
    }

    /// Counts a block that was handed out.
    fn admit(&self, block: NonNull<u8>, bytes: usize) {
        if bytes > 0 {
            self.tally().allocated(bytes);
            self.measure(block, bytes);
        }
    }

    /// Counts a block that is about to be given back. Before it is: afterwards another thread may have it already, and the
    /// memory would be alive twice.
    fn dismiss(&self, bytes: usize) {
        if bytes > 0 {
            self.tally().freed(bytes);
        }
    }

    /// Counts a block that was resized.
    fn resize(&self, block: NonNull<u8>, old: usize, new: usize) {
        match (old, new) {
            (0, _) => self.admit(block, new),
            (_, 0) => self.dismiss(old),
            _ => {
                self.tally().resized(old, new);
                self.measure(block, new);
            }
        }
    }

    fn measure(&self, block: NonNull<u8>, bytes: usize) {
        if let Some(usable) = self.usable {
            self.tally().measured(bytes, usable(block));
        }
    }
}

// SAFETY: every call is the wrapped allocator's, arguments and answer unchanged; counting neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc, T: Borrow<Tally>> GlobalAlloc for Counting<A, T> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has bytes (the caller's promise).
        let block = unsafe { self.inner.alloc(layout) };
        if let Some(block) = NonNull::new(block) {
            self.admit(block, layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has bytes (the caller's promise).
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if let Some(block) = NonNull::new(block) {
            self.admit(block, layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.dismiss(layout.size());
        // SAFETY: the block came from the wrapped allocator with this layout (the caller's promise; all came from it).
        unsafe { self.inner.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the block came from the wrapped allocator with this layout, and the new size is one that the alignment
        // allows (the caller's promises).
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if let Some(moved) = NonNull::new(moved) {
            self.resize(moved, layout.size(), new_size);
        }
        moved
    }
}

/// Where the counts of a subject are kept.
pub trait Keeps: Borrow<Tally> + Default {
    /// Where those of its sibling are.
    fn for_sibling(&self) -> Self;
}

impl Keeps for Tally {
    /// In a tally of its own.
    fn for_sibling(&self) -> Self {
        Self::new()
    }
}

impl Keeps for Arc<Tally> {
    /// In the same one. A reset of one of several then takes the live bytes of all for released.
    fn for_sibling(&self) -> Self {
        Self::clone(self)
    }
}

impl<S: Subject, T: Keeps> Subject for Counting<S, T> {
    type Handle<'a>
        = Counted<S::Handle<'a>, &'a Self>
    where
        Self: 'a;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self::with(S::for_demand(demand)?, T::default(), None))
    }

    fn sibling(&self, demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self::with(self.inner.sibling(demand)?, self.tally.for_sibling(), self.usable))
    }

    fn handle(&self) -> Self::Handle<'_> {
        Counted { handle: self.inner.handle(), count: self }
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        self.inner.owns(block)
    }
}

impl<S: Bulk, T: Keeps> Bulk for Counting<S, T> {
    /// Live bytes are 0 afterwards; nothing counts as freed.
    fn reset(&mut self) {
        self.tally().release_all();
        self.inner.reset();
    }
}

/// Who counts the calls of a [`Counted`] handle.
pub trait Count: Copy {
    /// Counts a block that was handed out.
    fn admit(self, block: NonNull<u8>, bytes: usize);

    /// Counts a block that is about to be given back.
    fn dismiss(self, bytes: usize);

    /// Counts a block that was resized.
    fn resize(self, block: NonNull<u8>, old: usize, new: usize);
}

impl<A, T: Borrow<Tally>> Count for &Counting<A, T> {
    fn admit(self, block: NonNull<u8>, bytes: usize) {
        Counting::admit(self, block, bytes);
    }

    fn dismiss(self, bytes: usize) {
        Counting::dismiss(self, bytes);
    }

    fn resize(self, block: NonNull<u8>, old: usize, new: usize) {
        Counting::resize(self, block, old, new);
    }
}

/// A handle whose calls are counted; as large as the two together.
#[derive(Clone, Copy, Debug)]
pub struct Counted<H, C> {
    /// The allocator.
    pub handle: H,
    /// Who counts.
    pub count: C,
}

// SAFETY: every call is the wrapped handle's, arguments and answer unchanged; copies are copies of that handle.
unsafe impl<H: Allocator, C: Count> Allocator for Counted<H, C> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.handle.allocate(layout)?;
        self.count.admit(block.cast(), layout.size());
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.handle.allocate_zeroed(layout)?;
        self.count.admit(block.cast(), layout.size());
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.count.dismiss(layout.size());
        // SAFETY: the block is alive and came from the wrapped allocator with this layout (the caller's promises).
        unsafe { self.handle.deallocate(block, layout) };
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `grow`, passed on unchanged.
        let grown = unsafe { self.handle.grow(block, old, new) }?;
        self.count.resize(grown.cast(), old.size(), new.size());
        Ok(grown)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `grow_zeroed`, passed on unchanged.
        let grown = unsafe { self.handle.grow_zeroed(block, old, new) }?;
        self.count.resize(grown.cast(), old.size(), new.size());
        Ok(grown)
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `shrink`, passed on unchanged.
        let shrunk = unsafe { self.handle.shrink(block, old, new) }?;
        self.count.resize(shrunk.cast(), old.size(), new.size());
        Ok(shrunk)
    }
}

#[cfg(test)]
mod tests;
