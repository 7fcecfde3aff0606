//! `bump-shared`: any size, released all together, from many threads, out of one region that is taken once.
//!
//! ```text
//!   one mapping, taken at construction
//!   +--------+-----------------------------------------------------------------------------------+
//!   | shares | A: blocks | free | B: blocks |  free  | A: blocks     | large block | untouched    |
//!   +--------+-----------------------------------------------------------------------------------+
//!     |  |                        ^          ^                                      ^             ^
//!     |  +-- B's: next, end ------+----------+                                   offset       capacity
//!     +----- A's: next, end: after A's last block
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | a thread-local read, two loads and a store on a line of this thread; aligning for alignments above 8 |
//! | … every 16 KiB, and for blocks above 4 KiB | one compare-exchange of the offset, repeated while others come first |
//! | first use by a thread | claims a slot for the thread |
//! | free | of the block before the thread's free bytes: used again; of a large block: one compare-exchange; else a comparison |
//! | grow, shrink | of the block before the thread's free bytes, or before the offset: in place, without copying; grow of others: allocate and copy |
//! | reset | a store, and two for each thread that has used it |
//! | construction, drop | one `mmap`, one `munmap`; nothing is touched beforehand |
//! | memory | capacity, 128 bytes for each thread that has used it; sizes are rounded up to 8 |
//!
//! # One offset, and shares of it
//! What all threads share is one atomic offset: what lies behind it is free, what lies before it belongs to somebody. It is
//! lock-free: a compare-exchange fails only if another thread's succeeded. Threads do not ask it for each block but for
//! 16 KiB (a 128th of the capacity, if that is less), and take their small blocks out of that share without any atomic
//! read-modify-write. A share that reaches up to the offset is made longer, not left: so one thread alone uses the region
//! like a bump allocator of its own, to the last byte.
//!
//! The plain design, one `fetch_add` for each block, was tried beside it, as was a compare-exchange for each block. With
//! 20 000 objects of 16 to 256 bytes a thread, touched, read and reset, either took 1.9 times as long as shares on one
//! thread (what an atomic read-modify-write costs where nobody contends for it), and on two threads 5 to 12 times. (Lower
//! quartiles of 300 passes, three runs, on a machine of two processors that had other work as well.)
//!
//! # Reset and the shares
//! A thread finds its share through its slot of the process, in the region's own memory. [`BumpShared::reset`] takes
//! `&mut`: no handle is out, so no thread is about to use its share. It empties all that were used; a thread that comes back
//! finds its own empty, like a new one. A slot that passes to another thread passes the share on.
//!
//! # Exhaustion
//! [`AllocError`] when the block fits neither the thread's share nor what is free behind the offset; a size and alignment
//! whose sum exceeds the address space is one such. What was allocated stays. Up to [`BumpShared::share_bytes`] can lie free
//! in the share of each *other* thread when one is refused: give room for that, as [`BumpShared::remaining`] counts it.
//!
//! # When not to use it
//! - When the bytes that one pass needs cannot be told beforehand: [`arena_thread`](super::arena_thread) grows.
//! - When the same threads fill the region pass after pass: a reset forgets whose bytes were whose, so much of what a thread
//!   gets was last written by another processor and comes out of its cache. In the comparison above two threads of
//!   [`arena_thread`](super::arena_thread), which keep theirs, took a fifth of the time, and one thread the same.
//! - On one thread: [`arena`](super::arena) and [`bump_slice`](super::bump_slice) read no thread-local.
//! - When blocks die at different times and the memory of the dead is needed: [`slab`](super::slab), or
//!   [`pool`](super::pool) for one size.
//!
//! # Examples
//! ```
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::bump_shared::BumpShared;
//!
//! let mut bump = BumpShared::new(1 << 20).unwrap();
//! for _ in 0..3 {
//!     let sum: u64 = std::thread::scope(|scope| {
//!         let threads = [1, 2, 3].map(|number| {
//!             let bump = &bump;
//!             scope.spawn(move || Box::new_in(number, bump))
//!         });
//!         threads.map(|thread| *thread.join().unwrap()).iter().sum()
//!     });
//!     assert_eq!(sum, 6);
//!     bump.reset();
//! }
//! assert_eq!(bump.used(), 0);
//! ```
//!
//! It cannot be reset while a block is borrowed:
//! ```compile_fail,E0502
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::bump_shared::BumpShared;
//!
//! let mut bump = BumpShared::new(4096).unwrap();
//! let number = Box::new_in(1, &bump);
//! bump.reset();
//! drop(number);
//! ```

