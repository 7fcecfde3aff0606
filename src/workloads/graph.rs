//! `graph`: nodes that refer to each other, one lifetime.

use std::cell::Cell;
use std::mem;
use std::ptr::NonNull;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Profile, Scope, Shape,
    timed,
};
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// A directed graph of `n` nodes: built edge by edge, walked, released.
#[derive(Clone, Copy, Debug)]
pub struct Graph {
    n: usize,
}

/// Edges for each node. Call graphs, package dependencies and road networks have 2 to 5; that is an order of magnitude and
/// not a measurement.
const EDGES: usize = 4;

/// Out of so many edges one begins at any node, the others where an earlier edge begins: the more edges a node has, the
/// more it gets. That gives a few nodes many edges and most of them few, with a tail that falls with the cube of the degree
/// (H. A. Simon, "On a class of skew distribution functions", Biometrika 42, 1955; D. Price's for citations).
const FRESH: u64 = 2;

/// A node and what it refers to. The references are pointers: nodes refer to each other in circles, which neither owners
/// nor, where nodes are freed one by one, Rust's references can express.
struct Node<A: Allocator> {
    value: u64,
    /// Whether the walk has found it.
    found: Cell<bool>,
    edges: Vec<NonNull<Node<A>>, A>,
}

/// All nodes, in the order of their making. Owns them: made by [`Box`], and freed when the graph is dropped.
struct Nodes<A: Allocator + Copy> {
    all: Vec<NonNull<Node<A>>, A>,
    allocator: A,
}

/// From one node to another, by number.
#[derive(Clone, Copy)]
struct Edge {
    from: u32,
    to: u32,
}

impl Shape for Graph {
    const FACTS: Facts = Facts {
        id: "graph",
        title: "build a graph of nodes that refer to each other, walk it, release it",
        family: Family::Applications,
        why: "Control flow in a compiler, dependencies in a build, a document's objects: nodes that refer to each other in \
              circles, so that none owns another and all die together. Every node is a block of its own, with a list of \
              edges that grows as edges arrive, in no order of nodes; then a breadth-first walk visits all. There are four \
              edges a node; some nodes have many, most have few.\n\n\
              What it stresses is small blocks and growing short lists, a walk that follows pointers to wherever they were \
              put, and the end. An allocator that frees one block at a time ran the form in which an owner remembers all \
              nodes and drops them one by one, with their lists. One that releases everything together ran the form that is \
              its idiom: nothing is dropped, and the heap is reset. Both builds and both walks are the same code.\n\n\
              An allocator's handle travels in each list of edges: nothing for a global allocator (a node takes 40 bytes), \
              a reference for a scoped one (48).",
        effect: "An arena is fastest, for it does not visit the nodes again to release them, though it leaves outgrown lists \
              behind. Among general allocators the order is that of `bulk` and `grow` with small blocks; with 10 000 nodes \
              the walk, which depends on how closely nodes and lists lie, takes the larger part.",
        origin: "A shape of our own; the program that region allocators are explained with (typed-arena, bumpalo and their \
              users' compilers). The suites that we know measure trees, which own their nodes.",
        operation: "node",
        step: "",
        probes: &[Probe::Time, Probe::Instructions],
        parameters: &[Parameter { name: "n", title: "nodes", axis: Axis::Count }],
    };

    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        // 1 000 nodes with their edges are 90 KB, within a core's own caches; 10 000 are 900 KB, beyond the first.
        let mut standard = vec![1_000, 10_000];
        if scope.profile == Profile::Full {
            standard.push(100_000);
        }
        // In `quick`, `tree` stands for it.
        scope.pick(vec![], standard).into_iter().map(|n| Self { n }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("n", self.n)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        let node = size_of::<Node<&System>>();
        // A list begins with four edges and doubles: with all that it outgrew at most four times its edges, and four more.
        // The two lists of all nodes have at most four times as many.
        let pointers = 4 * EDGES * self.n + 4 * self.n + 2 * 4 * self.n + 8;
        Demand {
            block: None,
            live_blocks: 2 * self.n + 2,
            pass_bytes: self.n * node + pointers * size_of::<usize>(),
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        // How many nodes have edges, and how often their lists grow, depends on the edges drawn.
        None
    }
}

impl OneThread for Graph {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let edges = drawn(self.n, seed);
        let expected = Nodes::build(System, self.n, &edges).walk();
        drive(&mut Program { n: self.n, edges, expected, heap, mode });
    }
}

/// The edges, in the order in which they arrive.
fn drawn(n: usize, seed: u64) -> Table<Edge> {
    let mut random = Random::new(seed);
    let mut edges = Table::new(EDGES * n, |_| Edge { from: 0, to: 0 });
    for index in 0..edges.len() {
        let from = match index {
            1.. if random.below(FRESH) != 0 => edges[random.below(index as u64) as usize].from,
            _ => random.below(n as u64) as u32,
        };
        edges[index] = Edge { from, to: random.below(n as u64) as u32 };
    }
    edges
}

struct Program<'h, H, M> {
    n: usize,
    edges: Table<Edge>,
    /// The walk's result under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Program<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut seen = 0;
        let pass = timed(clock, self.n, || {
            let nodes = Nodes::build(self.heap.handle(), self.n, &self.edges);
            seen = nodes.walk();
            if H::FREES {
                drop(nodes);
            } else {
                mem::forget(nodes);
                self.heap.reset();
            }
        });
        self.mode.result(seen, self.expected);
        pass
    }
}

