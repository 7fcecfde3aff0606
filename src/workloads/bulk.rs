//! `bulk`: allocate n objects of mixed size, read them all, release all together.

use std::hint::black_box;
use std::num::NonZeroU32;

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `n` objects that live and die together.
#[derive(Clone, Copy, Debug)]
pub struct BulkRelease {
    n: usize,
}

/// Small objects, as parsers and compilers make them; evenly, so that no size class is favoured.
const SIZES: Sizes = Sizes::Uniform(16, 256);

impl Shape for BulkRelease {
    const FACTS: Facts = Facts {
        id: "bulk",
        title: "allocate n objects, read them all, release all together",
        family: Family::Basic,
        why: "A compiler pass, a request, a frame: everything that was allocated dies at one moment. An arena gives all \
              of it back at once; a general allocator must be told of each object. Both are in the time, because \
              both are what the program pays.\n\n\
              The objects are read once in the order of their making: an allocator that packs them well makes that \
              faster too.",
        effect: "An arena takes a fraction of a general allocator's time, because it does not hear of the single objects \
              again.",
        origin: "Region workloads of the literature on custom allocators (mudlle, 175.vpr in Berger, Zorn, McKinley: \
              \"Reconsidering Custom Memory Allocation\"), bumpalo's and blink-alloc's own loops. Here the objects are \
              read as well, so that packing counts.",
        operation: "object",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "n", title: "objects released together", axis: Axis::Count }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![10_000], vec![10_000, 100_000]).into_iter().map(|n| Self { n }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("n", self.n)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand { block: None, live_blocks: self.n, pass_bytes: SIZES.budget(self.n), threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.n))
    }
}

impl OneThread for BulkRelease {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let sizes = SIZES.table(self.n, &mut Random::new(seed));
        let slots = Table::new(self.n, |_| Slot::EMPTY);
        drive(&mut Objects { sizes, slots, heap, mode });
    }
}

struct Objects<'h, H, M> {
    sizes: Table<NonZeroU32>,
    slots: Table<Slot>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Objects<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        timed(clock, self.sizes.len(), || {
            let handle = self.heap.handle();
            self.mode.begin();
            for (slot, &size) in self.slots.iter_mut().zip(self.sizes.iter()) {
                *slot = Slot::take(handle, size, self.mode);
                self.mode.step();
            }
            let mut sum = 0_u64;
            for slot in self.slots.iter() {
                // SAFETY: the block is live and its first byte was filled.
                sum += u64::from(unsafe { slot.block.read() });
                // SAFETY: taken above with this mode.
                unsafe { slot.inspect(self.mode) };
            }
            black_box(sum);
            if H::FREES {
                self.mode.begin();
                for slot in self.slots.iter() {
                    // SAFETY: taken from this handle above, freed once.
                    unsafe { slot.free(handle, self.mode) };
                    self.mode.step();
                }
            } else {
                self.heap.reset();
            }
        })
    }
}
