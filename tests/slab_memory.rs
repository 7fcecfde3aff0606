//! What `slab` holds and gives back. One test after the other in a process of its own: the figures are process-wide.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use allocmark::allocators::slab::{Slab, Statistics};

const SLAB: Slab = Slab::new();

/// An address that may go to another thread.
struct Parcel(*mut u8);

// SAFETY: blocks may be used and freed on any thread, and each parcel has one holder.
unsafe impl Send for Parcel {}

fn allocate(size: usize) -> Parcel {
    // SAFETY: the size is not zero.
    let block = unsafe { SLAB.alloc(Layout::from_size_align(size, 8).expect("valid")) };
    assert!(!block.is_null());
    // SAFETY: the block is at least one byte long.
    unsafe { block.write(size as u8) };
    Parcel(block)
}

fn free(parcel: Parcel, size: usize) {
    // SAFETY: the block is live and was allocated with this layout.
    unsafe {
        assert_eq!(parcel.0.read(), size as u8);
        SLAB.dealloc(parcel.0, Layout::from_size_align(size, 8).expect("valid"));
    }
}

fn settled() -> Statistics {
    SLAB.trim();
    SLAB.statistics()
}

/// Runs `work` on `count` threads at once and waits for their very end: a scope alone only waits for `work`, not for the
/// destructors of thread-locals, in which a heap is handed on.
fn on_threads(count: usize, work: impl Fn() + Sync, meanwhile: impl FnOnce()) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        meanwhile();
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

/// How many threads come and go; each is a process-wide event, and debug builds check much.
const THREADS: usize = 10_000;

fn ten_thousand_threads_do_not_grow_memory() {
    let mut at_first = 0;
    for round in 0..THREADS / 4 {
        let work = || {
            let parcels: Vec<_> = (1..40).map(|step| (allocate(step * 37), step * 37)).collect();
            for (parcel, size) in parcels {
                free(parcel, size);
            }
        };
        on_threads(4, work, || ());
        let mapped = SLAB.statistics().mapped_bytes;
        if round == 20 {
            at_first = mapped;
        }
        // Four threads at once need four heaps and segments; how many were at once before differs a little.
        assert!(
            round <= 20 || mapped <= at_first + (16 << 20),
            "{at_first} grew to {mapped} in round {round}"
        );
    }
    assert_eq!(settled().live_blocks(), 0);
    assert!(SLAB.statistics().heaps <= 16);
}

fn blocks_that_outlive_their_thread_are_not_lost() {
    for _ in 0..50 {
        let parcels =
            std::thread::spawn(|| (0..2000).map(|_| allocate(200)).collect::<Vec<_>>()).join().expect("fine");
        assert!(SLAB.statistics().live_blocks() >= 2000);
        for parcel in parcels {
            free(parcel, 200);
        }
        let after = settled();
        assert_eq!((after.live_blocks(), after.live_bytes()), (0, 0));
    }
    assert!(SLAB.statistics().mapped_bytes <= 8 << 20);
}

fn a_producer_and_its_consumers_stay_within_what_is_in_flight() {
    let (sender, receiver) = mpsc::sync_channel::<(Parcel, usize)>(100);
    let receiver = std::sync::Mutex::new(receiver);
    let consume = || {
        loop {
            let next = receiver.lock().expect("not poisoned").recv();
            let Ok((parcel, size)) = next else { break };
            free(parcel, size);
        }
    };
    on_threads(2, consume, || {
        for index in 0..200_000_usize {
            let size = 16 + index * 7 % 1000;
            sender.send((allocate(size), size)).expect("received");
            if index % 10_000 == 0 {
                let mapped = SLAB.statistics().mapped_bytes;
                assert!(mapped <= 48 << 20, "{mapped} bytes for about a hundred blocks");
            }
        }
        drop(sender);
    });
    assert_eq!(settled().live_blocks(), 0);
    #[cfg(debug_assertions)]
    assert_eq!(SLAB.check_invariants(), Ok(0));
}

