//! `false-sharing`: threads write to small blocks of their own.

use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::board::Board;
use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Pass, Scope, Shape,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::team;
use crate::allocators::contract::Demand;

/// How threads may come to share a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// They were handed neighbouring blocks, and freed them.
    Passive,
    /// The allocator gave them neighbouring blocks by itself.
    Active,
}

/// `threads` threads that each write to a block of their own.
#[derive(Clone, Copy, Debug)]
pub struct FalseSharing {
    kind: Kind,
    threads: usize,
}

/// Bytes of a block: a counter. Up to eight of them share a line.
const SIZE: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");

/// Writes to a block before it is freed: a quarter of a microsecond where nobody interferes, against which a free and an
/// allocation of some 10 ns count for little.
const WRITES: usize = 1_000;

/// Operations between two hand-overs: over 100 µs, so that threads which wake up tens of microseconds apart write at the
/// same time for most of it.
const ROUNDS: usize = 512;

/// Hand-overs in a lap. See [`FalseSharing::row`].
const ROWS: usize = 8;

impl FalseSharing {
    /// Blocks that the main thread takes in a row for one hand-over: one for each thread, and one or two that it keeps, to
    /// make the number odd. So eight rows begin at eight different places of a line if eight blocks fill one, and a
    /// process in which the first two blocks happen to lie on two lines measures no other thing than one in which they
    /// share one.
    fn row(self) -> usize {
        (self.threads + 1) | 1
    }

    fn operations(self) -> usize {
        self.threads * ROWS * ROUNDS
    }

    /// Blocks that go through the main thread's hands in a pass.
    fn handed_over(self) -> usize {
        if self.kind == Kind::Passive { ROWS * self.row() } else { 0 }
    }
}

impl Shape for FalseSharing {
    const FACTS: Facts = Facts {
        id: "false-sharing",
        title: "threads write to small blocks of their own",
        family: Family::Threads,
        why: "Counters, flags, small nodes: each thread writes to its own 8 bytes and shares nothing. If two such blocks \
              lie in one cache line, the processors take the line from each other all the same, and the program runs \
              several times slower for no reason that its source shows. That is the allocator's doing, and no time \
              inside the allocator tells of it: so an operation here is 1 000 writes to a block, then a free and a new \
              allocation.\n\n\
              Active: threads only allocate for themselves. Whoever serves two threads from one list gives them \
              neighbours. Passive: before the clock starts one thread allocates blocks in a row and hands one to each \
              thread, which frees it and goes on with blocks of its own. An allocator that puts a freed block into the \
              cache of the thread that freed it gives it out again there, and the neighbours of the row stay neighbours; \
              one that sends it back to the page's owner does not.\n\n\
              There are eight hand-overs in a pass. What the threads hold at the end of each goes back to the thread that \
              handed out, which frees it after the clock and begins the next pass with a new row: so every pass starts \
              from the same situation, however often it is repeated. In the active case the threads keep those blocks \
              and free them at the end of the pass.",
        effect: "Active: nearly alike for all, for the writes are most of it. Passive: slower than active for caches that \
              keep what they free (`pool`, jemalloc), as active for those that return blocks to their owner. How much \
              slower depends on how far apart the cores are; the loop only writes, which a processor may gather, and on \
              two CPUs that are hardware threads of one core nothing is to be seen, for they share the cache.",
        origin: "Hoard's `cache-scratch` (passive) and `cache-thrash` (active; Berger 2000), which hand over once in a run \
              and write to blocks of 1 to 8 bytes. Here the hand-over is repeated, with rows that begin at different \
              places of a line.",
        operation: "1 000 writes, free + alloc",
        step: "",
        // No latency: a step would be a thousand writes, whose time is the line's and not the allocator's.
        probes: &[Probe::Time],
        parameters: &[
            Parameter { name: "kind", title: "how threads may come to share a line", axis: Axis::Category },
            Parameter { name: "threads", title: "threads", axis: Axis::Threads },
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        // Not beyond the CPUs: threads that take turns on one share its cache.
        let mut counts = scope.threads(2);
        counts.retain(|&threads| threads <= scope.cpus.max(2));
        let of = |kind| counts.iter().map(move |&threads| Self { kind, threads });
        scope.pick(vec![], [Kind::Passive, Kind::Active].into_iter().flat_map(of).collect())
    }

    fn params(&self) -> Params {
        let kind = match self.kind {
            Kind::Passive => "passive",
            Kind::Active => "active",
        };
        Params::default().with("kind", kind).with("threads", self.threads)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        let bytes = SIZE.get() as usize;
        let blocks = self.operations() + self.threads * ROWS + self.handed_over();
        Demand {
            block: Some(Sizes::layout(bytes)),
            live_blocks: self.threads * (ROWS + 1) + self.handed_over(),
            pass_bytes: blocks * bytes,
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.operations() + self.threads * ROWS + self.handed_over()))
    }
}

