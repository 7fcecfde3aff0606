//! `local`: every thread churns its own slots.

use std::num::NonZeroU16;

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Scope, Shape};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use super::team;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `threads` threads that share nothing but the allocator.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    threads: usize,
}

/// Slots of each thread, as in glibc's thread benchmark.
const SLOTS: usize = 1_024;

/// Inverse-square between the bounds of the same benchmark.
const SIZES: Sizes = Sizes::InverseSquare(4, 32_768);

/// Replacements in a thread's table: 512 KiB, which streams past the caches that the blocks want.
const STEPS: usize = 131_072;

/// How often a lap goes through the table: milliseconds of work even at 3 ns, so that threads which wake up tens of
/// microseconds apart overlap nearly all the time.
const REPEATS: usize = 2;

impl Shape for Local {
    const FACTS: Facts = Facts {
        id: "local",
        title: "every thread churns slots of its own",
        family: Family::Threads,
        why: "Threads that share nothing should not notice each other. Each replaces random members of its own 1 024 \
              slots, most of them small and a few very large; no block is ever seen by another thread. Whatever time is \
              added by a second thread is the allocator's own: a lock, a shared counter, two threads' blocks in one \
              cache line, memory taken from and given back to a common store.\n\n\
              Time is wall time divided by the operations of all threads, so perfect scaling halves it with every \
              doubling of threads, up to the number of CPUs. Beyond that threads take turns.",
        effect: "Perfect scaling to the number of CPUs for whoever has thread caches. An allocator with one lock does not \
              get faster with threads.",
        origin: "glibc's `bench-malloc-thread` (1 024 slots, inverse-square sizes 4 to 32 768). There every block is \
              written whole for a fixed time; here the tables are drawn beforehand, the work is fixed, and blocks are \
              touched.",
        operation: "free + alloc",
        step: "free + alloc",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter { name: "threads", title: "threads", axis: Axis::Threads }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![1, 2, 4], scope.threads(1)).into_iter().map(|threads| Self { threads }).collect()
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
            live_blocks: self.threads * SLOTS,
            pass_bytes: self.threads * SIZES.budget(SLOTS + STEPS),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads * REPEATS * STEPS))
    }
}

/// One replacement. Four bytes: the table streams past the caches that the blocks want.
#[derive(Clone, Copy)]
struct Step {
    slot: u16,
    size: NonZeroU16,
}

impl ManyThreads for Local {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut mode = shared.fork();
            // Threads draw different tables, so that they do not walk the size classes in step.
            let mut random = Random::new(seed.wrapping_add(index as u64));
            let steps = Table::new(STEPS, |_| Step {
                slot: random.below(SLOTS as u64) as u16,
                size: SIZES.draw(&mut random).try_into().expect("the largest size is below 64 KiB"),
            });
            let handle = heap.handle();
            let mut slots = Table::new(SLOTS, |_| Slot::take(handle, SIZES.draw(&mut random), &mut mode));
            while laps.next() {
                laps.time(|| {
                    mode.begin();
                    for _ in 0..REPEATS {
                        for step in steps.iter() {
                            let slot = &mut slots[step.slot as usize];
                            // SAFETY: every slot holds a live block; this one is overwritten in the next line.
                            unsafe { slot.free(handle, &mut mode) };
                            *slot = Slot::take(handle, step.size.into(), &mut mode);
                            mode.step();
                        }
                    }
                });
            }
            for slot in slots.iter() {
                // SAFETY: every slot holds a live block, and the table is dropped after this.
                unsafe { slot.free(handle, &mut mode) };
            }
            mode
        };
        for other in team::run(self.threads, self.threads * REPEATS * STEPS, member, drive) {
            mode.join(other);
        }
    }
}
