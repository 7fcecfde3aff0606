//! What only the arenas of threads promise.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::collections::BTreeSet;
use std::env;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use allocator_api2::alloc::{AllocError, Allocator, System};
use allocator_api2::vec::Vec as ArenaVec;
use allocmark::allocators::arena_thread::ArenaThread;

use crate::blocks::Block;

fn bytes(size: usize) -> Layout {
    Layout::array::<u8>(size).unwrap()
}

/// The system's allocator with a ledger and a limit.
struct Counting {
    live_bytes: AtomicUsize,
    limit: usize,
}

impl Counting {
    fn with_limit(limit: usize) -> Self {
        Self { live_bytes: AtomicUsize::new(0), limit }
    }

    fn live_bytes(&self) -> usize {
        self.live_bytes.load(Ordering::Relaxed)
    }
}

// SAFETY: every block is the system's; only counts are kept beside.
unsafe impl Allocator for Counting {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if self.live_bytes.fetch_add(layout.size(), Ordering::Relaxed) + layout.size() > self.limit {
            self.live_bytes.fetch_sub(layout.size(), Ordering::Relaxed);
            return Err(AllocError);
        }
        System.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.live_bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on as it came.
        unsafe { System.deallocate(block, layout) };
    }
}

/// Runs `work` on so many threads at the same time.
fn together<R: Send>(threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let spawn = |index| {
            scope.spawn(move || {
                barrier.wait();
                let result = work(index);
                // No thread ends before all have come this far, or the next might take its slot over.
                barrier.wait();
                result
            })
        };
        let threads: Vec<_> = (0..threads).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn four_threads_never_get_the_same_bytes() {
    let mut arenas = ArenaThread::new().unwrap();
    let rounds = if cfg!(miri) { 50 } else { 5_000 };
    for _ in 0..3 {
        let ranges: Mutex<Vec<(usize, usize)>> = Mutex::default();
        together(4, |seed| {
            let mut live = vec![];
            for round in 0..rounds {
                let size = (round * 37 + seed * 11) % if round % 100 == 0 { 9000 } else { 200 };
                let layout = Layout::from_size_align(size, 1 << (round % 7)).unwrap();
                let mut block = Block::new(&&arenas, layout, (round ^ seed) as u8).unwrap();
                match round % 5 {
                    0 => block.free(&&arenas),
                    1 => {
                        let larger = Layout::from_size_align(size + 40, layout.align()).unwrap();
                        block.grow(&&arenas, larger).unwrap();
                        live.push(block);
                    }
                    _ => live.push(block),
                }
            }
            live.iter_mut().for_each(Block::assert_intact);
            assert!(live.iter().all(|block| block.layout.size() == 0 || arenas.owns(block.start)));
            let used = live.iter().filter(|block| block.layout.size() > 0);
            let used = used.map(|block| (block.start.as_ptr().addr(), block.layout.size()));
            ranges.lock().unwrap().extend(used);
        });
        let mut ranges = ranges.into_inner().unwrap();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "no two overlap");
        assert!(arenas.exact_usage().sum::<usize>() >= ranges.iter().map(|range| range.1).sum());
        arenas.reset();
        assert_eq!(arenas.exact_usage().count(), 0);
    }
}

#[test]
fn usage_is_told_for_each_thread_and_is_empty_after_a_reset() {
    let mut arenas = ArenaThread::new().unwrap();
    for _ in 0..2 {
        together(3, |index| {
            for _ in 0..=index {
                (&arenas).allocate(bytes(1000)).unwrap();
            }
        });
        let mut usage: Vec<_> = arenas.exact_usage().collect();
        usage.sort_unstable();
        assert_eq!(usage, [1000, 2000, 3000]);
        arenas.reset();
        assert_eq!((arenas.exact_usage().count(), arenas.usage().count()), (0, 0));
    }
}

#[test]
fn usage_as_others_see_it_is_at_most_a_chunk_behind() {
    let mut arenas = ArenaThread::new().unwrap();
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5_000 {
                (&arenas).allocate(bytes(1000)).unwrap();
            }
            barrier.wait();
            barrier.wait();
        });
        barrier.wait();
        let usage: Vec<_> = arenas.usage().collect();
        barrier.wait();
        let [used] = usage[..] else { panic!("{usage:?}") };
        assert!((5_000_000 - (1 << 20)..=5_000_000).contains(&used), "{used}");
    });
    assert_eq!(arenas.exact_usage().collect::<Vec<_>>(), [5_000_000]);
}

