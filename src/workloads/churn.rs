//! `churn`: a live set; replace a random member.

use std::num::NonZeroU32;

use super::heap::Heap;
use super::litter::{HeapState, Litter};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Profile, Scope, Shape,
    timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `live` blocks, of which a random one is replaced again and again.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    live: usize,
    sizes: Sizes,
    heap: HeapState,
}

/// Replacements in a pass: 64 KiB of table, long against a clock reading.
const PASS: usize = 8_192;

/// Passes until the table begins anew, at least. A short table would replay one order of addresses, and free lists would
/// settle into it.
const PASSES: usize = 32;

/// Replacements for each live block in the table, at least: with four, all but 2 % of the blocks have been replaced when
/// it begins anew (e^-4), so that any may indeed be the next to go.
const TURNOVER: usize = 4;

impl Churn {
    /// The two mixes that tell most apart at each number of blocks, the heavy tail once; littered where it is seen. `full`
    /// has every combination.
    fn is_standard(&self) -> bool {
        match (self.sizes, self.heap) {
            (Sizes::InverseSquare(..), heap) => self.live == 10_000 && heap == HeapState::Clean,
            (_, HeapState::Clean) => true,
            (_, HeapState::Littered) => self.live == 100_000,
        }
    }
}

impl Shape for Churn {
    const FACTS: Facts = Facts {
        id: "churn",
        title: "keep a live set, replace a random member",
        family: Family::Basic,
        why: "Caches, session tables, message brokers: a steady number of objects, of which any may be the next to go. \
              The block that is freed is old and cold, its neighbours are alive, and the next request has another size. \
              Free lists become shuffled, pages are seldom empty, and finding a block's page costs a cache miss once \
              the live set is larger than the caches.\n\n\
              With one size the freed block serves the next request; with mixed sizes it does not. The difference \
              between the two is the price of size classes.\n\n\
              In a littered heap the set lives between blocks that stay: on twice as many pages, none of which ever \
              becomes empty. While it fits the caches that is hardly seen; beyond them it costs translations of \
              addresses, and whoever looks for a page with room has more of them to look at.",
        effect: "A large live set takes longer than a small one on every allocator, for the freed block is out of the \
              caches; mixed sizes take longer than one size; a littered heap longer than a clean one where the set is \
              larger than the caches.",
        origin: "The steady replacement that alloc-test, glibc's `bench-malloc-thread` and larson have in common, on one \
              thread, with the live set and the sizes as axes. None of them varies the two apart.",
        operation: "free + alloc",
        step: "free + alloc",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[
            Parameter { name: "live", title: "blocks alive", axis: Axis::Count },
            Parameter { name: "size", title: "bytes in each block", axis: Axis::Category },
            HeapState::PARAMETER,
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let mixed = Sizes::LogUniform(16, 1024);
        let clean = |live, sizes| Self { live, sizes, heap: HeapState::Clean };
        let quick = vec![clean(10_000, Sizes::Fixed(64)), clean(10_000, mixed)];
        let mut all = Vec::new();
        for sizes in [Sizes::Fixed(64), mixed, Sizes::InverseSquare(4, 32_768)] {
            for live in [1_000, 10_000, 100_000] {
                all.push(clean(live, sizes));
            }
        }
        // Not with 1 000: so few blocks soon go round in a cache of their own, whatever lies behind it.
        for sizes in [Sizes::Fixed(64), mixed, Sizes::InverseSquare(4, 32_768)] {
            for live in [10_000, 100_000] {
                all.push(Self { live, sizes, heap: HeapState::Littered });
            }
        }
        all.retain(|case| scope.profile == Profile::Full || case.is_standard());
        scope.pick(quick, all)
    }

    fn params(&self) -> Params {
        Params::default()
            .with("live", self.live)
            .with("size", self.sizes.value())
            .with("heap", self.heap.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: self.sizes.one().is_none(), frees: true, threads: false, global: false }
    }

    fn heap_state(&self) -> HeapState {
        self.heap
    }

    fn demand(&self) -> Demand {
        let litter = self.heap.blocks(self.live);
        Demand {
            block: self.sizes.one(),
            live_blocks: self.live + litter,
            pass_bytes: self.sizes.budget(self.live + PASS + litter),
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(PASS))
    }
}

impl OneThread for Churn {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let first = self.sizes.table(self.live, &mut random);
        let passes = PASSES.max((TURNOVER * self.live).div_ceil(PASS));
        let steps = Table::new(passes * PASS, |_| Step {
            slot: random.below(self.live as u64) as u32,
            size: self.sizes.draw(&mut random),
        });
        let slots = Table::new(self.live, |_| Slot::EMPTY);
        let litter = Litter::scatter(self.heap, heap, mode, self.live, self.sizes, seed);
        let mut body = LiveSet { first, steps, next: 0, slots, filled: false, heap, mode };
        drive(&mut body);
        body.drain();
        // SAFETY: it was scattered on this heap with this mode.
        unsafe { litter.clear(body.heap, body.mode) };
    }
}

/// One replacement.
#[derive(Clone, Copy)]
struct Step {
    slot: u32,
    size: NonZeroU32,
}

struct LiveSet<'h, H: Heap, M: Mode> {
    /// Sizes of the blocks that the set starts with.
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

impl<H: Heap, M: Mode> LiveSet<'_, H, M> {
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

impl<H: Heap, M: Mode> Body for LiveSet<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        // A heap that frees keeps its live set from pass to pass: the state of an aged program. One that does not
        // starts each pass afresh, off the clock.
        if !H::FREES {
            self.drain();
            self.heap.reset();
        }
        if !self.filled {
            self.fill();
        }
        let handle = self.heap.handle();
        let steps = self.steps.chunks_exact(PASS).nth(self.next).expect("the table is not empty");
        self.next = (self.next + 1) % (self.steps.len() / PASS);
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nearly_every_block_is_replaced_before_the_table_begins_anew() {
        for live in [1_000, 10_000, 100_000] {
            let mut random = Random::new(1);
            let passes = PASSES.max((TURNOVER * live).div_ceil(PASS));
            let slots: BTreeSet<u64> = (0..passes * PASS).map(|_| random.below(live as u64)).collect();
            assert!(slots.len() * 100 >= live * 97, "{} of {live}", slots.len());
        }
    }
}