impl ManyThreads for FalseSharing {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        let (row, cells) = (self.row(), ROWS * self.row());
        let (given, kept) = (Board::new(cells), Board::new(cells));
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut mode = shared.fork();
            let handle = heap.handle();
            while laps.next() {
                laps.time(|| {
                    for cell in (index..cells).step_by(row) {
                        // SAFETY: the main thread took it from this heap and handed it to us alone.
                        unsafe { free(given.take(cell), handle, &mut mode) };
                        let mut slot = Slot::take(handle, SIZE, &mut mode);
                        for _ in 0..ROUNDS {
                            // SAFETY: the block is alive and ours.
                            unsafe { write(slot.block) };
                            // SAFETY: likewise, and the slot is overwritten in the next line.
                            unsafe { slot.free(handle, &mut mode) };
                            slot = Slot::take(handle, SIZE, &mut mode);
                        }
                        kept.swap(cell, slot.block);
                    }
                    if self.kind == Kind::Active {
                        for cell in (index..cells).step_by(row) {
                            // SAFETY: we put it there, and have taken it out again.
                            unsafe { free(kept.take(cell), handle, &mut mode) };
                        }
                    }
                });
            }
            mode
        };
        let mut main = shared.fork();
        let others = team::run(self.threads, self.operations(), member, &mut |team| {
            drive(&mut HandOver { shape: *self, given: &given, kept: &kept, heap, mode: &mut main, team });
        });
        for other in others.into_iter().chain([main]) {
            mode.join(other);
        }
    }
}

/// What the main thread does before and after the members' lap.
struct HandOver<'h, H, M> {
    shape: FalseSharing,
    /// Blocks for the members: row by row, one cell for each of a row.
    given: &'h Board,
    /// What the members left, likewise; in the other cells of each row the blocks that the main thread kept.
    kept: &'h Board,
    heap: &'h H,
    mode: &'h mut M,
    team: &'h mut dyn Body,
}

impl<H: Heap, M: Mode> Body for HandOver<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let (handle, row) = (self.heap.handle(), self.shape.row());
        for cell in 0..self.shape.handed_over() {
            let board = if cell % row < self.shape.threads { self.given } else { self.kept };
            board.swap(cell, Slot::take(handle, SIZE, self.mode).block);
        }
        let pass = self.team.pass(clock);
        // In the order in which they were taken, so that a stack of free blocks gives them out as a row again.
        for block in self.kept.drain() {
            // SAFETY: a member or the loop above took it from this heap and left it to us.
            unsafe { free(Some(block), handle, self.mode) };
        }
        pass
    }
}

/// Frees a block, if there is one.
///
/// # Safety
/// As [`Slot::free`].
#[inline(always)]
unsafe fn free(block: Option<NonNull<u8>>, allocator: impl Allocator, mode: &mut impl Mode) {
    if let Some(block) = block {
        // SAFETY: the caller's promise.
        unsafe { Slot { block, size: SIZE }.free(allocator, mode) };
    }
}

/// Writes a block's bytes into it again, so that it stays as the mode filled it.
///
/// # Safety
/// [`SIZE`] bytes at `block` belong to the caller and are aligned to as many.
#[inline(always)]
unsafe fn write(block: NonNull<u8>) {
    let word = block.cast::<MaybeUninit<u64>>();
    // SAFETY: eight bytes that are aligned and ours (the caller's promise), of which not all need to be initialised. The
    // writes are volatile, or one would do for all.
    unsafe {
        let content = word.read_volatile();
        for _ in 0..WRITES {
            word.write_volatile(content);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::allocators::contract::Subject;
    use crate::allocators::pool::Pool;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Touch;
    use crate::workloads::shape::WallClock;

    #[test]
    fn rows_begin_at_every_place_of_a_line() {
        for threads in 2..=130 {
            let row = FalseSharing { kind: Kind::Passive, threads }.row();
            assert!(row > threads);
            let places: BTreeSet<usize> = (0..ROWS).map(|index| index * row % 8).collect();
            assert_eq!(places.len(), 8, "{threads} threads");
        }
    }

    #[test]
    fn a_pool_has_room_for_what_is_demanded_and_gets_it_all_back() {
        for kind in [Kind::Passive, Kind::Active] {
            let shape = FalseSharing { kind, threads: 2 };
            let mut heap = Individually(Pool::for_demand(&shape.demand()).unwrap());
            shape.open(&mut heap, &mut Touch, 1, &mut |body| {
                body.pass(&WallClock::new());
                assert_eq!(body.pass(&WallClock::new()).operations, shape.operations() as u64);
            });
            assert_eq!(heap.0.in_use(), 0, "{kind:?}");
        }
    }

    #[test]
    fn writing_leaves_a_block_as_it_was() {
        let mut word = 0x0123_4567_89AB_CDEF_u64;
        // SAFETY: eight aligned bytes, borrowed for this.
        unsafe { write(NonNull::from(&mut word).cast()) };
        assert_eq!(word, 0x0123_4567_89AB_CDEF);
    }
}
