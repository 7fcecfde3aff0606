//! `mixed-order`: batches freed in different orders, in part by another thread.

use std::num::NonZeroU16;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};

use allocator_api2::alloc::Allocator;

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

/// `threads` threads in a ring.
#[derive(Clone, Copy, Debug)]
pub struct MixedOrder {
    threads: usize,
}

/// Blocks of a batch: twenty of each size class of an allocator with four classes to a doubling, more than the smallest
/// thread cache holds (seven of a class in glibc's).
const BATCH: usize = 500;

/// One block in so many goes to the next thread: as a request leaves a log line, a message or a cache entry to others.
const TENTH: usize = 10;

/// Blocks of a batch that go to the next thread.
const HANDED: usize = BATCH / TENTH;

/// Blocks of a batch that stay.
const KEPT: usize = BATCH - HANDED;

/// Batches of a thread in a lap: milliseconds of work even at 5 ns a block, against which it counts for little that threads
/// wake up tens of microseconds apart.
const BATCHES: usize = 512;

/// As much below 128 bytes as above.
const SIZES: Sizes = Sizes::LogUniform(16, 1_024);

impl Shape for MixedOrder {
    const FACTS: Facts = Facts {
        id: "mixed-order",
        title: "batches freed in different orders, a tenth by another thread",
        family: Family::Threads,
        why: "A request's objects do not all go the same way. Temporaries go as scopes end, the youngest first; what \
              waited in a queue goes in the order in which it came; some things another thread finishes. Each thread \
              allocates batches of 500 blocks and hands one block in ten to the next thread of a ring. Of the others the \
              second half is freed last in, first out, then the first half first in, first out. Then it frees what has \
              been handed to it.\n\n\
              Last in, first out alone flatters stacks of free blocks: the block that was freed last is in the cache, and \
              the next request gets it. Here every stack is turned over once in each batch, and a steady trickle of \
              blocks leaves each thread and another one comes in.\n\n\
              Threads never wait for each other: what is handed over lies in a mailbox until its owner looks, after \
              each batch. What comes for a thread that has done its work in this pass is freed by the one who wanted to \
              send it. Where threads have a CPU each, that is the difference between their ends; where they take turns, \
              it may be all that one of them sends.",
        effect: "Dearer than `local` for each operation in caches that hold few blocks (the system's malloc): half of a \
              batch's blocks go to the common store and come back. Those that return blocks to their page (mimalloc, \
              snmalloc, `slab`) care little for the order and pay for one remote free in ten. Faster with threads for \
              all but allocators with one lock, nearly as in `local`.",
        origin: "A shape of our own. That orders of freeing should be mixed, and some blocks freed elsewhere, is what \
              readers of mimalloc-bench know as the idea of sh6bench and sh8bench; nothing of those was used.",
        operation: "alloc + free",
        step: "alloc or free",
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
            live_blocks: self.threads * (BATCH + BATCHES * HANDED),
            pass_bytes: self.threads * SIZES.budget(BATCHES * BATCH),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads * BATCHES * BATCH))
    }
}

/// What one thread hands to the next: a place for every block of a lap, and how many have come.
///
/// On a line of its own: one thread writes, another reads.
#[repr(align(128))]
struct Mailbox {
    slots: Table<Slot>,
    /// How many blocks have come, and [`CLOSED`].
    state: AtomicUsize,
}

/// The owner takes no more in this lap.
const CLOSED: usize = 1 << (usize::BITS - 1);

// SAFETY: a place is written by the one sender before it is counted and read by the owner after that; the count hands it
// over with release and acquire. Who sends and who owns, the callers of the functions below promise.
unsafe impl Sync for Mailbox {}

impl Mailbox {
    fn new() -> Self {
        Self { slots: Table::new(BATCHES * HANDED, |_| Slot::EMPTY), state: AtomicUsize::new(0) }
    }

