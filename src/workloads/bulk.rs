//! `bulk`: allocate n objects of mixed size, read them all, release all together.

use std::hint::black_box;
use std::num::NonZeroU32;

use allocator_api2::alloc::Allocator;

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
pub(super) const SIZES: Sizes = Sizes::Uniform(16, 256);

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
        drive(&mut Passes { objects: Objects::new(self.n, seed), heap, mode });
    }
}

/// Objects of one thread that live and die together, and what stands about them in tables.
pub(super) struct Objects {
    sizes: Table<NonZeroU32>,
    slots: Table<Slot>,
}

impl Objects {
    /// `n` of them, none of which is there yet.
    pub(super) fn new(n: usize, seed: u64) -> Self {
        let sizes = SIZES.table(n, &mut Random::new(seed));
        Self { sizes, slots: Table::new(n, |_| Slot::EMPTY) }
    }

    /// Takes them all, then reads them all in the order of their making.
    #[inline(always)]
    pub(super) fn take_and_read<A: Allocator + Copy, M: Mode>(&mut self, allocator: A, mode: &mut M) {
        mode.begin();
        for (slot, &size) in self.slots.iter_mut().zip(self.sizes.iter()) {
            *slot = Slot::take(allocator, size, mode);
            mode.step();
        }
        let mut sum = 0_u64;
        for slot in self.slots.iter() {
            // SAFETY: the block is live and its first byte was filled.
            sum += u64::from(unsafe { slot.block.read() });
            // SAFETY: taken above with this mode.
            unsafe { slot.inspect(mode) };
        }
        black_box(sum);
    }

    /// Frees them one by one.
    ///
    /// # Safety
    /// They were taken from `allocator` with this kind of `mode`, and are freed once.
    #[inline(always)]
    pub(super) unsafe fn free<A: Allocator + Copy, M: Mode>(&self, allocator: A, mode: &mut M) {
        mode.begin();
        for slot in self.slots.iter() {
            // SAFETY: the caller's promise.
            unsafe { slot.free(allocator, mode) };
            mode.step();
        }
    }
}

struct Passes<'h, H, M> {
    objects: Objects,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Passes<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        timed(clock, self.objects.sizes.len(), || {
            self.objects.take_and_read(self.heap.handle(), self.mode);
            if H::FREES {
                // SAFETY: taken from this handle above, freed once.
                unsafe { self.objects.free(self.heap.handle(), self.mode) };
            } else {
                self.heap.reset();
            }
        })
    }
}
