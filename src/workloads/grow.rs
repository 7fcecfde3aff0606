//! `grow`: one block, reallocated until it is large.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::heap::{Heap, refused, take};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::table::Table;
use crate::allocators::contract::Demand;

/// A block that grows by `steps`, again and again from the start.
#[derive(Clone, Copy, Debug)]
pub struct Grow {
    steps: Steps,
}

/// How a block grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    /// Doubling from 16 bytes to 64 KiB: a `Vec` that is pushed to.
    Geometric,
    /// Doubling from 16 bytes to 64 MiB: beyond what allocators keep in size classes.
    Huge,
    /// By 8 bytes, 99 times: `reserve_exact` in a loop, and languages whose strings grow by what is appended.
    ByStep,
}

impl Steps {
    const fn id(self) -> &'static str {
        match self {
            Self::Geometric => "geometric",
            Self::Huge => "huge",
            Self::ByStep => "step",
        }
    }

    /// The sizes that the block has one after another.
    fn sizes(self) -> Vec<usize> {
        match self {
            Self::Geometric => (4..=16).map(|power| 1 << power).collect(),
            Self::Huge => (4..=26).map(|power| 1 << power).collect(),
            Self::ByStep => (1..=100).map(|step| 8 * step).collect(),
        }
    }

    /// Blocks grown in a pass, so that a pass takes tens of microseconds.
    const fn repeats(self) -> usize {
        match self {
            Self::Geometric => 64,
            Self::Huge => 1,
            Self::ByStep => 16,
        }
    }
}

impl Shape for Grow {
    const FACTS: Facts = Facts {
        id: "grow",
        title: "reallocate one block until it is large",
        family: Family::Basic,
        why: "Every `Vec` and `String` that is pushed to grows this way. An allocator that can extend a block in place, \
              or move its pages without copying them, is far ahead of one that allocates, copies and frees. Some \
              bindings do not offer reallocation at all, and then every step is a copy.\n\n\
              Each step is touched, so the copy is real and the new pages are there. The content is what the \
              allocator must carry over; the last block is freed and the next starts from 16 bytes.",
        effect: "Whoever can extend a block in place or move its pages is several times faster in `huge` than who \
              allocates, copies and frees; in `step` an allocator with wide size classes returns at once most of the \
              time.",
        origin: "allocbench's `realloc` (99 steps of 8 bytes) is the case `step`; the geometric growth of `Vec` is ours.",
        operation: "realloc",
        step: "realloc",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "steps", title: "how the block grows", axis: Axis::Category }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope
            .pick(vec![Steps::Geometric], vec![Steps::Geometric, Steps::Huge, Steps::ByStep])
            .into_iter()
            .map(|steps| Self { steps })
            .collect()
    }

    fn params(&self) -> Params {
        Params::default().with("steps", self.steps.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: None,
            live_blocks: 2,
            // Released after each repeat, so one is the most that is held.
            pass_bytes: self.steps.sizes().iter().sum(),
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        let repeats = self.steps.repeats();
        let reallocations = repeats * (self.steps.sizes().len() - 1);
        Some(Declared { reallocations: reallocations as u64, ..Declared::pairs(repeats) })
    }
}

impl OneThread for Grow {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        let sizes = self.steps.sizes();
        let layouts = Table::new(sizes.len(), |index| Sizes::layout(sizes[index]));
        drive(&mut Growing { repeats: self.steps.repeats(), layouts, heap, mode });
    }
}

struct Growing<'h, H, M> {
    repeats: usize,
    layouts: Table<Layout>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Growing<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let (first, later) = self.layouts.split_first().expect("a block has a first size");
        let reallocations = self.repeats * later.len();
        timed(clock, reallocations, || {
            for _ in 0..self.repeats {
                let handle = self.heap.handle();
                let mut layout = *first;
                let mut block = take(handle, layout);
                // SAFETY: the block has `layout.size()` bytes and is ours until it is freed below.
                unsafe { self.mode.fill(block, layout.size()) };
                // The first block, and the last one's end below, are no steps.
                self.mode.begin();
                for &larger in later {
                    // SAFETY: the block came from this handle with `layout`, and `larger` is larger.
                    block = match unsafe { handle.grow(black_box(block), layout, larger) } {
                        Ok(grown) => grown.cast::<u8>(),
                        Err(_) => refused(larger),
                    };
                    // SAFETY: growing keeps the first `layout.size()` bytes, which were filled with that size.
                    unsafe { self.mode.inspect(block, layout.size()) };
                    // SAFETY: the grown block has `larger.size()` bytes.
                    unsafe { self.mode.fill(block, larger.size()) };
                    layout = larger;
                    self.mode.step();
                }
                let block: NonNull<u8> = black_box(block);
                // SAFETY: the block came from this handle, last with `layout`, and is freed once.
                unsafe { handle.deallocate(block, layout) };
                // A heap that frees nothing releases the block, and all it was before, here.
                self.heap.reset();
            }
        })
    }
}