    /// Puts a batch's share in. False if the owner takes no more: the blocks remain the caller's.
    ///
    /// # Safety
    /// The caller is the only sender and sends at most [`BATCHES`] times a lap.
    unsafe fn send(&self, share: &[Slot; HANDED]) -> bool {
        // Relaxed: nobody else changes the count, and the other bit is looked at below.
        let count = self.state.load(Ordering::Relaxed) & !CLOSED;
        // SAFETY: there are places for all that is sent in a lap (the caller's promise), and the owner does not read
        // these before they are counted.
        unsafe { self.slots.pointer().add(count).cast::<[Slot; HANDED]>().write(*share) };
        // Release: whoever sees the count sees the places, and what was written into the blocks. One atomic instruction
        // here and one in `close`, on one word: either the owner's last look has these in it, or we see that it is closed.
        self.state.fetch_add(HANDED, Ordering::Release) & CLOSED == 0
    }

    /// What has come since `seen`.
    ///
    /// # Safety
    /// The caller is the owner, and uses each slot once.
    unsafe fn look(&self, seen: &mut usize) -> &[Slot] {
        // Acquire: with the release in `send`.
        // SAFETY: so many are counted; nobody has closed it.
        unsafe { self.between(seen, self.state.load(Ordering::Acquire)) }
    }

    /// What has come since `seen`; nothing comes after this.
    ///
    /// # Safety
    /// As [`look`](Self::look), and it is the first time in this lap.
    unsafe fn close(&self, seen: &mut usize) -> &[Slot] {
        // Acquire: as in `look`. What the sender adds afterwards is its own: see `send`.
        // SAFETY: so many are counted, and it was not closed before.
        unsafe { self.between(seen, self.state.fetch_or(CLOSED, Ordering::Acquire)) }
    }

    /// # Safety
    /// `count` places are counted, and not fewer than `seen`.
    unsafe fn between(&self, seen: &mut usize, count: usize) -> &[Slot] {
        let from = std::mem::replace(seen, count);
        // SAFETY: these places were written before they were counted, are never written again in this lap, and the slice
        // lies inside the table.
        unsafe { slice::from_raw_parts(self.slots.pointer().add(from).as_ptr(), count - from) }
    }

    /// Makes it ready for the next lap. Only between two laps, when nobody sends.
    fn empty(&self) {
        // Relaxed: the team's barriers, before this and after it, order it against the sender.
        self.state.store(0, Ordering::Relaxed);
    }
}

impl ManyThreads for MixedOrder {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        let mailboxes: Vec<Mailbox> = (0..self.threads).map(|_| Mailbox::new()).collect();
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut random = Random::new(seed.wrapping_add(index as u64));
            let sizes = Table::new(BATCHES * BATCH, |_| {
                NonZeroU16::try_from(SIZES.draw(&mut random)).expect("the largest size is below 64 KiB")
            });
            let mut hand =
                Hand { heap, mode: shared.fork(), kept: [Slot::EMPTY; KEPT], share: [Slot::EMPTY; HANDED] };
            // One thread alone is its own next: it frees the share of a batch after the batch.
            let (mine, next) = (&mailboxes[index], &mailboxes[(index + 1) % self.threads]);
            while laps.next() {
                laps.time(|| hand.lap(&sizes, mine, next));
                // All have sent what they had to send, and none begins the next lap before we come to it.
                mine.empty();
            }
            hand.mode
        };
        for other in team::run(self.threads, self.threads * BATCHES * BATCH, member, drive) {
            mode.join(other);
        }
    }
}

/// A thread's own.
struct Hand<'h, H, M> {
    heap: &'h H,
    mode: M,
    /// Blocks of the batch that stay.
    kept: [Slot; KEPT],
    /// Blocks of the batch that go to the next thread.
    share: [Slot; HANDED],
}

