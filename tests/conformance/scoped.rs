//! Reset, ownership and exhaustion of the allocators that are built for a demand.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocmark::allocators::arena::Arena;
use allocmark::allocators::arena_thread::ArenaThread;
#[cfg(feature = "bumpalo")]
use allocmark::allocators::bump::Bump;
#[cfg(feature = "bump-scope")]
use allocmark::allocators::bump_scope::ScopedBump;
use allocmark::allocators::bump_shared::BumpShared;
use allocmark::allocators::bump_slice::MappedSlice;
use allocmark::allocators::contract::{Bulk, Demand, Subject};
use allocmark::allocators::global::GlobalSubject;
use allocmark::allocators::null::Null;
use allocmark::allocators::pool::Pool;
#[cfg(feature = "talc")]
use allocmark::allocators::talc::TalcRegion;

use crate::blocks::Block;

const BLOCK: Layout = Layout::new::<[u64; 5]>();
const BLOCKS: usize = 1000;

fn demand() -> Demand {
    Demand { block: Some(BLOCK), live_blocks: BLOCKS, pass_bytes: BLOCKS * BLOCK.size(), threads: 1 }
}

/// Allocates what the demand says, and returns the addresses.
fn pass(allocator: &dyn Allocator) -> Vec<NonNull<u8>> {
    let mut blocks: Vec<_> =
        (0..BLOCKS).map(|seed| Block::new(allocator, BLOCK, seed as u8).expect("as demanded")).collect();
    blocks.iter_mut().for_each(Block::assert_intact);
    blocks.into_iter().map(|block| block.start).collect()
}

fn meets_its_demand_and_owns_its_blocks<S: Subject>() {
    let subject = S::for_demand(&demand()).unwrap();
    let blocks = pass(&subject.handle());
    assert!(blocks.iter().all(|&block| subject.owns(block)));
    for block in blocks {
        // SAFETY: live, of this layout, given up here.
        unsafe { subject.handle().deallocate(block, BLOCK) };
    }
}

fn does_not_own_what_others_made<S: Subject>() {
    let subject = S::for_demand(&demand()).unwrap();
    let other = Box::new([0_u64; 5]);
    assert!(!subject.owns(NonNull::from(&*other).cast()));
}

fn can_be_used_again_and_again<S: Bulk>() {
    let mut subject = S::for_demand(&demand()).unwrap();
    let mut addresses: Vec<Vec<_>> = vec![];
    for _ in 0..4 {
        addresses.push(pass(&subject.handle()).into_iter().map(|block| block.as_ptr().addr()).collect());
        subject.reset();
    }
    assert_eq!(addresses[2], addresses[3], "after two passes the memory is there and is the same");
}

#[test]
fn every_subject_meets_its_demand_and_owns_its_blocks() {
    meets_its_demand_and_owns_its_blocks::<GlobalSubject>();
    meets_its_demand_and_owns_its_blocks::<Null>();
    meets_its_demand_and_owns_its_blocks::<Pool>();
    meets_its_demand_and_owns_its_blocks::<Arena>();
    meets_its_demand_and_owns_its_blocks::<ArenaThread>();
    meets_its_demand_and_owns_its_blocks::<BumpShared>();
    meets_its_demand_and_owns_its_blocks::<MappedSlice>();
    #[cfg(feature = "bumpalo")]
    meets_its_demand_and_owns_its_blocks::<Bump>();
    #[cfg(feature = "bump-scope")]
    meets_its_demand_and_owns_its_blocks::<ScopedBump>();
    #[cfg(feature = "talc")]
    meets_its_demand_and_owns_its_blocks::<TalcRegion>();
}

#[test]
fn no_scoped_subject_owns_what_others_made() {
    does_not_own_what_others_made::<Null>();
    does_not_own_what_others_made::<Pool>();
    does_not_own_what_others_made::<Arena>();
    does_not_own_what_others_made::<ArenaThread>();
    does_not_own_what_others_made::<BumpShared>();
    does_not_own_what_others_made::<MappedSlice>();
    #[cfg(feature = "bumpalo")]
    does_not_own_what_others_made::<Bump>();
    #[cfg(feature = "bump-scope")]
    does_not_own_what_others_made::<ScopedBump>();
    #[cfg(feature = "talc")]
    does_not_own_what_others_made::<TalcRegion>();
}

#[test]
fn bulk_subjects_can_be_reset_and_used_again() {
    can_be_used_again_and_again::<Null>();
    can_be_used_again_and_again::<Arena>();
    can_be_used_again_and_again::<ArenaThread>();
    can_be_used_again_and_again::<BumpShared>();
    can_be_used_again_and_again::<MappedSlice>();
    #[cfg(feature = "bumpalo")]
    can_be_used_again_and_again::<Bump>();
    #[cfg(feature = "bump-scope")]
    can_be_used_again_and_again::<ScopedBump>();
}

#[test]
fn a_pool_without_a_block_size_is_refused() {
    assert!(Pool::for_demand(&Demand { block: None, ..demand() }).is_err());
}
