//! `fixed-size`: batches of one size only, the pool's home.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::ptr::NonNull;

use super::batch::Order;
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

/// 10 000 blocks of `size` bytes, freed in `order` and allocated anew.
#[derive(Clone, Copy, Debug)]
pub struct FixedSize {
    size: usize,
    order: Order,
    heap: HeapState,
}

/// Objects in the batch: a busy server's connections or a game's entities, more than any thread cache holds.
const BLOCKS: usize = 10_000;

impl Shape for FixedSize {
    const FACTS: Facts = Facts {
        id: "fixed-size",
        title: "ten thousand blocks of one size, freed and allocated anew",
        family: Family::Basic,
        why: "Connections, orders, entities: many objects of one type. A pool needs no size classes and no search for \
              this, so it is the pool's home ground; the general allocators are measured on it to see what generality \
              costs. The batch is larger than thread caches, so refilling and flushing them is part of the time.\n\n\
              Freed at random, the next batch is handed out in that random order: what a free list remembers decides \
              how the new objects lie in memory.\n\n\
              In a littered heap the first batch finds the free list in random order already. Freed last in, first out, \
              that order comes back every time: where a clean heap goes on handing out neighbours, this one never does. \
              Freed at random there is little left to spoil, and what remains is that the batch lies on twice as many \
              pages, between the blocks that stay.",
        effect: "A pool beats the general allocators; in reverse order everybody is faster than in random order; on a \
              littered heap the reverse order loses most of its lead.",
        origin: "A shape of our own; the littering follows the idea of van Kempen and Berger's re-examination of custom \
              allocation (custom-public).",
        operation: "alloc + free",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[
            Parameter { name: "size", title: "bytes in each block", axis: Axis::Bytes },
            Parameter { name: "order", title: "order of freeing", axis: Axis::Category },
            HeapState::PARAMETER,
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let quick = HeapState::ALL.map(|heap| Self { size: 64, order: Order::Random, heap }).to_vec();
        let mut all = Vec::new();
        for size in [64, 128] {
            for order in [Order::Lifo, Order::Random] {
                all.extend(HeapState::ALL.map(|heap| Self { size, order, heap }));
            }
        }
        // The larger blocks repeat what the smaller ones say, at another distance from each other: for `full`.
        all.retain(|case| case.size == 64 || scope.profile == Profile::Full);
        scope.pick(quick, all)
    }

    fn params(&self) -> Params {
        Params::default().with("size", self.size).with("order", self.order.id()).with("heap", self.heap.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: false, global: false }
    }

    fn heap_state(&self) -> HeapState {
        self.heap
    }

    fn demand(&self) -> Demand {
        let blocks = BLOCKS + self.heap.blocks(BLOCKS);
        Demand {
            block: Some(Sizes::layout(self.size)),
            live_blocks: blocks,
            pass_bytes: blocks * self.size,
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(BLOCKS))
    }
}

impl OneThread for FixedSize {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let order = self.order.positions(BLOCKS, &mut Random::new(seed));
        let blocks = Table::new(BLOCKS, |_| NonNull::dangling());
        let litter = Litter::scatter(self.heap, heap, mode, BLOCKS, Sizes::Fixed(self.size), seed);
        let mut body = Objects { size: Sizes::size(self.size), order, blocks, heap, mode };
        drive(&mut body);
        // SAFETY: it was scattered on this heap with this mode.
        unsafe { litter.clear(body.heap, body.mode) };
    }
}

struct Objects<'h, H, M> {
    size: NonZeroU32,
    /// A permutation of the objects.
    order: Table<u32>,
    /// Pointers alone: all sizes are one.
    blocks: Table<NonNull<u8>>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Objects<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        self.heap.reset();
        let handle = self.heap.handle();
        let size = black_box(self.size);
        timed(clock, BLOCKS, || {
            self.mode.begin();
            for block in self.blocks.iter_mut() {
                *block = Slot::take(handle, size, self.mode).block;
                self.mode.step();
            }
            for &position in self.order.iter() {
                let slot = Slot { block: self.blocks[position as usize], size };
                // SAFETY: all blocks were taken above with this size; `order` is a permutation, so each is freed once.
                unsafe { slot.free(handle, self.mode) };
                self.mode.step();
            }
        })
    }
}
