//! `aligned`: blocks aligned to more than a word.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::batch::Order;
use super::heap::{Heap, take};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::opaque;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Blocks aligned to `align` bytes, in small batches.
#[derive(Clone, Copy, Debug)]
pub struct Aligned {
    align: usize,
}

/// Blocks in a batch. More than a handful, so that the block that was just freed is not handed back at once; no more, so
/// that thread caches can hold them and the time is that of the aligned path.
const BATCH: usize = 64;

/// Batches in a pass, each with sizes of its own: tens of microseconds and more, and sizes enough to meet every class.
const BATCHES: usize = 32;

/// A page: the largest alignment, and of that the only size.
const PAGE: usize = 4096;

impl Aligned {
    const fn sizes(&self) -> Sizes {
        match self.align {
            PAGE => Sizes::Fixed(PAGE),
            _ => Sizes::LogUniform(64, PAGE),
        }
    }

    /// A block of `size` bytes, rounded up as a Rust type's size is: always a multiple of the alignment.
    fn layout(&self, size: usize) -> Layout {
        let layout = Layout::from_size_align(size, self.align).expect("alignments are powers of two");
        layout.pad_to_align()
    }
}

impl Shape for Aligned {
    const FACTS: Facts = Facts {
        id: "aligned",
        title: "blocks aligned to 32, 64 or 4096 bytes",
        family: Family::Basic,
        why: "Vectors of SIMD registers are aligned to 32 bytes, counters that must not share a cache line to 64, \
              buffers for direct input and output to a page. Malloc promises 16. Beyond that some allocators have size \
              classes that are aligned by themselves, some ask for a larger block and cut it, some search; and a \
              binding may leave the fast path for any such request.\n\n\
              Sizes are drawn evenly between the logarithms of 64 and 4096 and rounded up to a multiple of the \
              alignment, which the size of every Rust type is; pages are one size. Batches of 64 blocks are freed in \
              random order, so that the next request does not get the block that was just freed.",
        effect: "The distance to `batch` is the price of the alignment. An allocator with naturally aligned classes \
              (jemalloc, mimalloc, snmalloc, slab) pays next to nothing; glibc's malloc, which asks for more and cuts, \
              takes several times as long as without alignment, and most at 4096.",
        origin: "tcmalloc's aligned `new` (8 to 64), mimalloc-pprof's aligned card (16 to 4096), gperftools' memalign loop: one \
              block at a time or in order. Here in batches, freed in random order.",
        operation: "alloc + free",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "align", title: "alignment in bytes", axis: Axis::Bytes }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![64], vec![32, 64, PAGE]).into_iter().map(|align| Self { align }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("align", self.align)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: self.sizes().one().is_none(), frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        let blocks = BATCHES * BATCH;
        Demand {
            block: self.sizes().one().map(|one| self.layout(one.size())),
            live_blocks: BATCH,
            // Rounding and the gap before a block are each less than the alignment.
            pass_bytes: self.sizes().budget(blocks) + 2 * blocks * self.align,
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(BATCHES * BATCH))
    }
}

impl OneThread for Aligned {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let layouts =
            Table::new(BATCHES * BATCH, |_| self.layout(self.sizes().draw(&mut random).get() as usize));
        let order = Order::Random.positions(BATCH, &mut random);
        let blocks = Table::new(BATCH, |_| NonNull::dangling());
        drive(&mut Batches { layouts, order, blocks, heap, mode });
    }
}

struct Batches<'h, H, M> {
    /// Of one batch after another.
    layouts: Table<Layout>,
    /// A permutation of a batch.
    order: Table<u32>,
    blocks: Table<NonNull<u8>>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Batches<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        self.heap.reset();
        let handle = self.heap.handle();
        timed(clock, self.layouts.len(), || {
            self.mode.begin();
            for layouts in self.layouts.chunks_exact(BATCH) {
                for (block, &layout) in self.blocks.iter_mut().zip(layouts) {
                    *block = opaque(take(handle, layout));
                    // SAFETY: the block has `layout.size()` bytes and is ours.
                    unsafe { self.mode.fill(*block, layout.size()) };
                    self.mode.step();
                }
                for &position in self.order.iter() {
                    let (block, layout) = (self.blocks[position as usize], layouts[position as usize]);
                    // SAFETY: filled above with this size, and still alive.
                    unsafe { self.mode.inspect(block, layout.size()) };
                    // SAFETY: taken above from this handle with this layout; `order` is a permutation, so each block is
                    // freed once.
                    unsafe { handle.deallocate(block, layout) };
                    self.mode.step();
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::shape::Profile;

    #[test]
    fn every_layout_is_one_that_a_type_could_have() {
        for case in Aligned::cases(Scope { profile: Profile::Full, cpus: 2 }) {
            for size in 64..=PAGE {
                let layout = case.layout(size);
                assert!(layout.size() >= size && layout.size() < size + case.align);
                assert!(layout.size().is_multiple_of(layout.align()) && layout.align() == case.align);
            }
        }
    }
}
