//! What only the arena promises.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use allocator_api2::alloc::{AllocError, Allocator, System};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec as ArenaVec;
use allocmark::allocators::arena::Arena;

use crate::blocks::Block;

/// The system's allocator with a ledger.
#[derive(Default)]
struct Counting {
    live_bytes: Cell<usize>,
    allocations: Cell<usize>,
}

// SAFETY: every block is the system's; only counts are kept beside.
unsafe impl Allocator for Counting {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.live_bytes.set(self.live_bytes.get() + layout.size());
        self.allocations.set(self.allocations.get() + 1);
        System.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.live_bytes.set(self.live_bytes.get() - layout.size());
        // SAFETY: passed on as it came.
        unsafe { System.deallocate(block, layout) };
    }
}

#[test]
fn drop_and_release_return_all_memory() {
    let counting = Counting::default();
    let mut arena = Arena::new_in(&counting);
    for size in [10, 10_000, 3_000_000, 100] {
        arena.alloc([0_u8; 64]).unwrap();
        (&arena).allocate(Layout::array::<u8>(size).unwrap()).unwrap();
    }
    assert_eq!(counting.live_bytes.get(), arena.held());
    arena.release();
    assert_eq!((counting.live_bytes.get(), arena.held(), arena.used()), (0, 0, 0));
    arena.alloc(1_u8).unwrap();
    assert!(counting.live_bytes.get() > 0);
    drop(arena);
    assert_eq!(counting.live_bytes.get(), 0);
}

#[test]
fn a_pass_that_repeats_itself_takes_no_more_memory() {
    let counting = Counting::default();
    let mut arena = Arena::new_in(&counting);
    let mut taken = vec![];
    for _ in 0..5 {
        for index in 0..30_000 {
            (&arena).allocate(Layout::array::<u8>(16 + index % 241).unwrap()).unwrap();
        }
        taken.push(counting.allocations.get());
        arena.reset();
        assert_eq!(arena.used(), 0);
    }
    assert!(taken[0] > 2, "the first pass needed several chunks");
    assert_eq!(taken[1], taken[4], "{taken:?}");
}

#[test]
fn chunks_double_so_few_are_taken() {
    let counting = Counting::default();
    let arena = Arena::new_in(&counting);
    for _ in 0..(1 << 20) / 64 {
        arena.alloc([0_u64; 8]).unwrap();
    }
    assert_eq!(arena.used(), 1 << 20);
    assert!(arena.held() <= 2 << 20, "{}", arena.held());
    assert!(counting.allocations.get() <= 10, "{}", counting.allocations.get());
}

#[test]
fn the_newest_block_grows_and_shrinks_where_it_is() {
    let arena = Arena::new();
    arena.alloc(0_u8).unwrap();
    let at = |size| Layout::from_size_align(size, 8).unwrap();
    let mut block = Block::new(&&arena, at(10), 5).unwrap();
    let start = block.start;
    let used = arena.used();
    for size in [17, 100, 1000, 3000] {
        block.grow(&&arena, at(size)).unwrap();
        assert_eq!(block.start, start);
    }
    block.shrink(&&arena, at(10)).unwrap();
    assert_eq!((block.start, arena.used()), (start, used));
}

#[test]
fn a_vector_that_fills_up_leaves_nothing_behind() {
    let arena = Arena::new();
    arena.alloc([0_u8; 2048]).unwrap();
    let mut numbers = ArenaVec::new_in(&arena);
    numbers.extend(0..200_u64);
    assert_eq!(arena.used(), 2048 + numbers.capacity() * 8);
}

#[test]
fn blocks_freed_in_reverse_order_are_used_again() {
    let arena = Arena::new();
    let blocks: Vec<_> = [3, 40, 8, 0, 100]
        .map(|size| Block::new(&&arena, Layout::array::<u8>(size).unwrap(), size as u8).unwrap())
        .into_iter()
        .collect();
    assert!(arena.used() > 0);
    blocks.into_iter().rev().for_each(|block| block.free(&&arena));
    assert_eq!(arena.used(), 0);
}

