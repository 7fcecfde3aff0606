//! `pool-local`: blocks of one size on one thread, out of memory that is taken once.
//!
//! ```text
//!   one mapping, taken at construction
//!   +-------------------------------------+-------------------------------------------+
//!   | stack: | 2 | 0 | 3 | ... room       | block 0 | block 1 | ... | ... untouched   |
//!   +-------------------------------------+-------------------------------------------+
//!                        ^ top                                       ^ fresh
//!   allocate: the pointer below top (here block 3)      carved 32 at a time when the stack is empty
//!   free:     a pointer written at top
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | compare size and alignment, one load, `top` moves down, one count: no access to the block |
//! | free | compare the address, one store, `top` moves up: no access to the block |
//! | every 32nd first use of a block | 31 pointers written to the stack |
//! | construction, drop | one `mmap`, one `munmap`; nothing is touched beforehand |
//! | memory | capacity, and 8 bytes a block that has been free |
//! | `in_use`, `hits`, `misses`, `owns` | a subtraction, a load, a load, a comparison |
//!
//! # A stack beside the blocks
//! The usual list keeps its links inside the free blocks. It was built here too, and so was a third form that keeps the
//! newest block in a cell in front of the stack. Nanoseconds an operation, medians of 15 rounds in one process on one core
//! of a Zen 4 server; blocks of 64 bytes; 10 000 of them in the last three columns:
//!
//! | | free and allocate at once | replace a random one | free in reverse order | free in random order |
//! |---|---|---|---|---|
//! | links in the blocks | 1.6 | 5.1 | 2.6 | 7.8 |
//! | stack | 1.7 | 3.4 | 2.4 | 2.4 |
//! | stack behind a cell | 1.5 | 3.8 | 2.6 | 2.8 |
//!
//! With links, which block comes next is known when the last one has been read, and after frees in random order each is a
//! miss of the first cache behind another. The stack is read in order, whatever it points to. The cell shortens the chain
//! of loads that wait for a store just made, which only the first column consists of, for one more branch everywhere; where
//! frees and allocations alternate irregularly that branch is not predicted. The price of the stack is 8 bytes a block.
//! Counting the hits showed in none of the columns by more than the noise: the count waits for nothing that an
//! allocation waits for.
//!
//! # Exhaustion and misuse
//! A full pool, or a layout larger or more aligned than a block, gives [`AllocError`]; [`PoolLocal::with_backing`] makes a
//! pool that passes both on to another allocator. A block that another allocator made ends the process with a message,
//! in every build; debug builds also catch a block freed twice, a pointer into the middle of one, and writes of up to
//! 16 bytes past the end. Use by two threads does not compile:
//!
//! ```compile_fail
//! # use std::alloc::Layout;
//! # use allocmark::allocators::pool_local::PoolLocal;
//! let pool = PoolLocal::new(Layout::new::<u64>(), 10).unwrap();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| pool.in_use());
//! });
//! ```
//!
//! # When not to use it
//! - When blocks are made or freed on several threads: [`pool`](super::pool).
//! - For several sizes: [`talc`](super::talc) in memory of its own, [`slab`](super::slab), or [`arena`](super::arena) when
//!   everything ends together.
//! - When the most blocks alive cannot be told beforehand: give it a backing, or use a general allocator such as
//!   [`mimalloc`](super::mimalloc).
//! - When freed memory must go back to the operating system before the pool is dropped: [`slab`](super::slab).
//!
//! # Examples
//! ```
//! use std::alloc::Layout;
//!
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::pool_local::PoolLocal;
//!
//! let pool = PoolLocal::new(Layout::new::<[u64; 4]>(), 1000).unwrap();
//! let quote = Box::new_in([1_u64, 2, 3, 4], &pool);
//! assert_eq!(pool.in_use(), 1);
//! drop(quote);
//! assert_eq!(pool.in_use(), 0);
//! ```

mod allocate;
mod stack;

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::slice;

use allocator_api2::alloc::{AllocError, Allocator};

use self::stack::{Entry, Stack};
use super::contract::{Demand, Facts, Known, Subject};
use super::goal::{Cells, Goal};
use super::pool::{BackedPool, Blocks};

