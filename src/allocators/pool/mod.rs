//! `pool`: blocks of one size, from and to any thread, out of memory that is taken once.
//!
//! ```text
//!   thread A          thread B             one mapping, taken at construction
//!   +----------+      +----------+        +-----------+-------+---------------------------------------+
//!   | magazine |      | magazine |        | magazines | links | block | block | block | ... untouched |
//!   +----------+      +----------+        +-----------+-------+---------------------------------------+
//!     |  ^ 30 at a time |  ^                                                          ^
//!     v  |              v  |                                                          |
//!   +------------------------+                                                        |
//!   | depot: free list, and  |--------------------------------------------------------+
//!   | the first fresh block  |   the list is linked through the links, never through the blocks
//!   +------------------------+
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate, free | a thread-local read, two or three loads and stores on lines of this thread: no atomic read-modify-write |
//! | every 30th in a row at worst | the shared list: two atomic read-modify-writes and a walk over 30 links |
//! | first use by a thread | claims a slot for the thread, and joins the pool |
//! | a thread's end | one atomic instruction, whatever the number of pools |
//! | construction, drop | one `mmap`, one `munmap`; nothing is touched beforehand |
//! | memory | capacity, 4 bytes a block, 512 bytes for each thread that has joined |
//!
//! # Capacity
//! At least `capacity` blocks can be in use at once, however they are spread over threads. Blocks that lie idle in other
//! threads' magazines cannot make the pool refuse: each thread that joins after the first brings a magazine's worth
//! of further blocks with it ([`Pool::magazine_length`], at most an eighth of the capacity). So a pool that one thread
//! alone has used gives exactly `capacity` blocks, and one that `n` have used at the same time may give up to
//! `(n - 1) * magazine_length` more. Addresses for 128 further magazines are reserved at construction; memory is used as
//! blocks are. The alternative, taking blocks out of a running thread's magazine, would cost that thread an atomic
//! read-modify-write for each operation.
//!
//! When a thread ends, its magazine waits for the next thread with the same slot; whoever finds the depot empty before
//! such a thread comes takes the blocks back. So blocks can lie idle in the magazine of a thread that never uses this
//! pool; they too are among those that the capacity allows for. Threads beyond the 128th at the same time work on the
//! shared list.
//!
//! # Exhaustion and misuse
//! A full pool, or a layout larger or more aligned than a block, gives [`AllocError`]; [`Pool::with_backing`] makes a
//! pool that passes both on to another allocator. A block that another allocator made ends the process with a message,
//! in every build; debug builds also catch a block freed twice, a pointer into the middle of one, and writes of up to
//! 16 bytes past the end.
//!
//! # When not to use it
//! - On one thread: [`pool_local`](super::pool_local) needs no thread-local read and no magazine.
//! - For several sizes, since every block has the size of the largest: [`slab`](super::slab), or
//!   [`arena`](super::arena) when everything ends together.
//! - When the most blocks alive cannot be told beforehand: give it a backing, or use a general allocator such as
//!   [`mimalloc`](super::mimalloc).
//! - When freed memory must go back to the operating system before the pool is dropped: [`slab`](super::slab).
//!
//! # Examples
//! ```
//! use std::alloc::Layout;
//!
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::pool::Pool;
//!
//! let pool = Pool::new(Layout::new::<[u64; 4]>(), 1000).unwrap();
//! let quote = Box::new_in([1_u64, 2, 3, 4], &pool);
//! assert_eq!(pool.in_use(), 1);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(quote)); // freed by another thread
//! });
//! assert_eq!(pool.in_use(), 0);
//! ```

mod allocate;
mod backed;
mod blocks;
mod depot;
mod free_list;
mod global;
mod magazine;
mod misuse;
mod storage;
mod walker;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

pub use self::backed::BackedPool;
pub use self::global::PoolGlobal;

pub(super) use self::blocks::Blocks;

use self::depot::{Depot, mark};
use self::magazine::Magazine;
use self::storage::Storage;
use super::contract::{Demand, Facts, Known, Subject};
use super::goal::{Cells, Goal};
use super::slots::{self, SLOTS};
use super::sync::Ordering;

