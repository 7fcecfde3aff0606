//! `exchange`: threads swap blocks through a common table.

use std::num::NonZeroU16;

use super::board::Board;
use super::heap::Heap;
use super::label::Label;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Scope, Shape};
use super::sizes::Sizes;
use super::table::Table;
use super::team;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `threads` threads and one table of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    threads: usize,
}

/// Cells of the common table. Nine megabytes of blocks: more than the caches next to a processor hold, so the block that
/// comes out is seldom still in one of them.
const CELLS: usize = 1 << 14;

/// As snmalloc's own benchmark of contention has them, give or take a byte.
const SIZES: Sizes = Sizes::Uniform(16, 1_040);

/// Exchanges of a thread in a lap: milliseconds of work even at 20 ns, against which it counts for little that threads wake
/// up tens of microseconds apart. And eight for each cell, so that a single thread meets all but 0.03 % of them (e^-8).
const LAP: usize = 8 * CELLS;

impl Shape for Exchange {
    const FACTS: Facts = Facts {
        id: "exchange",
        title: "threads swap blocks through a common table",
        family: Family::Threads,
        why: "A cache or a routing table that all threads update: whoever replaces an entry frees what another thread put \
              there. Each thread allocates a block, swaps it into a random cell of a table that all share, and frees \
              the block that comes out. With n threads all but one in n frees are remote, every thread's blocks are \
              spread over all the others, and sizes are mixed.\n\n\
              An allocator that sends remote blocks home one at a time pays for nearly every free. A thread cache that \
              keeps what it frees pays little: each thread frees as many blocks as it allocates, and of the same mix of \
              sizes.\n\n\
              The swap is one atomic instruction on a line that some other processor may hold, and the block's first \
              word is read to learn its size: both are in the time of every allocator.",
        effect: "One thread is the fastest for those that lock a heap to free a block of another's (the system's): two get \
              in each other's way. Caches that keep what they free (jemalloc, tcmalloc) lose little; those that return \
              blocks to their owner (mimalloc, snmalloc, rpmalloc, `slab`) pay an atomic operation for each remote free \
              or share it over a batch. Time for each operation falls less with threads than in `local` for all.",
        origin: "The contention benchmark of snmalloc (2^18 cells, 2^20 exchanges for each thread). Here the table is \
              smaller, so that it turns over within a run; cells and sizes are drawn beforehand.",
        operation: "alloc + free",
        step: "alloc, swap and free",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter { name: "threads", title: "threads", axis: Axis::Threads }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![], scope.threads(1)).into_iter().map(|threads| Self { threads }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("threads", self.threads)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: None,
            live_blocks: CELLS + self.threads,
            pass_bytes: SIZES.budget(CELLS + self.threads * LAP),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads * LAP))
    }
}

/// One exchange. Four bytes: the table streams past the caches that the blocks want.
#[derive(Clone, Copy)]
struct Step {
    cell: u16,
    size: NonZeroU16,
}

impl ManyThreads for Exchange {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, shared, board) = (&*heap, &*mode, Board::new(CELLS));
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut mode = shared.fork();
            let mut random = Random::new(seed.wrapping_add(index as u64));
            let steps = Table::new(LAP, |_| Step {
                cell: random.below(CELLS as u64) as u16,
                size: SIZES.draw(&mut random).try_into().expect("the largest size is below 64 KiB"),
            });
            let handle = heap.handle();
            // Each thread fills its share, so that the first blocks too are everybody's.
            for cell in (index..CELLS).step_by(self.threads) {
                let label = Label { size: SIZES.draw(&mut random), note: 0 };
                board.swap(cell, label.take(handle, &mut mode));
            }
            while laps.next() {
                laps.time(|| {
                    mode.begin();
                    for step in steps.iter() {
                        let block = Label { size: step.size.into(), note: 0 }.take(handle, &mut mode);
                        if let Some(other) = board.swap(step.cell.into(), block) {
                            // SAFETY: a member took it from this heap with a label; the swap made it ours alone.
                            unsafe {
                                Label::of(other, SIZES.largest()).free(other, handle, &mut mode);
                            }
                        }
                        mode.step();
                    }
                });
            }
            mode
        };
        for other in team::run(self.threads, self.threads * LAP, member, drive) {
            mode.join(other);
        }
        for block in board.drain() {
            // SAFETY: as above; the members have gone.
            unsafe { Label::of(block, SIZES.largest()).free(block, heap.handle(), mode) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_single_thread_meets_nearly_every_cell_in_a_lap() {
        let mut random = Random::new(1);
        let cells: BTreeSet<u64> = (0..LAP).map(|_| random.below(CELLS as u64)).collect();
        assert!(cells.len() * 1_000 >= CELLS * 999, "{} of {CELLS}", cells.len());
    }
}
