//! `thread-birth`: threads that live for one allocation.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use super::birth;
use super::board::Board;
use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Ten threads at a time, whatever the machine: what counts is that they are born, not how many run at once.
#[derive(Clone, Copy, Debug)]
pub struct ThreadBirth;

/// Threads that are born together, as in mleak.
const BORN: usize = 10;

/// Cells of the shared table, as there.
const CELLS: usize = 1_000;

/// Bytes of a block, as there: small enough for everybody's thread cache.
const SIZE: NonZeroU32 = NonZeroU32::new(128).expect("128 is not 0");

/// Times in a pass that threads are born: a hundred threads, 1 to 3 ms at 10 to 30 µs for each.
const ROUNDS: usize = 10;

/// Passes until the table of cells begins anew: four picks for each cell, so that all but 2 % (e^-4) are met and the block
/// that comes out is a dead thread's, not one that the main thread put there at first.
const PASSES: usize = 4 * CELLS / (ROUNDS * BORN);

impl Shape for ThreadBirth {
    const FACTS: Facts = Facts {
        id: "thread-birth",
        title: "threads that live for one allocation",
        family: Family::Threads,
        why: "A thread for each connection, a helper that lives for one task: some programs make threads as others make \
              objects. For the allocator every one of them is a first allocation, the slowest there is: set up a \
              cache, take a page or an arena, register what is to be torn down at the end. Ten threads are born together; \
              each allocates 128 bytes, swaps the block into a random cell of a shared table of 1 000, frees what came \
              out, which a thread allocated that is no more, and ends.\n\n\
              The time is mostly the operating system's: making a bare thread and waiting for its end. What differs \
              between allocators is what they add to it.",
        effect: "Small differences: the operating system's share of a thread, tens of microseconds, is the same for all, \
              and what a heap or a cache for each thread adds is a microsecond or two. An allocator that gives a dead \
              thread's pages back at once pays for them with every birth.",
        origin: "mimalloc-bench's `mleak`, which looks for memory that is left behind and takes no notice of time. Here \
              the table is full from the start, cells are drawn beforehand, blocks are not zeroed, and threads are the \
              platform's bare ones, which take nothing from the allocator under test.",
        operation: "thread",
        step: "",
        // No latency: a thread's life is microseconds of the operating system's.
        probes: &[Probe::Time],
        // Not on the axis of threads: those that are born together mostly do not run at once.
        parameters: &[Parameter { name: "born", title: "threads that are born together", axis: Axis::Count }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![], vec![Self])
    }

    fn params(&self) -> Params {
        Params::default().with("born", BORN)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        let bytes = SIZE.get() as usize;
        Demand {
            block: Some(Sizes::layout(bytes)),
            live_blocks: CELLS + BORN,
            pass_bytes: (CELLS + ROUNDS * BORN) * bytes,
            threads: BORN,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(ROUNDS * BORN))
    }
}

impl ManyThreads for ThreadBirth {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, board, mut random) = (&*heap, Board::new(CELLS), Random::new(seed));
        for cell in 0..CELLS {
            board.swap(cell, Slot::take(heap.handle(), SIZE, mode).block);
        }
        let picks = Table::new(PASSES * ROUNDS * BORN, |_| random.below(CELLS as u64) as u16);
        let modes: [_; BORN] = std::array::from_fn(|_| Mutex::new(mode.fork()));
        drive(&mut Births { picks: &picks, next: 0, board: &board, modes: &modes, heap });
        for fork in modes {
            mode.join(fork.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        for block in board.drain() {
            // SAFETY: we or a thread that was born took it from this heap, and the drain made it ours alone.
            unsafe { Slot { block, size: SIZE }.free(heap.handle(), mode) };
        }
    }
}

struct Births<'b, H, M> {
    /// Cells: whole passes.
    picks: &'b [u16],
    /// The pass that comes next.
    next: usize,
    board: &'b Board,
    /// One for each of those who are born together. Nobody ever waits for one.
    modes: &'b [Mutex<M>; BORN],
    heap: &'b H,
}

impl<H: Heap + Sync, M: Mode> Births<'_, H, M> {
    /// What a thread does.
    fn live(&self, index: usize, cell: u16) {
        let mut mode = self.modes[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (mode, handle) = (&mut *mode, self.heap.handle());
        let block = Slot::take(handle, SIZE, mode).block;
        if let Some(block) = self.board.swap(cell.into(), block) {
            // SAFETY: whoever put it there took it from this heap; the swap made it ours alone.
            unsafe { Slot { block, size: SIZE }.free(handle, mode) };
        }
    }
}

impl<H: Heap + Sync, M: Mode> Body for Births<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let picks = self.picks.chunks_exact(ROUNDS * BORN).nth(self.next).expect("the table is not empty");
        self.next = (self.next + 1) % PASSES;
        timed(clock, ROUNDS * BORN, || {
            for cells in picks.chunks_exact(BORN) {
                birth::together::<BORN>(|index| self.live(index, cells[index]));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::contract::Subject;
    use crate::allocators::pool::Pool;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Touch;
    use crate::workloads::shape::WallClock;

    #[test]
    fn a_pool_of_the_demanded_size_has_room_and_gets_it_all_back() {
        let mut heap = Individually(Pool::for_demand(&ThreadBirth.demand()).unwrap());
        let mut passes = Vec::new();
        // Past the end of the table of cells, which begins anew.
        ThreadBirth.open(&mut heap, &mut Touch, 1, &mut |body| {
            passes.extend((0..=PASSES).map(|_| body.pass(&WallClock::new()).operations));
        });
        assert_eq!(passes, [(ROUNDS * BORN) as u64; PASSES + 1]);
        assert_eq!(heap.0.in_use(), 0);
    }
}