impl<A: Allocator + Copy> Nodes<A> {
    fn build(allocator: A, n: usize, edges: &[Edge]) -> Self {
        let mut nodes = Self { all: Vec::new_in(allocator), allocator };
        for number in 0..n as u64 {
            let node = Node { value: number, found: Cell::new(false), edges: Vec::new_in(allocator) };
            nodes.all.push(Box::into_non_null(Box::new_in(node, allocator)).0);
        }
        for edge in edges {
            let (mut from, to) = (nodes.all[edge.from as usize], nodes.all[edge.to as usize]);
            // SAFETY: the graph's nodes are alive, and no other reference to one exists while edges are added.
            unsafe { from.as_mut() }.edges.push(to);
        }
        nodes
    }

    /// Visits every node, breadth first, beginning anew where nothing else is reached; gives back what depends on the order
    /// of all the values.
    fn walk(&self) -> u64 {
        let mut seen = 0_u64;
        let mut found = Vec::new_in(self.allocator);
        let mut visited = 0;
        for &start in &self.all {
            discover(start, &mut found);
            while let Some(&node) = found.get(visited) {
                visited += 1;
                // SAFETY: nodes live as long as the graph, and during a walk there are shared references alone.
                let node = unsafe { node.as_ref() };
                seen = seen.rotate_left(5) ^ node.value;
                for &next in &node.edges {
                    discover(next, &mut found);
                }
            }
        }
        seen.wrapping_add(visited as u64)
    }
}

/// Adds a node to the list if it is not there yet.
#[inline]
fn discover<A: Allocator>(node: NonNull<Node<A>>, found: &mut Vec<NonNull<Node<A>>, A>) {
    // SAFETY: as in `walk`, which alone calls this.
    let known = unsafe { node.as_ref() };
    if !known.found.replace(true) {
        found.push(node);
    }
}

impl<A: Allocator + Copy> Drop for Nodes<A> {
    fn drop(&mut self) {
        for &node in &self.all {
            // SAFETY: it came from `Box::into_non_null` with this allocator and is freed once, here; the pointers to it in
            // other nodes' lists are not followed any more.
            drop(unsafe { Box::from_raw_in(node.as_ptr(), self.allocator) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::contract::Subject;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;

    fn edges(pairs: &[(u32, u32)]) -> std::vec::Vec<Edge> {
        pairs.iter().map(|&(from, to)| Edge { from, to }).collect()
    }

    fn walked(n: usize, edges: &[Edge]) -> u64 {
        Nodes::build(System, n, edges).walk()
    }

    #[test]
    fn dropping_and_resetting_walk_the_same_graph() {
        let (n, mut arena) = (1_000, Arena::new());
        let edges = drawn(n, 1);
        for _ in 0..2 {
            let nodes = Nodes::build(&arena, n, &edges);
            assert_eq!(nodes.walk(), walked(n, &edges));
            mem::forget(nodes);
            assert!(arena.used() <= Graph { n }.demand().pass_bytes, "{}", arena.used());
            arena.reset();
        }
    }

    #[test]
    fn nodes_are_visited_breadth_first_and_once() {
        // 0 → 2, 1; 2 → 3; 3 → 0; 4 by itself: 0, 2, 1, 3, 4.
        let order = [0, 2, 1, 3, 4_u64].iter().fold(0, |seen: u64, value| seen.rotate_left(5) ^ value);
        assert_eq!(walked(5, &edges(&[(0, 2), (0, 1), (2, 3), (3, 0)])), order + 5);
    }

    #[test]
    fn another_edge_or_another_value_has_another_result() {
        let drawn = drawn(100, 1);
        let mut nodes = Nodes::build(System, 100, &drawn);
        // SAFETY: the node is alive, and this is the only reference to it.
        unsafe { nodes.all[50].as_mut() }.value ^= 1;
        assert_ne!(nodes.walk(), walked(100, &drawn));
        assert_ne!(walked(4, &edges(&[(0, 2), (2, 3)])), walked(4, &edges(&[(0, 2), (2, 1)])));
    }

    #[test]
    fn dropping_gives_everything_back() {
        let counting = Counting::new(GlobalSubject);
        let nodes = Nodes::build(counting.handle(), 1_000, &drawn(1_000, 1));
        nodes.walk();
        drop(nodes);
        let counts = counting.tally().snapshot();
        assert_eq!((counts.allocations, counting.tally().live_bytes()), (counts.frees, 0));
    }

    #[test]
    fn a_few_nodes_have_many_edges_and_most_have_few() {
        let mut degrees = vec![0; 10_000];
        drawn(10_000, 1).iter().for_each(|edge| degrees[edge.from as usize] += 1);
        degrees.sort_unstable();
        assert!(degrees[5_000] <= 3 && degrees[9_990] >= 20, "{} {}", degrees[5_000], degrees[9_990]);
    }

    #[test]
    fn a_node_carries_its_handle_and_nothing_else() {
        assert_eq!((size_of::<Node<System>>(), size_of::<Node<&System>>()), (40, 48));
    }
}