mod allocate;
mod offset;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::AllocError;

use self::offset::{LINE, Offset, Share};
use super::arithmetic::round_up;
use super::contract::{Bulk, Demand, Facts, Known, Subject};
use super::goal::{Cells, Goal};
use super::slots::{self, SLOTS, SlotSet};
use super::{pages, poison};

/// Facts about the shared bump allocator.
pub const FACTS: Facts = Facts {
    id: "bump-shared",
    ours: true,
    configuration_of: None,
    title: "Shared bump",
    description: "One atomic offset moves upwards through one region. Each thread cuts off 16 KiB at a time and takes its \
                  small blocks out of that without atomic read-modify-writes; large blocks move the offset themselves. \
                  Nothing is freed one at a time but a thread's newest block; a reset makes the whole region free.",
    configuration: "a region as large as one pass of the workload requests, and a share more for each thread; sizes \
                    rounded up to 8 bytes",
    package: None,
    missing_entry_points: &[],
    links: &[],
    goals: &[
        Goal::of_time(Cells::of("bulk-threads", &[("threads", "1")]), 0.60),
        Goal::of_time(Cells::of("bulk-threads", &[("threads", "2")]), 0.60),
    ],
};

/// The most bytes of a share: a hundred small blocks, so that moving the offset, which costs tens of nanoseconds where
/// another processor has just moved it, is less than one for each. In the comparison that the module speaks of, shares of
/// 4 KiB took 1.1 to 1.2 times as long and 64 KiB as long as these; larger ones only leave more free in threads that stop.
const MOST_SHARE_BYTES: usize = 16 * 1024;
/// A share is no more than one part in this of the capacity: free bytes in another thread's share, which a refused thread
/// cannot have, are less than 1 % of the region a thread.
const CAPACITY_PARTS: usize = 128;

/// Bytes of the shares, in front of the region.
const SHARES_BYTES: usize = SLOTS * size_of::<Share>();

/// A bulk allocator for many threads over one region. `&BumpShared` is an [`Allocator`](allocator_api2::alloc::Allocator);
/// see the [module](self).
#[derive(Debug)]
pub struct BumpShared {
    /// Start of the mapping and of the shares, page-aligned, with the right to the whole mapping; ours until drop. The
    /// region follows the shares.
    start: NonNull<u8>,
    /// Length of the mapping in whole pages.
    bytes: usize,
    /// Who owns which bytes of the region; see there.
    offset: Offset,
    /// The slots whose shares have been used: those of the others are all zeroes.
    joined: SlotSet,
}

// SAFETY: the region belongs to this alone, and its shares are accessed as atomics; one is changed only by the thread that
// owns its slot, and slots are handed over with release and acquire. Nothing depends on the thread that made or drops it.
unsafe impl Send for BumpShared {}
// SAFETY: as above; bytes of the region change hands as `offset` says.
unsafe impl Sync for BumpShared {}

impl BumpShared {
    /// Takes a region of `capacity` bytes, rounded up to 64, from the operating system. Its memory is used as blocks are.
    ///
    /// # Errors
    /// [`AllocError`] when the kernel refuses, or puts the mapping into the upper half of the address space.
    pub fn new(capacity: usize) -> Result<Self, AllocError> {
        let capacity = round_up(capacity, LINE).ok_or(AllocError)?;
        let bytes = capacity.checked_add(SHARES_BYTES).ok_or(AllocError)?;
        let bytes = round_up(bytes, pages::page_size()).ok_or(AllocError)?;
        let start = pages::map(bytes).map_err(|_| AllocError)?;
        let address = start.as_ptr().addr();
        if address.checked_add(bytes).is_none_or(|end| end > isize::MAX as usize) {
            // SAFETY: mapped just now with this length, and nobody has seen it.
            unsafe { pages::unmap(start, bytes) };
            return Err(AllocError);
        }
        let share_bytes = (capacity / CAPACITY_PARTS).min(MOST_SHARE_BYTES) & !(LINE - 1);
        let offset = Offset::new(address + SHARES_BYTES, capacity, share_bytes);
        let region = Self { start, bytes, offset, joined: SlotSet::default() };
        poison::poison(region.block(0).as_ptr(), capacity);
        Ok(region)
    }

    /// Bytes of the region.
    pub fn capacity(&self) -> usize {
        self.offset.capacity()
    }

