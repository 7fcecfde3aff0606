//! What all our pools promise, each for every one of them.

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::env;
use std::process::{Command, Output};
use std::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

use allocator_api2::alloc::{AllocError, Allocator, System};
use allocmark::allocators::contract::Known;
use allocmark::allocators::pool::{BackedPool, Pool};
use allocmark::allocators::pool_local::PoolLocal;
use allocmark::allocators::pool_mutex::PoolMutex;

use crate::pool::end_a_thread_and_take_its_blocks;

pub(crate) const BLOCK: Layout = Layout::new::<[u64; 4]>();

/// The functions that the pools have in common.
pub(crate) trait FixedPool: Known {
    fn new(block: Layout, capacity: usize) -> Result<Self, AllocError>;
    fn with_backing<A: Allocator>(self, backing: A) -> BackedPool<A, Self>;
    fn capacity(&self) -> usize;
    fn block_layout(&self) -> Layout;
    fn in_use(&self) -> usize;
    /// Hits and misses.
    fn counts(&self) -> (u64, u64);
    fn check_invariants(&mut self);
}

impl FixedPool for Pool {
    fn new(block: Layout, capacity: usize) -> Result<Self, AllocError> {
        Self::new(block, capacity)
    }
    fn with_backing<A: Allocator>(self, backing: A) -> BackedPool<A, Self> {
        self.with_backing(backing)
    }
    fn capacity(&self) -> usize {
        self.capacity()
    }
    fn block_layout(&self) -> Layout {
        self.block_layout()
    }
    fn in_use(&self) -> usize {
        self.in_use()
    }
    fn counts(&self) -> (u64, u64) {
        (self.hits(), self.misses())
    }
    fn check_invariants(&mut self) {
        self.check_invariants();
    }
}

impl FixedPool for PoolLocal {
    fn new(block: Layout, capacity: usize) -> Result<Self, AllocError> {
        Self::new(block, capacity)
    }
    fn with_backing<A: Allocator>(self, backing: A) -> BackedPool<A, Self> {
        self.with_backing(backing)
    }
    fn capacity(&self) -> usize {
        self.capacity()
    }
    fn block_layout(&self) -> Layout {
        self.block_layout()
    }
    fn in_use(&self) -> usize {
        self.in_use()
    }
    fn counts(&self) -> (u64, u64) {
        (self.hits(), self.misses())
    }
    fn check_invariants(&mut self) {
        self.check_invariants();
    }
}

impl FixedPool for PoolMutex {
    fn new(block: Layout, capacity: usize) -> Result<Self, AllocError> {
        Self::new(block, capacity)
    }
    fn with_backing<A: Allocator>(self, backing: A) -> BackedPool<A, Self> {
        self.with_backing(backing)
    }
    fn capacity(&self) -> usize {
        self.capacity()
    }
    fn block_layout(&self) -> Layout {
        self.block_layout()
    }
    fn in_use(&self) -> usize {
        self.in_use()
    }
    fn counts(&self) -> (u64, u64) {
        (self.hits(), self.misses())
    }
    fn check_invariants(&mut self) {
        self.check_invariants();
    }
}

pub(crate) fn take<P: FixedPool>(pool: &P) -> Result<usize, AllocError> {
    Ok(pool.handle().allocate(BLOCK)?.cast::<u8>().as_ptr().expose_provenance())
}

/// Gives back what [`take`] gave.
pub(crate) fn put<P: FixedPool>(pool: &P, address: usize) {
    let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
    // SAFETY: the tests put back what they took, once.
    unsafe { pool.handle().deallocate(block, BLOCK) };
}

/// Takes blocks until the pool refuses.
pub(crate) fn take_all<P: FixedPool>(pool: &P) -> Vec<usize> {
    let blocks: Vec<_> = std::iter::from_fn(|| take(pool).ok()).collect();
    let distinct: BTreeSet<_> = blocks.iter().collect();
    assert_eq!(distinct.len(), blocks.len(), "no block is handed out twice");
    blocks
}

