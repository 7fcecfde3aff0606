//! What only the allocator over a slice promises.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec as SliceVec;
use allocmark::allocators::bump_slice::BumpSlice;
use proptest::prelude::*;

use crate::blocks::Block;

/// Bytes that begin at a multiple of 4096, so that a part of them can begin at any distance from one.
#[repr(align(4096))]
struct Memory([MaybeUninit<u8>; 16 << 10]);

impl Memory {
    fn new() -> Self {
        Self([MaybeUninit::new(0xee); 16 << 10])
    }

    /// A slice that begins `offset` bytes after a multiple of 4096.
    fn part(&mut self, offset: usize, bytes: usize) -> &mut [MaybeUninit<u8>] {
        &mut self.0[offset..offset + bytes]
    }

    /// The bytes outside of the part, which nobody may have written to.
    fn assert_untouched_around(&self, offset: usize, bytes: usize) {
        let outside = self.0[..offset].iter().chain(&self.0[offset + bytes..]);
        // SAFETY: all were initialised, and only the part was lent out since.
        assert!(outside.map(|byte| unsafe { byte.assume_init() }).all(|byte| byte == 0xee));
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn bytes(size: usize) -> Layout {
    layout(size, 1)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn blocks_are_aligned_and_within_the_slice_wherever_it_begins(
        offset in 0..64_usize,
        length in 0..12_000_usize,
        requests in prop::collection::vec((0..300_usize, 0..=12_u32), 0..40),
    ) {
        let mut memory = Memory::new();
        let part = memory.part(offset, length);
        let range = part.as_ptr_range();
        let (start, end) = (range.start.addr(), range.end.addr());
        let bump = BumpSlice::new(part);
        prop_assert_eq!((bump.capacity(), bump.used(), bump.remaining()), (length, 0, length));
        let (mut live, mut next): (Vec<Block>, usize) = (vec![], start);
        for (seed, &(size, shift)) in requests.iter().enumerate() {
            let wanted = layout(size, 1 << shift);
            let (first, used) = (next.next_multiple_of(wanted.align()), bump.used());
            match Block::new(&&bump, wanted, seed as u8) {
                Ok(block) => {
                    prop_assert_eq!(block.start.as_ptr().addr(), first, "no room is left in front of it");
                    next = first + size;
                    prop_assert!(next <= end);
                    prop_assert!(size == 0 || bump.owns(block.start));
                    live.push(block);
                }
                Err(AllocError) => {
                    prop_assert!(first + size > end, "it would have fitted");
                    prop_assert_eq!(bump.used(), used, "a refusal changes nothing");
                }
            }
            prop_assert_eq!(bump.used(), next - start);
            prop_assert_eq!(bump.used() + bump.remaining(), bump.capacity());
        }
        live.iter_mut().for_each(Block::assert_intact);
        memory.assert_untouched_around(offset, length);
    }
}

#[test]
fn it_can_be_used_up_to_the_last_byte_and_then_refuses_and_is_still_of_use() {
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(3, 100));
    let first = Block::new(&&bump, bytes(60), 1).unwrap();
    assert_eq!((&bump).allocate(bytes(41)), Err(AllocError));
    let mut second = Block::new(&&bump, bytes(40), 2).unwrap();
    assert_eq!(bump.remaining(), 0);
    assert_eq!((&bump).allocate(bytes(1)), Err(AllocError));
    assert!((&bump).allocate(bytes(0)).is_ok());
    assert!(second.grow(&&bump, bytes(41)).is_err());
    second.assert_intact();
    second.free(&&bump);
    assert_eq!(bump.remaining(), 40);
    Block::new(&&bump, bytes(40), 3).unwrap().assert_intact();
    first.free(&&bump);
}

#[test]
fn a_slice_of_no_bytes_refuses_everything_but_nothing() {
    let mut bump = BumpSlice::new(&mut []);
    assert_eq!(bump.capacity(), 0);
    assert!(bump.alloc(1_u8).is_err());
    assert!(bump.alloc(()).is_ok());
    bump.reset();
    assert!(!bump.owns(NonNull::dangling()));
}

#[test]
fn sizes_and_alignments_whose_sum_leaves_the_address_space_are_refused() {
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(1, 5000));
    let mut block = Block::new(&&bump, bytes(10), 1).unwrap();
    let most = isize::MAX as usize;
    for (size, align) in [(most, 1), (most - 4095, 4096), (1, 1 << 62), (0, 1 << 63), (most / 2 + 1, 1 << 62)]
    {
        let layout = layout(size, align);
        assert_eq!((&bump).allocate(layout), Err(AllocError), "{layout:?}");
        if size >= 10 {
            assert!(block.grow(&&bump, layout).is_err(), "{layout:?}");
        }
        assert_eq!(bump.used(), 10);
        block.assert_intact();
    }
}

#[test]
fn the_newest_block_grows_and_shrinks_where_it_is() {
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(5, 5000));
    bump.alloc(0_u8).unwrap();
    let mut block = Block::new(&&bump, layout(10, 8), 5).unwrap();
    let (start, used) = (block.start, bump.used());
    for size in [11, 17, 100, 1000, 4900] {
        block.grow(&&bump, layout(size, 8)).unwrap();
        assert_eq!((block.start, bump.used()), (start, used + size - 10));
    }
    block.grow_zeroed(&&bump, layout(4950, 8)).unwrap();
    for size in [3000, 10, 0] {
        block.shrink(&&bump, layout(size, 8)).unwrap();
        assert_eq!((block.start, bump.used()), (start, used + size - 10));
    }
}

