//! `larson`: a server whose threads come and go, and whose sessions stay.

use std::num::NonZeroU16;
use std::sync::{Mutex, PoisonError};

use super::birth;
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

/// `threads` lines of threads, each of which inherits the blocks of the one before.
#[derive(Clone, Copy, Debug)]
pub struct Larson {
    threads: usize,
}

/// Slots of each thread, as in the paper.
const SLOTS: usize = 1_000;

/// Replacements of a thread before it hands its slots on, as in the paper: 1 000 of its 50 000 frees, 2 %, are of blocks
/// that it inherited. (A slot is left alone with probability e^-50.)
const LIFE: usize = 50_000;

/// Threads of a line in a lap, one after the other. A life takes 0.5 ms at 10 ns a replacement, against which the birth and
/// the end of a bare thread, say 30 µs, are 6 %: 0.6 ns of each operation. To make that share smaller would be to let fewer
/// blocks be inherited.
const GENERATIONS: usize = 2;

/// The bounds of mimalloc-bench's run. All sizes are equally likely, so most blocks are of some hundred bytes; servers have
/// far more small ones.
const SIZES: Sizes = Sizes::Uniform(8, 1_000);

impl Shape for Larson {
    const FACTS: Facts = Facts {
        id: "larson",
        title: "a server whose threads hand their blocks on",
        family: Family::Threads,
        why: "A server answers requests on threads that come and go, while sessions stay. Each thread replaces random \
              members of 1 000 slots; after 50 000 replacements it ends, and a new thread goes on with the slots. So \
              one free in fifty is of a block that a thread allocated which is no more, and what a thread's cache held \
              when it ended must be had again by somebody.\n\n\
              An allocator that ties blocks to the thread that made them needs an answer for blocks without an owner: \
              adopt the dead thread's pages, leave them to a common store, or leak. A line of threads never holds more \
              than 1 000 blocks, about half a megabyte; whoever gives each new thread fresh memory and never comes back \
              to the old grows with every generation.\n\n\
              Each line runs on a CPU of its own while there are enough. The births, two of them in 100 000 \
              replacements, are in the time: a few per cent of it at 10 ns a replacement.",
        effect: "Close to `local` in time for allocators with thread caches, and scaling as well: 2 % of remote \
              frees are few. (Sizes are other ones, so what can be compared with `local` is an allocator's time over \
              another's.) Slower where a thread's end or its first allocation is dear: jemalloc and the system's malloc \
              set up a cache for every new thread, mimalloc lets the next one adopt abandoned pages, `slab` hands a dead \
              thread's heap on whole. An allocator with one lock does not get faster with threads.",
        origin: "Larson and Krishnan, \"Memory allocation for long-running server applications\" (1998), with its 1 000 \
              slots and 50 000 replacements; mimalloc-bench's copy has 5 000 and 500 000, and runs for a fixed time. Here \
              the work is fixed, tables are drawn beforehand, a thread has ended before its successor begins, and lines \
              begin with slots that they filled themselves instead of a shuffled heap.",
        operation: "free + alloc",
        step: "free + alloc",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter { name: "threads", title: "threads at a time", axis: Axis::Threads }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![2], scope.threads(1)).into_iter().map(|threads| Self { threads }).collect()
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
            pass_bytes: self.threads * SIZES.budget(SLOTS + GENERATIONS * LIFE),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads * GENERATIONS * LIFE))
    }
}

/// One replacement. Four bytes: the table streams past the caches that the blocks want.
#[derive(Clone, Copy)]
struct Step {
    slot: u16,
    size: NonZeroU16,
}

/// What a thread leaves to the next one: its blocks, and how they are treated.
struct Estate<M> {
    slots: Table<Slot>,
    mode: M,
}

impl ManyThreads for Larson {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        // A member is the founder of its line: it fills the slots, and sees to it that one thread follows the other.
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut mode = shared.fork();
            let mut random = Random::new(seed.wrapping_add(index as u64));
            let steps = Table::new(GENERATIONS * LIFE, |_| Step {
                slot: random.below(SLOTS as u64) as u16,
                size: SIZES.draw(&mut random).try_into().expect("the largest size is below 64 KiB"),
            });
            let slots = Table::new(SLOTS, |_| Slot::take(heap.handle(), SIZES.draw(&mut random), &mut mode));
            // Nobody ever waits for the lock: the founder sleeps while an heir lives, and there is one at a time.
            let estate = Mutex::new(Estate { slots, mode });
            while laps.next() {
                laps.time(|| {
                    for life in steps.chunks_exact(LIFE) {
                        birth::alone(|| live(heap, life, &estate));
                    }
                });
            }
            let Estate { slots, mut mode } = estate.into_inner().unwrap_or_else(PoisonError::into_inner);
            for slot in slots.iter() {
                // SAFETY: every slot holds a live block, and the table is dropped after this.
                unsafe { slot.free(heap.handle(), &mut mode) };
            }
            mode
        };
        for other in team::run(self.threads, self.threads * GENERATIONS * LIFE, member, drive) {
            mode.join(other);
        }
    }
}

/// The life of one thread.
fn live<H: Heap, M: Mode>(heap: &H, steps: &[Step], estate: &Mutex<Estate<M>>) {
    let mut estate = estate.lock().unwrap_or_else(PoisonError::into_inner);
    let Estate { slots, mode } = &mut *estate;
    // As a slice: else its address and length would be read anew after every write to a block.
    let (slots, handle): (&mut [Slot], _) = (slots, heap.handle());
    // The step before ended on another thread.
    mode.begin();
    for step in steps {
        let slot = &mut slots[step.slot as usize];
        // SAFETY: every slot holds a live block of this heap, which the lock hands on from thread to thread; this one is
        // overwritten in the next line.
        unsafe { slot.free(handle, mode) };
        *slot = Slot::take(handle, step.size.into(), mode);
        mode.step();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_slot_is_replaced_in_a_life() {
        let mut random = Random::new(1);
        let slots: BTreeSet<u64> = (0..LIFE).map(|_| random.below(SLOTS as u64)).collect();
        assert_eq!(slots.len(), SLOTS);
    }
}
