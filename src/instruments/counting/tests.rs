use std::alloc::System;
use std::cell::Cell;
use std::sync::{Arc, Barrier};
use std::thread;

use super::tally::GRAIN_BYTES;
use super::*;
use crate::allocators::global::GlobalSubject;

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a small layout")
}

/// Hands out nothing.
struct Refusing;

// SAFETY: null is always a lawful answer, so there is never a block to free or to resize.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        std::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

#[test]
fn every_entry_point_counts_as_what_it_is() {
    let counting = Counting::new(System);
    // SAFETY: each block is resized and freed with the layout that it has, once.
    unsafe {
        let plain = counting.alloc(layout(100));
        let zeroed = counting.alloc_zeroed(layout(50));
        let grown = counting.realloc(plain, layout(100), 130);
        let shrunk = counting.realloc(grown, layout(130), 10);
        assert_eq!(counting.tally().live_bytes(), 60);
        counting.dealloc(shrunk, layout(10));
        counting.dealloc(zeroed, layout(50));
    }
    let expected =
        Counts { allocations: 2, frees: 2, reallocations: 2, requested_bytes: 180, ..Counts::default() };
    assert_eq!(counting.tally().snapshot(), expected);
    assert_eq!((counting.tally().live_bytes(), counting.tally().peak_live_bytes()), (0, 180));
}

#[test]
fn a_subject_is_counted_as_a_global_allocator_is() {
    let counting = Counting::new(GlobalSubject);
    let handle = counting.handle();
    // SAFETY: each block is resized and freed with the layout that it has, once.
    unsafe {
        let plain = handle.allocate(layout(100)).unwrap().cast();
        let zeroed = handle.allocate_zeroed(layout(50)).unwrap().cast();
        let grown = handle.grow(plain, layout(100), layout(130)).unwrap().cast();
        let grown = handle.grow_zeroed(grown, layout(130), layout(150)).unwrap().cast();
        let shrunk = handle.shrink(grown, layout(150), layout(10)).unwrap().cast();
        handle.deallocate(shrunk, layout(10));
        handle.deallocate(zeroed, layout(50));
    }
    let expected =
        Counts { allocations: 2, frees: 2, reallocations: 3, requested_bytes: 200, ..Counts::default() };
    assert_eq!(counting.tally().snapshot(), expected);
    assert_eq!((counting.tally().live_bytes(), counting.tally().peak_live_bytes()), (0, 200));
}

#[test]
fn a_block_of_no_bytes_is_no_block() {
    let counting = Counting::new(GlobalSubject);
    let handle = counting.handle();
    // SAFETY: each block is resized and freed with the layout that it has, once.
    unsafe {
        let empty = handle.allocate(layout(0)).unwrap().cast();
        assert_eq!(counting.tally().snapshot(), Counts::default());
        let grown = handle.grow(empty, layout(0), layout(8)).unwrap().cast();
        assert_eq!(counting.tally().snapshot().allocations, 1);
        let empty = handle.shrink(grown, layout(8), layout(0)).unwrap().cast();
        handle.deallocate(empty, layout(0));
    }
    let expected = Counts { allocations: 1, frees: 1, requested_bytes: 8, ..Counts::default() };
    assert_eq!(counting.tally().snapshot(), expected);
}

#[test]
fn what_was_refused_is_not_counted() {
    let counting = Counting::new(Refusing);
    // SAFETY: the layout has bytes.
    unsafe {
        assert!(counting.alloc(layout(8)).is_null());
        assert!(counting.alloc_zeroed(layout(8)).is_null());
    }
    assert_eq!(counting.tally().snapshot(), Counts::default());
    assert_eq!(counting.tally().peak_live_bytes(), 0);
}

#[test]
fn on_one_thread_live_and_peak_are_exact() {
    let tally = Tally::new();
    let mut blocks: Vec<usize> = Vec::new();
    let (mut live, mut peak, mut random) = (0, 0, 1_u64);
    for step in 0..5_000 {
        // The multiplier and increment of Knuth's MMIX generator.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (random >> 33) as usize;
        // Small blocks and, one in eight, some above the grain.
        let bytes = if number.is_multiple_of(8) { number % 100_000 } else { number % 500 } + 1;
        match number % 5 {
            0 | 1 if !blocks.is_empty() => {
                let freed = blocks.swap_remove(number % blocks.len());
                tally.freed(freed);
                live -= freed;
            }
            2 if !blocks.is_empty() => {
                let at = number % blocks.len();
                let old = std::mem::replace(&mut blocks[at], bytes);
                tally.resized(old, bytes);
                live = live - old + bytes;
            }
            _ => {
                blocks.push(bytes);
                tally.allocated(bytes);
                live += bytes;
            }
        }
        peak = peak.max(live);
        if step % 1_000 == 999 {
            tally.restart_peak();
            peak = live;
        }
        if step % 1_500 == 1_499 {
            tally.release_all();
            blocks.clear();
            live = 0;
        }
        assert_eq!((tally.live_bytes(), tally.peak_live_bytes()), (live as u64, peak as u64), "step {step}");
    }
}