/// Facts about the pool.
pub const FACTS: Facts = Facts {
    id: "pool",
    ours: true,
    configuration_of: None,
    title: "Pool",
    description: "Blocks of one size out of one mapping. Each thread keeps up to 60 free blocks in a magazine of its \
                  own, which it fills and empties 30 at a time from a lock-free list with tagged indices. Any thread \
                  may free what another allocated.",
    configuration: "block size and capacity as the workload demands; magazines of up to 60 blocks, 64 KiB and an \
                    eighth of the capacity",
    package: None,
    missing_entry_points: &["grow and shrink: in place within the block size, refused beyond"],
    links: &[],
    goals: &[
        Goal::of_time(Cells::of("pair", &[("size", "64")]), 0.75),
        Goal::of_time(Cells::of("fixed-size", &[]), 1.00),
        Goal::of_time(Cells::of("handoff", &[("threads", "2")]), 0.90),
    ],
};

/// A magazine holds no more bytes than this, so that pools of large blocks do not reserve much for their threads. Blocks
/// beyond it have no magazine: touching one costs far more than the shared list.
const MOST_MAGAZINE_BYTES: usize = 64 * 1024;
/// A magazine holds no more than one part in this of the capacity; in models, whose capacity is two or three, all of it.
const CAPACITY_PARTS: usize = if cfg!(loom) { 1 } else { 8 };

/// A fixed number of blocks of one layout. `&Pool` is an [`Allocator`]; see the [module](self).
#[derive(Debug)]
pub struct Pool {
    /// The memory. Blocks below `depot.fresh` are each in exactly one place: in use, in one magazine, or in the list.
    storage: Storage,
    /// Blocks that every distribution over threads can have.
    capacity: usize,
    /// Blocks that a magazine holds; 0: every operation goes to the depot.
    magazine_length: usize,
    depot: Depot,
}

