//! What only the shared bump allocator promises.

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::vec::Vec as BumpVec;
use allocmark::allocators::bump_shared::BumpShared;

use crate::blocks::Block;

fn bytes(size: usize) -> Layout {
    Layout::array::<u8>(size).unwrap()
}

fn address(block: &Block) -> usize {
    block.start.as_ptr().addr()
}

#[test]
fn one_thread_can_use_the_region_up_to_its_last_byte() {
    for capacity in [0, 64, 4096, 1 << 20] {
        let mut bump = BumpShared::new(capacity).unwrap();
        for _ in 0..2 {
            let mut blocks: Vec<_> = (0..capacity / 16)
                .map(|seed| Block::new(&&bump, bytes(10 + seed % 7), seed as u8).unwrap())
                .collect();
            assert_eq!((bump.used(), bump.remaining()), (bump.capacity(), 0));
            assert_eq!((&bump).allocate(bytes(1)), Err(AllocError));
            blocks.iter_mut().for_each(Block::assert_intact);
            bump.reset();
            assert_eq!((bump.used(), bump.remaining()), (0, capacity));
        }
    }
}

#[test]
fn a_refusal_leaves_what_is_free_to_smaller_requests() {
    let bump = BumpShared::new(1 << 16).unwrap();
    let mut kept = Block::new(&&bump, bytes(40_000), 1).unwrap();
    assert_eq!((&bump).allocate(bytes(40_000)), Err(AllocError));
    assert_eq!(kept.grow(&&bump, bytes((1 << 16) + 1)), Err(AllocError));
    assert_eq!(bump.remaining(), (1 << 16) - 40_000);
    Block::new(&&bump, bytes(bump.remaining()), 2).unwrap().assert_intact();
    kept.assert_intact();
}

#[test]
fn sizes_and_alignments_whose_sum_overflows_are_refused() {
    let bump = BumpShared::new(1 << 16).unwrap();
    let mut block = Block::new(&&bump, bytes(100), 3).unwrap();
    for shift in 0..usize::BITS {
        let align = 1 << shift;
        let most = isize::MAX as usize & !(align - 1);
        let layout = Layout::from_size_align(most, align).unwrap();
        if most > 0 {
            assert_eq!((&bump).allocate(layout), Err(AllocError), "{layout:?}");
            assert_eq!(block.grow(&&bump, layout), Err(AllocError), "{layout:?}");
        }
        // Nothing lies at such an address, however few bytes are asked for.
        if (48..usize::BITS - 1).contains(&shift) {
            assert_eq!((&bump).allocate(Layout::from_size_align(1, align).unwrap()), Err(AllocError));
        }
    }
    block.assert_intact();
    assert_eq!(bump.used(), 104);
}

#[test]
fn a_region_that_no_machine_has_is_refused() {
    for capacity in [usize::MAX, isize::MAX as usize, 1 << 60] {
        assert!(BumpShared::new(capacity).is_err());
    }
}

#[test]
fn blocks_are_aligned_wherever_the_region_and_the_offset_are() {
    for before in [0, 1, 8, 72, 4097] {
        let bump = BumpShared::new(1 << 20).unwrap();
        let mut blocks = vec![Block::new(&&bump, bytes(before), 0).unwrap()];
        for shift in 0..=16 {
            // `Block` asserts that its block is aligned.
            blocks.push(Block::new(&&bump, Layout::from_size_align(24, 1 << shift).unwrap(), shift).unwrap());
        }
        blocks.iter_mut().for_each(Block::assert_intact);
    }
}

#[test]
fn the_newest_block_grows_and_shrinks_where_it_is_even_past_its_share() {
    let bump = BumpShared::new(1 << 20).unwrap();
    Block::new(&&bump, bytes(100), 1).unwrap();
    let used = bump.used();
    let mut block = Block::new(&&bump, bytes(10), 5).unwrap();
    let start = block.start;
    for size in [17, 1000, 3 * bump.share_bytes(), 900_000] {
        block.grow(&&bump, bytes(size)).unwrap();
        assert_eq!(block.start, start);
    }
    block.shrink(&&bump, bytes(10)).unwrap();
    assert_eq!((block.start, bump.used()), (start, used + 16));
    block.free(&&bump);
    assert_eq!(bump.used(), used);
}

#[test]
fn a_large_block_grows_shrinks_and_goes_back_while_the_share_lies_elsewhere() {
    let bump = BumpShared::new(4 << 20).unwrap();
    let (mine, barrier) = (Block::new(&&bump, bytes(100), 1).unwrap(), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            // Its share now lies behind ours.
            let theirs = Block::new(&&bump, bytes(100), 2).unwrap();
            barrier.wait();
            barrier.wait();
            theirs.free(&&bump);
        });
        barrier.wait();
        let used = bump.used();
        let mut large = Block::new(&&bump, bytes(100_000), 3).unwrap();
        let start = large.start;
        large.grow(&&bump, bytes(1 << 20)).unwrap();
        large.shrink(&&bump, bytes(50_000)).unwrap();
        let (stayed, between) = (large.start == start, bump.used());
        large.free(&&bump);
        let after = bump.used();
        barrier.wait();
        assert!(stayed);
        assert_eq!((between, after), (used + 50_000, used));
    });
    mine.free(&&bump);
}

#[test]
fn a_vector_that_fills_up_leaves_nothing_behind() {
    let bump = BumpShared::new(1 << 20).unwrap();
    let mut numbers = BumpVec::new_in(&bump);
    numbers.extend(0..50_000_u64);
    assert_eq!(bump.used(), numbers.capacity() * 8);
    assert!(numbers.iter().copied().eq(0..50_000));
}