#[test]
fn a_limit_is_kept_and_can_be_used_up() {
    let counting = Counting::default();
    let mut arena = Arena::with_limit_in(10_000, &counting);
    for _ in 0..2 {
        let mut served = 0;
        while (&arena).allocate(Layout::new::<[u64; 4]>()).is_ok() {
            served += 32;
            let remaining = arena.remaining().unwrap();
            assert!(served + remaining <= 10_000, "{served} + {remaining}");
        }
        assert!(arena.remaining().unwrap() < 3 * 32 + 16, "{:?}", arena.remaining());
        assert!(served > 9_700 && counting.live_bytes.get() <= 10_000, "{served}");
        arena.reset();
    }
    assert_eq!((&arena).allocate(Layout::array::<u8>(10_000).unwrap()), Err(AllocError));
    assert_eq!(Arena::new().remaining(), None);
    assert!(Arena::with_limit(0).alloc(1_u8).is_err());
}

#[test]
fn a_large_block_leaves_small_kept_chunks_for_later() {
    let mut arena = Arena::new();
    for _ in 0..100 {
        arena.alloc([0_u8; 1000]).unwrap();
    }
    arena.reset();
    let held = arena.held();
    arena.alloc([0_u8; 60_000]).unwrap();
    assert_eq!(arena.held(), held, "the largest comes first");
    let mut small = 0;
    while arena.held() == held {
        arena.alloc([0_u8; 1000]).unwrap();
        small += 1;
    }
    assert!(small > 30, "{small}");
}

#[test]
fn reset_and_drop_run_no_destructor_of_what_was_only_written() {
    let count = Arc::new(());
    let mut arena = Arena::new();
    arena.alloc(count.clone()).unwrap();
    arena.reset();
    drop(arena);
    assert_eq!(Arc::strong_count(&count), 2);
}

#[test]
fn boxes_and_vectors_drop_their_content() {
    let count = Arc::new(());
    let arena = Arena::new();
    let boxed = Box::new_in(count.clone(), &arena);
    let mut list = ArenaVec::new_in(&arena);
    list.push(count.clone());
    assert_eq!(Arc::strong_count(&count), 3);
    drop((boxed, list));
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn owned_values_are_dropped_once_the_latest_first() {
    struct Note(u32, Arc<Mutex<Vec<u32>>>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let log = Arc::new(Mutex::new(vec![]));
    let mut arena = Arena::new();
    for number in 1..=3 {
        let note = arena.alloc_with_drop(Note(number, log.clone())).unwrap();
        assert_eq!(note.0, number);
        arena.alloc([0_u8; 3000]).unwrap();
    }
    arena.reset();
    assert_eq!(*log.lock().unwrap(), [3, 2, 1]);
    arena.alloc_with_drop(Note(4, log.clone())).unwrap();
    arena.release();
    arena.alloc_with_drop(Note(5, log.clone())).unwrap();
    drop(arena);
    assert_eq!(*log.lock().unwrap(), [3, 2, 1, 4, 5]);
}

#[test]
fn an_owned_value_whose_drop_panics_does_not_stop_the_others() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Panics(bool);
    impl Drop for Panics {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            assert!(!self.0, "as this test wants");
        }
    }
    let mut arena = Arena::new();
    for panics in [false, true, false] {
        arena.alloc_with_drop(Panics(panics)).unwrap();
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.reset()));
    assert!(result.is_err());
    assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
    drop(arena);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 3);
}

#[test]
fn an_arena_may_move_to_another_thread_with_what_it_owns() {
    let count = Arc::new(());
    let arena = Arena::new();
    arena.alloc_with_drop(count.clone()).unwrap();
    std::thread::spawn(move || drop(arena)).join().unwrap();
    assert_eq!(Arc::strong_count(&count), 1);
}
