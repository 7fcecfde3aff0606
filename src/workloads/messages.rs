//! `messages`: producers, proxies and consumers.

use std::num::NonZeroU8;

use super::heap::Heap;
use super::label::Label;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::queue::{BATCH, Queue};
use super::shape::{Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Scope, Shape};
use super::sizes::Sizes;
use super::table::Table;
use super::team;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `threads` threads in chains along which messages go.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// Threads of a chain: two, or three with a proxy between them.
    chain: usize,
    threads: usize,
}

/// The bounds of snmalloc's messages, which have four sizes between them: one line of a cache to two.
const SIZES: Sizes = Sizes::Uniform(48, 128);

/// Batches that go through a chain in a lap: milliseconds at 30 ns a message, against which it counts for little that the
/// threads of a chain wake up tens of microseconds apart.
const BATCHES: usize = 1_024;

/// Messages that go through a chain in a lap.
const MESSAGES: usize = BATCHES * BATCH;

/// Messages that may be alive between two neighbours: what their queue holds, and a batch in each hand.
const IN_FLIGHT: usize = 66 * BATCH;

impl Messages {
    fn chains(self) -> usize {
        self.threads / self.chain
    }

    /// Allocations in a lap: each thread but a chain's last makes every message anew.
    fn made(self) -> usize {
        self.chains() * (self.chain - 1) * MESSAGES
    }
}

impl Shape for Messages {
    const FACTS: Facts = Facts {
        id: "messages",
        title: "messages from producers through proxies to consumers",
        family: Family::Threads,
        why: "Services of one process that talk in messages: an acceptor, a router, a worker. The producer allocates a \
              message of 48 to 128 bytes with a header. The proxy, where there is one, reads the header, makes a new \
              message of another size with it, as one does who unwraps an envelope and wraps the content anew, and frees \
              the old one. The consumer reads the header and frees the message. Every free is remote, and the proxy is \
              receiver and sender at once: its cache is filled by one side with blocks of the producer's, while the \
              other side takes blocks of its own that come back, if they do, from the consumer.\n\n\
              Messages go in batches of 64 through bounded queues: whoever is ahead by 4 096 messages sleeps until the \
              other side has caught up by half. Each thread of a chain is on another CPU than its neighbours, where \
              there are as many. The sum of the headers is checked after each pass.\n\n\
              A chain is all of one kind, and there are as many as make the number of threads; kinds are never mixed, \
              for a message through a proxy costs two allocations, one without costs one.",
        effect: "As `handoff`, a little slower: sizes are mixed. Those that send blocks home in batches (snmalloc, \
              rpmalloc, `slab`) lead with two threads; the system's malloc, which locks the producer's arena for what \
              its small cache does not hold, is several times slower. Through a proxy a message takes longer: the proxy \
              both allocates and frees, and where there are fewer CPUs than threads they take turns.",
        origin: "snmalloc's message-passing benchmark: three producers, two proxies and three consumers that choose a \
              queue at random, proxies that pass the same block on. Here chains are fixed, so that no queue is shared \
              and threads can be pinned, and a proxy makes its own message.",
        operation: "message",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[
            Parameter { name: "chain", title: "threads that a message meets", axis: Axis::Category },
            Parameter { name: "threads", title: "threads of all chains", axis: Axis::Threads },
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        // Without a proxy one pair will do: how pairs scale is what `handoff` tells.
        let mut standard = vec![Self { chain: 2, threads: 2 }];
        let mut threads = vec![3, scope.cpus.next_multiple_of(3), (2 * scope.cpus).next_multiple_of(3)];
        threads.sort_unstable();
        threads.dedup();
        standard.extend(threads.into_iter().map(|threads| Self { chain: 3, threads }));
        scope.pick(vec![], standard)
    }

    fn params(&self) -> Params {
        Params::default().with("chain", self.chain).with("threads", self.threads)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: None,
            live_blocks: self.chains() * (self.chain - 1) * IN_FLIGHT,
            pass_bytes: SIZES.budget(self.made()),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.made()))
    }
}

/// A thread of a chain.
struct Member<'q, H, M> {
    heap: &'q H,
    mode: M,
    /// Where its messages come from; a producer has none.
    inbox: Option<&'q Queue>,
    /// Where they go; a consumer has none.
    outbox: Option<&'q Queue>,
}

/// One of the neighbours is gone.
struct Gone;