#[test]
fn four_threads_never_get_the_same_bytes_and_a_reset_gives_all_of_them_back() {
    let threads = 4;
    let rounds = if cfg!(miri) { 50 } else { 5_000 };
    // Room for all of it, with what four threads may lose.
    let mut bump = BumpShared::new(4 << 20).unwrap();
    for _ in 0..3 {
        let barrier = Barrier::new(threads);
        let work = |seed: usize| {
            let mut live = vec![];
            barrier.wait();
            for round in 0..rounds {
                let size = (round * 37 + seed * 11) % if round % 100 == 0 { 9000 } else { 200 };
                let layout = Layout::from_size_align(size, 1 << (round % 7)).unwrap();
                let mut block = Block::new(&&bump, layout, (round ^ seed) as u8).unwrap();
                match round % 5 {
                    0 => block.free(&&bump),
                    1 => {
                        let larger = Layout::from_size_align(size + 40, layout.align()).unwrap();
                        block.grow(&&bump, larger).unwrap();
                        live.push(block);
                    }
                    _ => live.push(block),
                }
            }
            live.iter_mut().for_each(Block::assert_intact);
            live
        };
        let work = &work;
        let all: Vec<Vec<Block>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|seed| scope.spawn(move || Sent(work(seed)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().0).collect()
        });
        let mut all: Vec<_> = all.into_iter().flatten().collect();
        // Once more when all threads are done: nobody wrote into another one's.
        all.iter_mut().for_each(Block::assert_intact);
        let mut ranges: Vec<_> =
            all.iter().filter(|b| b.layout.size() > 0).map(|b| (address(b), b.layout.size())).collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "no two overlap");
        assert!(bump.used() >= ranges.iter().map(|range| range.1).sum());
        bump.reset();
        assert_eq!((bump.used(), bump.remaining()), (0, bump.capacity()));
    }
}

/// Blocks may go to another thread: the allocator is `Sync`, and the test looks at them there.
struct Sent(Vec<Block>);

// SAFETY: a block is an address and a layout, and is used by one thread at a time.
unsafe impl Send for Sent {}

#[test]
fn threads_that_race_for_the_last_bytes_get_each_of_them_once() {
    for round in 0..if cfg!(miri) { 2 } else { 200 } {
        // Without shares, so that every block moves the offset.
        let (bump, barrier) = (BumpShared::new(4096 + round % 3 * 64).unwrap(), Barrier::new(4));
        assert_eq!(bump.share_bytes(), 0);
        let addresses: Vec<usize> = thread::scope(|scope| {
            let work = || {
                barrier.wait();
                let blocks = std::iter::from_fn(|| (&bump).allocate(bytes(16)).ok());
                blocks.map(|block| block.cast::<u8>().as_ptr().addr()).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: BTreeSet<_> = addresses.iter().collect();
        assert_eq!(distinct.len(), addresses.len());
        // What is left is less than a block for each thread: the end of its last line.
        assert!(addresses.len() * 16 + 4 * 64 >= bump.capacity(), "{}", addresses.len());
    }
}

#[test]
fn when_one_thread_is_refused_the_others_have_less_than_a_share_each() {
    let (bump, barrier) = (BumpShared::new(4 << 20).unwrap(), Barrier::new(3));
    assert!(bump.share_bytes() > 0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                (&bump).allocate(bytes(8)).unwrap();
                barrier.wait();
                barrier.wait();
            });
        }
        barrier.wait();
        while (&bump).allocate(bytes(64)).is_ok() {}
        let remaining = bump.remaining();
        barrier.wait();
        assert!(remaining <= 2 * bump.share_bytes(), "{remaining}");
        assert!(remaining >= 2 * (bump.share_bytes() - 64), "{remaining}");
    });
}

#[test]
fn a_block_that_another_thread_frees_is_used_again_at_most_once() {
    let bump = BumpShared::new(1 << 20).unwrap();
    for round in 0..if cfg!(miri) { 5 } else { 200 } {
        let newest = Block::new(&&bump, bytes(64), round as u8).unwrap();
        let sent = Sent(vec![newest]);
        let theirs = thread::scope(|scope| {
            let work = || {
                let Sent(blocks) = { sent };
                blocks.into_iter().for_each(|block| block.free(&&bump));
                Sent(vec![Block::new(&&bump, bytes(64), 9).unwrap()])
            };
            scope.spawn(work).join().unwrap()
        });
        let mut mine = Block::new(&&bump, bytes(64), 7).unwrap();
        for mut block in theirs.0 {
            assert!(address(&block).abs_diff(address(&mine)) >= 64);
            block.assert_intact();
        }
        mine.assert_intact();
    }
}

#[test]
fn threads_that_come_and_go_leave_their_shares_to_the_next() {
    let bump = BumpShared::new(4 << 20).unwrap();
    for _ in 0..300 {
        thread::scope(|scope| {
            let thread = scope.spawn(|| (&bump).allocate(bytes(64)).unwrap().cast::<u8>().as_ptr().addr());
            thread.join().unwrap();
        });
    }
    // Tests beside this one may hold some slots, and let them go: a handful of shares, not three hundred.
    assert!(bump.used() >= 300 * 64 && bump.used() < 4 << 19, "{}", bump.used());
}

#[test]
fn ownership_ends_at_the_regions_ends() {
    let bump = BumpShared::new(4096).unwrap();
    let first = (&bump).allocate(bytes(4096)).unwrap().cast::<u8>();
    // SAFETY: the last byte of the block.
    assert!(bump.owns(first) && bump.owns(unsafe { first.add(4095) }));
    // SAFETY: just behind the block is still its end.
    assert!(!bump.owns(unsafe { first.add(4096) }));
    // SAFETY: the shares lie in front of the region, in the same mapping; the address alone is used.
    assert!(!bump.owns(unsafe { first.sub(1) }));
}
