//! The littered heap: free lists as an aged program leaves them.
//!
//! A fresh heap hands out neighbours one after another, and a benchmark that begins on one measures the best order of
//! addresses that the allocator will ever have. A program that has run for a while takes and frees in no order: its free
//! lists are shuffled, and the blocks in them lie between others that are still in use, so that no page becomes empty and
//! nothing can be merged or given back.
//!
//! Nobody gains by it and not all lose alike: on one machine `fixed-size` in last-in-first-out order took 1.2 to 1.8 times
//! as long as on a clean heap, `tree` 1.0 to 1.2 times, and a large `churn` between 1.0 and 2.

use super::heap::Heap;
use super::mode::Mode;
use super::params::Axis;
use super::shape::Parameter;
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::stats::random::{Random, seed_from};

/// What a case finds when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapState {
    /// Nothing but what the process itself has allocated.
    Clean,
    /// The remains of a life: see [`Litter`].
    Littered,
}

impl HeapState {
    /// The parameter of a workload that is measured on both; the last one of a case.
    pub const PARAMETER: Parameter =
        Parameter { name: "heap", title: "state of the heap at the start", axis: Axis::Category };

    /// Both, the flattering one first.
    pub const ALL: [Self; 2] = [Self::Clean, Self::Littered];

    /// The word for it in a case.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Littered => "littered",
        }
    }

    /// Blocks of litter under a workload that has `live` blocks of its own.
    ///
    /// Half of them are free when the workload begins. So they are twice its live set: then all that it takes at first
    /// comes from littered lists. And 20 000 at least, so that more lie free than a thread cache holds, whose own list is
    /// soon in the order of the workload.
    pub fn blocks(self, live: usize) -> usize {
        match self {
            Self::Clean => 0,
            Self::Littered => (2 * live).max(LEAST_BLOCKS),
        }
    }
}

/// The least litter: ten thousand free blocks, more than any thread cache keeps of one size.
const LEAST_BLOCKS: usize = 20_000;

/// Distinguishes the draws of the litter from those of the workload, whose tables are the same on both kinds of heap.
const STREAM: u64 = 0x6C69_7474_6572;

/// Blocks that stay alive while a workload runs; between them lie as many that were freed in random order.
///
/// Half of them: with fewer survivors pages become empty and the heap clean again, with more there is little to reuse.
/// Which ones survive is drawn, as is the order in which the others go.
#[derive(Debug)]
#[must_use = "the blocks are freed by `clear` alone"]
pub struct Litter {
    survivors: Table<Slot>,
}

impl Litter {
    /// Brings a heap into `state` for a workload of `live` blocks of these sizes, before the clock: allocates as many as
    /// [`HeapState::blocks`] says, shuffles them, frees half. Their sizes are the workload's, so that what is littered is
    /// what it will use.
    ///
    /// Nothing on a heap that does not free: it has no free lists, and what is alive does not outlive its reset.
    pub fn scatter<H: Heap, M: Mode>(
        state: HeapState,
        heap: &H,
        mode: &mut M,
        live: usize,
        sizes: Sizes,
        seed: u64,
    ) -> Self {
        let allocator = heap.handle();
        let blocks = if H::FREES { state.blocks(live) } else { 0 };
        let mut random = Random::new(seed_from(&[seed, STREAM]));
        let mut all = Table::new(blocks, |_| Slot::take(allocator, sizes.draw(&mut random), mode));
        random.shuffle(&mut all);
        let (freed, kept) = all.split_at(blocks / 2);
        for slot in freed {
            // SAFETY: taken above from this allocator with this mode; each slot is in one half, and this half is not kept.
            unsafe { slot.free(allocator, mode) };
        }
        Self { survivors: Table::new(kept.len(), |index| kept[index]) }
    }

    /// Frees what is left, checked as `mode` does.
    ///
    /// # Safety
    /// `heap` is the one that the litter was scattered on, and `mode` of the same kind.
    pub unsafe fn clear<H: Heap, M: Mode>(self, heap: &H, mode: &mut M) {
        let allocator = heap.handle();
        for slot in self.survivors.iter() {
            // SAFETY: survivors are blocks of that heap, filled by such a mode (the caller's promise). There are some only
            // where blocks live until they are freed, which is done once: they are gone with `self`.
            unsafe { slot.free(allocator, mode) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;
    use crate::workloads::heap::{Individually, Together};
    use crate::workloads::mode::{Pattern, Touch};

    const SIZES: Sizes = Sizes::LogUniform(16, 1024);

    fn survivors(state: HeapState, seed: u64) -> Vec<u32> {
        let heap = Individually(Counting::new(GlobalSubject));
        let mut mode = Pattern::new();
        let litter = Litter::scatter(state, &heap, &mut mode, 1, SIZES, seed);
        let (counts, blocks) = (heap.0.tally().snapshot(), state.blocks(1) as u64);
        assert_eq!((counts.allocations, counts.frees), (blocks, blocks / 2));
        let sizes = litter.survivors.iter().map(|slot| slot.size.get()).collect();
        let addresses: BTreeSet<_> = litter.survivors.iter().map(|slot| slot.block).collect();
        assert_eq!(addresses.len(), litter.survivors.len());
        // SAFETY: the same heap and the same mode.
        unsafe { litter.clear(&heap, &mut mode) };
        assert_eq!(heap.0.tally().snapshot().frees, blocks);
        assert_eq!(mode.fault(), None);
        sizes
    }

    #[test]
    fn half_of_the_litter_stays_until_it_is_cleared() {
        assert_eq!(survivors(HeapState::Littered, 1).len(), LEAST_BLOCKS / 2);
        assert!(survivors(HeapState::Clean, 1).is_empty());
    }

    #[test]
    fn a_heap_that_frees_nothing_is_not_littered() {
        let heap = Together(Arena::new());
        let litter = Litter::scatter(HeapState::Littered, &heap, &mut Touch, 1, SIZES, 1);
        assert!(litter.survivors.is_empty());
    }

    #[test]
    fn the_same_seed_leaves_the_same_litter() {
        let drawn = |seed| survivors(HeapState::Littered, seed);
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn half_of_the_litter_can_hold_the_live_set() {
        for live in [1, 10_000, 100_000] {
            assert!(HeapState::Littered.blocks(live) / 2 >= live);
            assert!(HeapState::Littered.blocks(live) >= LEAST_BLOCKS);
            assert_eq!(HeapState::Clean.blocks(live), 0);
        }
    }
}
