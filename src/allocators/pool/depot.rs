//! What the threads of a pool share: the blocks that are in no magazine, and who has joined.

use super::free_list::{Chain, END, FreeList};
use super::magazine::Magazine;
use super::storage::Storage;
use crate::allocators::slots::{self, SlotSet};
use crate::allocators::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Blocks on their way out of the depot.
pub(super) enum Batch {
    /// Freed before, linked.
    Freed(Chain),
    /// Never used yet: `first`, `first + 1`, … `count` of them.
    Fresh {
        /// The lowest index.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// Blocks that are in no magazine. On cache lines of its own: the pool's other fields are only read.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Depot {
    freed: FreeList,
    /// Blocks below this index have been handed out at least once; at most `available`.
    fresh: AtomicU32,
    /// Blocks that may be used now. Grows by a magazine's length when a member joins, the first excepted.
    available: AtomicU32,
    /// How many have joined: slots, and one for all threads without a slot together.
    members: AtomicU32,
    /// Whether the threads without a slot have joined.
    slotless_joined: AtomicBool,
    /// The slots that have joined.
    joined: SlotSet,
    /// Blocks outside the depot: in use or in magazines.
    out: AtomicU32,
    /// Allocations of threads without a slot.
    slotless_misses: AtomicU64,
    /// How many blocks a magazine holds in this pool.
    magazine_length: u32,
}

// Orderings: the free list does its own. All counters here are relaxed, since each stands for itself: memory that a
// count is about is published by the free list, or was mapped before any thread could see the pool.
impl Depot {
    pub(super) fn new(capacity: u32, magazine_length: u32) -> Self {
        Self {
            freed: FreeList::new(),
            fresh: AtomicU32::new(0),
            available: AtomicU32::new(capacity),
            members: AtomicU32::new(0),
            slotless_joined: AtomicBool::new(false),
            joined: SlotSet::default(),
            out: AtomicU32::new(0),
            slotless_misses: AtomicU64::new(0),
            magazine_length,
        }
    }

    /// Lets the magazine of `slot`, which the caller owns, take part.
    pub(super) fn join(&self, slot: usize, magazine: &Magazine) {
        if !magazine.has_joined() {
            self.add_member();
            self.joined.insert(slot);
            magazine.join();
        }
    }

    /// Counts an allocation by a thread without a slot, and at the first lets those threads take part.
    pub(super) fn join_without_slot(&self) {
        self.slotless_misses.fetch_add(1, Ordering::Relaxed);
        if !self.slotless_joined.load(Ordering::Relaxed)
            && !self.slotless_joined.swap(true, Ordering::Relaxed)
        {
            self.add_member();
        }
    }

    /// Every member but the first brings a magazine's worth of blocks with it. So when a member finds nothing left, at
    /// most `(members - 1) * magazine_length` blocks lie in the magazines of the others, and at least `capacity` blocks
    /// are in use.
    fn add_member(&self) {
        if self.members.fetch_add(1, Ordering::Relaxed) > 0 {
            self.available.fetch_add(self.magazine_length, Ordering::Relaxed);
        }
    }

    /// Takes up to `most` blocks, `most` being at least one; hands each index to `each`.
    pub(super) fn take(&self, storage: &Storage, most: u32, mut each: impl FnMut(u32)) -> bool {
        let links = storage.links();
        let freed = || self.freed.pop(links, most).map(Batch::Freed);
        // Freed ones first: they are likelier in a cache, and untouched memory stays untouched.
        // Freed ones again after the fresh ones: another thread may have taken the last fresh one and put a freed one
        // back meanwhile. Nothing is refused unless, with no fresh one left, there was no freed one either.
        let batch = freed().or_else(|| self.take_fresh(most)).or_else(freed).or_else(|| {
            self.take_back_from_ended_threads(storage);
            freed()
        });
        let mut count = 0;
        let mut each = |index| {
            count += 1;
            each(index);
        };
        match batch {
            None => return false,
            Some(Batch::Fresh { first, count }) => (first..first + count).rev().for_each(&mut each),
            Some(Batch::Freed(chain)) => {
                let mut index = chain.first;
                loop {
                    // Read before `each`, which may mark the block as taken. Relaxed: `pop` acquired it.
                    let next = links[index as usize].load(Ordering::Relaxed);
                    each(index);
                    if index == chain.last {
                        break;
                    }
                    index = next;
                }
            }
        }
        self.out.fetch_add(count, Ordering::Relaxed);
        true
    }

