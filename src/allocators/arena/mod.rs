//! `arena`: any size, released all together, on one thread.
//!
//! ```text
//!   first chunk            current chunk               chunks kept from before the last reset
//!   +----+--------------+  +----+--------+-----------+  +----+-----------+
//!   |head| blocks       |->|head| blocks | free      |->|head| free      |-> ...
//!   +----+--------------+  +----+--------+-----------+  +----+-----------+
//!                                        ^           ^
//!                                        next        end
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | two loads, a subtraction, a comparison, an addition, a store; aligning for alignments above 8 |
//! | … when the chunk is full | the next kept chunk, or one from the backing allocator: as large as all before together, up to 1 MiB |
//! | free | of the newest block: its memory is used again; of others: one comparison |
//! | grow, shrink | of the newest block: in place, without copying; grow of others: allocate and copy |
//! | reset | three stores; after a pass that took new chunks, one step for each chunk |
//! | memory | 16 bytes a chunk; sizes are rounded up to 8 |
//!
//! # Why upwards
//! Moving `next` downwards saves an instruction when aligning. Moving it upwards lets the newest block grow without its
//! content moving, which is what a `Vec` that is being filled does; and sizes that are multiples of 8 need no aligning
//! for all alignments up to 8, which are nearly all.
//!
//! # Reset keeps the memory
//! All chunks are kept and used again, the largest first. So the second pass of a program that repeats itself takes no
//! memory and mostly stays in one chunk, and what a pass needed is there for the next. [`Arena::release`] gives it back.
//!
//! # Drop runs nothing
//! Neither a reset nor the drop of an arena runs the destructors of what was written into it. Where they must run, there
//! are two ways: a `Box<T, &Arena>` or `Vec<T, &Arena>` of allocator-api2 drops its content when it goes, as always; and
//! [`Arena::alloc_with_drop`] notes the value, which is then dropped at the reset or with the arena.
//!
//! # Exhaustion
//! Over a limit ([`Arena::with_limit`]), or when the backing allocator refuses: [`AllocError`]. What was allocated stays.
//!
//! # When not to use it
//! - When blocks die at different times and the memory of the dead is needed, since only the newest block's comes back: on
//!   one thread [`talc`](super::talc), or [`pool_local`](super::pool_local) for one size; else [`slab`](super::slab).
//! - Across threads: [`arena_thread`](super::arena_thread), or [`bump_shared`](super::bump_shared) when the bytes of a pass
//!   can be told beforehand.
//! - When those can be told on one thread, or the memory is the caller's: [`bump_slice`](super::bump_slice) has no chunks
//!   and no headers, and rounds no sizes.
//! - For strings, which allocator-api2 does not have: [bumpalo](super::bump) with its `collections`.
//! - Where memory counts more than time: in `pipeline` the peak over the live bytes was 1.22 for [bumpalo](super::bump) and
//!   1.63 for the arena (`docs/effects.md`).
//! - When a part is to be released and the rest kept: [bump-scope](super::bump_scope) has scopes.
//! - For a program's longest-lived data: a general allocator, such as [`slab`](super::slab), holds it as well.
//!
//! # Examples
//! ```
//! use allocator_api2::vec::Vec;
//! use allocmark::allocators::arena::Arena;
//!
//! let mut arena = Arena::new();
//! for day in 0..3_u64 {
//!     let mut prices = Vec::new_in(&arena);
//!     prices.extend((0..1000).map(|tick| day * 1000 + tick));
//!     assert!(arena.used() >= 8000);
//!     drop(prices);
//!     arena.reset();
//! }
//! assert_eq!(arena.used(), 0);
//! assert!(arena.held() >= 8000);
//! ```
//!
//! An arena cannot be reset while a block is borrowed:
//! ```compile_fail,E0502
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::arena::Arena;
//!
//! let mut arena = Arena::new();
//! let number = Box::new_in(1, &arena);
//! arena.reset();
//! drop(number);
//! ```

mod allocate;
mod chunk;
mod owned;

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator, Global};

use self::chunk::{ChunkRef, HEADER_BYTES, Link};
use self::owned::{Noted, Owned};
use super::bump;
use super::contract::{Bulk, Demand, Facts, Known, Subject};
use super::goal::{Against, Cells, Goal};

