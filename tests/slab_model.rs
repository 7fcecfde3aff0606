//! Random programs of operations on `slab`, checked against a model: content, alignment, overlap and the heap walker.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;

use allocmark::allocators::slab::Slab;
use proptest::prelude::*;

const SLAB: Slab = Slab::new();

#[derive(Clone, Debug)]
enum Operation {
    Allocate { size: usize, align: usize, zeroed: bool },
    Free { pick: usize },
    Resize { pick: usize, size: usize },
    Trim,
}

/// Sizes from all classes and beyond: a doubling is drawn first, or nearly all of them would be large.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        30 => 1..=2048_usize,
        6 => (11..20_u32, 0.0..1.0).prop_map(|(shift, part)| (1 << shift) + (f64::from(1 << shift) * part) as usize),
        1 => (20..23_u32, 0.0..1.0).prop_map(|(shift, part)| (1 << shift) + (f64::from(1 << shift) * part) as usize),
    ]
}

fn align() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..=4_u32, 2 => 5..=12_u32, 1 => 13..=23_u32].prop_map(|shift| 1 << shift)
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        50 => (size(), align(), any::<bool>())
            .prop_map(|(size, align, zeroed)| Operation::Allocate { size, align, zeroed }),
        35 => any::<usize>().prop_map(|pick| Operation::Free { pick }),
        14 => (any::<usize>(), size()).prop_map(|(pick, size)| Operation::Resize { pick, size }),
        1 => Just(Operation::Trim),
    ]
}

struct Live {
    layout: Layout,
    seed: u8,
}

/// The bytes of a block that carry the pattern: large blocks only near their ends and at each 4 KiB, to be quick.
fn probes(size: usize) -> impl Iterator<Item = usize> {
    (0..size.min(64)).chain((64..size).step_by(4093)).chain(size.saturating_sub(16)..size)
}

fn pattern(seed: u8, at: usize) -> u8 {
    seed.wrapping_add((at as u8).wrapping_mul(31)).wrapping_add((at >> 8) as u8)
}

fn fill(block: usize, size: usize, seed: u8) {
    let block = std::ptr::with_exposed_provenance_mut::<u8>(block);
    for at in probes(size) {
        // SAFETY: the block is live and `size` bytes long.
        unsafe { block.add(at).write(pattern(seed, at)) };
    }
}

fn holds(block: usize, size: usize, kept: usize, seed: u8) -> bool {
    let block = std::ptr::with_exposed_provenance_mut::<u8>(block);
    // SAFETY: the block is live, and its first `kept` bytes are initialised at the probes of `size`.
    probes(size).filter(|&at| at < kept).all(|at| unsafe { block.add(at).read() } == pattern(seed, at))
}

/// All live blocks by address.
#[derive(Default)]
struct Model {
    live: BTreeMap<usize, Live>,
    seed: u8,
}

impl Model {
    fn add(&mut self, block: *mut u8, layout: Layout) {
        let address = block.expose_provenance();
        assert!(address.is_multiple_of(layout.align()));
        assert!(SLAB.owns(std::ptr::NonNull::new(block).expect("not null")));
        if let Some((&before, live)) = self.live.range(..=address).next_back() {
            assert!(before + live.layout.size() <= address, "blocks overlap");
        }
        if let Some((&after, _)) = self.live.range(address..).next() {
            assert!(address + layout.size() <= after, "blocks overlap");
        }
        self.seed = self.seed.wrapping_add(1);
        fill(address, layout.size(), self.seed);
        self.live.insert(address, Live { layout, seed: self.seed });
    }

    fn remove(&mut self, pick: usize) -> Option<(*mut u8, Live)> {
        let address = *self.live.keys().nth(pick % self.live.len().max(1))?;
        let live = self.live.remove(&address)?;
        assert!(holds(address, live.layout.size(), live.layout.size(), live.seed), "content changed");
        Some((std::ptr::with_exposed_provenance_mut(address), live))
    }

    fn run(&mut self, operation: &Operation) {
        match *operation {
            Operation::Allocate { size, align, zeroed } => {
                let layout = Layout::from_size_align(size, align).expect("valid");
                // SAFETY: the size is not zero; fresh blocks are read only where they were zeroed.
                unsafe {
                    let block = if zeroed { SLAB.alloc_zeroed(layout) } else { SLAB.alloc(layout) };
                    assert!(!zeroed || (0..size).all(|at| block.add(at).read() == 0), "not zero");
                    self.add(block, layout);
                }
            }
            Operation::Free { pick } => {
                if let Some((block, live)) = self.remove(pick) {
                    // SAFETY: the block is live with this layout.
                    unsafe { SLAB.dealloc(block, live.layout) };
                }
            }
            Operation::Resize { pick, size } => {
                if let Some((block, live)) = self.remove(pick) {
                    // SAFETY: the block is live with this layout, and the size is not zero.
                    let block = unsafe { SLAB.realloc(block, live.layout, size) };
                    let kept = size.min(live.layout.size());
                    assert!(holds(block.addr(), live.layout.size(), kept, live.seed), "content lost");
                    self.add(block, Layout::from_size_align(size, live.layout.align()).expect("valid"));
                }
            }
            Operation::Trim => SLAB.trim(),
        }
    }
}

fn check() {
    #[cfg(debug_assertions)]
    SLAB.check_invariants().expect("the heap is sound");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_keep_content_alignment_and_invariants(
        program in proptest::collection::vec(operation(), 1..400),
    ) {
        let mut model = Model::default();
        for (index, operation) in program.iter().enumerate() {
            model.run(operation);
            if index % 16 == 0 {
                check();
            }
        }
        while !model.live.is_empty() {
            model.run(&Operation::Free { pick: 0 });
        }
        check();
    }
}

#[test]
fn many_blocks_of_one_class_come_and_go_in_any_order() {
    for size in [1, 16, 48, 64, 100, 1000, 8192, 20_000, 131_072, 200_000] {
        let layout = Layout::from_size_align(size, 8).expect("valid");
        let count = (8 << 20) / size.max(256);
        // SAFETY: the size is not zero; each block is freed once.
        unsafe {
            let mut blocks: Vec<_> = (0..count).map(|_| SLAB.alloc(layout)).collect();
            assert!(blocks.iter().all(|block| !block.is_null()));
            check();
            // A stride that is coprime to the count visits all of them.
            let stride =
                (1..).find(|stride| stride * 7919 % count.max(1) == 1 % count.max(1)).map_or(1, |_| 7919);
            for index in 0..count {
                SLAB.dealloc(blocks[index * stride % count], layout);
            }
            check();
            blocks.clear();
        }
    }
}

#[test]
fn every_alignment_is_served_at_every_kind_of_size() {
    for shift in 0..=26 {
        for size in [1, 24, 500, 5000, 70_000, 3 << 20, 5 << 20] {
            let layout = Layout::from_size_align(size, 1 << shift).expect("valid");
            // SAFETY: the size is not zero; only the block's own bytes are written.
            unsafe {
                let block = SLAB.alloc(layout);
                assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()), "{layout:?}");
                block.write(1);
                block.add(size - 1).write(2);
                SLAB.dealloc(block, layout);
            }
        }
    }
    check();
}
