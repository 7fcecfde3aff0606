//! `arena-thread`: any size, released all together, from many threads: each has an arena of its own.
//!
//! ```text
//!   shares, one for each slot of the process          the arena of thread A
//!   +---------+---------+---------+-- -- --+--------+  +----+---------------+  +----+--------+---------+
//!   | A's     | B's     | nobody  |        | common |  |head| blocks        |->|head| blocks | free    |
//!   +---------+---------+---------+-- -- --+--------+  +----+---------------+  +----+--------+---------+
//!     |  |         |                         mutex                                           ^         ^
//!     |  +---------|-------------------------------------------------------------------- next       end
//!     v            v
//!   used, as of its last change of chunk
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | a thread-local read and an addition, then as `arena`: no lock, no atomic read-modify-write |
//! | … when the chunk is full | as `arena`: the next kept chunk, or one from the backing allocator, up to 1 MiB; and a store for [`ArenaThread::usage`] |
//! | first use by a thread | claims a slot for the thread |
//! | a thread's end | one atomic instruction, whatever the number of allocators |
//! | free, grow, shrink | as `arena`, on the thread whose newest block it is; on others as for an older block |
//! | reset | as `arena`, for each thread that has used it |
//! | construction | 16 KiB for the shares |
//! | memory | as `arena` for each thread that has used it: up to 1 MiB taken and not needed |
//!
//! # Whose arena
//! A thread finds its arena through its slot of the process. When it ends, the next owner of the slot carries on in the same
//! arena, with the same chunks: threads that come and go do not add up. The hand-over of a slot is a release and an
//! acquire, so the next owner sees the arena as the last one left it. Threads beyond the 128th at the same time, and threads
//! that are ending, share one more arena behind a mutex.
//!
//! # Blocks that change hands
//! A block may be read, written and freed by any thread. A thread looks at its own arena alone, and whether the block ends
//! where that arena's free bytes begin. No block of another arena can: in front of the first block of a chunk lies the
//! chunk's header, so what ends where free bytes begin lies in the same chunk. Freed by another thread, a block just stays
//! until the reset.
//!
//! # Usage
//! [`ArenaThread::usage`] may be asked at any time, by any thread, and costs the others nothing: a thread writes down what
//! it has used when it goes to another chunk, so what it has taken from its current one since is missing, at most a chunk.
//! [`ArenaThread::exact_usage`] misses nothing and takes `&mut`: at the end of a session, before the reset. (Counting at
//! each allocation would be a store more for each, to be read hardly ever.)
//!
//! # Reset
//! [`ArenaThread::reset`] takes `&mut`, so it compiles only where no handle is out, and therefore no block either. Nothing
//! is dropped by it. All chunks are kept, each by the arena that has it; [`ArenaThread::release`] gives them back.
//!
//! # Exhaustion
//! When the backing allocator refuses: [`AllocError`]. What was allocated stays.
//!
//! # When not to use it
//! - On one thread: [`arena`](super::arena) does without the thread-local, and can be limited.
//! - When the bytes of a pass can be told beforehand: [`bump_shared`](super::bump_shared) takes them once, and keeps what
//!   one thread does not use for the others.
//! - When threads free what others allocated and the memory of it is needed: [`slab`](super::slab), or
//!   [`pool`](super::pool) for one size.
//! - When there are more than 128 threads at the same time, of which those beyond allocate behind one mutex:
//!   [`slab`](super::slab).
//!
//! # Examples
//! ```
//! use allocator_api2::vec::Vec;
//! use allocmark::allocators::arena_thread::ArenaThread;
//!
//! let mut arenas = ArenaThread::new().unwrap();
//! for _session in 0..3 {
//!     std::thread::scope(|scope| {
//!         for _ in 0..2 {
//!             scope.spawn(|| {
//!                 let mut prices = Vec::new_in(&arenas);
//!                 prices.extend(0..1000_u64);
//!                 assert_eq!(prices.iter().sum::<u64>(), 499_500);
//!             });
//!         }
//!     });
//!     arenas.reset();
//! }
//! assert_eq!(arenas.exact_usage().sum::<usize>(), 0);
//! assert!(arenas.held() >= 8000);
//! ```
//!
//! It cannot be reset while a handle is out, here with another thread:
//! ```compile_fail,E0502
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::arena_thread::ArenaThread;
//!
//! let mut arenas = ArenaThread::new().unwrap();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| Box::new_in(1, &arenas));
//!     arenas.reset();
//! });
//! ```

mod allocate;

use std::fmt;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator, Global};

use super::arena::Arena;
use super::contract::{Bulk, Demand, Facts, Known, Subject};
use super::slots::{SLOTS, SlotSet};
use super::sync::{AtomicUsize, Ordering};

/// Facts about the arenas of threads.
pub const FACTS: Facts = Facts {
    id: "arena-thread",
    ours: true,
    configuration_of: None,
    title: "Arena per thread",
    description: "An arena for each thread, found through a number that the thread owns: allocation takes no lock and no \
                  atomic read-modify-write. Any thread may free a block, which is used again only by the thread that has \
                  just allocated it; a reset of all keeps all chunks.",
    configuration: "chunks from the global allocator; sizes rounded up to 8 bytes",
    package: None,
    missing_entry_points: &[],
    links: &[],
    goals: &[],
};

/// One thread's arena. On lines of its own, and in pairs of them as processors fetch them, so that no thread waits for
/// another one's.
#[repr(align(128))]
struct Share<A: Allocator> {
    /// Used by the thread that owns the slot, and by whoever has the whole allocator to itself.
    arena: Arena<A>,
    /// Bytes that it had handed out when it last went to another chunk; 0 before.
    used: AtomicUsize,
}