/// Facts about the pool of one thread.
pub const FACTS: Facts = Facts {
    id: "pool-local",
    ours: true,
    configuration_of: None,
    title: "Pool (one thread)",
    description: "Blocks of one size out of one mapping, for one thread. Free blocks are a stack of pointers beside the \
                  blocks, with room for all of them, so neither operation reads or writes a block.",
    configuration: "block size and capacity as the workload demands",
    package: None,
    missing_entry_points: &["grow and shrink: in place within the block size, refused beyond"],
    links: &[],
    goals: &[
        Goal::of_time(Cells::of("pair", &[("size", "64")]), 0.35),
        Goal::of_time(Cells::of("churn", &[("size", "64")]), 0.80),
        Goal::of_time(Cells::of("fixed-size", &[("order", "lifo")]), 0.90),
    ],
};

/// Blocks carved at a time. 32 entries fill four cache lines of the stack; the call that carves them costs some
/// nanoseconds, so a fraction of one for each block. More would only write entries further ahead of their use.
const CARVED: u32 = 32;

/// A byte a block that says whether it is in use: what debug builds catch a second free by.
const MARK_BYTES: usize = if cfg!(debug_assertions) { size_of::<Cell<bool>>() } else { 0 };

/// A fixed number of blocks of one layout for one thread. `&PoolLocal` is an [`Allocator`]; see the [module](self).
///
/// It may be sent to another thread while nothing of it is borrowed.
#[derive(Debug)]
pub struct PoolLocal {
    /// The free blocks, each with the right to a whole block. It lies in front of the blocks, with room for all.
    stack: Stack,
    /// Allocations served from the stack.
    hits: Cell<u64>,
    /// The memory. Blocks below `fresh` are each in one place: in use, or on the stack. In front of them are the stack's
    /// entries, then `MARK_BYTES` for each block.
    blocks: Blocks,
    /// Blocks below this index have been carved; at most `blocks.count()`.
    fresh: Cell<u32>,
    /// Allocations that found the stack empty.
    misses: Cell<u64>,
}

// SAFETY: the pool owns its mapping, and nothing in it depends on the thread that made it. Blocks and handles borrow the
// pool, so none is left on the thread that it leaves.
unsafe impl Send for PoolLocal {}

impl PoolLocal {
    /// Takes the memory for `capacity` blocks of layout `block`. A block's size is rounded up to a multiple of its
    /// alignment, and to 8 bytes at least.
    ///
    /// # Errors
    /// [`AllocError`] when the kernel refuses the memory, for blocks of 4 GiB and more, and for more than 2^32 blocks.
    pub fn new(block: Layout, capacity: usize) -> Result<Self, AllocError> {
        let front = capacity.checked_mul(size_of::<Entry>() + MARK_BYTES).ok_or(AllocError)?;
        let blocks = Blocks::new(FACTS.id, block, capacity, front)?;
        // SAFETY: the front has room for `capacity` entries, is page-aligned, and is used by the stack alone for as long
        // as the blocks are there. No more than all blocks are ever on it. Zeroed memory is a cell with a null pointer.
        let stack = unsafe { Stack::new(blocks.front().cast()) };
        Ok(Self { stack, hits: Cell::new(0), blocks, fresh: Cell::new(0), misses: Cell::new(0) })
    }

    /// Makes a pool that passes on to `backing` what it cannot serve itself.
    ///
    /// # Examples
    /// ```
    /// use std::alloc::Layout;
    ///
    /// use allocator_api2::alloc::System;
    /// use allocator_api2::vec::Vec;
    /// use allocmark::allocators::pool_local::PoolLocal;
    ///
    /// let pool = PoolLocal::new(Layout::new::<[u64; 8]>(), 100).unwrap().with_backing(System);
    /// let mut numbers = Vec::new_in(&pool); // starts in a block of the pool,
    /// numbers.extend(0..1000_u64); // and moves to the system's memory when it outgrows that
    /// assert_eq!(pool.pool().in_use(), 0);
    /// ```
    pub fn with_backing<A: Allocator>(self, backing: A) -> BackedPool<A, Self> {
        BackedPool::new(self, backing)
    }

    /// The blocks that can be in use at once.
    pub fn capacity(&self) -> usize {
        self.blocks.count() as usize
    }

