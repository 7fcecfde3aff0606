//! What only the pool promises.

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::env;
use std::process::{Command, Output};
use std::ptr::NonNull;
use std::sync::{Barrier, mpsc};
use std::thread;

use allocator_api2::alloc::{AllocError, Allocator, System};
use allocmark::allocators::pool::Pool;

const BLOCK: Layout = Layout::new::<[u64; 4]>();

fn take(pool: &Pool) -> Result<usize, AllocError> {
    Ok(pool.allocate(BLOCK)?.cast::<u8>().as_ptr().expose_provenance())
}

/// Gives back what [`take`] gave.
fn put(pool: &Pool, address: usize) {
    let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
    // SAFETY: the tests put back what they took, once.
    unsafe { pool.deallocate(block, BLOCK) };
}

/// Takes blocks until the pool refuses.
fn take_all(pool: &Pool) -> Vec<usize> {
    let blocks: Vec<_> = std::iter::from_fn(|| take(pool).ok()).collect();
    let distinct: BTreeSet<_> = blocks.iter().collect();
    assert_eq!(distinct.len(), blocks.len(), "no block is handed out twice");
    blocks
}

#[test]
fn one_thread_gets_exactly_the_capacity_whatever_it_is() {
    for capacity in [0, 1, 7, 8, 9, 59, 480, 481, 10_000] {
        let mut pool = Pool::new(BLOCK, capacity).unwrap();
        for _ in 0..3 {
            let blocks = take_all(&pool);
            assert_eq!((blocks.len(), pool.in_use()), (capacity, capacity));
            blocks.into_iter().for_each(|block| put(&pool, block));
            assert_eq!(pool.in_use(), 0);
            pool.check_invariants();
        }
    }
}

#[test]
fn blocks_idle_in_the_magazine_of_a_running_thread_are_missing_to_nobody() {
    let pool = Pool::new(BLOCK, 1000).unwrap();
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let blocks = take_all(&pool);
            assert_eq!(blocks.len(), 1000);
            blocks.into_iter().for_each(|block| put(&pool, block));
            barrier.wait();
            barrier.wait();
        });
        barrier.wait();
        let blocks = take_all(&pool);
        // Before anything is asserted, or a failure would leave the other thread waiting.
        barrier.wait();
        assert!((1000..=1000 + pool.magazine_length()).contains(&blocks.len()), "{}", blocks.len());
        blocks.into_iter().for_each(|block| put(&pool, block));
    });
}

#[test]
fn a_thread_that_only_frees_keeps_nothing_from_the_others() {
    let pool = Pool::new(BLOCK, 1000).unwrap();
    let blocks = take_all(&pool);
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            blocks.into_iter().for_each(|block| put(&pool, block));
            barrier.wait();
            barrier.wait();
        });
        barrier.wait();
        let (in_use, taken) = (pool.in_use(), take_all(&pool).len());
        barrier.wait();
        assert_eq!(in_use, 0);
        assert!(taken >= 1000, "{taken}");
    });
}

#[test]
fn the_magazine_of_an_ended_thread_comes_back() {
    // In a process of its own: here, a thread of another test might take the ended thread's slot over.
    let output = in_a_child_process("ended-thread");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The test above, in the child process.
fn end_a_thread_and_take_its_blocks(pool: &Pool, mine: usize) {
    thread::scope(|scope| {
        let ended = scope.spawn(|| {
            let blocks: Vec<_> = (0..50).map(|_| take(pool).unwrap()).collect();
            blocks.into_iter().for_each(|block| put(pool, block));
        });
        // The end of the scope alone does not wait for the thread's destructors.
        ended.join().unwrap();
    });
    assert_eq!(pool.in_use(), 1);
    let rest = take_all(pool);
    let all = pool.capacity() + pool.magazine_length();
    assert_eq!(rest.len() + 1, all, "every block there is, so the ended thread kept none");
    assert_eq!(pool.in_use(), all);
    put(pool, mine);
}

#[test]
fn generations_of_threads_do_not_use_the_pool_up() {
    let mut pool = Pool::new(BLOCK, 500).unwrap();
    for _ in 0..300 {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let blocks: Vec<_> = (0..100).map(|_| take(&pool).unwrap()).collect();
                    blocks.into_iter().for_each(|block| put(&pool, block));
                });
            }
        });
    }
    assert_eq!(pool.in_use(), 0);
    pool.check_invariants();
    assert!(take_all(&pool).len() >= 500);
}

