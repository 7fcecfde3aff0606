//! What the pool alone promises: magazines, threads that come and go. What it has in common with its siblings is in
//! `pools`.

use std::sync::Barrier;
use std::thread;

use allocmark::allocators::pool::Pool;

use crate::pools::{BLOCK, in_a_child_process, put, take, take_all};

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
    let output = in_a_child_process("pool/ended-thread");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The test above, in the child process.
pub(crate) fn end_a_thread_and_take_its_blocks(pool: &Pool, mine: usize) {
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
