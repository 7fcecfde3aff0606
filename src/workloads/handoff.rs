//! `handoff`: producers allocate, consumers free.

use std::num::NonZeroU32;

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::queue::{BATCH, Queue};
use super::shape::{Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Scope, Shape};
use super::sizes::Sizes;
use super::slot::Slot;
use super::team;
use crate::allocators::contract::Demand;

/// Half of `threads` allocate, the other half free what they get.
#[derive(Clone, Copy, Debug)]
pub struct Handoff {
    threads: usize,
}

/// Bytes of an object: a message or an event.
const SIZE: NonZeroU32 = NonZeroU32::new(64).expect("64 is not 0");

/// Batches from each producer in a lap: milliseconds of work even at 10 ns an object, against which it counts for little
/// that the two sides wake up tens of microseconds apart.
const BATCHES: usize = 2_048;

/// Objects that may be alive for each producer: what its queue holds, and a batch in each hand.
const IN_FLIGHT: usize = 66 * BATCH;

impl Shape for Handoff {
    const FACTS: Facts = Facts {
        id: "handoff",
        title: "producers allocate, consumers free",
        family: Family::Threads,
        why: "A pipeline: one thread reads and allocates, another processes and frees. Every free is remote, so the \
              memory must find its way back to the thread that allocates. A thread cache without batching pays for each \
              object's journey; one that keeps what it frees grows at the consumer while the producer asks the system \
              for more.\n\n\
              Each producer has a consumer of its own, on another CPU where there is one, and a bounded queue of \
              batches of 64 objects between them; a side that must wait sleeps until the queue is half full or half \
              empty. The queue's cost, under a nanosecond an object while nobody sleeps, is in the time of every \
              allocator.",
        effect: "Slower than the same work within one thread for everybody; most for thread caches that send blocks home \
              one at a time, least for those that collect remote frees in batches.",
        origin: "Lever and Boreham's `xmalloc-test` (2000), which runs for a fixed time with batches of 4 096 and an \
              unbounded lead. Here the work is fixed and the queue is bounded, so that nobody's memory grows with \
              speed.",
        operation: "alloc + free",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter {
            name: "threads",
            title: "producers and consumers together",
            axis: Axis::Threads,
        }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let mut standard = vec![2, scope.cpus.next_multiple_of(2), 2 * scope.cpus.next_multiple_of(2)];
        standard.sort_unstable();
        standard.dedup();
        scope.pick(vec![2], standard).into_iter().map(|threads| Self { threads }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("threads", self.threads)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        let producers = self.threads / 2;
        Demand {
            block: Some(Sizes::layout(SIZE.get() as usize)),
            live_blocks: producers * IN_FLIGHT,
            pass_bytes: producers * BATCHES * BATCH * SIZE.get() as usize,
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads / 2 * BATCHES * BATCH))
    }
}

impl ManyThreads for Handoff {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        let producers = self.threads / 2;
        let queues: Vec<Queue> = (0..producers).map(|_| Queue::new()).collect();
        // Members 2i and 2i+1 are a pair: so they are pinned to different CPUs.
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut mode = shared.fork();
            let queue = &queues[index / 2];
            let _guard = queue.close_on_panic();
            let handle = heap.handle();
            while laps.next() {
                laps.time(|| {
                    if index.is_multiple_of(2) {
                        for number in 0..BATCHES {
                            // Anew for each batch: handing one over, and waiting for room, is no step.
                            mode.begin();
                            let batch = std::array::from_fn(|_| {
                                let block = Slot::take(handle, SIZE, &mut mode).block;
                                mode.step();
                                block
                            });
                            // SAFETY: this member alone pushes to this queue.
                            if !unsafe { queue.push(&batch, number + 1 == BATCHES) } {
                                return;
                            }
                        }
                    } else {
                        for _ in 0..BATCHES {
                            // SAFETY: this member alone pops from this queue.
                            let Some(batch) = (unsafe { queue.pop() }) else { return };
                            mode.begin();
                            for block in batch {
                                let slot = Slot { block, size: SIZE };
                                // SAFETY: the producer took it from this heap and handed it on, once, to us.
                                unsafe { slot.free(handle, &mut mode) };
                                mode.step();
                            }
                        }
                    }
                });
            }
            mode
        };
        for other in team::run(2 * producers, producers * BATCHES * BATCH, member, drive) {
            mode.join(other);
        }
    }
}