#[test]
fn more_threads_than_slots_are_served_and_see_the_whole_capacity() {
    const THREADS: usize = 140;
    let mut pool = Pool::new(BLOCK, 10 * THREADS).unwrap();
    let barrier = Barrier::new(THREADS);
    let most: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    // All run at once and hold ten blocks: together exactly the capacity.
                    let blocks: Vec<_> = (0..10).filter_map(|_| take(&pool).ok()).collect();
                    barrier.wait();
                    let in_use = pool.in_use();
                    barrier.wait();
                    blocks.into_iter().for_each(|block| put(&pool, block));
                    barrier.wait();
                    in_use
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    });
    assert_eq!((most, pool.in_use()), (10 * THREADS, 0));
    pool.check_invariants();
    assert!(take_all(&pool).len() >= 10 * THREADS);
    pool.check_invariants();
}

#[test]
fn blocks_travel_between_threads_and_are_never_shared() {
    const ROUNDS: usize = if cfg!(miri) { 100 } else { 30_000 };
    let mut pool = Pool::new(BLOCK, 300).unwrap();
    thread::scope(|scope| {
        // Each thread fills blocks with its number and passes them on to the next, which checks and frees them.
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..3).map(|_| mpsc::sync_channel::<(usize, u64)>(64)).unzip();
        let mut senders: Vec<_> = senders.into_iter().collect();
        senders.rotate_left(1);
        for (number, (sender, receiver)) in senders.into_iter().zip(receivers).enumerate() {
            let pool = &pool;
            let word = |address: usize| std::ptr::with_exposed_provenance_mut::<u64>(address);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let stamp = (number * ROUNDS + round) as u64;
                    let address = take(pool).expect("at most 3 * 65 are in use");
                    for offset in 0..4 {
                        // SAFETY: the block is ours and four words long.
                        unsafe { word(address).add(offset).write(stamp) };
                    }
                    // When the next thread is behind, or has ended, the block goes back from here.
                    if sender.try_send((address, stamp)).is_err() {
                        put(pool, address);
                    }
                    if let Ok((address, stamp)) = receiver.try_recv() {
                        for offset in 0..4 {
                            // SAFETY: passed on to us whole.
                            assert_eq!(unsafe { word(address).add(offset).read() }, stamp);
                        }
                        put(pool, address);
                    }
                }
                drop(sender);
                receiver.iter().for_each(|(address, _)| put(pool, address));
            });
        }
    });
    assert_eq!(pool.in_use(), 0, "everything came back");
    pool.check_invariants();
    assert_eq!(pool.hits() + pool.misses(), 3 * ROUNDS as u64);
}

#[test]
fn nearly_all_of_a_thread_s_allocations_hit_its_magazine() {
    let pool = Pool::new(BLOCK, 1000).unwrap();
    for _ in 0..100 {
        let block = take(&pool).unwrap();
        put(&pool, block);
    }
    assert_eq!((pool.hits(), pool.misses()), (99, 1));
    take_all(&pool);
    assert!(pool.misses() <= 2 + 1000 / (pool.magazine_length() as u64 / 2), "{}", pool.misses());
}

#[test]
fn what_does_not_fit_is_refused() {
    let pool = Pool::new(BLOCK, 10).unwrap();
    let (long, aligned) = (Layout::new::<[u64; 5]>(), Layout::from_size_align(8, 64).unwrap());
    assert_eq!((&pool).allocate(long), Err(AllocError));
    assert_eq!((&pool).allocate(aligned), Err(AllocError));
}

#[test]
fn each_block_goes_back_to_the_allocator_that_made_it() {
    let pool = Pool::new(BLOCK, 2).unwrap().with_backing(System);
    let pool = &&pool;
    let blocks: Vec<_> = (0..4).map(|_| pool.allocate(BLOCK).unwrap().cast::<u8>()).collect();
    let owned: Vec<_> = blocks.iter().map(|&block| pool.pool().owns(block)).collect();
    assert_eq!(owned, [true, true, false, false], "what the pool is too full for comes from the system");
    for block in blocks {
        // SAFETY: live, of this layout, given up here.
        unsafe { pool.deallocate(block, BLOCK) };
    }
    assert_eq!(pool.pool().in_use(), 0);
    let again: Vec<_> = (0..3).map(|_| pool.allocate(BLOCK).unwrap().cast::<u8>()).collect();
    assert!(!pool.pool().owns(again[2]), "the system's blocks have not entered the pool");
    for block in again {
        // SAFETY: as above.
        unsafe { pool.deallocate(block, BLOCK) };
    }
}

/// The system's allocator, which gives 64 bytes more than asked, and nothing that is zero.
struct Generous;

impl Generous {
    fn whole(layout: Layout) -> Layout {
        Layout::from_size_align(layout.size() + 64, layout.align()).unwrap()
    }
}

