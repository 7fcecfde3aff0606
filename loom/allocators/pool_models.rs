//! The whole pool: free list, magazines, and the slots that pass from thread to thread.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use loom::sync::Arc;
use loom::thread;

use super::held::Held;
use super::pool::{Pool, PoolGlobal};
use super::slots;
use crate::explore;

/// More than a pool of a model has; a power of two, so that neighbouring blocks differ in their number.
const BLOCKS: usize = 8;

fn layout() -> Layout {
    Layout::from_size_align(64, 64).expect("powers of two")
}

fn number(block: NonNull<u8>) -> usize {
    block.as_ptr().addr() / layout().size() % BLOCKS
}

/// Loom makes a static when it is first used and orders that before every later use, as a lock would. Done in the middle of a
/// model it would show one thread what another has done.
fn make_statics() {
    slots::SlotSet::default().iter_unowned().for_each(drop);
}

struct World {
    pool: Pool,
    held: Held,
}

impl World {
    fn new(capacity: usize) -> Arc<Self> {
        make_statics();
        let pool = Pool::new(layout(), capacity).expect("a page");
        Arc::new(Self { pool, held: Held::new(BLOCKS) })
    }

    fn allocate(&self) -> Option<NonNull<u8>> {
        self.held.step();
        let block = (&self.pool).allocate(layout()).ok()?.cast();
        self.held.take(number(block));
        Some(block)
    }

    fn free(&self, block: NonNull<u8>) {
        self.held.step();
        self.held.give_back(number(block));
        // SAFETY: the block came from `allocate` and is given up.
        unsafe { (&self.pool).deallocate(block, layout()) };
    }

    fn allocate_and_free(&self) {
        self.allocate().into_iter().for_each(|block| self.free(block));
    }

    /// As a thread's end does.
    fn end_thread(&self) {
        self.held.step();
        slots::end_thread();
    }

    /// All threads are gone.
    fn check(mut world: Arc<Self>) {
        let world = Arc::get_mut(&mut world).expect("the other threads have dropped theirs");
        assert_eq!(world.pool.in_use(), world.held.count());
        world.pool.check_invariants();
    }
}

#[test]
fn three_threads_of_which_one_has_no_slot_never_hold_the_same_block() {
    explore(2, || {
        let world = World::new(2);
        let threads = [(); 2].map(|()| {
            let world = world.clone();
            thread::spawn(move || world.allocate_and_free())
        });
        world.allocate_and_free();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        World::check(world);
    });
}

#[test]
fn a_block_that_another_thread_frees_comes_back_with_its_content() {
    explore(3, || {
        let world = World::new(1);
        let block = world.allocate().expect("the pool is empty");
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                world.free(block);
                world.end_thread();
            })
        };
        let _mine = [world.allocate(), world.allocate()];
        other.join().unwrap();
        World::check(world);
    });
}

#[test]
fn the_next_owner_of_a_slot_finds_the_magazine_as_the_last_left_it() {
    explore(3, || {
        let world = World::new(2);
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                world.allocate_and_free();
                world.end_thread();
            })
        };
        world.allocate_and_free();
        world.end_thread();
        other.join().unwrap();
        let last = {
            let world = world.clone();
            thread::spawn(move || world.allocate_and_free())
        };
        last.join().unwrap();
        World::check(world);
    });
}

#[test]
fn blocks_are_taken_back_from_an_ended_thread_unless_its_slot_has_a_new_owner() {
    explore(3, || {
        let world = World::new(1);
        // This thread leaves the only block behind in its magazine.
        world.allocate_and_free();
        world.end_thread();
        let heir = {
            let world = world.clone();
            thread::spawn(move || {
                world.allocate_and_free();
                world.end_thread();
            })
        };
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                // The first is the block that the thread brings with it by joining; the second is the one left behind.
                let _mine = [world.allocate(), world.allocate()];
                world.end_thread();
            })
        };
        heir.join().unwrap();
        other.join().unwrap();
        World::check(world);
    });
}

#[test]
fn threads_that_ask_a_global_pool_first_find_it_made_once_and_whole() {
    explore(3, || {
        make_statics();
        let world = Arc::new((PoolGlobal::new(layout(), 2), Held::new(0)));
        let use_once = |(pool, held): &(PoolGlobal, Held)| {
            held.step();
            // SAFETY: the layout is not empty; the block is freed once, with its layout.
            unsafe {
                let block = pool.alloc(layout());
                assert!(!block.is_null());
                pool.dealloc(block, layout());
            }
        };
        let other = {
            let world = world.clone();
            thread::spawn(move || use_once(&world))
        };
        use_once(&world);
        other.join().unwrap();
        assert_eq!(world.0.pool().expect("somebody made it").in_use(), 0);
    });
}