#[test]
fn one_thread_gets_exactly_the_capacity_whatever_it_is() {
    fn check<P: FixedPool>() {
        for capacity in [0, 1, 7, 8, 9, 59, 480, 481, 10_000] {
            let mut pool = P::new(BLOCK, capacity).unwrap();
            assert_eq!(pool.capacity(), capacity);
            for _ in 0..3 {
                let blocks = take_all(&pool);
                assert_eq!((blocks.len(), pool.in_use()), (capacity, capacity));
                blocks.into_iter().for_each(|block| put(&pool, block));
                assert_eq!(pool.in_use(), 0);
                pool.check_invariants();
            }
        }
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn every_allocation_is_a_hit_or_a_miss_and_one_of_a_freed_block_is_a_hit() {
    fn check<P: FixedPool>() {
        let pool = P::new(BLOCK, 100).unwrap();
        for _ in 0..50 {
            let block = take(&pool).unwrap();
            put(&pool, block);
        }
        assert_eq!(pool.counts(), (49, 1), "{}", P::FACTS.id);
        take_all(&pool);
        let (hits, misses) = pool.counts();
        assert_eq!(hits + misses, 50 + 101, "{}: the refused one too", P::FACTS.id);
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn a_block_is_rounded_up_to_its_alignment_and_to_eight_bytes() {
    fn check<P: FixedPool>() {
        for (size, align, expected) in [(1, 1, 8), (0, 1, 8), (12, 8, 16), (12, 4, 12), (100, 64, 128)] {
            let pool = P::new(Layout::from_size_align(size, align).unwrap(), 3).unwrap();
            assert_eq!(pool.block_layout(), Layout::from_size_align(expected, align).unwrap());
        }
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn what_no_machine_has_is_refused_at_construction() {
    fn check<P: FixedPool>() {
        for capacity in [1 << 31, u32::MAX as usize, usize::MAX / 8, usize::MAX] {
            assert!(P::new(Layout::new::<[u8; 1 << 20]>(), capacity).is_err());
        }
        assert!(P::new(Layout::from_size_align(1 << 33, 8).unwrap(), 1).is_err());
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn what_does_not_fit_is_refused() {
    fn check<P: FixedPool>() {
        let pool = P::new(BLOCK, 10).unwrap();
        let (long, aligned) = (Layout::new::<[u64; 5]>(), Layout::from_size_align(8, 64).unwrap());
        assert_eq!(pool.handle().allocate(long), Err(AllocError));
        assert_eq!(pool.handle().allocate(aligned), Err(AllocError));
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn a_pool_may_move_to_another_thread_while_it_is_not_borrowed() {
    fn check<P: FixedPool + Send>() {
        let pool = P::new(BLOCK, 10).unwrap();
        let block = take(&pool).unwrap();
        let in_use = |pool: P| {
            put(&pool, block);
            (take_all(&pool).len(), pool.in_use())
        };
        // At least: the second thread brings a magazine along where there are some.
        let (taken, in_use) = thread::scope(|scope| scope.spawn(move || in_use(pool)).join().unwrap());
        assert!(taken >= 10 && taken == in_use, "{}: {taken}, {in_use}", P::FACTS.id);
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn each_block_goes_back_to_the_allocator_that_made_it() {
    fn check<P: FixedPool>() {
        let pool = P::new(BLOCK, 2).unwrap().with_backing(System);
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
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
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
    fn check<P: FixedPool>() {
        let (old, new) = (Layout::new::<[u8; 8]>(), Layout::new::<[u8; 100]>());
        let pool = P::new(old, 10).unwrap().with_backing(Generous);
        let block = (&pool).allocate(old).unwrap().cast::<u8>();
        // SAFETY: live, of this layout; the new size is not smaller.
        let grown = unsafe { (&pool).grow_zeroed(block, old, new) }.unwrap();
        assert_eq!((grown.len(), pool.pool().in_use()), (new.size() + 64, 0));
        // SAFETY: as long as its length says, and cleared from the old size on.
        assert!((old.size()..grown.len()).all(|at| unsafe { grown.cast::<u8>().add(at).read() } == 0));
        // SAFETY: live, of this layout, given up here.
        unsafe { (&pool).deallocate(grown.cast(), new) };
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

#[test]
fn blocks_travel_between_threads_and_are_never_shared() {
    const ROUNDS: usize = if cfg!(miri) { 100 } else { 30_000 };
    fn check<P: FixedPool + Sync>() {
        let mut pool = P::new(BLOCK, 300).unwrap();
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
        let (hits, misses) = pool.counts();
        assert_eq!(hits + misses, 3 * ROUNDS as u64);
    }
    check::<Pool>();
    check::<PoolMutex>();
}

#[cfg(target_os = "linux")]
#[test]
fn drop_returns_the_address_space() {
    // Pages of address space; the other tests of this process together move far less than the gibibyte looked for.
    fn mapped() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').next().unwrap().parse().unwrap()
    }
    fn check<P: FixedPool>() {
        let half = (512 << 20) / allocmark::allocators::pages::page_size();
        let before = mapped();
        let pool = P::new(Layout::new::<[u8; 4096]>(), (1 << 30) / 4096).unwrap();
        assert!(mapped() > before + half);
        drop(pool);
        assert!(mapped() < before + half);
    }
    check::<Pool>();
    check::<PoolLocal>();
    check::<PoolMutex>();
}

const DEED: &str = "ALLOCMARK_TEST_DEED";

/// Does what the environment says, in a process of its own; nothing when run as one test among the others.
#[test]
fn deed_in_a_child_process() {
    let Ok(deed) = env::var(DEED) else { return };
    let (pool, deed) = deed.split_once('/').expect("a pool and a deed");
    match pool {
        "pool" if deed == "ended-thread" => {
            let pool = Pool::new(BLOCK, 100).unwrap();
            let block = take(&pool).unwrap();
            end_a_thread_and_take_its_blocks(&pool, block);
        }
        "pool" => misuse::<Pool>(deed),
        "pool-local" => misuse::<PoolLocal>(deed),
        "pool-mutex" => misuse::<PoolMutex>(deed),
        other => panic!("unknown pool {other}"),
    }
}

fn misuse<P: FixedPool>(deed: &str) {
    let pool = P::new(BLOCK, 100).unwrap();
    let (block, next) = (take(&pool).unwrap(), take(&pool).unwrap());
    let start = std::ptr::with_exposed_provenance_mut::<u8>(block);
    match deed {
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
        // Fresh blocks come in the order of their addresses.
        "never" => put(&pool, block + 40 * (next - block)),
        "foreign" => put(&pool, Box::leak(Box::new([0_u64; 4])).as_mut_ptr().expose_provenance()),
        "past-the-end" => {
            // SAFETY: not a byte of the block, but of the pool's mapping: there is another block after it.
            unsafe { start.add(BLOCK.size()).write(1) };
            put(&pool, block);
        }
        "past-the-end-of-a-part" => {
            let (whole, part) = (BLOCK, Layout::new::<[u8; 9]>());
            let start = NonNull::new(start).unwrap();
            // SAFETY: live, of this layout, and smaller from here on; byte 9 is one of the block, but nobody's.
            unsafe {
                pool.handle().shrink(start, whole, part).unwrap();
                start.add(9).write(1);
                pool.handle().deallocate(start, part);
            }
        }
        other => panic!("unknown deed {other}"),
    }
}

/// Runs [`deed_in_a_child_process`] with `deed`, which is the id of a pool, a slash and what to do with it.
pub(crate) fn in_a_child_process(deed: &str) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "pools::deed_in_a_child_process", "--nocapture"])
        .env(DEED, deed)
        .output()
        .unwrap()
}

/// Asserts that each pool, misused like this, ends the process with its name and `message`.
#[track_caller]
fn assert_stopped(kind: &str, message: &str) {
    use std::os::unix::process::ExitStatusExt;
    for pool in ["pool", "pool-local", "pool-mutex"] {
        let output = in_a_child_process(&format!("{pool}/{kind}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{pool}/{kind}: aborted, not unwound: {stderr}");
        let expected = format!("allocmark {pool}: freed {message}");
        assert!(stderr.contains(&expected), "{pool}/{kind}: {stderr}");
    }
}

#[cfg(debug_assertions)]
#[test]
fn debug_builds_stop_at_a_block_that_is_freed_twice() {
    assert_stopped("twice", "a block that was not in use");
    assert_stopped("twice-far-apart", "a block that was not in use");
    assert_stopped("never", "a block that was not in use");
}

#[cfg(debug_assertions)]
#[test]
fn debug_builds_stop_at_a_pointer_into_a_block() {
    assert_stopped("middle", "a pointer into the middle of a block");
}

// The sanitizer finds the write itself: `tests/poison.rs`.
#[cfg(all(debug_assertions, not(allocmark_poison)))]
#[test]
fn debug_builds_stop_at_a_block_that_was_written_past_its_end() {
    assert_stopped("past-the-end", "a block that was written past its end");
    assert_stopped("past-the-end-of-a-part", "a block that was written past its end");
}

#[test]
fn every_build_stops_at_a_block_of_another_allocator() {
    assert_stopped("foreign", "a block of another allocator");
}
