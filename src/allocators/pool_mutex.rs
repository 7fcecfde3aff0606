//! `pool-mutex`: blocks of one size, from and to any thread, behind one lock.
//!
//! ```text
//!   any thread                     one mapping, taken at construction
//!       |                          +---------+---------+---------+---------+------------------+
//!       v                          | block 0 | block 1 | block 2 | block 3 | ... untouched    |
//!   +-------+   +---------------+  +---------+---------+---------+---------+------------------+
//!   | Mutex |-->| Vec [2, 0, 3] |                                          ^ fresh
//!   +-------+   +---------------+
//!                 indices of freed blocks; the newest is the next to be handed out
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate, free | lock and unlock (two atomic read-modify-writes), and a push or a pop |
//! | the same while another thread has the lock | its time too, and a sleep in the kernel where that takes long |
//! | construction | one `mmap`, and 4 bytes for each block from the system's allocator; nothing of either is touched |
//! | drop | one `munmap`, one `free` |
//! | memory | capacity, and 4 bytes a block |
//! | `in_use`, `hits`, `misses` | lock, two loads; `owns` and `capacity` take no lock |
//!
//! # What it is for
//! It is the pool that anybody would write first: the standard library's mutex around a vector of free blocks. It shows
//! what contention costs, and so what [`pool`](super::pool) gains by its magazines and its lock-free list. Everything
//! else is the same: the memory, the checks, the functions.
//!
//! # Exhaustion and misuse
//! A full pool, or a layout larger or more aligned than a block, gives [`AllocError`]; [`PoolMutex::with_backing`] makes a
//! pool that passes both on to another allocator. A block that another allocator made ends the process with a message,
//! in every build; debug builds also catch a block freed twice, a pointer into the middle of one, and writes of up to
//! 16 bytes past the end. Nothing panics while the lock is held, so it is never poisoned.
//!
//! # When not to use it
//! - When more than one thread allocates often: [`pool`](super::pool) serves the same calls from a magazine of the thread.
//! - On one thread: [`pool_local`](super::pool_local), which locks nothing.
//! - As a part of a global allocator: the vector comes from the system's allocator and never grows, but a `Mutex` may
//!   allocate where the platform's does (on Linux it does not). [`PoolGlobal`](super::pool::PoolGlobal) is made for that.
//! - For several sizes, or when freed memory must go back before the pool is dropped: [`slab`](super::slab).
//!
//! # Examples
//! ```
//! use std::alloc::Layout;
//!
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::pool_mutex::PoolMutex;
//!
//! let pool = PoolMutex::new(Layout::new::<[u64; 4]>(), 1000).unwrap();
//! let quote = Box::new_in([1_u64, 2, 3, 4], &pool);
//! assert_eq!(pool.in_use(), 1);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(quote)); // freed by another thread
//! });
//! assert_eq!(pool.in_use(), 0);
//! ```

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator, System};
use allocator_api2::vec::Vec;

use super::contract::{Demand, Facts, Known, Subject};
use super::pool::{BackedPool, Blocks};

/// Facts about the pool with a lock.
pub const FACTS: Facts = Facts {
    id: "pool-mutex",
    ours: true,
    configuration_of: None,
    title: "Pool (mutex)",
    description: "Blocks of one size out of one mapping, behind the standard library's mutex around a vector of free \
                  blocks: the plain form of a pool, as a baseline for what contention costs. Any thread may free what \
                  another allocated.",
    configuration: "block size and capacity as the workload demands",
    package: None,
    missing_entry_points: &["grow and shrink: in place within the block size, refused beyond"],
    links: &[],
    goals: &[],
};

/// A fixed number of blocks of one layout. `&PoolMutex` is an [`Allocator`]; see the [module](self).
#[derive(Debug)]
pub struct PoolMutex {
    /// The memory. Blocks below `shelf.fresh` are each in one place: in use, or on the shelf.
    blocks: Blocks,
    shelf: Mutex<Shelf>,
}

/// What the lock protects.
#[derive(Debug)]
struct Shelf {
    /// Indices of blocks that were in use and are free again. Its capacity is the number of all blocks, so it never
    /// allocates after construction.
    freed: Vec<u32, System>,
    /// Blocks below this index have been handed out at least once; at most the number of blocks.
    fresh: u32,
    /// Allocations that a freed block served.
    hits: u64,
    /// Allocations that found no freed block.
    misses: u64,
    /// Whether each block is in use. Debug builds only; in others empty.
    live: Vec<bool, System>,
}

impl PoolMutex {
    /// Takes the memory for `capacity` blocks of layout `block`. A block's size is rounded up to a multiple of its
    /// alignment, and to 8 bytes at least.
    ///
    /// # Errors
    /// [`AllocError`] when the memory cannot be had, for blocks of 4 GiB and more, and for more than 2^32 blocks.
    pub fn new(block: Layout, capacity: usize) -> Result<Self, AllocError> {
        let blocks = Blocks::new(FACTS.id, block, capacity, 0)?;
        let mut freed = Vec::new_in(System);
        freed.try_reserve_exact(capacity).map_err(|_| AllocError)?;
        let mut live = Vec::new_in(System);
        if cfg!(debug_assertions) {
            live.try_reserve_exact(capacity).map_err(|_| AllocError)?;
            live.resize(capacity, false);
        }
        Ok(Self { blocks, shelf: Mutex::new(Shelf { freed, fresh: 0, hits: 0, misses: 0, live }) })
    }

