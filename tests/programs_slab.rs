//! The programs of `programs/` with `slab` as the allocator of the whole process.

mod programs;

use std::ptr::NonNull;

use allocmark::allocators::slab::{Slab, Statistics};

use self::programs::Host;

#[global_allocator]
static GLOBAL: Slab = Slab::new();

impl Host for Slab {
    type Level = Statistics;

    fn made(&self, block: NonNull<u8>) -> bool {
        self.owns(block)
    }

    fn assert_share(&self, made: usize, all: usize) {
        assert!(made == all && all > 0, "{made} of {all} blocks are of slab");
    }

    fn level(&self) -> Statistics {
        #[cfg(debug_assertions)]
        self.check_invariants().expect("the heap is sound");
        // What the threads that ended have left is collected, so that all that remains is in use.
        self.trim();
        self.statistics()
    }

    fn assert_flat(&self, after_some: Statistics, after_many: Statistics, at_once: usize) {
        // Of 6,000 threads in between, one in a hundred that leaves a block shows.
        let (before, after) = (after_some.live_blocks(), after_many.live_blocks());
        assert!(after <= before + 60, "{before} blocks grew to {after}");
        // As many as there were threads at once. Those that are not of the waves: the main one, the one that runs this,
        // and those that wait for their turn, of which there are as many as processors.
        let others = 2 + std::thread::available_parallelism().map_or(64, |number| number.get());
        let heaps = after_many.heaps;
        assert!(heaps <= at_once + others, "{heaps} heaps for {at_once} threads and {others}");
        // Nothing is in use but what was: no heap needs a segment that it did not need before. Eight, of 4 MiB, for
        // blocks of the test harness that lie elsewhere; one in 750 threads that leaves a segment shows.
        let (before, after) = (after_some.mapped_bytes, after_many.mapped_bytes);
        assert!(after <= before + (32 << 20), "{before} bytes grew to {after}");
    }
}
