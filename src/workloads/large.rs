//! `large`: a few blocks of megabytes; replace a random one.

use std::num::NonZeroU32;

use super::heap::Heap;
use super::mode::Mode;
use super::params::Params;
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Twenty large blocks, of which a random one is replaced again and again.
#[derive(Clone, Copy, Debug)]
pub struct Large;

/// Blocks alive, as in the program that this descends from: 170 MB.
const LIVE: usize = 20;

/// From the smallest size that every allocator treats as large to sixteen times that.
const SIZES: Sizes = Sizes::Uniform(1 << 20, 16 << 20);

/// Replacements in a pass. A block has 2 176 pages on average: the pass takes a millisecond or more where every page
/// faults, a tenth of that where none does. No more, because whoever frees nothing must hold them all.
const PASS: usize = 4;

/// Passes until the table begins anew: 1 024 replacements, 51 of each block.
const PASSES: usize = 256;

impl Shape for Large {
    const FACTS: Facts = Facts {
        id: "large",
        title: "twenty blocks of megabytes, replace a random one, touch every page",
        family: Family::Basic,
        why: "Images, tensors, read buffers, columns of a table: blocks of 1 to 16 MiB that come and go. Most \
              allocators map such a block by itself and unmap it when it is freed. Then every new block faults on \
              each of its pages, and the kernel clears them; the system call itself is cheap beside that. An allocator \
              that keeps freed memory for the next block saves the faults and pays in memory that it retains.\n\n\
              One byte is written in every page, because a block nobody touches measures the system call alone. Those \
              writes are part of the time, 2 176 of them for an average block, on the control too: so it is not held \
              to its share of the fastest allocator's time here.",
        effect: "Two groups: who keeps the pages takes as long as touching them, some fifteen microseconds a block; who \
              gives them back takes as long as the page faults, a hundred times that. glibc's malloc raises the size \
              from which it maps with each mapped block that is freed (up to 32 MiB on 64 bits), and still trims the \
              end of its heap now and then. jemalloc gives blocks of 8 MiB and more back at once, unless its background \
              threads run.",
        origin: "malloc-large of mimalloc-bench (20 slots, 5 to 25 MiB, zeroed buffers, from an issue of mimalloc). Here the \
              blocks are 1 to 16 MiB and touched once a page rather than zeroed: what is to be seen is the pages.",
        operation: "free + alloc",
        step: "free + alloc",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(Vec::new(), vec![Self])
    }

    fn params(&self) -> Params {
        Params::default()
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand { block: None, live_blocks: LIVE, pass_bytes: SIZES.budget(LIVE + PASS), threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(PASS))
    }
}

impl OneThread for Large {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let first = SIZES.table(LIVE, &mut random);
        let steps = Table::new(PASSES * PASS, |_| Step {
            slot: random.below(LIVE as u64) as u32,
            size: SIZES.draw(&mut random),
        });
        let slots = Table::new(LIVE, |_| Slot::EMPTY);
        let mut body = Buffers { first, steps, next: 0, slots, filled: false, heap, mode };
        drive(&mut body);
        body.drain();
    }
}

/// One replacement.
#[derive(Clone, Copy)]
struct Step {
    slot: u32,
    size: NonZeroU32,
}

struct Buffers<'h, H: Heap, M: Mode> {
    /// Sizes of the blocks that are there at the start.
    first: Table<NonZeroU32>,
    /// Whole passes.
    steps: Table<Step>,
    /// The pass that comes next.
    next: usize,
    slots: Table<Slot>,
    /// Whether every slot holds a live block of the heap.
    filled: bool,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Buffers<'_, H, M> {
    fn fill(&mut self) {
        let handle = self.heap.handle();
        for (slot, &size) in self.slots.iter_mut().zip(self.first.iter()) {
            *slot = Slot::take(handle, size, self.mode);
        }
        self.filled = true;
    }

    fn drain(&mut self) {
        if !std::mem::take(&mut self.filled) {
            return;
        }
        let handle = self.heap.handle();
        for slot in self.slots.iter() {
            // SAFETY: every slot of a filled set holds a live block, and the set no longer counts as filled.
            unsafe { slot.free(handle, self.mode) };
        }
    }
}

impl<H: Heap, M: Mode> Body for Buffers<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        // A heap that frees keeps its blocks from pass to pass. One that does not starts each pass afresh, off the clock.
        if !H::FREES {
            self.drain();
            self.heap.reset();
        }
        if !self.filled {
            self.fill();
        }
        let handle = self.heap.handle();
        let steps = self.steps.chunks_exact(PASS).nth(self.next).expect("the table is not empty");
        self.next = (self.next + 1) % PASSES;
        timed(clock, PASS, || {
            self.mode.begin();
            for step in steps {
                let slot = &mut self.slots[step.slot as usize];
                // SAFETY: every slot holds a live block; this one is overwritten in the next line.
                unsafe { slot.free(handle, self.mode) };
                *slot = Slot::take(handle, step.size, self.mode);
                self.mode.step();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_frees_nothing_needs_less_than_half_a_gibibyte_and_has_enough() {
        let demand = Large.demand();
        assert!(demand.pass_bytes < 512 << 20);
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let pass: usize = (0..LIVE + PASS).map(|_| SIZES.draw(&mut random).get() as usize).sum();
            assert!(pass < demand.pass_bytes, "{pass}");
        }
    }
}