    /// Makes a pool that passes on to `backing` what it cannot serve itself.
    ///
    /// # Examples
    /// ```
    /// use std::alloc::Layout;
    ///
    /// use allocator_api2::alloc::System;
    /// use allocator_api2::vec::Vec;
    /// use allocmark::allocators::pool_mutex::PoolMutex;
    ///
    /// let pool = PoolMutex::new(Layout::new::<[u64; 8]>(), 100).unwrap().with_backing(System);
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
        let shelf = self.lock();
        shelf.fresh as usize - shelf.freed.len()
    }

    /// Allocations so far that were served with a block that had been freed.
    pub fn hits(&self) -> u64 {
        self.lock().hits
    }

    /// Allocations so far that found no freed block, those refused included.
    pub fn misses(&self) -> u64 {
        self.lock().misses
    }

    /// Whether `block` lies in this pool's memory.
    #[inline(always)]
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        self.blocks.contains(block)
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing panics under the lock; should that ever be wrong, an allocator must still not.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a block for `layout`, if that fits.
    #[inline]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if !self.blocks.fits(layout) {
            return None;
        }
        let block = self.blocks.block(self.lock().take(self.blocks.count())?);
        self.blocks.guard(block, layout.size());
        self.blocks.open(block, layout.size());
        Some(block)
    }

    /// Puts a block back.
    ///
    /// # Safety
    /// `block` was given by [`take`](Self::take) of this pool, was not put back since, and is not used any more; `layout`
    /// is the one it was given for, or was resized to since.
    #[inline]
    unsafe fn put(&self, block: NonNull<u8>, layout: Layout) {
        let mut shelf = self.lock();
        if cfg!(debug_assertions) {
            // Under the lock, so that of two threads that free one block at the same time the second is caught.
            let was_live = |index: u32| std::mem::replace(&mut shelf.live[index as usize], false);
            self.blocks.check_live(block, was_live);
            self.blocks.check_guard(self.blocks.whole(block), layout.size());
        }
        self.blocks.close(self.blocks.whole(block));
        shelf.freed.push(self.blocks.index(block));
    }

    /// Checks that each block is in exactly one place: in use, on the shelf, or never handed out. Takes time and memory in
    /// proportion to the capacity.
    ///
    /// # Panics
    /// When a block is in two places, or one was lost.
    pub fn check_invariants(&mut self) {
        let shelf = self.lock();
        let mut on_shelf = vec![false; shelf.fresh as usize];
        for &index in &shelf.freed {
            assert!(
                !std::mem::replace(&mut on_shelf[index as usize], true),
                "block {index} is twice on the shelf"
            );
        }
        for (index, (&live, on_shelf)) in shelf.live.iter().zip(on_shelf).enumerate() {
            assert_ne!(live, on_shelf, "block {index} is either in use or on the shelf");
        }
    }
}

impl Shelf {
    /// Takes the index of one of `count` blocks.
    #[inline]
    fn take(&mut self, count: u32) -> Option<u32> {
        let index = match self.freed.pop() {
            Some(index) => {
                self.hits += 1;
                index
            }
            None => {
                self.misses += 1;
                if self.fresh == count {
                    return None;
                }
                self.fresh += 1;
                self.fresh - 1
            }
        };
        if cfg!(debug_assertions) {
            self.live[index as usize] = true;
        }
        Some(index)
    }
}

// SAFETY: a block is in exactly one place (see `PoolMutex::blocks`), so those handed out are disjoint; they are as large and
// as aligned as `take` has compared; they stay until the pool is dropped, which no handle outlives; all copies of a
// handle are the same pool.
unsafe impl Allocator for &PoolMutex {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.take(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.blocks.check_owned(block);
        // SAFETY: the caller promises a block of this allocator that is in use, with this layout, and given up now.
        unsafe { self.put(block, layout) };
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller promises a block in use with the layout `old`.
        unsafe { self.blocks.resize(block, old, new) }
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller promises a block in use with the layout `old`, and a size that is not smaller.
        unsafe { self.blocks.grow_zeroed(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller promises a block in use with the layout `old`.
        unsafe { self.blocks.resize(block, old, new) }
    }
}

impl Subject for PoolMutex {
    type Handle<'a> = &'a PoolMutex;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        Self::new(demand.block.ok_or(AllocError)?, demand.live_blocks)
    }

    #[inline(always)]
    fn handle(&self) -> &PoolMutex {
        self
    }

    #[inline(always)]
    fn owns(&self, block: NonNull<u8>) -> bool {
        PoolMutex::owns(self, block)
    }
}

impl Known for PoolMutex {
    const FACTS: &'static Facts = &FACTS;
}
