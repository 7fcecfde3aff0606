//! Random programs against a model: the blocks that should be live and what should be in them.

use allocator_api2::alloc::Allocator;
use proptest::prelude::*;

use crate::machine::{Limits, Machine, Operation};
use crate::specimens::{ALL, Specimen};

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
    let mut machine = Machine::new(Limits::NONE);
    for &operation in program {
        if let Some(request) = machine.step(allocator, operation) {
            assert_eq!(request.served, specimen.fits(request.layout), "{}: {request:?}", specimen.name);
        }
    }
    machine.free_all(allocator);
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
