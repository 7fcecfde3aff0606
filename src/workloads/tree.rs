//! `tree`: build and drop binary trees of mixed depth.

use std::alloc::Layout;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::boxed::Box;

use super::heap::{Heap, refused};
use super::litter::{HeapState, Litter};
use super::mode::Mode;
use super::params::Params;
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// One long-lived tree and many short-lived ones.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    heap: HeapState,
}

/// Levels of the tree that lives through the pass: 4 095 nodes.
const LONG_LIVED: u32 = 12;

/// Levels of the trees that come and go: 15 to 511 nodes.
const SHORT_LIVED: std::ops::RangeInclusive<u32> = 4..=9;

/// Trees that come and go in a pass.
const TREES: usize = 48;

/// Nodes alive at one time, at most: the long-lived tree and the largest of the others.
const LIVE: usize = nodes(LONG_LIVED) + nodes(*SHORT_LIVED.end());

/// Room for one node under any allocator whose handle is at most a reference: two owners of two words each, the value.
const NODE_BYTES: usize = size_of::<Node<&System>>();

/// A node owns its children; the handle that frees them travels in the owner.
struct Node<A: Allocator> {
    children: Option<(Owner<A>, Owner<A>)>,
    value: u64,
}

type Owner<A> = Box<Node<A>, A>;

impl Shape for Tree {
    const FACTS: Facts = Facts {
        id: "tree",
        title: "build and drop binary trees of mixed depth",
        family: Family::Applications,
        why: "Syntax trees, indices, scene graphs: many small nodes that own each other. While one large tree lives, \
              smaller ones are built, summed and dropped, node by node, in the order of recursion. Nodes are one size, so \
              a pool can serve them; to an arena each drop is nothing, and it releases everything when the large tree goes.\n\n\
              The owner of a node carries the handle that frees it: nothing for a global allocator (24 bytes a node), a \
              reference for a scoped one (40 bytes). That is the price of the idiom, and it is in the time.\n\n\
              Summing walks every node: an allocator that puts a parent next to its children makes the walk cheaper.\n\n\
              That is what a littered heap undoes: nodes that a clean one lays out in the order in which they are built \
              and walked come from all over it. Allocators that release everything together have no such state: \
              they are measured on the clean heap alone.",
        effect: "An arena is fastest, for freeing is nothing; among general allocators those that put parents beside their \
              children; littered slower than clean.",
        origin: "Boehm's GCBench and the binary-trees program of the Computer Language Benchmarks Game. Here the depths \
              are mixed and drawn, and the sum is checked.",
        operation: "node",
        step: "",
        probes: &[Probe::Time, Probe::Instructions],
        parameters: &[HeapState::PARAMETER],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let heaps = scope.pick(vec![HeapState::Clean], HeapState::ALL.to_vec());
        heaps.into_iter().map(|heap| Self { heap }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("heap", self.heap.id())
    }

    fn needs(&self) -> Needs {
        // A heap that frees nothing has no free lists to litter.
        Needs { mixed_sizes: false, frees: self.heap == HeapState::Littered, threads: false, global: false }
    }

    fn heap_state(&self) -> HeapState {
        self.heap
    }

    fn demand(&self) -> Demand {
        let (long, short) = (nodes(LONG_LIVED), nodes(*SHORT_LIVED.end()));
        let litter = self.heap.blocks(LIVE);
        Demand {
            block: Some(Layout::from_size_align(NODE_BYTES, 8).expect("a small layout")),
            live_blocks: LIVE + litter,
            pass_bytes: (long + TREES * short + litter) * NODE_BYTES,
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        // How many nodes there are depends on the depths drawn: one allocation and one free for each operation.
        None
    }
}

impl OneThread for Tree {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let span = u64::from(SHORT_LIVED.end() - SHORT_LIVED.start() + 1);
        let depths = Table::new(TREES, |_| SHORT_LIVED.start() + random.below(span) as u32);
        let operations = nodes(LONG_LIVED) + depths.iter().map(|&depth| nodes(depth)).sum::<usize>();
        let expected = forest(System, &depths);
        let node = Sizes::Fixed(size_of::<Node<H::Handle<'_>>>());
        let litter = Litter::scatter(self.heap, heap, mode, LIVE, node, seed);
        let mut body = Forest { depths, operations, expected, heap, mode };
        drive(&mut body);
        // SAFETY: it was scattered on this heap with this mode.
        unsafe { litter.clear(body.heap, body.mode) };
    }
}

struct Forest<'h, H, M> {
    depths: Table<u32>,
    operations: usize,
    /// The sum under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Forest<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut sum = 0;
        let pass = timed(clock, self.operations, || {
            sum = forest(self.heap.handle(), &self.depths);
            self.heap.reset();
        });
        self.mode.result(sum, self.expected);
        pass
    }
}

/// Nodes of a full tree of so many levels.
const fn nodes(levels: u32) -> usize {
    (1 << levels) - 1
}

fn forest<A: Allocator + Copy>(allocator: A, depths: &[u32]) -> u64 {
    let long_lived = build(allocator, LONG_LIVED, 1);
    let mut sum = 0_u64;
    for (&depth, number) in depths.iter().zip(2..) {
        let tree = build(allocator, depth, number);
        sum = sum.rotate_left(1).wrapping_add(total(&tree));
    }
    sum.wrapping_add(total(&long_lived))
}

fn build<A: Allocator + Copy>(allocator: A, levels: u32, value: u64) -> Owner<A> {
    let children = (levels > 1).then(|| {
        let left = build(allocator, levels - 1, 2 * value);
        (left, build(allocator, levels - 1, 2 * value + 1))
    });
    match Box::try_new_in(Node { children, value }, allocator) {
        Ok(node) => node,
        Err(_) => refused(Layout::new::<Node<A>>()),
    }
}

fn total<A: Allocator>(node: &Node<A>) -> u64 {
    match &node.children {
        None => node.value,
        Some((left, right)) => node.value.wrapping_add(total(left)).wrapping_add(total(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::contract::Subject;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;

    #[test]
    fn a_tree_holds_every_number_once() {
        // Numbered like a binary heap from 1, a full tree of five levels holds 1 to 31.
        assert_eq!(total(&build(System, 5, 1)), (1..=31).sum::<u64>());
        assert_eq!(nodes(5), 31);
    }

    #[test]
    fn each_node_is_one_block() {
        let counting = Counting::new(GlobalSubject);
        forest(counting.handle(), &[4, 9]);
        let blocks = (nodes(LONG_LIVED) + nodes(4) + nodes(9)) as u64;
        let counts = counting.tally().snapshot();
        assert_eq!((counts.allocations, counts.frees, counts.reallocations), (blocks, blocks, 0));
    }

    #[test]
    fn a_node_carries_its_handles_and_nothing_else() {
        assert_eq!((size_of::<Node<System>>(), size_of::<Node<&System>>()), (24, 40));
    }
}