/// Facts about the arena.
pub const FACTS: Facts = Facts {
    id: "arena",
    ours: true,
    configuration_of: None,
    title: "Arena",
    description: "An offset moves upwards through chunks that double up to 1 MiB. Nothing is freed one at a time but the \
                  newest block, which also grows in place; a reset keeps all chunks and starts again in the largest.",
    configuration: "no limit; chunks from the global allocator; sizes rounded up to 8 bytes",
    package: None,
    missing_entry_points: &[],
    links: &[],
    goals: &[
        Goal { against: Against::Allocator(bump::FACTS.id), ..Goal::of_time(Cells::of("bulk", &[]), 1.00) },
        Goal { against: Against::Allocator(bump::FACTS.id), ..Goal::of_time(Cells::of("tree", &[]), 1.00) },
    ],
};

/// Every block starts at a multiple of this, since every size is rounded up to it: the alignment of nearly everything.
const STEP: usize = 8;

/// A bulk allocator for one thread. `&Arena` is an [`Allocator`]; see the [module](self).
#[derive(Debug)]
pub struct Arena<A: Allocator = Global> {
    /// Where the next block starts, a multiple of `STEP`: in the current chunk or just after it, with the right to the
    /// whole chunk. Dangling while there is no chunk.
    next: Cell<NonNull<u8>>,
    /// The address after the current chunk; that of `next` while there is no chunk. Never below `next`.
    end: Cell<usize>,
    /// The chunk that blocks come from. Those before it in the list are full, those after it empty.
    current: Cell<Option<ChunkRef>>,
    /// The first chunk of the list.
    first: Link,
    /// Whether a chunk was added since the list was put in order, the largest first.
    grown: Cell<bool>,
    /// Bytes used in the chunks before the current one.
    used_before: Cell<usize>,
    /// Bytes of all chunks, headers included; at most the limit.
    held: Cell<usize>,
    /// The most bytes that chunks may take; `usize::MAX` where none is set.
    limit: usize,
    /// Values to be dropped.
    owned: Owned,
    /// Where chunks come from.
    backing: A,
}

// SAFETY: the chunks belong to the arena alone, blocks borrow from it, and the values it drops itself are `Send`.
unsafe impl<A: Allocator + Send> Send for Arena<A> {}

impl Arena {
    /// An arena without memory yet, which takes it from the global allocator.
    pub const fn new() -> Self {
        Self::new_in(Global)
    }

