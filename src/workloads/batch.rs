//! `batch`: allocate n blocks, then free them all, in order.

use std::num::NonZeroU32;

use super::heap::Heap;
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

/// `n` blocks allocated one after another, then freed in `order`.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    n: usize,
    order: Order,
    sizes: Sizes,
}

/// The order in which a batch is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Last allocated, first freed.
    Lifo,
    /// First allocated, first freed.
    Fifo,
    /// A permutation drawn from the seed.
    Random,
}

impl Order {
    /// The word for it in a case.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Lifo => "lifo",
            Self::Fifo => "fifo",
            Self::Random => "random",
        }
    }

    /// The positions `0..n` in this order.
    pub fn positions(self, n: usize, random: &mut Random) -> Table<u32> {
        let mut table = Table::new(n, |index| match self {
            Self::Lifo => (n - 1 - index) as u32,
            Self::Fifo | Self::Random => index as u32,
        });
        if self == Self::Random {
            random.shuffle(&mut table);
        }
        table
    }
}

/// Blocks in a pass: ten microseconds and more, so that reading the clock is nothing; small batches repeat.
const PASS_BLOCKS: usize = 1_600;

impl Batch {
    /// One number at a time is varied there; `full` has every combination.
    fn is_standard(&self) -> bool {
        match (self.sizes, self.order) {
            (Sizes::Fixed(64), Order::Random) => true,
            (Sizes::Fixed(64), _) => self.n == 100 || self.n == 1_600,
            (_, order) => self.n == 1_600 && order == Order::Random,
        }
    }

    fn repeats(&self) -> usize {
        PASS_BLOCKS.div_ceil(self.n)
    }
}

impl Shape for Batch {
    const FACTS: Facts = Facts {
        id: "batch",
        title: "allocate n blocks, then free them all in an order",
        family: Family::Basic,
        why: "Build something, use it, take it apart: requests, frames, syntax trees. Up to n blocks are alive, so a \
              cache of recently freed blocks overflows and the structure behind it is reached. The order of freeing \
              matters: last-in-first-out is the kindest to any free list, first-in-first-out makes the next batch walk \
              memory in the old order, and a random order leaves free lists shuffled, so that the next batch has no \
              locality left.\n\n\
              A cache sized for n = 100 shows a step between n = 100 and n = 400.",
        effect: "A random order is the slowest, and first-in-first-out nearly as fast as the reverse: free lists on pages \
              of their own do not mind. The step from n = 100 to n = 400 shows an allocator whose thread cache holds \
              fewer blocks than that (jemalloc).",
        origin: "glibc's `bench-malloc-simple` (batches of 25 to 1 600, freed in order) as mimalloc-bench carries it (half \
              of them in reverse). Here the three orders are cases of their own, and a mixed size joins the fixed ones.",
        operation: "alloc + free",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[
            Parameter { name: "n", title: "blocks in the batch", axis: Axis::Count },
            Parameter { name: "order", title: "order of freeing", axis: Axis::Category },
            Parameter { name: "size", title: "bytes in each block", axis: Axis::Category },
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let quick = vec![Self { n: 1_600, order: Order::Random, sizes: Sizes::Fixed(64) }];
        let mut all = Vec::new();
        for sizes in [Sizes::Fixed(64), Sizes::Fixed(512), Sizes::Uniform(16, 1024)] {
            for order in [Order::Lifo, Order::Fifo, Order::Random] {
                for n in [25, 100, 400, 1_600] {
                    all.push(Self { n, order, sizes });
                }
            }
        }
        all.retain(|case: &Self| scope.profile == Profile::Full || case.is_standard());
        scope.pick(quick, all)
    }

    fn params(&self) -> Params {
        Params::default().with("n", self.n).with("order", self.order.id()).with("size", self.sizes.value())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: self.sizes.one().is_none(), frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: self.sizes.one(),
            live_blocks: self.n,
            pass_bytes: self.sizes.budget(self.repeats() * self.n),
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.repeats() * self.n))
    }
}

impl OneThread for Batch {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let sizes = self.sizes.table(self.n, &mut random);
        let order = self.order.positions(self.n, &mut random);
        let slots = Table::new(self.n, |_| Slot::EMPTY);
        drive(&mut Batches { repeats: self.repeats(), sizes, order, slots, heap, mode });
    }
}

struct Batches<'h, H, M> {
    repeats: usize,
    sizes: Table<NonZeroU32>,
    /// A permutation of the batch.
    order: Table<u32>,
    slots: Table<Slot>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Batches<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        self.heap.reset();
        let handle = self.heap.handle();
        timed(clock, self.repeats * self.sizes.len(), || {
            self.mode.begin();
            for _ in 0..self.repeats {
                for (slot, &size) in self.slots.iter_mut().zip(self.sizes.iter()) {
                    *slot = Slot::take(handle, size, self.mode);
                    self.mode.step();
                }
                for &position in self.order.iter() {
                    // SAFETY: all slots were taken above; `order` is a permutation, so each is freed once.
                    unsafe { self.slots[position as usize].free(handle, self.mode) };
                    self.mode.step();
                }
            }
        })
    }
}
