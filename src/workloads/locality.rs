//! `locality`: walk all live blocks and read them, in the places that the allocator gave them.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::Allocator;

use super::heap::{Heap, take};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::slot::opaque;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// A list of blocks that is read from end to end.
#[derive(Clone, Copy, Debug)]
pub struct Locality {
    after: History,
}

/// What the heap went through before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    /// The blocks were taken one after another, and nothing else was.
    Fresh,
    /// The blocks were replaced several times over.
    Churn,
}

/// Blocks: 6.4 MB of them without any header, more than second-level caches hold and more pages than most processors have
/// translations for at hand.
const LIVE: usize = 100_000;

/// A block of 64 bytes: an object of a program, in one cache line if its allocator puts it there and in two if not. So what
/// is read is its first word and its last.
#[repr(C)]
struct Node {
    /// The next one of the walk. The walk cannot know where it goes before it has got there: loads that did not depend on
    /// each other would overlap, and a dozen misses would take the time of one. Prefetching by the hardware remains, where
    /// addresses follow each other; that is what good placement is worth.
    next: *const Node,
    /// For the mode to fill and check.
    content: [u8; 48],
    value: u64,
}

/// Rounds of churn: each frees half of the blocks in random order and fills the gaps. Three turnovers; a block survives all
/// with probability 1/64. One block at a time would change nothing: a free list hands the block that was just freed to the
/// next request of its size.
const ROUNDS: usize = 6;

impl History {
    const fn id(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Churn => "churn",
        }
    }

    const fn rounds(self) -> usize {
        match self {
            Self::Fresh => 0,
            Self::Churn => ROUNDS,
        }
    }
}

impl Shape for Locality {
    const FACTS: Facts = Facts {
        id: "locality",
        title: "walk all live blocks and read them",
        family: Family::Basic,
        why: "A program allocates an object once and reads it many times, so where the allocator put it costs more in \
              the end than what the allocation took. Nothing is allocated inside the clock: 100 000 blocks of 64 bytes \
              are linked into a list, and the list is read from end to end, the first and the last word of each block. \
              Each address is found in the block before it.\n\n\
              Fresh: the blocks lie as they were taken, and are read in that order. After a churn: half of them were \
              freed in random order and the gaps of the program's table filled from its start, six times over; then \
              the list goes through the table. An allocator that fills one page before it turns to the next puts what \
              is allocated together close together even then; one that hands out what was freed last scatters it.\n\n\
              The walk is the same code on every allocator. On the control it is no measure of the harness, and it is not \
              held to its share of the fastest allocator's time here.",
        effect: "`churn` takes several times as long as `fresh` on nearly every allocator, and `fresh` the same on all: \
              the hardware reads ahead. After the churn an allocator that takes the lowest free address of a page first \
              (jemalloc, from its bitmaps) keeps together what is allocated together, and the walk is several times \
              faster than on those with lists of free blocks, one for each page or one for all: a list hands the blocks \
              out as they were freed.",
        origin: "The locality mode of ACDC, and the observation of bde-allocator-benchmarks (WG21 N4468) that placement can \
              cost several times what allocation does. The shape is our own: one size, a list, and only the walk on the \
              clock.",
        operation: "block read",
        step: "",
        probes: &[Probe::Time],
        parameters: &[Parameter { name: "after", title: "what the heap went through", axis: Axis::Category }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope
            .pick(Vec::new(), vec![History::Fresh, History::Churn])
            .into_iter()
            .map(|after| Self { after })
            .collect()
    }

    fn params(&self) -> Params {
        Params::default().with("after", self.after.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: self.after == History::Churn, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: Some(Layout::new::<Node>()),
            live_blocks: LIVE,
            // All that is ever taken: there is no reset between the churn and the walk.
            pass_bytes: (LIVE + self.after.rounds() * (LIVE / 2)) * size_of::<Node>(),
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(0))
    }
}

impl OneThread for Locality {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let handle = heap.handle();
        let mut random = Random::new(seed);
        let mut nodes = Table::new(LIVE, |_| None);
        fill(&mut nodes, handle, mode);
        let mut order = Table::new(LIVE, |index| index as u32);
        for _ in 0..self.after.rounds() {
            random.shuffle(&mut order);
            let (leaving, _) = order.split_at(LIVE / 2);
            for &index in leaving {
                let node = nodes[index as usize].take().expect("all are there between two rounds");
                // SAFETY: taken by `fill` from this handle with this mode, and gone from the table.
                unsafe { free(node, handle, mode) };
            }
            fill(&mut nodes, handle, mode);
        }
        drop(order);
        let start = link(&nodes);
        let expected = (0..LIVE as u64).fold(0, checksum);
        drive(&mut Walk { start, expected, mode });
        for node in nodes.iter().flatten() {
            // SAFETY: as above; the walk is over and the table is dropped after this.
            unsafe { free(*node, handle, mode) };
        }
    }
}