// SAFETY: the pool owns its mapping, whose magazines and links are accessed as atomics alone; a magazine is changed only
// by the thread that owns its slot, and slots are handed over with release and acquire; blocks change hands through the
// same two ways. Nothing depends on the thread that made or drops the pool.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Takes the memory for `capacity` blocks of layout `block`. A block's size is rounded up to a multiple of its
    /// alignment, and to 8 bytes at least.
    ///
    /// # Errors
    /// [`AllocError`] when the kernel refuses the memory, for blocks of 4 GiB and more, and for more than 2^32 blocks.
    pub fn new(block: Layout, capacity: usize) -> Result<Self, AllocError> {
        let per_bytes = MOST_MAGAZINE_BYTES / block.pad_to_align().size().max(1);
        let magazine_length = magazine::LENGTH.min(per_bytes).min(capacity / CAPACITY_PARTS);
        // One magazine for each slot, and one more for the threads without, less the first to join.
        let count = capacity.checked_add(SLOTS * magazine_length).ok_or(AllocError)?;
        let storage = Storage::new(block, count)?;
        // Both fit: the storage has refused more than 2^32 blocks.
        let depot = Depot::new(capacity as u32, magazine_length as u32);
        Ok(Self { storage, capacity, magazine_length, depot })
    }

    /// Makes a pool that passes on to `backing` what it cannot serve itself.
    pub fn with_backing<A: Allocator>(self, backing: A) -> BackedPool<A> {
        BackedPool::new(self, backing)
    }

    /// The blocks that can be in use at once, however they are spread over threads.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The layout of a block; layouts that fit into it are served.
    pub fn block_layout(&self) -> Layout {
        self.storage.blocks().layout()
    }

    /// The free blocks that a thread may keep for itself, and that each thread but the first brings with it.
    pub fn magazine_length(&self) -> usize {
        self.magazine_length
    }

    /// Blocks in use. Exact while no thread is in the middle of an operation on this pool.
    pub fn in_use(&self) -> usize {
        self.depot.in_use(&self.storage)
    }

    /// Allocations so far that were served from the thread's own magazine.
    pub fn hits(&self) -> u64 {
        self.depot.hits(&self.storage)
    }

    /// Allocations so far that had to ask the shared list, those refused included.
    pub fn misses(&self) -> u64 {
        self.depot.misses(&self.storage)
    }

    /// Whether `block` lies in this pool's memory.
    #[inline(always)]
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        self.storage.blocks().contains(block)
    }

    #[inline(always)]
    fn magazine(&self) -> Option<&Magazine> {
        slots::current().map(|slot| &self.storage.magazines()[slot])
    }

    /// Takes a block for `layout`, if that fits.
    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if !self.storage.blocks().fits(layout) {
            return None;
        }
        let block = match self.magazine().and_then(Magazine::take) {
            Some(block) => block,
            None => self.take_slowly()?,
        };
        if cfg!(debug_assertions) {
            // Relaxed, as in `put`: a second free that is not ordered after this is a race that nothing can promise to
            // catch.
            self.storage.links()[self.storage.index(block) as usize].store(mark::LIVE, Ordering::Relaxed);
            self.storage.blocks().guard(block, layout.size());
        }
        self.storage.blocks().open(block, layout.size());
        Some(block)
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self) -> Option<NonNull<u8>> {
        let Some(slot) = slots::current_or_claim() else {
            self.depot.join_without_slot();
            let mut first = None;
            self.depot.take(&self.storage, 1, |index| first = Some(self.storage.block(index)));
            return first;
        };
        let magazine = &self.storage.magazines()[slot];
        self.depot.join(slot, magazine);
        // A slot that was claimed just now comes with what its last owner left.
        if let Some(block) = magazine.take() {
            return Some(block);
        }
        magazine.count_miss();
        // Half, so that frees which follow find room.
        let most = (self.magazine_length / 2).max(1) as u32;
        let mut filling = magazine.fill();
        self.depot.take(&self.storage, most, |index| filling.push(self.storage.block(index)));
        filling.finish()
    }

    /// Puts a block back.
    ///
    /// # Safety
    /// `block` was given by [`take`](Self::take) of this pool, was not put back since, and is not used any more; `layout`
    /// is the one it was given for, or was resized to since.
    #[inline(always)]
    unsafe fn put(&self, block: NonNull<u8>, layout: Layout) {
        let block = self.storage.blocks().whole(block);
        if cfg!(debug_assertions) {
            // One exchange, so that of two threads that free one block at the same time the second is caught.
            let was_live = |index| {
                self.storage.links()[index as usize].swap(mark::FREE, Ordering::Relaxed) == mark::LIVE
            };
            self.storage.blocks().check_live(block, was_live);
            self.storage.blocks().check_guard(block, layout.size());
        }
        // Before another thread can have it.
        self.storage.blocks().close(block);
        if !self.magazine().is_some_and(|magazine| magazine.put(block, self.magazine_length)) {
            self.put_slowly(block);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slowly(&self, block: NonNull<u8>) {
        if self.magazine_length > 0
            && let Some(slot) = slots::current_or_claim()
        {
            let magazine = &self.storage.magazines()[slot];
            self.depot.join(slot, magazine);
            if magazine.put(block, self.magazine_length) {
                return;
            }
            self.depot.put_from(&self.storage, magazine, self.magazine_length.div_ceil(2) as u32);
            let kept = magazine.put(block, self.magazine_length);
            debug_assert!(kept, "half of it was emptied");
        } else {
            self.depot.put(&self.storage, self.storage.index(block));
        }
    }
}

impl Subject for Pool {
    type Handle<'a> = &'a Pool;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        // A program reserves a pool for a population. One of a handful of blocks, which a workload with one live block
        // would get, has no room for magazines and is nothing that anybody builds.
        const POPULATION: usize = 1_024;
        Self::new(demand.block.ok_or(AllocError)?, demand.live_blocks.max(POPULATION))
    }

    #[inline(always)]
    fn handle(&self) -> &Pool {
        self
    }

    #[inline(always)]
    fn owns(&self, block: NonNull<u8>) -> bool {
        Pool::owns(self, block)
    }
}

impl Known for Pool {
    const FACTS: &'static Facts = &FACTS;
}