// SAFETY: every block is one of the system's, with the layout of `whole`. The test names the layout that it asked for.
unsafe impl Allocator for Generous {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = System.allocate(Self::whole(layout))?;
        // SAFETY: the block is as long as its length says.
        unsafe { block.cast::<u8>().write_bytes(0xff, block.len()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: allocated with that layout; the rest is the caller's promise.
        unsafe { System.deallocate(block, Self::whole(layout)) };
    }
}

#[test]
fn a_block_that_moves_out_is_cleared_to_the_end_that_the_backing_gave_it() {
    let (old, new) = (Layout::new::<[u8; 8]>(), Layout::new::<[u8; 100]>());
    let pool = Pool::new(old, 10).unwrap().with_backing(Generous);
    let block = (&pool).allocate(old).unwrap().cast::<u8>();
    // SAFETY: live, of this layout; the new size is not smaller.
    let grown = unsafe { (&pool).grow_zeroed(block, old, new) }.unwrap();
    assert_eq!(grown.len(), new.size() + 64);
    // SAFETY: as long as its length says, and cleared from the old size on.
    assert!((old.size()..grown.len()).all(|at| unsafe { grown.cast::<u8>().add(at).read() } == 0));
    // SAFETY: live, of this layout, given up here.
    unsafe { (&pool).deallocate(grown.cast(), new) };
}

#[cfg(target_os = "linux")]
#[test]
fn drop_returns_the_address_space() {
    // Pages of address space; the other tests of this process together move far less than the gibibyte looked for.
    let mapped = || -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').next().unwrap().parse().unwrap()
    };
    let half = (512 << 20) / allocmark::allocators::pages::page_size();
    let before = mapped();
    let pool = Pool::new(Layout::new::<[u8; 4096]>(), (1 << 30) / 4096).unwrap();
    assert!(mapped() > before + half);
    drop(pool);
    assert!(mapped() < before + half);
}

const DEED: &str = "ALLOCMARK_TEST_DEED";

/// Does what the environment says, in a process of its own; nothing when run as one test among the others.
#[test]
fn deed_in_a_child_process() {
    let Ok(deed) = env::var(DEED) else { return };
    let pool = Pool::new(BLOCK, 100).unwrap();
    let block = take(&pool).unwrap();
    match deed.as_str() {
        "ended-thread" => end_a_thread_and_take_its_blocks(&pool, block),
        "twice" => {
            put(&pool, block);
            put(&pool, block);
        }
        "twice-far-apart" => {
            put(&pool, block);
            take_all(&pool).into_iter().for_each(|block| put(&pool, block));
            put(&pool, block);
        }
        "middle" => put(&pool, block + 8),
        "never" => put(&pool, block + 40 * BLOCK.size()),
        "beyond" => {
            let block = (&pool).allocate(Layout::new::<[u8; 21]>()).unwrap().cast::<u8>();
            // SAFETY: none: the write is the misuse. Within the pool's block, whatever is asked for.
            unsafe {
                block.add(21).write(0);
                (&pool).deallocate(block, Layout::new::<[u8; 21]>());
            }
        }
        "foreign" => put(&pool, Box::leak(Box::new([0_u64; 4])).as_mut_ptr().expose_provenance()),
        other => panic!("unknown deed {other}"),
    }
}

fn in_a_child_process(deed: &str) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "pool::deed_in_a_child_process", "--nocapture"])
        .env(DEED, deed)
        .output()
        .unwrap()
}

#[track_caller]
fn assert_stopped(kind: &str, message: &str) {
    use std::os::unix::process::ExitStatusExt;
    let output = in_a_child_process(kind);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{kind}: aborted, not unwound: {stderr}");
    assert!(stderr.contains(message), "{kind}: {stderr}");
}

#[cfg(debug_assertions)]
#[test]
fn debug_builds_stop_at_a_block_that_is_freed_twice() {
    assert_stopped("twice", "freed a block that was not in use");
    assert_stopped("twice-far-apart", "freed a block that was not in use");
    assert_stopped("never", "freed a block that was not in use");
}

#[cfg(debug_assertions)]
#[test]
fn debug_builds_stop_at_a_pointer_into_a_block() {
    assert_stopped("middle", "into the middle of a block");
}

// The sanitizer finds the write itself: `tests/poison.rs`.
#[cfg(all(debug_assertions, not(allocmark_poison)))]
#[test]
fn debug_builds_stop_at_a_block_that_was_written_to_beyond_its_size() {
    assert_stopped("beyond", "written to beyond the size");
}

#[test]
fn every_build_stops_at_a_block_of_another_allocator() {
    assert_stopped("foreign", "freed a block of another allocator");
}