/// Takes a block for every gap of the table, from its start.
fn fill<A: Allocator + Copy, M: Mode>(nodes: &mut [Option<NonNull<Node>>], allocator: A, mode: &mut M) {
    for gap in nodes.iter_mut().filter(|node| node.is_none()) {
        let node: NonNull<Node> = opaque(take(allocator, Layout::new::<Node>())).cast();
        // SAFETY: the block has a node's bytes and is ours; the offset is inside it.
        unsafe { mode.fill(node.cast::<u8>().add(size_of::<*const Node>()), CONTENT_BYTES) };
        *gap = Some(node);
    }
}

/// Bytes that the mode fills and checks.
const CONTENT_BYTES: usize = size_of::<Node>() - size_of::<*const Node>() - size_of::<u64>();

/// Checks a node's content and frees it.
///
/// # Safety
/// The node was taken by [`fill`] from this allocator with this kind of mode, and is not used again.
unsafe fn free<A: Allocator, M: Mode>(node: NonNull<Node>, allocator: A, mode: &mut M) {
    // SAFETY: `fill` filled these bytes, and a link writes none of them.
    unsafe { mode.inspect(node.cast::<u8>().add(size_of::<*const Node>()), CONTENT_BYTES) };
    // SAFETY: from this allocator, with this layout, for the last time (the caller's promise).
    unsafe { allocator.deallocate(node.cast(), Layout::new::<Node>()) };
}

/// Links the nodes in the order of the table; each has its index as its value. Gives back the first.
fn link(nodes: &[Option<NonNull<Node>>]) -> *const Node {
    let mut next = ptr::null();
    for (index, node) in nodes.iter().enumerate().rev() {
        let node = node.expect("there are no gaps").as_ptr();
        // SAFETY: the node is a live block of ours; fields are written by themselves, for the content is the mode's.
        unsafe {
            (&raw mut (*node).next).write(next);
            (&raw mut (*node).value).write(index as u64);
        }
        next = node;
    }
    next
}

/// Another order of the same values has another sum.
#[inline(always)]
const fn checksum(sum: u64, value: u64) -> u64 {
    sum.rotate_left(1) ^ value
}

struct Walk<'m, M> {
    /// The first of a list of `LIVE` live nodes.
    start: *const Node,
    expected: u64,
    mode: &'m mut M,
}

impl<M: Mode> Body for Walk<'_, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let (mut node, mut sum) = (black_box(self.start), 0);
        let pass = timed(clock, LIVE, || {
            while !node.is_null() {
                // SAFETY: all nodes of the list are alive while the walk is, and their links and values are written.
                unsafe {
                    sum = checksum(sum, (&raw const (*node).value).read());
                    node = (&raw const (*node).next).read();
                }
            }
            sum = black_box(sum);
        });
        self.mode.result(sum, self.expected);
        pass
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::mem::offset_of;

    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    #[test]
    fn the_mode_fills_a_node_between_the_two_words_that_are_read() {
        assert_eq!((size_of::<Node>(), CONTENT_BYTES), (64, 48));
        assert_eq!((offset_of!(Node, next), offset_of!(Node, content), offset_of!(Node, value)), (0, 8, 56));
    }

    #[test]
    fn a_churn_replaces_three_times_as_many_blocks_as_there_are_and_loses_none() {
        let mut heap = Individually(Counting::new(GlobalSubject));
        let mut mode = Pattern::new();
        Locality { after: History::Churn }.open(&mut heap, &mut mode, 1, &mut |body| {
            assert_eq!(body.pass(&WallClock::new()).operations, LIVE as u64);
        });
        let counts = heap.0.tally().snapshot();
        assert_eq!((counts.allocations, counts.frees), (4 * LIVE as u64, 4 * LIVE as u64));
        assert_eq!(mode.fault(), None);
    }

    #[test]
    fn few_blocks_survive_a_churn_and_another_walk_has_another_sum() {
        let mut survivors: BTreeSet<u32> = (0..LIVE as u32).collect();
        let (mut order, mut random) = (Table::new(LIVE, |index| index as u32), Random::new(1));
        for _ in 0..ROUNDS {
            random.shuffle(&mut order);
            for index in &order[..LIVE / 2] {
                survivors.remove(index);
            }
        }
        assert!(survivors.len() < LIVE / 50, "{}", survivors.len());
        let sum = |values: [u64; 3]| values.into_iter().fold(0, checksum);
        assert_ne!(sum([0, 1, 2]), sum([0, 2, 1]));
    }
}
