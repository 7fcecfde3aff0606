//! The proof of who serves, in a process whose global allocator is not the system's.

#![cfg(feature = "harness")]

use allocmark::allocators::slab::Slab;
use allocmark::harness::provenance;

#[global_allocator]
static GLOBAL: Slab = Slab::new();

static SYSTEM: std::alloc::System = std::alloc::System;

#[test]
fn the_global_allocator_is_recognised() {
    let method = provenance::reallocation(&GLOBAL).expect("slab serves this process");
    assert!(method.contains("came back"), "{method}");
}

#[test]
fn another_allocator_than_the_claimed_one_is_caught() {
    let reason =
        provenance::reallocation(&SYSTEM).expect_err("the system's allocator does not serve this process");
    assert!(reason.contains("no block freed through Global came back"), "{reason}");
}

#[test]
fn a_bench_that_claims_the_wrong_allocator_or_names_it_wrongly_fails_where_it_is_measured() {
    use allocmark::allocators::contract::Contract;
    use allocmark::allocators::global::GlobalSubject;
    use allocmark::harness::binding::{self, Fault, Proof};
    use allocmark::workloads::Catalogue;
    use allocmark::workloads::shape::{Profile, Scope, WallClock};

    let scope = Scope { profile: Profile::Smoke, cpus: 2 };
    let bound = binding::one_by_one_shared::<GlobalSubject, Catalogue>(Contract::GENERAL, scope);
    for cell in bound.cells.iter().filter(|cell| cell.case.workload.id == "pair") {
        let mut drive = |body: &mut dyn allocmark::workloads::shape::Body| {
            body.pass(&WallClock::new());
        };
        let right = Proof::Reallocation { claimed: &GLOBAL, owns: Some(|block| GLOBAL.owns(block)) };
        assert!(cell.measure(1, Some(right), &mut drive).is_ok());
        let claimed = Proof::Reallocation { claimed: &SYSTEM, owns: None };
        let named = Proof::Reallocation { claimed: &GLOBAL, owns: Some(|_| false) };
        for wrong in [claimed, named] {
            let result = cell.measure(1, Some(wrong), &mut drive);
            assert!(matches!(result, Err(Fault::WrongAllocator(_))), "{result:?}");
        }
    }
}