impl<H: Heap, M: Mode> Hand<'_, H, M> {
    fn lap(&mut self, sizes: &[NonZeroU16], mine: &Mailbox, next: &Mailbox) {
        let mut seen = 0;
        for sizes in sizes.chunks_exact(BATCH) {
            self.fill(sizes);
            // SAFETY: this member alone sends to the next one, once for each batch of a lap.
            let sent = unsafe { next.send(&self.share) };
            let (first, second) = self.kept.split_at(KEPT / 2);
            let (handle, mode) = (self.heap.handle(), &mut self.mode);
            // SAFETY: the batch's blocks, and those of the share that the next thread did not take, were taken from this
            // heap; all are freed here, once, before the arrays are filled again.
            unsafe {
                free(second.iter().rev(), handle, mode);
                free(first.iter(), handle, mode);
                if !sent {
                    free(self.share.iter(), handle, mode);
                }
            }
            // SAFETY: the mailbox is this member's; the one before took these from this heap and sent them to us alone.
            unsafe { free(mine.look(&mut seen).iter(), handle, mode) };
        }
        // SAFETY: as above.
        unsafe { free(mine.close(&mut seen).iter(), self.heap.handle(), &mut self.mode) };
    }

    /// Takes a batch: of each ten blocks nine to keep and one for the next thread.
    fn fill(&mut self, sizes: &[NonZeroU16]) {
        let (handle, mode) = (self.heap.handle(), &mut self.mode);
        mode.begin();
        let mut take = |slot: &mut Slot, size: NonZeroU16| {
            *slot = Slot::take(handle, size.into(), mode);
            mode.step();
        };
        let groups = sizes.chunks_exact(TENTH).zip(self.kept.chunks_exact_mut(TENTH - 1));
        for ((sizes, kept), share) in groups.zip(&mut self.share) {
            for (slot, &size) in kept.iter_mut().zip(sizes) {
                take(slot, size);
            }
            take(share, sizes[TENTH - 1]);
        }
    }
}

/// Frees blocks in this order.
///
/// # Safety
/// As [`Slot::free`], of all of them.
#[inline(always)]
unsafe fn free<'s, A: Allocator + Copy, M: Mode>(
    slots: impl Iterator<Item = &'s Slot>,
    allocator: A,
    mode: &mut M,
) {
    // Anew: what lies between the step before and these, a look into a mailbox, is no step.
    mode.begin();
    for slot in slots {
        // SAFETY: the caller's promise.
        unsafe { slot.free(allocator, mode) };
        mode.step();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::thread;

    use super::*;

    fn share(number: usize) -> [Slot; HANDED] {
        let size = NonZeroU32::new(number as u32 + 1).expect("not 0");
        [Slot { size, ..Slot::EMPTY }; HANDED]
    }

    /// How many shares the slots are.
    fn shares(slots: &[Slot]) -> usize {
        slots.len() / HANDED
    }

    #[test]
    fn what_is_sent_comes_once_and_in_order() {
        let (mailbox, mut seen) = (Mailbox::new(), 0);
        // SAFETY: this thread alone sends and looks; the slots are empty.
        unsafe {
            assert!(mailbox.send(&share(0)) && mailbox.send(&share(1)));
            let sizes: Vec<u32> = mailbox.look(&mut seen).iter().map(|slot| slot.size.get()).collect();
            assert_eq!(sizes, [[1; HANDED], [2; HANDED]].concat());
            assert!(mailbox.look(&mut seen).is_empty());
            assert!(mailbox.send(&share(2)));
            assert_eq!(shares(mailbox.close(&mut seen)), 1);
        }
    }

    #[test]
    fn a_closed_mailbox_takes_nothing_until_the_next_lap() {
        let mailbox = Mailbox::new();
        // SAFETY: as above.
        unsafe {
            assert!(mailbox.close(&mut 0).is_empty());
            assert!(!mailbox.send(&share(0)) && !mailbox.send(&share(1)));
            mailbox.empty();
            assert!(mailbox.send(&share(2)));
            assert_eq!(shares(mailbox.look(&mut 0)), 1);
        }
    }

    #[test]
    fn every_share_is_freed_by_one_of_the_two() {
        for _ in 0..50 {
            let mailbox = Mailbox::new();
            let (refused, taken) = thread::scope(|scope| {
                // SAFETY: this thread alone sends, as often as a lap has batches.
                let send = || (0..BATCHES).filter(|&number| unsafe { !mailbox.send(&share(number)) }).count();
                let sender = scope.spawn(send);
                let (mut seen, mut taken) = (0, 0);
                while taken < BATCHES / 2 {
                    // SAFETY: this thread alone looks.
                    taken += shares(unsafe { mailbox.look(&mut seen) });
                    thread::yield_now();
                }
                // SAFETY: likewise.
                taken += shares(unsafe { mailbox.close(&mut seen) });
                (sender.join().unwrap(), taken)
            });
            assert_eq!(refused + taken, BATCHES);
        }
    }
}
