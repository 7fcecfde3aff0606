//! The programs of `programs/` with a pool as the allocator of the whole process, and the system's behind it.

mod programs;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocmark::allocators::pool::{Pool, PoolGlobal};

use self::programs::{Host, scaled};

/// Of 256 bytes: strings and nodes fit, buffers do not, and vectors grow out of it. Of this number, so that programs with
/// many blocks spill over (the documents of JSON have twice as many texts alone), and all others fit.
const CAPACITY: usize = scaled(20_000);

#[global_allocator]
static GLOBAL: PoolGlobal = PoolGlobal::new(Layout::new::<[u128; 16]>(), CAPACITY);

fn pool() -> &'static Pool {
    GLOBAL.pool().expect("made before main")
}

/// What a pool can tell of itself.
pub(crate) struct Level {
    in_use: usize,
    allocations: u64,
}

impl Host for PoolGlobal {
    type Level = Level;

    fn made(&self, block: NonNull<u8>) -> bool {
        pool().owns(block)
    }

    fn assert_share(&self, made: usize, all: usize) {
        // How many is a matter of what else is in use; an interpreter's share of the data may fit as a whole.
        assert!(made > 0 && (made < all || cfg!(miri)), "{made} of {all} blocks are of the pool");
    }

    fn level(&self) -> Level {
        Level { in_use: pool().in_use(), allocations: pool().hits() + pool().misses() }
    }

    fn assert_flat(&self, after_some: Level, after_many: Level, at_once: usize) {
        // A thread has some blocks of this size at least: its name, its handle, its parcel.
        let served = after_many.allocations - after_some.allocations;
        assert!(served > 3 * 20 * at_once as u64, "{served} allocations");
        // Of 6,000 threads in between, one in a hundred that leaves a block shows.
        let (before, after) = (after_some.in_use, after_many.in_use);
        assert!(after <= before + 60, "{before} blocks in use grew to {after}");
        // Blocks that nobody has and nobody gets again would be missing here: all that the pool was made for, whichever
        // magazines they are in. The list's own block is none of them.
        let mut rest = Vec::with_capacity(CAPACITY);
        rest.extend((after..CAPACITY).map(Box::new));
        assert!(rest.iter().all(|boxed| self.made(NonNull::from(&**boxed).cast())));
    }
}