fn what_was_freed_is_given_back() {
    let before = settled().mapped_bytes;
    let parcels: Vec<_> = (0..300_000).map(|_| allocate(500)).collect();
    let full = SLAB.statistics();
    assert!(full.mapped_bytes >= before + 300_000 * 500);
    let class = full.classes.iter().find(|class| class.block_bytes == 512).expect("a class of 512 B");
    assert_eq!(class.live_blocks, 300_000);
    assert!(class.blocks >= 300_000 && class.spans * 128 == class.blocks);
    for parcel in parcels {
        free(parcel, 500);
    }
    // Without being asked: all but the reserve, this thread's one segment, and the heaps' records.
    let after = SLAB.statistics();
    assert!(after.mapped_bytes <= before + (44 << 20), "{before} before, {} after", after.mapped_bytes);
    assert_eq!(after.live_blocks(), 0);
    // When asked: nearly all.
    assert!(settled().mapped_bytes <= before + (4 << 20));
}

fn huge_blocks_are_counted_and_given_back() {
    let before = settled();
    let parcel = allocate(50 << 20);
    let with = SLAB.statistics();
    assert_eq!((with.huge_blocks, with.huge_bytes), (1, 50 << 20));
    assert!(with.mapped_bytes >= before.mapped_bytes + (50 << 20));
    free(parcel, 50 << 20);

    // What was freed is kept for the next, but no more than a quarter more than was live at once.
    for _ in 0..3 {
        let parcels: Vec<_> = (0..20).map(|_| allocate(10 << 20)).collect();
        assert_eq!(SLAB.statistics().huge_blocks, 20);
        for parcel in parcels {
            free(parcel, 10 << 20);
        }
        let kept = SLAB.statistics();
        assert!(kept.mapped_bytes > before.mapped_bytes);
        // A block of 10 MiB has a mapping of 12.
        assert!(kept.mapped_bytes <= before.mapped_bytes + 20 * (12 << 20) / 4 * 5);
    }
    let kept = SLAB.statistics();
    assert_eq!(kept.huge_blocks, 0);
    // A kept mapping is used again, and is zero where that is asked for.
    let layout = Layout::from_size_align(9 << 20, 8).expect("valid");
    // SAFETY: the size is not zero, and the block is zeroed and freed once.
    unsafe {
        let block = SLAB.alloc_zeroed(layout);
        assert_eq!(SLAB.statistics().mapped_bytes, kept.mapped_bytes);
        assert!((0..layout.size()).all(|at| block.add(at).read() == 0));
        SLAB.dealloc(block, layout);
    }
    assert_eq!(settled().mapped_bytes, before.mapped_bytes);
}

fn segments_may_be_walked_while_they_come_and_go() {
    const SIZE: usize = 3 << 20;
    let ended = AtomicBool::new(false);
    let walk = || {
        while !ended.load(Ordering::Relaxed) {
            assert!(SLAB.statistics().classes.iter().all(|class| class.live_blocks <= class.blocks));
        }
    };
    on_threads(2, walk, || {
        for _ in 0..200 {
            // Each has a segment of its own, and there are more of them than are kept.
            let parcels: Vec<_> = (0..20).map(|_| allocate(SIZE)).collect();
            parcels.into_iter().for_each(|parcel| free(parcel, SIZE));
            SLAB.trim();
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert_eq!(settled().live_blocks(), 0);
}

#[test]
fn memory_is_bounded_and_returned() {
    what_was_freed_is_given_back();
    huge_blocks_are_counted_and_given_back();
    blocks_that_outlive_their_thread_are_not_lost();
    a_producer_and_its_consumers_stay_within_what_is_in_flight();
    ten_thousand_threads_do_not_grow_memory();
    segments_may_be_walked_while_they_come_and_go();
}