    /// Bytes handed out since the last reset: rounding and alignment, and what was left of shares when the next one was
    /// taken, included. Exact while no thread is in the middle of an operation on it.
    pub fn used(&self) -> usize {
        let free: usize = self.joined.iter().map(|slot| self.shares()[slot].free()).sum();
        // Saturating for a thread in the middle of one.
        self.offset.taken().saturating_sub(free)
    }

    /// Bytes that can still be handed out, those in threads' shares included: a single block of that size need not fit, and
    /// a thread is refused while others have free bytes in theirs. As exact as [`used`](Self::used).
    pub fn remaining(&self) -> usize {
        self.capacity() - self.used().min(self.capacity())
    }

    /// Bytes that a thread cuts off the region at a time for its small blocks. 0 for regions below 8 KiB, where each block
    /// moves the offset.
    pub fn share_bytes(&self) -> usize {
        self.offset.share_bytes()
    }

    /// Releases every block; the memory is kept for the next allocations.
    pub fn reset(&mut self) {
        poison::poison(self.block(0).as_ptr(), self.offset.taken().min(self.capacity()));
        self.joined.iter().for_each(|slot| self.shares()[slot].clear());
        self.offset.clear();
    }

    /// Whether `block` lies in this region.
    #[inline]
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        // One comparison: an address below the region wraps to a large offset.
        self.offset_of(block) < self.capacity()
    }

    /// How far `block` lies behind the start of the region.
    #[inline(always)]
    fn offset_of(&self, block: NonNull<u8>) -> usize {
        block.as_ptr().addr().wrapping_sub(self.start.as_ptr().addr() + SHARES_BYTES)
    }

    /// The block that starts so many bytes behind the start of the region, at most its capacity.
    #[inline(always)]
    fn block(&self, start: usize) -> NonNull<u8> {
        debug_assert!(start <= self.capacity());
        // SAFETY: the region follows the shares and is `capacity` bytes long, all in one mapping.
        unsafe { self.start.add(SHARES_BYTES + start) }
    }

    /// The share of each slot.
    #[inline(always)]
    fn shares(&self) -> &[Share; SLOTS] {
        // SAFETY: the mapping starts with room for them, is aligned to a page and so to 128, and lives as long as `self`.
        // Zeroed memory is a valid share, and all later access is through its atomics.
        unsafe { self.start.cast().as_ref() }
    }

    /// The calling thread's share, if it has a slot already.
    #[inline(always)]
    fn share(&self) -> Option<&Share> {
        slots::current().map(|slot| &self.shares()[slot])
    }

    /// New memory for `layout`.
    #[inline(always)]
    fn place(&self, layout: Layout) -> Option<NonNull<u8>> {
        match self.share().and_then(|share| self.offset.place(share, layout)) {
            Some(start) => Some(self.block(start)),
            None => self.place_slowly(layout),
        }
    }

    #[cold]
    #[inline(never)]
    fn place_slowly(&self, layout: Layout) -> Option<NonNull<u8>> {
        let share = slots::current_or_claim().map(|slot| {
            self.joined.insert(slot);
            &self.shares()[slot]
        });
        // A slot that was claimed just now comes with what its last owner left.
        let left = share.and_then(|share| self.offset.place(share, layout));
        left.or_else(|| self.offset.place_slowly(share, layout)).map(|start| self.block(start))
    }
}

impl Drop for BumpShared {
    fn drop(&mut self) {
        // SAFETY: the mapping came from `pages::map` with this length and is given back once. `&mut self` shows that no
        // handle, and so no block, is out, and that no borrow of the shares is left.
        unsafe { pages::unmap(self.start, self.bytes) };
    }
}

impl Subject for BumpShared {
    type Handle<'a> = &'a BumpShared;

    /// The bytes of a pass, and for each thread what can be lost to it: a share that is begun and not used up, a quarter of
    /// each share that is left for the next, and the alignment of its first block.
    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        let lost = demand.pass_bytes / 4;
        let begun = demand.threads.checked_mul(MOST_SHARE_BYTES + pages::PAGE).ok_or(AllocError)?;
        let bytes = demand.pass_bytes.checked_add(lost).and_then(|bytes| bytes.checked_add(begun));
        Self::new(bytes.ok_or(AllocError)?)
    }

    #[inline(always)]
    fn handle(&self) -> &BumpShared {
        self
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        BumpShared::owns(self, block)
    }
}

impl Known for BumpShared {
    const FACTS: &'static Facts = &FACTS;
}

impl Bulk for BumpShared {
    fn reset(&mut self) {
        BumpShared::reset(self);
    }
}
