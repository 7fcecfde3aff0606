//! A bounded queue of batches between one producer and one consumer, which allocates nothing and blocks.
//!
//! A ring with a counter for each side, as in Lamport's proof of the bounded buffer (L. Lamport, "Proving the
//! correctness of multiprocess programs", 1977): each side writes its own counter and reads the other's, so nobody
//! takes a lock while there is room and something to take. A side that must wait sleeps on a condition variable.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use super::table::Table;

/// Objects handed over at once, as in the catalogue's description of `handoff`.
pub const BATCH: usize = 64;

/// Blocks on their way.
pub type Batch = [NonNull<u8>; BATCH];

/// Batches the queue holds. With 64 a side that waits does so for half of them, about fifty microseconds of the other
/// side's work: several times what it costs to wake a thread.
const CAPACITY: usize = 64;

/// A side that had to wait goes on when the queue is half full or half empty, not at the first batch: else every batch
/// would pay for a wake-up, and the operating system would be measured.
const HALF: usize = CAPACITY / 2;

/// One producer's objects on their way to one consumer.
pub struct Queue {
    ring: Table<Batch>,
    /// The producer's side, on a cache line of its own.
    producer: Side,
    /// The consumer's side, likewise.
    consumer: Side,
    /// The last batch of a lap is in: a waiting consumer must not hope for half a queue.
    last: AtomicBool,
    /// One side is gone: nobody may wait for it.
    closed: AtomicBool,
    sleep: Mutex<()>,
}

#[repr(align(128))]
struct Side {
    /// Batches that this side has moved so far.
    count: AtomicUsize,
    /// It sleeps, or is about to.
    waits: AtomicBool,
    wake: Condvar,
}

impl Side {
    fn new() -> Self {
        Self { count: AtomicUsize::new(0), waits: AtomicBool::new(false), wake: Condvar::new() }
    }
}

// SAFETY: an element of the ring is written by the producer while it is not counted as pushed, and read by the consumer
// while it is; the counters hand it over with release and acquire. Who is producer and who consumer, the callers of
// `push` and `pop` promise.
unsafe impl Sync for Queue {}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            ring: Table::new(CAPACITY, |_| [NonNull::dangling(); BATCH]),
            producer: Side::new(),
            consumer: Side::new(),
            last: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            sleep: Mutex::new(()),
        }
    }

    fn length(&self) -> usize {
        // Acquire on both: what the other side did before it counted must be visible after this.
        let popped = self.consumer.count.load(Ordering::Acquire);
        self.producer.count.load(Ordering::Acquire).wrapping_sub(popped)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Puts a batch in; `last` says that none follows in this lap. False if the other side is gone.
    ///
    /// # Safety
    /// No other thread pushes at the same time.
    pub unsafe fn push(&self, batch: &Batch, last: bool) -> bool {
        if self.length() == CAPACITY {
            self.wait(&self.producer, || self.length() <= HALF);
        }
        if self.is_closed() {
            return false;
        }
        // Relaxed: this thread alone changes it.
        let position = self.producer.count.load(Ordering::Relaxed);
        // SAFETY: the index is below the capacity; the queue is not full, so the consumer is done with the element and
        // will not read it before the counter below is raised; no other thread pushes (the caller's promise).
        unsafe { self.ring.pointer().add(position % CAPACITY).write(*batch) };
        if last != self.last.load(Ordering::Relaxed) {
            self.last.store(last, Ordering::Relaxed);
        }
        // Release: the element and `last` are visible to whoever sees the new count.
        self.producer.count.store(position.wrapping_add(1), Ordering::Release);
        self.rouse(&self.consumer, || last || self.length() >= HALF);
        true
    }

    /// Takes the oldest batch out; `None` if the other side is gone.
    ///
    /// # Safety
    /// No other thread pops at the same time.
    pub unsafe fn pop(&self) -> Option<Batch> {
        if self.length() == 0 {
            self.wait(&self.consumer, || {
                let length = self.length();
                length >= HALF || length > 0 && self.last.load(Ordering::Relaxed)
            });
        }
        if self.is_closed() {
            return None;
        }
        let position = self.consumer.count.load(Ordering::Relaxed);
        // SAFETY: the index is below the capacity; the queue is not empty, so the element was written before the
        // producer raised its counter, which `length` acquired, and is not written again before ours is raised; no
        // other thread pops (the caller's promise).
        let batch = unsafe { self.ring.pointer().add(position % CAPACITY).read() };
        // Release: the producer writes the element again only after this read.
        self.consumer.count.store(position.wrapping_add(1), Ordering::Release);
        self.rouse(&self.producer, || self.length() <= HALF);
        Some(batch)
    }

    /// Sleeps until `ready` or closed.
    fn wait(&self, side: &Side, ready: impl Fn() -> bool) {
        let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            side.waits.store(true, Ordering::Relaxed);
            // With the fence in `rouse`: either we see the other side's last step below, or it sees that we wait.
            fence(Ordering::SeqCst);
            if ready() || self.is_closed() {
                break;
            }
            sleep = side.wake.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
        side.waits.store(false, Ordering::Relaxed);
    }

    /// Wakes `side` if it sleeps and `ready`.
    fn rouse(&self, side: &Side, ready: impl Fn() -> bool) {
        fence(Ordering::SeqCst);
        if side.waits.load(Ordering::Relaxed) && ready() {
            // Whoever set `waits` holds the lock until it sleeps, so this cannot come between its look and its sleep.
            let sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            // Once is enough: until the sleeper runs, every further batch would pay for a lock and a system call.
            let asleep = side.waits.swap(false, Ordering::Relaxed);
            drop(sleep);
            if asleep {
                side.wake.notify_one();
            }
        }
    }

    /// Says that this side is gone: nobody waits for it any more, `push` and `pop` fail.
    pub fn close(&self) {
        let sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: a sleeper looks at it under the lock, anybody else may see it a batch later.
        self.closed.store(true, Ordering::Relaxed);
        drop(sleep);
        self.producer.wake.notify_all();
        self.consumer.wake.notify_all();
    }

    /// Closes the queue if this thread panics before the guard is dropped.
    pub fn close_on_panic(&self) -> impl Drop + '_ {
        struct Guard<'q>(&'q Queue);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.close();
                }
            }
        }
        Guard(self)
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn batch(number: usize) -> Batch {
        [NonNull::new(ptr::without_provenance_mut(number + 1)).expect("a number above 0"); BATCH]
    }

    #[test]
    fn batches_come_out_in_the_order_in_which_they_went_in() {
        let queue = Queue::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..10_000 {
                    // SAFETY: this thread alone pushes.
                    assert!(unsafe { queue.push(&batch(number), number == 9_999) });
                }
            });
            for number in 0..10_000 {
                // SAFETY: this thread alone pops.
                assert_eq!(unsafe { queue.pop() }, Some(batch(number)));
            }
        });
    }

    #[test]
    fn a_consumer_does_not_wait_for_a_producer_that_panicked() {
        let queue = Queue::new();
        thread::scope(|scope| {
            let producer = scope.spawn(|| {
                let _guard = queue.close_on_panic();
                panic!("the producer gives up");
            });
            // SAFETY: this thread alone pops.
            assert!(unsafe { queue.pop() }.is_none());
            assert!(producer.join().is_err());
        });
    }
}
