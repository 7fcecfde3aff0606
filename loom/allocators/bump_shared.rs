//! The one offset of the shared bump allocator, and its threads' shares, as numbers.

#[path = "../../src/allocators/bump_shared/offset.rs"]
mod offset;

use std::alloc::Layout;
use std::ops::Range;

use loom::sync::Arc;
use loom::thread;

use self::offset::{LINE, Offset, STEP, Share};
use super::held::Held;
use crate::explore;

/// Where the region would be. Nothing lies there: the numbers alone are looked at.
const BASE: usize = 1 << 20;

struct World {
    offset: Offset,
    /// One for each thread.
    shares: [Share; 3],
    /// Which bytes are out, `STEP` at a time.
    held: Held,
}

impl World {
    /// A region of `lines` lines, of which a share takes `share_lines` at a time; if that is none, there are no shares.
    fn new(lines: usize, share_lines: usize) -> Arc<Self> {
        Arc::new(Self {
            offset: Offset::new(BASE, lines * LINE, share_lines * LINE),
            shares: std::array::from_fn(|_| Share::new()),
            held: Held::new(lines * LINE / STEP),
        })
    }

    fn share(&self, thread: usize) -> Option<&Share> {
        (self.offset.share_bytes() > 0).then(|| &self.shares[thread])
    }

    /// As `BumpShared::place`: out of the thread's share, else slowly.
    fn allocate(&self, thread: usize, bytes: usize) -> Option<Range<usize>> {
        self.held.step();
        let layout = Layout::from_size_align(bytes, STEP).expect("few bytes");
        let share = self.share(thread);
        let start = share.and_then(|share| self.offset.place(share, layout));
        let start = start.or_else(|| self.offset.place_slowly(share, layout))?;
        let block = start..start + bytes;
        self.steps(&block).for_each(|step| self.held.take(step));
        Some(block)
    }

    fn free(&self, thread: usize, block: Range<usize>) {
        self.held.step();
        self.steps(&block).for_each(|step| self.held.give_back(step));
        self.offset.give_back(self.share(thread), block.start, block.end);
    }

    fn grow(&self, thread: usize, block: &Range<usize>, bytes: usize) {
        self.held.step();
        if self.offset.grow(self.share(thread), block.end, block.end + bytes) {
            self.steps(&(block.end..block.end + bytes)).for_each(|step| self.held.take(step));
        }
    }

    fn steps(&self, bytes: &Range<usize>) -> Range<usize> {
        assert!(bytes.end <= self.offset.capacity());
        bytes.start / STEP..bytes.end / STEP
    }
}

fn spawn(world: &Arc<World>, work: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || work(&world))
}

#[test]
fn threads_with_shares_never_have_the_same_bytes_and_are_refused_when_nothing_is_left() {
    explore(3, || {
        // Each wants a share for two small blocks, and a large block.
        let world = World::new(5, 1);
        let others = [1, 2].map(|own| {
            spawn(&world, move |world| {
                let _blocks = [8, 16, 64].map(|bytes| world.allocate(own, bytes));
            })
        });
        let _blocks = [8, 64].map(|bytes| world.allocate(0, bytes));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(world.offset.taken() <= world.offset.capacity());
        // What is left behind the offset can be had to the last byte, and no more.
        let left = world.offset.capacity() - world.offset.taken();
        assert!(left == 0 || world.allocate(0, left).is_some());
        assert_eq!(world.allocate(0, 64), None);
    });
}

#[test]
fn the_newest_block_is_given_back_while_another_thread_allocates() {
    explore(3, || {
        let world = World::new(1, 0);
        let others = [1, 2].map(|own| {
            spawn(&world, move |world| {
                for _ in 0..2 {
                    world.allocate(own, 24).into_iter().for_each(|block| world.free(own, block));
                }
            })
        });
        let mine = world.allocate(0, 16);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(mine.is_none_or(|mine| world.offset.taken() >= mine.end));
    });
}

#[test]
fn a_block_grows_where_it_is_unless_another_has_taken_what_follows() {
    explore(3, || {
        let world = World::new(2, 0);
        let mine = world.allocate(0, 16).expect("the region is empty");
        let other = spawn(&world, |world| {
            let block = world.allocate(1, 24).expect("there is room for both");
            world.free(1, block);
        });
        world.grow(0, &mine, 32);
        other.join().unwrap();
        // Two thirds of what was refused may be free by now; what the thread has is its own still.
        assert!(world.offset.taken() >= mine.end);
    });
}