    fn take_fresh(&self, most: u32) -> Option<Batch> {
        let mut first = self.fresh.load(Ordering::Relaxed);
        loop {
            let left = self.available.load(Ordering::Relaxed).saturating_sub(first);
            let count = left.min(most);
            if count == 0 {
                return None;
            }
            match self.fresh.compare_exchange_weak(first, first + count, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(Batch::Fresh { first, count }),
                Err(seen) => first = seen,
            }
        }
    }

    /// Puts one block back.
    pub(super) fn put(&self, storage: &Storage, index: u32) {
        self.out.fetch_sub(1, Ordering::Relaxed);
        self.freed.push(storage.links(), Chain { first: index, last: index });
    }

    /// Puts the oldest `count` blocks of a magazine back, which the caller owns.
    pub(super) fn put_from(&self, storage: &Storage, magazine: &Magazine, count: u32) {
        let links = storage.links();
        let mut chain: Option<Chain> = None;
        magazine.remove_oldest(count, |block| {
            let index = storage.index(block);
            chain = Some(match chain {
                None => Chain { first: index, last: index },
                Some(chain) => {
                    // Relaxed: the chain is ours; `push` publishes it.
                    links[chain.last as usize].store(index, Ordering::Relaxed);
                    Chain { last: index, ..chain }
                }
            });
        });
        if let Some(chain) = chain {
            self.out.fetch_sub(count, Ordering::Relaxed);
            self.freed.push(links, chain);
        }
    }

    /// Empties the magazines that ended threads left behind.
    fn take_back_from_ended_threads(&self, storage: &Storage) {
        for slot in self.joined.iter_unowned() {
            let magazine = &storage.magazines()[slot];
            if magazine.len() > 0 && slots::claim(slot) {
                self.put_from(storage, magazine, magazine.len());
                slots::release(slot);
            }
        }
    }

    /// Blocks that were handed out at least once: those below this index.
    pub(super) fn fresh(&self) -> u32 {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Hands each block of the free list to `each`. Meaningful only while nobody changes it.
    pub(super) fn for_each_freed(&self, storage: &Storage, each: impl FnMut(u32)) {
        self.freed.for_each(storage.links(), each);
    }

    /// Blocks in use: exact while no thread is in the middle of an operation.
    pub(super) fn in_use(&self, storage: &Storage) -> usize {
        let out = self.out.load(Ordering::Relaxed);
        let idle: u32 = self.joined.iter().map(|slot| storage.magazines()[slot].len()).sum();
        out.saturating_sub(idle) as usize
    }

    /// Allocations that a magazine served.
    pub(super) fn hits(&self, storage: &Storage) -> u64 {
        self.joined.iter().map(|slot| storage.magazines()[slot].hits()).sum()
    }

    /// Allocations that came to the depot.
    pub(super) fn misses(&self, storage: &Storage) -> u64 {
        let slotless = self.slotless_misses.load(Ordering::Relaxed);
        self.joined.iter().map(|slot| storage.magazines()[slot].misses()).sum::<u64>() + slotless
    }
}

/// What stands in the link of a block that is in no list. Debug builds only, to catch a block that is freed twice.
pub(super) mod mark {
    use super::END;

    /// The block is in use.
    pub(in super::super) const LIVE: u32 = END - 1;
    /// The block is in a magazine, or on its way into the list.
    pub(in super::super) const FREE: u32 = END - 2;
}