impl<H: Heap, M: Mode> Member<'_, H, M> {
    /// Passes a lap's messages on; gives back the sum of the headers that it saw.
    ///
    /// # Safety
    /// This thread alone pops from the inbox and pushes to the outbox, and what is pushed to the inbox was taken from the
    /// heap with a label.
    unsafe fn lap(&mut self, sizes: &[NonZeroU8]) -> Result<u64, Gone> {
        let (handle, mode, mut sum) = (self.heap.handle(), &mut self.mode, 0_u64);
        for (number, sizes) in sizes.chunks_exact(BATCH).enumerate() {
            let last = number + 1 == BATCHES;
            let first = (number * BATCH) as u32;
            let incoming = match self.inbox {
                // SAFETY: this thread alone pops (the caller's promise).
                Some(inbox) => Some(unsafe { inbox.pop() }.ok_or(Gone)?),
                None => None,
            };
            // Anew for each batch: waiting for one is no step.
            mode.begin();
            let Some(outbox) = self.outbox else {
                for block in incoming.into_iter().flatten() {
                    // SAFETY: the neighbour took it from this heap with a label and handed it to us alone.
                    let label = unsafe { Label::of(block, SIZES.largest()) };
                    sum += u64::from(label.note);
                    // SAFETY: as above; nobody uses it afterwards.
                    unsafe { label.free(block, handle, mode) };
                    mode.step();
                }
                continue;
            };
            let batch = std::array::from_fn(|index| {
                let size = sizes[index].into();
                let Some(incoming) = incoming else {
                    let note = first + index as u32;
                    sum += u64::from(note);
                    let block = Label { size, note }.take(handle, mode);
                    mode.step();
                    return block;
                };
                let old = incoming[index];
                // SAFETY: as in the consumer's case.
                let label = unsafe { Label::of(old, SIZES.largest()) };
                sum += u64::from(label.note);
                let block = Label { size, note: label.note }.take(handle, mode);
                mode.step();
                // SAFETY: likewise; nobody uses it afterwards.
                unsafe { label.free(old, handle, mode) };
                mode.step();
                block
            });
            // SAFETY: this thread alone pushes (the caller's promise).
            if !unsafe { outbox.push(&batch, last) } {
                return Err(Gone);
            }
        }
        Ok(sum)
    }

    /// Tells the neighbours that no more is to be had from us.
    fn hang_up(&self) {
        self.inbox.into_iter().chain(self.outbox).for_each(Queue::close);
    }
}

/// The sum of all headers of a chain's lap.
const SUM: u64 = (MESSAGES as u64 - 1) * MESSAGES as u64 / 2;

impl ManyThreads for Messages {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        let (chain, hops) = (self.chain, self.chain - 1);
        let queues: Vec<Queue> = (0..self.chains() * hops).map(|_| Queue::new()).collect();
        // Members of a chain follow each other: so neighbours are pinned to different CPUs.
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut random = Random::new(seed.wrapping_add(index as u64));
            let sizes = Table::new(MESSAGES, |_| {
                let size = SIZES.draw(&mut random);
                NonZeroU8::try_from(size).expect("the largest size is below 256")
            });
            let (queues, place) = (&queues[index / chain * hops..], index % chain);
            let inbox = place.checked_sub(1).map(|before| &queues[before]);
            let outbox = (place < hops).then(|| &queues[place]);
            let mut member = Member { heap, mode: shared.fork(), inbox, outbox };
            let _guards = (inbox.map(Queue::close_on_panic), outbox.map(Queue::close_on_panic));
            while laps.next() {
                let mut sum = Err(Gone);
                laps.time(|| {
                    // SAFETY: a queue is the inbox of one member and the outbox of another; both have this heap.
                    sum = unsafe { member.lap(&sizes) };
                    if sum.is_err() {
                        member.hang_up();
                    }
                });
                if let Ok(sum) = sum {
                    member.mode.result(sum, SUM);
                }
            }
            member.mode
        };
        for other in team::run(self.threads, self.chains() * MESSAGES, member, drive) {
            mode.join(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{Layout, System};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use allocator_api2::alloc::{AllocError, Allocator};

    use super::*;
    use crate::allocators::contract::Subject;
    use crate::workloads::heap::{Individually, Refused};
    use crate::workloads::mode::Touch;
    use crate::workloads::shape::WallClock;

    /// Refuses one request and every one after it.
    struct Exhausted {
        left: AtomicUsize,
    }

    impl Subject for Exhausted {
        type Handle<'a> = &'a Self;

        fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
            Err(AllocError)
        }

        fn handle(&self) -> &Self {
            self
        }

        fn owns(&self, _block: NonNull<u8>) -> bool {
            true
        }
    }

    // SAFETY: it is the system's allocator, which sometimes refuses.
    unsafe impl Allocator for &Exhausted {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            let taken =
                self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            taken.map_err(|_| AllocError)?;
            System.allocate(layout)
        }

        unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promise, passed on.
            unsafe { System.deallocate(block, layout) };
        }
    }

    #[test]
    fn a_member_that_gives_up_keeps_no_neighbour_waiting() {
        // Whoever is refused first: some messages in, and in the middle of the second lap.
        for left in [1, 1_000, 200_000] {
            let mut heap = Individually(Exhausted { left: AtomicUsize::new(left) });
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                Messages { chain: 3, threads: 3 }.open(&mut heap, &mut Touch, 1, &mut |body| {
                    for _ in 0..2 {
                        body.pass(&WallClock::new());
                    }
                });
            }));
            assert!(outcome.expect_err("a refusal").is::<Refused>(), "{left}");
        }
    }
}