    /// An arena that takes at most `bytes` from the global allocator, 16 of them for each chunk.
    pub const fn with_limit(bytes: usize) -> Self {
        Self::with_limit_in(bytes, Global)
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator> Arena<A> {
    /// An arena without memory yet, which takes it from `backing`.
    pub const fn new_in(backing: A) -> Self {
        Self::with_limit_in(usize::MAX, backing)
    }

    /// An arena that takes at most `bytes` from `backing`, 16 of them for each chunk.
    pub const fn with_limit_in(bytes: usize, backing: A) -> Self {
        Self {
            next: Cell::new(NonNull::<u64>::dangling().cast()),
            end: Cell::new(align_of::<u64>()),
            current: Cell::new(None),
            first: Link::new(),
            grown: Cell::new(false),
            used_before: Cell::new(0),
            held: Cell::new(0),
            limit: bytes,
            owned: Owned::new(),
            backing,
        }
    }

    /// Bytes handed out since the last reset, rounding and alignment included.
    pub fn used(&self) -> usize {
        self.used_before.get() + self.used_in_current()
    }

    /// Bytes taken from the backing allocator.
    pub fn held(&self) -> usize {
        self.held.get()
    }

    /// Bytes that can still be handed out, if a limit is set. A single block of that size need not fit: the bytes may be
    /// spread over several chunks.
    pub fn remaining(&self) -> Option<usize> {
        if self.limit == usize::MAX {
            return None;
        }
        let empty = chunk::from(self.current.get().map_or(self.first.get(), ChunkRef::next));
        let empty: usize = empty.map(|chunk| chunk.bytes() - HEADER_BYTES).sum();
        let new = (self.limit - self.held.get()).saturating_sub(HEADER_BYTES);
        Some(self.room() + empty + new)
    }

    /// Moves `value` into the arena. It is **not dropped** with the arena; what it owns elsewhere is leaked unless the
    /// caller drops it in place.
    ///
    /// # Errors
    /// [`AllocError`] over the limit, or when the backing allocator refuses.
    #[expect(clippy::mut_from_ref, reason = "each call makes a new value")]
    #[inline]
    pub fn alloc<T>(&self, value: T) -> Result<&mut T, AllocError> {
        let place = self.place(Layout::new::<T>()).ok_or(AllocError)?.cast::<T>();
        // SAFETY: new memory with the layout of `T`, which nobody else refers to until a reset or the drop, and those
        // need the arena unborrowed.
        unsafe {
            place.write(value);
            Ok(&mut *place.as_ptr())
        }
    }

    /// Moves `value` into the arena and drops it at the next reset, or with the arena; the latest is dropped first.
    ///
    /// The value must be `Send`, as the arena may be dropped by another thread, and `'static`, as nothing else ensures
    /// that what it borrows outlives the arena.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use allocmark::allocators::arena::Arena;
    ///
    /// let mut arena = Arena::new();
    /// let book = Arc::new("orders");
    /// arena.alloc_with_drop(book.clone()).unwrap();
    /// assert_eq!(Arc::strong_count(&book), 2);
    /// arena.reset();
    /// assert_eq!(Arc::strong_count(&book), 1);
    /// ```
    ///
    /// # Errors
    /// [`AllocError`] over the limit, or when the backing allocator refuses. The value is dropped then.
    #[expect(clippy::mut_from_ref, reason = "each call makes a new value")]
    pub fn alloc_with_drop<T: Send + 'static>(&self, value: T) -> Result<&mut T, AllocError> {
        let place = self.place(Layout::new::<Noted<T>>()).ok_or(AllocError)?;
        // SAFETY: new memory with that layout. It is nobody else's until a reset or the drop, which begin with
        // `drop_all` and need the arena unborrowed.
        unsafe { Ok(&mut *self.owned.add(place.cast(), value).as_ptr()) }
    }

    /// Releases every block; the memory is kept for the next allocations. Values of
    /// [`alloc_with_drop`](Self::alloc_with_drop) are dropped, others are not.
    pub fn reset(&mut self) {
        self.owned.drop_all();
        if self.grown.replace(false) {
            self.first.set(chunk::largest_first(self.first.get()));
        }
        if cfg!(allocmark_poison) {
            chunk::from(self.first.get()).for_each(ChunkRef::close);
        }
        self.used_before.set(0);
        if let Some(first) = self.first.get() {
            self.go_to(first);
        }
        self.check_invariants();
    }

    /// Releases every block and gives all memory back.
    pub fn release(&mut self) {
        self.reset();
        self.next.set(NonNull::<u64>::dangling().cast());
        self.end.set(align_of::<u64>());
        self.held.set(0);
        self.current.set(None);
        let mut left = self.first.get();
        self.first.set(None);
        while let Some(chunk) = left {
            left = chunk.next();
            // SAFETY: all chunks come from the backing; `&mut self` shows that nothing refers to blocks, and the list,
            // `current` and `next` were cleared above.
            unsafe { chunk.deallocate(&self.backing) };
        }
    }

    /// Whether `block` lies in this arena's memory.
    // Reads the links, which are atomic, and sizes of chunks, which never change: another thread may do so through
    // `arena-thread` while this arena's allocates. A chunk that moves in the list holds no block then, and moves towards
    // the front, so whoever is just there comes by all others all the same.
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        let address = block.as_ptr().addr();
        chunk::from(self.first.get())
            .any(|chunk| (chunk.start().as_ptr().addr()..chunk.end()).contains(&address))
    }

    #[inline(always)]
    fn room(&self) -> usize {
        self.end.get() - self.next.get().as_ptr().addr()
    }

    /// Debug builds check the list of chunks wherever it has changed; others do nothing.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            let chunks = || chunk::from(self.first.get());
            assert_eq!(chunks().map(ChunkRef::bytes).sum::<usize>(), self.held.get());
            assert!(self.held.get() <= self.limit);
            if let Some(current) = self.current.get() {
                let (start, next) = (current.start().as_ptr().addr(), self.next.get().as_ptr().addr());
                assert!((start..=current.end()).contains(&next) && next.is_multiple_of(STEP));
                assert_eq!(self.end.get(), current.end());
                assert_eq!(chunks().filter(|chunk| chunk.start() == current.start()).count(), 1);
            }
        }
    }

    fn used_in_current(&self) -> usize {
        let next = self.next.get().as_ptr().addr();
        self.current.get().map_or(0, |chunk| next - chunk.start().as_ptr().addr())
    }
}

impl<A: Allocator> Drop for Arena<A> {
    fn drop(&mut self) {
        self.release();
    }
}

impl Subject for Arena {
    type Handle<'a> = &'a Arena;

    /// Starts empty, as its users do: the chunks it takes while it grows belong to its cost.
    fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self::new())
    }

    #[inline(always)]
    fn handle(&self) -> &Arena {
        self
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        Arena::owns(self, block)
    }
}

impl Known for Arena {
    const FACTS: &'static Facts = &FACTS;
}

impl Bulk for Arena {
    fn reset(&mut self) {
        Arena::reset(self);
    }
}