#[test]
fn a_block_that_grows_where_it_is_may_be_written_to_its_new_end() {
    // Through the pointer that `grow` gave: one made from the old block would have the right to the old bytes alone.
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(0, 200));
    let mut list = SliceVec::with_capacity_in(1, &bump);
    for number in 0..100_u8 {
        list.push(number);
    }
    assert!(list.iter().copied().eq(0..100));
    assert_eq!(bump.used(), list.capacity());
}

#[test]
fn a_block_that_is_not_the_newest_moves_when_it_grows_and_stays_when_it_shrinks() {
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(0, 1000));
    let mut older = Block::new(&&bump, bytes(100), 1).unwrap();
    let mut newest = Block::new(&&bump, bytes(100), 2).unwrap();
    let start = older.start;
    older.shrink(&&bump, bytes(50)).unwrap();
    assert_eq!((older.start, bump.used()), (start, 200));
    older.grow(&&bump, bytes(100)).unwrap();
    assert_ne!(older.start, start);
    assert_eq!(bump.used(), 300);
    newest.assert_intact();
    older.free(&&bump);
    assert_eq!(bump.used(), 200, "having moved, it was the newest");
}

#[test]
fn blocks_that_end_where_they_begin_are_freed_in_reverse_order_down_to_nothing() {
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(7, 1000));
    let blocks: Vec<_> =
        [3, 40, 0, 8, 100, 1].map(|size| Block::new(&&bump, bytes(size), size as u8).unwrap()).into();
    assert_eq!(bump.used(), 152);
    blocks.into_iter().rev().for_each(|block| block.free(&&bump));
    assert_eq!(bump.used(), 0);
}

#[test]
fn padding_comes_back_with_a_reset_and_not_with_the_block_behind_it() {
    let mut memory = Memory::new();
    let mut bump = BumpSlice::new(memory.part(1, 1000));
    Block::new(&&bump, layout(8, 8), 1).unwrap().free(&&bump);
    assert_eq!(bump.used(), 7);
    bump.reset();
    assert_eq!((bump.used(), bump.remaining()), (0, 1000));
}

#[test]
fn a_block_of_no_bytes_takes_none_and_its_neighbours_are_not_touched_by_it() {
    let mut memory = Memory::new();
    let bump = BumpSlice::new(memory.part(0, 1000));
    let mut before = Block::new(&&bump, bytes(16), 1).unwrap();
    let mut nothing = Block::new(&&bump, bytes(0), 2).unwrap();
    assert_eq!(bump.used(), 16);
    let mut after = Block::new(&&bump, bytes(16), 3).unwrap();
    nothing.grow(&&bump, bytes(16)).unwrap();
    before.assert_intact();
    after.assert_intact();
    nothing.shrink(&&bump, bytes(0)).unwrap();
    nothing.free(&&bump);
    assert_eq!(bump.used(), 32);
}

#[test]
fn a_reset_gives_the_same_addresses_again() {
    let mut memory = Memory::new();
    let mut bump = BumpSlice::new(memory.part(9, 1000));
    let mut pass = || {
        let addresses: Vec<usize> = (1..30)
            .map(|size| Block::new(&&bump, layout(size, 4), 1).unwrap().start.as_ptr().addr())
            .collect();
        bump.reset();
        addresses
    };
    assert_eq!(pass(), pass());
}

#[test]
fn the_end_of_the_borrow_leaves_in_the_slice_what_was_written() {
    let mut memory = Memory::new();
    {
        let bump = BumpSlice::new(memory.part(0, 64));
        bump.alloc([1_u8, 2, 3]).unwrap();
        bump.alloc([4_u8; 10]).unwrap();
    }
    // SAFETY: bytes were written to these, and all were initialised before.
    let left: Vec<u8> = memory.0[..14].iter().map(|byte| unsafe { byte.assume_init() }).collect();
    assert_eq!(left, [1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0xee]);
}

#[test]
fn the_spare_room_of_a_vector_can_be_given() {
    let mut numbers: Vec<u8> = Vec::with_capacity(1000);
    numbers.extend([7; 10]);
    let mut bump = BumpSlice::new(numbers.spare_capacity_mut());
    assert!(bump.capacity() >= 990);
    assert_eq!(*bump.alloc(5_u64).unwrap(), 5);
    bump.reset();
    assert_eq!(numbers, [7; 10]);
}

#[test]
fn only_owners_drop_what_was_put_in() {
    let count = Arc::new(());
    let mut memory = Memory::new();
    let mut bump = BumpSlice::new(&mut memory.0);
    let boxed = Box::new_in(count.clone(), &bump);
    let mut list = SliceVec::new_in(&bump);
    list.push(count.clone());
    drop((boxed, list));
    assert_eq!(Arc::strong_count(&count), 1);
    bump.alloc(count.clone()).unwrap();
    bump.reset();
    assert_eq!(Arc::strong_count(&count), 2);
    let mut small = [MaybeUninit::uninit(); 1];
    assert!(BumpSlice::new(&mut small).alloc(count.clone()).is_err());
    assert_eq!(Arc::strong_count(&count), 2, "a value that did not fit is dropped");
}

#[test]
fn it_may_move_to_another_thread() {
    let mut memory = [const { MaybeUninit::uninit() }; 64];
    let mut bump = BumpSlice::new(&mut memory);
    bump.alloc(1_u8).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            bump.reset();
            assert_eq!(*bump.alloc(2_u64).unwrap(), 2);
        });
    });
}
