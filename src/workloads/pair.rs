//! `pair`: allocate one block, free it at once.

use std::hint::black_box;

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use crate::allocators::contract::Demand;

/// One block of `size` bytes at a time.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    size: usize,
}

/// Bytes that a heap which does not free may hand out before it is reset: half of a small first-level cache, so that its
/// blocks stay as warm as the one block of a heap that frees. The reset is inside the clock; it is one store.
const STRETCH_BYTES: usize = 16 << 10;

/// Pairs in a stretch at most: enough that the reset does not show.
const LONGEST_STRETCH: usize = 256;

/// Pairs in a pass: ten microseconds and more, against which two clock readings of 30 ns are nothing. Large blocks, which
/// are touched once a page, take that long in fewer pairs.
const PAIRS: usize = 4_096;

/// Bytes that the pairs of a pass ask for at most, 64 pairs of 1 MiB.
const PASS_BYTES: usize = 64 << 20;

impl Pair {
    fn stretch(&self) -> usize {
        (STRETCH_BYTES / self.size).clamp(1, LONGEST_STRETCH)
    }

    fn stretches(&self) -> usize {
        PAIRS.min(PASS_BYTES / self.size) / self.stretch()
    }
}

impl Shape for Pair {
    const FACTS: Facts = Facts {
        id: "pair",
        title: "allocate one block, free it at once",
        family: Family::Basic,
        why: "The shortest path through an allocator: one block of one size, freed before the next is asked for. \
              Every temporary in a program does this. The block that comes back is the one just freed, so caches are \
              as warm as they can be: this is the best case, and a floor for all other workloads.\n\n\
              An allocator that gives an emptied page back at once, or that leaves its fast path above some size, \
              shows it here as a jump in the curve over sizes. Large blocks are touched once a page, so above 64 KiB \
              page faults after returning memory to the system become visible.",
        effect: "Every allocator with a cache of freed blocks serves small sizes from its first entry, so the curve is \
              flat until the cache's largest size and has a step there; above the size from which blocks are mapped one \
              by one the curve rises by the price of a system call and of touching fresh pages.",
        origin: "allocbench's `loop` (free of a fresh allocation, a million times, untouched), tcmalloc's and glibc's \
              single-pair loops. Here the block is touched, and sizes go to 1 MiB.",
        operation: "alloc + free",
        step: "alloc + free",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "size", title: "bytes in the block", axis: Axis::Bytes }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope
            .pick(vec![16, 64, 1024, 4096, 65_536], vec![8, 16, 64, 256, 1024, 4096, 65_536, 1 << 20])
            .into_iter()
            .map(|size| Self { size })
            .collect()
    }

    fn params(&self) -> Params {
        Params::default().with("size", self.size)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: Some(Sizes::layout(self.size)),
            live_blocks: 1,
            pass_bytes: self.stretch() * self.size,
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.stretches() * self.stretch()))
    }
}

impl OneThread for Pair {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        drive(&mut Pairs { case: *self, heap, mode });
    }
}

struct Pairs<'h, H, M> {
    case: Pair,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Pairs<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let (stretches, stretch) = (self.case.stretches(), self.case.stretch());
        // The size is not a constant to the compiler, as it is not in `Vec`.
        let size = black_box(Sizes::size(self.case.size));
        timed(clock, stretches * stretch, || {
            for _ in 0..stretches {
                self.heap.reset();
                let handle = self.heap.handle();
                self.mode.begin();
                for _ in 0..stretch {
                    let slot = Slot::take(handle, size, self.mode);
                    // SAFETY: taken from this handle just now, freed once.
                    unsafe { slot.free(handle, self.mode) };
                    self.mode.step();
                }
            }
        })
    }
}
