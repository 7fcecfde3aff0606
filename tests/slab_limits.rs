//! The edges of `slab`: nothing, too much, huge blocks, and what realloc and the `Allocator` interface keep.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a valid layout")
}

#[test]
fn more_memory_than_there_is_gives_null_and_harms_nothing() {
    let most = isize::MAX as usize;
    for align in [1, 16, 4096, 1 << 22, 1 << 40, 1 << 62] {
        for size in [most - align + 1, most / 2, most / 4] {
            // SAFETY: the size is not zero; a block that came after all is freed.
            unsafe {
                if let Ok(layout) = Layout::from_size_align(size, align) {
                    assert!(SLAB.alloc(layout).is_null(), "{layout:?}");
                    assert!(SLAB.alloc_zeroed(layout).is_null());
                    assert!(Allocator::allocate(&SLAB, layout).is_err());
                }
            }
        }
    }
    for size in [40, 100_000, 6 << 20] {
        let layout = layout(size, 8);
        // SAFETY: the block is live; after a failed realloc it still is.
        unsafe {
            let block = SLAB.alloc(layout);
            block.add(size - 1).write(77);
            assert!(SLAB.realloc(block, layout, most - 4096).is_null());
            assert_eq!(block.add(size - 1).read(), 77);
            SLAB.dealloc(block, layout);
        }
    }
}

#[test]
fn zero_sized_requests_through_allocator_are_aligned_and_take_nothing() {
    for shift in [0, 4, 12, 22] {
        let empty = layout(0, 1 << shift);
        let block = Allocator::allocate(&SLAB, empty).expect("nothing is always there");
        assert!(block.is_empty() && block.cast::<u8>().addr().get().is_multiple_of(1 << shift));
        // SAFETY: the block was allocated with that layout; it grows and shrinks back.
        unsafe {
            let full = SLAB.grow_zeroed(block.cast(), empty, layout(100, 1 << shift)).expect("100 bytes");
            assert!(full.len() >= 100 && (0..full.len()).all(|at| full.cast::<u8>().add(at).read() == 0));
            let block = SLAB.shrink(full.cast(), layout(100, 1 << shift), empty).expect("nothing");
            SLAB.deallocate(block.cast(), empty);
        }
    }
}

#[test]
fn the_length_that_allocate_returns_may_be_used_and_named() {
    for size in [1, 17, 129, 1025, 70_000, 4 << 20] {
        let block = Allocator::allocate_zeroed(&SLAB, layout(size, 1)).expect("memory");
        assert!(block.len() >= size);
        // SAFETY: all of the block's length may be used, and named as the layout's size.
        unsafe {
            assert!((0..block.len()).all(|at| block.cast::<u8>().add(at).read() == 0));
            block.cast::<u8>().write_bytes(0xFF, block.len());
            SLAB.deallocate(block.cast(), layout(block.len(), 1));
        }
    }
}

#[test]
fn collections_of_allocator_api2_work_on_it() {
    let mut numbers = allocator_api2::vec::Vec::new_in(&SLAB);
    for number in 0..1_000_000_u64 {
        numbers.push(number);
    }
    numbers.truncate(10);
    numbers.shrink_to_fit();
    assert!(numbers.iter().copied().eq(0..10));
    assert!(SLAB.owns(NonNull::from(&numbers[0]).cast()));
}

#[test]
fn realloc_keeps_content_on_every_path() {
    // Within a class, between classes, into huge, huge in place, huge elsewhere, shrinking, and back.
    let sizes = [
        10,
        16,
        100,
        90,
        5000,
        300_000,
        3 << 20,
        5 << 20,
        6 << 20,
        40 << 20,
        130 << 20,
        20 << 20,
        (16 << 20) + 1,
        5 << 20,
        1 << 20,
        50,
        1,
    ];
    for align in [1, 8, 64, 4096, 65_536, 1 << 20, 1 << 23] {
        // SAFETY: the block is live with the layout of the last step.
        unsafe {
            let mut old = sizes[0];
            let mut block = SLAB.alloc(layout(old, align));
            block.write_bytes(0xA5, old);
            for new in sizes {
                block = SLAB.realloc(block, layout(old, align), new);
                assert!(!block.is_null() && block.addr().is_multiple_of(align));
                let kept = old.min(new);
                let probes = (0..kept.min(100)).chain((0..kept).step_by(4001)).chain([kept - 1]);
                for at in probes {
                    assert_eq!(block.add(at).read(), 0xA5, "{old} to {new} at {at}");
                }
                block.write_bytes(0xA5, new);
                old = new;
            }
            SLAB.dealloc(block, layout(old, align));
        }
    }
}

#[test]
fn owns_tells_ours_from_others_for_any_pointer() {
    let local = 0_u8;
    let boxed = Box::new(0_u8);
    for foreign in
        [NonNull::from(&local), NonNull::from(&*boxed), NonNull::from(b"static").cast(), NonNull::dangling()]
    {
        assert!(!SLAB.owns(foreign));
    }
    for size in [1, 4096, 1 << 20, 9 << 20] {
        let block = Allocator::allocate(&SLAB, layout(size, 1)).expect("memory");
        let last = block.cast::<u8>().as_ptr().wrapping_add(size - 1);
        assert!(SLAB.owns(block.cast()) && SLAB.owns(NonNull::new(last).expect("not null")));
        // SAFETY: the block is live.
        unsafe { SLAB.deallocate(block.cast(), layout(size, 1)) };
    }
}

#[test]
fn the_facade_has_no_size_and_its_facts_name_it() {
    assert_eq!(size_of::<Slab>(), 0);
    assert_eq!(allocmark::allocators::slab::FACTS.id, "slab");
}

#[test]
fn a_block_holds_what_was_asked_for_and_what_it_says() {
    for size in [1, 8, 9, 64, 65, 1_000, 4_097, 150_000, 200_000, 5 << 20] {
        let layout = layout(size, 8);
        // SAFETY: the size is not zero; every byte that the block says it can hold is written; it is freed once.
        unsafe {
            let block = NonNull::new(SLAB.alloc(layout)).expect("memory");
            let usable = SLAB.usable_size(block);
            assert!(usable >= size, "{usable} of {size}");
            block.as_ptr().write_bytes(0xA5, usable);
            SLAB.dealloc(block.as_ptr(), layout);
        }
    }
}