    /// The layout of a block; layouts that fit into it are served.
    pub fn block_layout(&self) -> Layout {
        self.blocks.layout()
    }

    /// Blocks in use.
    pub fn in_use(&self) -> usize {
        self.fresh.get() as usize - self.stack.len()
    }

    /// Allocations so far that were served from the stack.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// Allocations so far that found the stack empty and carved blocks, those refused included.
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }

    /// Whether `block` lies in this pool's memory.
    #[inline(always)]
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        self.blocks.contains(block)
    }

    /// Whether each block is in use. Of no length in builds that do not look.
    fn live(&self) -> &[Cell<bool>] {
        let count = self.blocks.count() as usize;
        // SAFETY: the marks follow the entries in front of the blocks, `MARK_BYTES` for each block: all or none of
        // this length. They live as long as `self`; zeroed memory is a cell of `false`, and all access is through it.
        unsafe {
            let first = self.blocks.front().add(count * size_of::<Entry>());
            slice::from_raw_parts(first.cast().as_ptr(), count * MARK_BYTES)
        }
    }

    /// Takes a block for `layout`, if that fits.
    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if !self.blocks.fits(layout) {
            return None;
        }
        let block = match self.stack.pop() {
            Some(block) => {
                self.hits.set(self.hits.get() + 1);
                block
            }
            None => self.carve()?,
        };
        if cfg!(debug_assertions) {
            self.live()[self.blocks.index(block) as usize].set(true);
            self.blocks.guard(block, layout.size());
        }
        self.blocks.open(block, layout.size());
        Some(block)
    }

    /// Carves fresh blocks: one for the caller, the others for the empty stack, so that they come in the order of their
    /// addresses.
    #[cold]
    #[inline(never)]
    fn carve(&self) -> Option<NonNull<u8>> {
        self.misses.set(self.misses.get() + 1);
        let first = self.fresh.get();
        let count = CARVED.min(self.blocks.count() - first);
        if count == 0 {
            return None;
        }
        for index in (first + 1..first + count).rev() {
            // SAFETY: the stack has room for every block, and this one is not on it.
            unsafe { self.stack.push(self.blocks.block(index)) };
        }
        self.fresh.set(first + count);
        Some(self.blocks.block(first))
    }

    /// Puts a block back.
    ///
    /// # Safety
    /// `block` was given by [`take`](Self::take) of this pool, was not put back since, and is not used any more; `layout`
    /// is the one it was given for, or was resized to since.
    #[inline(always)]
    unsafe fn put(&self, block: NonNull<u8>, layout: Layout) {
        let block = self.blocks.whole(block);
        if cfg!(debug_assertions) {
            self.blocks.check_live(block, |index| self.live()[index as usize].replace(false));
            self.blocks.check_guard(block, layout.size());
        }
        self.blocks.close(block);
        // SAFETY: the stack has room for every block; the caller promises that this one was in use, so it is not on it.
        unsafe { self.stack.push(block) };
    }

    /// Checks that each block is in exactly one place: in use, on the stack, or never carved. Takes time and memory in
    /// proportion to the capacity.
    ///
    /// # Panics
    /// When a block is in two places, or one was lost.
    pub fn check_invariants(&mut self) {
        let mut on_stack = vec![false; self.fresh.get() as usize];
        self.stack.for_each(|block| {
            assert!(self.blocks.contains(block) && self.blocks.is_start(block));
            let index = self.blocks.index(block);
            assert!(
                !std::mem::replace(&mut on_stack[index as usize], true),
                "block {index} is twice on the stack"
            );
        });
        for (index, (live, on_stack)) in self.live().iter().zip(on_stack).enumerate() {
            assert_ne!(live.get(), on_stack, "block {index} is either in use or on the stack");
        }
    }
}

impl Subject for PoolLocal {
    type Handle<'a> = &'a PoolLocal;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        Self::new(demand.block.ok_or(AllocError)?, demand.live_blocks)
    }

    #[inline(always)]
    fn handle(&self) -> &PoolLocal {
        self
    }

    #[inline(always)]
    fn owns(&self, block: NonNull<u8>) -> bool {
        PoolLocal::owns(self, block)
    }
}

impl Known for PoolLocal {
    const FACTS: &'static Facts = &FACTS;
}
