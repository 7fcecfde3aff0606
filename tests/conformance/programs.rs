//! Random programs against a model: the blocks that should be live and what should be in them.

use std::alloc::Layout;

use allocator_api2::alloc::Allocator;
use proptest::prelude::*;

use crate::blocks::Block;
use crate::specimens::{ALL, Specimen};

#[derive(Clone, Copy, Debug)]
enum Operation {
    Allocate { size: usize, shift: u32, zeroed: bool },
    Free { which: usize },
    Grow { which: usize, by: usize, zeroed: bool },
    Shrink { which: usize, to_percent: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    // Mostly small, as programs ask for; every size and alignment that some special case is about now and then.
    let size = prop_oneof![4 => 0..80_usize, 2 => 0..3000_usize, 1 => 0..20_000_usize];
    prop_oneof![
        4 => (size.clone(), 0..8_u32, any::<bool>())
            .prop_map(|(size, shift, zeroed)| Operation::Allocate { size, shift, zeroed }),
        3 => any::<usize>().prop_map(|which| Operation::Free { which }),
        2 => (any::<usize>(), size, any::<bool>())
            .prop_map(|(which, by, zeroed)| Operation::Grow { which, by, zeroed }),
        1 => (any::<usize>(), 0..=100_usize)
            .prop_map(|(which, to_percent)| Operation::Shrink { which, to_percent }),
    ]
}

fn run(specimen: &Specimen, allocator: &dyn Allocator, program: &[Operation]) {
    let mut live: Vec<Block> = vec![];
    for (step, &operation) in program.iter().enumerate() {
        let index = |which: usize| (!live.is_empty()).then(|| which % live.len());
        match operation {
            Operation::Allocate { size, shift, zeroed } => {
                let layout = Layout::from_size_align(size, 1 << shift).unwrap();
                let made = if zeroed { Block::zeroed } else { Block::new }(allocator, layout, step as u8);
                assert_eq!(made.is_ok(), specimen.fits(layout), "{}: {layout:?}", specimen.name);
                live.extend(made);
            }
            Operation::Free { which } => {
                if let Some(index) = index(which) {
                    live.swap_remove(index).free(allocator);
                }
            }
            Operation::Grow { which, by, zeroed } => {
                if let Some(index) = index(which) {
                    let block = &mut live[index];
                    let new =
                        Layout::from_size_align(block.layout.size() + by, block.layout.align()).unwrap();
                    let grow = if zeroed { Block::grow_zeroed } else { Block::grow };
                    assert_eq!(grow(block, allocator, new).is_ok(), specimen.fits(new), "{}", specimen.name);
                }
            }
            Operation::Shrink { which, to_percent } => {
                if let Some(index) = index(which) {
                    let block = &mut live[index];
                    let size = block.layout.size() * to_percent / 100;
                    let new = Layout::from_size_align(size, block.layout.align()).unwrap();
                    block.shrink(allocator, new).unwrap();
                }
            }
        }
    }
    live.into_iter().for_each(|block| block.free(allocator));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 24 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_programs_find_every_block_as_they_left_it(program in prop::collection::vec(operation(), 1..200)) {
        for specimen in ALL {
            specimen.with(|allocator| run(specimen, allocator, &program));
        }
    }
}