impl<A: Allocator> Share<A> {
    fn new(backing: A) -> Self {
        Self { arena: Arena::new_in(backing), used: AtomicUsize::new(0) }
    }

    /// Writes down what the arena has handed out. Its thread alone does.
    fn note(&self) {
        // Relaxed: a figure that stands for itself.
        self.used.store(self.arena.used(), Ordering::Relaxed);
    }

    fn noted(&self) -> usize {
        // Relaxed: as above.
        self.used.load(Ordering::Relaxed)
    }
}

/// A bulk allocator for many threads. `&ArenaThread` is an [`Allocator`]; see the [module](self).
pub struct ArenaThread<A: Allocator = Global> {
    /// The share of each slot. An arena is touched only by the thread that owns its slot, apart from what `Arena::owns`
    /// reads.
    shares: Box<[Share<A>; SLOTS]>,
    /// The slots whose arenas have been used: the others hold nothing.
    joined: SlotSet,
    /// For threads without a slot.
    common: Mutex<Share<A>>,
}

// SAFETY: the chunks belong to the arenas alone and blocks borrow from them. Nothing depends on the thread that made or
// drops it, given that the backing allocator may be used by another.
unsafe impl<A: Allocator + Send> Send for ArenaThread<A> {}
// SAFETY: each arena is used by one thread at a time: the owner of its slot, of which there is one, and slots are handed
// over with release and acquire; the common one by who holds the mutex. What others read of an arena is atomic or never
// changes. Each arena has a handle of its own to the backing allocator, which moves between threads with it: `Send`.
unsafe impl<A: Allocator + Send> Sync for ArenaThread<A> {}

impl ArenaThread {
    /// Arenas without memory yet, which take it from the global allocator.
    ///
    /// # Errors
    /// [`AllocError`] when there is no memory for the shares.
    pub fn new() -> Result<Self, AllocError> {
        Self::new_in(Global)
    }
}

impl<A: Allocator + Clone> ArenaThread<A> {
    /// Arenas without memory yet, each of which takes it from a clone of `backing`.
    ///
    /// # Errors
    /// [`AllocError`] when the global allocator has no memory for the shares.
    pub fn new_in(backing: A) -> Result<Self, AllocError> {
        let mut shares = Vec::new();
        shares.try_reserve_exact(SLOTS).map_err(|_| AllocError)?;
        shares.extend((0..SLOTS).map(|_| Share::new(backing.clone())));
        let shares = shares.into_boxed_slice().try_into().map_err(|_| AllocError)?;
        Ok(Self { shares, joined: SlotSet::default(), common: Mutex::new(Share::new(backing)) })
    }
}

impl<A: Allocator> ArenaThread<A> {
    /// Bytes handed out since the last reset by each arena that was used, as they were when it last went to another chunk:
    /// what it took from its current one since is missing. In no particular order; an arena belongs to one thread after
    /// another.
    pub fn usage(&self) -> impl Iterator<Item = usize> {
        let common = self.common().noted();
        let used = self.joined.iter().map(|slot| self.shares[slot].noted());
        used.chain([common]).filter(|&used| used > 0)
    }

    /// Bytes handed out since the last reset by each arena that was used, rounding and alignment included.
    pub fn exact_usage(&mut self) -> impl Iterator<Item = usize> {
        self.used_shares().map(|share| share.arena.used()).filter(|&used| used > 0)
    }

    /// Bytes taken from the backing allocator by all arenas, without the shares.
    pub fn held(&mut self) -> usize {
        self.used_shares().map(|share| share.arena.held()).sum()
    }

    /// Releases every block of every thread; the memory is kept for the next allocations. Nothing is dropped.
    pub fn reset(&mut self) {
        self.used_shares().for_each(|share| {
            share.arena.reset();
            share.note();
        });
    }

    /// Releases every block and gives all memory back but that of the shares.
    pub fn release(&mut self) {
        self.used_shares().for_each(|share| {
            share.arena.release();
            share.note();
        });
    }

    /// Whether `block` lies in memory of any of the arenas.
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        self.joined.iter().any(|slot| self.shares[slot].arena.owns(block)) || self.common().arena.owns(block)
    }

    /// The shares that may have memory: ours alone.
    fn used_shares(&mut self) -> impl Iterator<Item = &mut Share<A>> {
        let (shares, joined) = (&mut self.shares, &self.joined);
        // Nothing can panic while it is held; and if it could, the arena would be whole between two of its operations.
        let common = self.common.get_mut().unwrap_or_else(PoisonError::into_inner);
        let shares = shares.iter_mut().enumerate().filter(|(slot, _)| joined.contains(*slot));
        shares.map(|(_, share)| share).chain([common])
    }

    fn common(&self) -> MutexGuard<'_, Share<A>> {
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Allocator> fmt::Debug for ArenaThread<A> {
    // Not what is in the arenas: their threads may be at work.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ArenaThread").field("joined", &self.joined).finish_non_exhaustive()
    }
}

impl Subject for ArenaThread {
    type Handle<'a> = &'a ArenaThread;

    /// Starts empty, as its users do: the chunks it takes while it grows belong to its cost.
    fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
        Self::new()
    }

    #[inline(always)]
    fn handle(&self) -> &ArenaThread {
        self
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        ArenaThread::owns(self, block)
    }
}

impl Known for ArenaThread {
    const FACTS: &'static Facts = &FACTS;
}

impl Bulk for ArenaThread {
    fn reset(&mut self) {
        ArenaThread::reset(self);
    }
}