#[test]
fn drop_and_release_return_all_memory_of_all_threads() {
    let counting = Counting::with_limit(usize::MAX);
    let mut arenas = ArenaThread::new_in(&counting).unwrap();
    let fill = |arenas: &ArenaThread<_>| {
        together(4, |_| [10, 10_000, 3_000_000].map(|size| arenas.allocate(bytes(size)).map(drop).unwrap()));
    };
    fill(&arenas);
    assert_eq!(counting.live_bytes(), arenas.held());
    assert!(arenas.held() > 4 * 3_010_010);
    arenas.release();
    assert_eq!((counting.live_bytes(), arenas.held(), arenas.exact_usage().count()), (0, 0, 0));
    fill(&arenas);
    drop(arenas);
    assert_eq!(counting.live_bytes(), 0);
}

#[test]
fn a_refusal_of_the_backing_reaches_the_caller_and_what_was_there_stays() {
    let counting = Counting::with_limit(100_000);
    let arenas = ArenaThread::new_in(&counting).unwrap();
    let mut kept = Block::new(&&arenas, bytes(5_000), 1).unwrap();
    assert_eq!((&arenas).allocate(bytes(100_000)), Err(AllocError));
    for layout in [bytes(isize::MAX as usize), Layout::from_size_align(1, 1 << (usize::BITS - 2)).unwrap()] {
        assert_eq!((&arenas).allocate(layout), Err(AllocError));
        assert_eq!(kept.grow(&&arenas, bytes(isize::MAX as usize)), Err(AllocError));
    }
    kept.assert_intact();
    let served = std::iter::from_fn(|| (&arenas).allocate(bytes(64)).ok()).count();
    assert!((50_000..100_000).contains(&(served * 64)), "{served}");
    kept.assert_intact();
}

#[test]
fn a_vector_grows_in_place_on_its_own_thread() {
    let mut arenas = ArenaThread::new().unwrap();
    // A chunk large enough for all of it.
    (&arenas).allocate(bytes(20_000)).unwrap();
    arenas.reset();
    let mut numbers = ArenaVec::new_in(&arenas);
    numbers.extend(0..2_000_u64);
    let capacity = numbers.capacity();
    drop(numbers);
    assert_eq!(
        arenas.exact_usage().count(),
        0,
        "{capacity} numbers were the newest block and are used again"
    );
}

#[test]
fn a_block_that_another_thread_frees_or_grows_stays_where_it_is() {
    let mut arenas = ArenaThread::new().unwrap();
    let mut block = Block::new(&&arenas, bytes(64), 1).unwrap();
    let start = block.start.as_ptr().addr();
    let (address, layout) = (block.start.as_ptr().expose_provenance(), block.layout);
    thread::scope(|scope| {
        let arenas = &arenas;
        let other = move || {
            let theirs = NonNull::new(ptr::with_exposed_provenance_mut(address)).unwrap();
            // SAFETY: the block of the thread that waits for us; it is live and of this layout.
            let grown = unsafe { (&arenas).grow(theirs, layout, bytes(128)) }.unwrap();
            assert_ne!(grown.cast::<u8>().as_ptr().addr(), address);
            // SAFETY: ours since we grew it, freed once.
            unsafe { (&arenas).deallocate(grown.cast(), bytes(128)) };
        };
        scope.spawn(other).join().unwrap();
    });
    // Our old block is not used again by us, although it was the newest: nobody gave it back to us.
    block.assert_intact();
    let mut next = Block::new(&&arenas, bytes(64), 2).unwrap();
    assert!(next.start.as_ptr().addr() >= start + 64);
    next.assert_intact();
    assert_eq!(
        arenas.exact_usage().collect::<Vec<_>>(),
        [128],
        "the other thread's was its newest, and is gone"
    );
}