#[test]
fn threads_add_up_and_their_peak_is_within_the_bound() {
    const THREADS: usize = 4;
    let blocks = if cfg!(miri) { 600 } else { 5_000 };
    let (tally, full) = (Tally::new(), Barrier::new(THREADS));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..blocks {
                    tally.allocated(100);
                }
                // All blocks of all threads are alive here: this is the peak.
                full.wait();
                for _ in 0..blocks {
                    tally.freed(100);
                }
            });
        }
    });
    let total = (THREADS * blocks) as u64;
    let counts = tally.snapshot();
    assert_eq!((counts.allocations, counts.frees, counts.requested_bytes), (total, total, 100 * total));
    assert_eq!(tally.live_bytes(), 0);
    let bound = 3 * THREADS as u64 * GRAIN_BYTES.cast_unsigned();
    let peak = tally.peak_live_bytes();
    assert!(peak.abs_diff(100 * total) < bound, "{peak} is not within {bound} of {}", 100 * total);
}

#[test]
fn blocks_freed_on_another_thread_do_not_pile_up_in_the_peak() {
    const LAPS: usize = 200;
    let (tally, turn) = (Tally::new(), Barrier::new(2));
    let side = |work: &(dyn Fn() + Sync), first: bool| {
        for _ in 0..LAPS {
            if first {
                work();
            }
            turn.wait();
            if !first {
                work();
            }
            turn.wait();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| side(&|| (0..100).for_each(|_| tally.allocated(64)), true));
        scope.spawn(|| side(&|| (0..100).for_each(|_| tally.freed(64)), false));
    });
    assert_eq!((tally.live_bytes(), tally.snapshot().frees), (0, 100 * LAPS as u64));
    // 6 400 bytes are alive at a time, 1.28 MB come and go.
    let bound = 6 * GRAIN_BYTES.cast_unsigned();
    assert!(tally.peak_live_bytes() < 6_400 + bound, "{}", tally.peak_live_bytes());
}

#[test]
fn a_reset_leaves_nothing_alive_and_keeps_counts_and_peak() {
    use crate::allocators::arena::Arena;

    let mut counting = Counting::<Arena>::new(Arena::new());
    for _ in 0..3 {
        for _ in 0..100 {
            counting.handle().allocate(layout(1_000)).unwrap();
        }
        assert_eq!(counting.tally().live_bytes(), 100_000);
        Bulk::reset(&mut counting);
        assert_eq!(counting.tally().live_bytes(), 0);
    }
    let counts = counting.tally().snapshot();
    assert_eq!((counts.allocations, counts.frees, counts.requested_bytes), (300, 0, 300_000));
    assert_eq!(counting.tally().peak_live_bytes(), 100_000);
}

#[test]
fn usable_bytes_are_those_of_whole_blocks() {
    // As of an allocator whose only size class is 256 bytes.
    let counting = Counting::with(System, Tally::new(), Some(|_| 256));
    // SAFETY: the block is resized and freed with the layout that it has, once.
    unsafe {
        let block = counting.alloc(layout(100));
        let grown = counting.realloc(block, layout(100), 156);
        counting.dealloc(grown, layout(156));
    }
    let counts = counting.tally().snapshot();
    assert_eq!((counts.measured_bytes, counts.usable_bytes), (256, 512));
    assert_eq!(counts.usable_ratio(), Some(2.0));
    assert_eq!(Counts::default().usable_ratio(), None);
}

#[test]
fn counting_works_while_a_thread_ends() {
    struct Last(Arc<Tally>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.freed(8);
        }
    }
    thread_local! {
        static LAST: Cell<Option<Last>> = const { Cell::new(None) };
    }
    let tally = Arc::new(Tally::new());
    let theirs = Arc::clone(&tally);
    thread::spawn(move || {
        theirs.allocated(8);
        LAST.set(Some(Last(theirs)));
    })
    .join()
    .expect("the thread ends well");
    assert_eq!((tally.snapshot().frees, tally.live_bytes()), (1, 0));
}

#[test]
fn every_call_reaches_the_same_entry_point_of_the_wrapped_allocator() {
    /// Notes what it is asked.
    struct Noting(std::cell::RefCell<Vec<&'static str>>);

    // SAFETY: every call is the system's allocator's, arguments and answer unchanged.
    unsafe impl GlobalAlloc for Noting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.0.borrow_mut().push("alloc");
            // SAFETY: the caller's promise, passed on.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            self.0.borrow_mut().push("alloc_zeroed");
            // SAFETY: the caller's promise, passed on.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.0.borrow_mut().push("dealloc");
            // SAFETY: the caller's promises, passed on.
            unsafe { System.dealloc(block, layout) };
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            self.0.borrow_mut().push("realloc");
            // SAFETY: the caller's promises, passed on.
            unsafe { System.realloc(block, layout, new_size) }
        }
    }

    let counting = Counting::new(Noting(Vec::new().into()));
    // SAFETY: each block is resized and freed with the layout that it has, once.
    unsafe {
        let plain = counting.alloc(layout(8));
        let zeroed = counting.alloc_zeroed(layout(8));
        let moved = counting.realloc(plain, layout(8), 16);
        counting.dealloc(moved, layout(16));
        counting.dealloc(zeroed, layout(8));
    }
    assert_eq!(*counting.inner.0.borrow(), ["alloc", "alloc_zeroed", "realloc", "dealloc", "dealloc"]);
}