#[test]
fn a_block_at_the_end_of_one_arena_is_never_taken_for_the_newest_of_another() {
    // A backing that hands out one chunk right behind the other.
    struct Packed {
        next: Mutex<usize>,
        memory: Box<[UnsafeCell<MaybeUninit<u128>>]>,
    }
    // SAFETY: whoever holds the mutex hands out a part of the memory that nobody else has.
    unsafe impl Sync for Packed {}
    // SAFETY: parts are disjoint, at multiples of 16, and stay as long as the memory, which is not moved.
    unsafe impl Allocator for Packed {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            assert!(layout.align() <= 16);
            let mut next = self.next.lock().unwrap();
            let (start, length) = (*next, layout.size().div_ceil(16));
            let part = self.memory.get(start..start + length).ok_or(AllocError)?;
            *next += length;
            let part = NonNull::from(part).cast::<u8>();
            Ok(NonNull::slice_from_raw_parts(part, layout.size()))
        }

        unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}
    }
    let memory = (0..4096).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let packed = Packed { next: Mutex::new(0), memory };
    let arenas = ArenaThread::new_in(&packed).unwrap();
    // Fills this thread's first chunk of a page to its last byte.
    let last = Block::new(&&arenas, bytes(4096 - 16), 1).unwrap();
    let (address, layout) = (last.start.as_ptr().expose_provenance(), last.layout);
    thread::scope(|scope| {
        let arenas = &arenas;
        let other = move || {
            // Their chunk follows, and holds nothing yet.
            let first = Block::new(&arenas, bytes(64), 2).unwrap();
            let theirs = first.start.as_ptr().addr();
            first.free(&arenas);
            let block = NonNull::new(ptr::with_exposed_provenance_mut(address)).unwrap();
            // SAFETY: live, of this layout, and its owner gives it up.
            unsafe { (&arenas).deallocate(block, layout) };
            let again = Block::new(&arenas, bytes(64), 3).unwrap();
            assert_eq!(again.start.as_ptr().addr(), theirs, "not in front of its own chunk");
            assert_eq!(theirs, address + layout.size() + 16, "a header lies in between");
        };
        scope.spawn(other).join().unwrap();
    });
}

#[test]
fn threads_that_come_and_go_carry_on_in_the_same_arenas() {
    let mut arenas = ArenaThread::new().unwrap();
    for _ in 0..300 {
        thread::scope(|scope| {
            scope.spawn(|| (&arenas).allocate(bytes(1000)).map(|_| ()).unwrap()).join().unwrap();
        });
    }
    let usage: Vec<_> = arenas.exact_usage().collect();
    assert_eq!(usage.iter().sum::<usize>(), 300_000);
    // Tests beside this one may hold some slots, and let them go.
    assert!(usage.len() < 100, "{}", usage.len());
}

const CHILD: &str = "ALLOCMARK_TEST_ARENA_THREAD_CHILD";

#[test]
fn threads_beyond_the_slots_share_an_arena() {
    if env::var_os(CHILD).is_none() {
        // In a process of its own: it takes all slots.
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "arena_thread::threads_beyond_the_slots_share_an_arena"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let threads = if cfg!(miri) { 130 } else { 140 };
    let mut arenas = ArenaThread::new().unwrap();
    for _ in 0..2 {
        let addresses = together(threads, |seed| {
            let mut blocks: Vec<_> =
                (0..20).map(|_| Block::new(&&arenas, bytes(100), seed as u8).unwrap()).collect();
            let mut numbers = ArenaVec::new_in(&arenas);
            numbers.extend(0..100_u64);
            assert!(numbers.iter().copied().eq(0..100));
            blocks.iter_mut().for_each(Block::assert_intact);
            assert!(blocks.iter().all(|block| arenas.owns(block.start)));
            let addresses: Vec<_> = blocks.iter().map(|block| block.start.as_ptr().addr()).collect();
            blocks.into_iter().for_each(|block| block.free(&&arenas));
            addresses
        });
        let distinct: BTreeSet<_> = addresses.iter().flatten().collect();
        assert_eq!(distinct.len(), threads * 20);
        assert_eq!(arenas.exact_usage().count(), 129, "all slots and the common one");
        assert!(
            arenas.exact_usage().last() >= Some((threads - 128) * 20 * 104),
            "the common one is the last"
        );
        arenas.reset();
    }
}
