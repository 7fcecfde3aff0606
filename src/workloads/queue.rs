//! A bounded queue of batches between one producer and one consumer, which allocates nothing and blocks.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::slot::Slot;
use super::table::Table;

/// Objects handed over at once, as in the catalogue's description of `handoff`.
pub const BATCH: usize = 64;

/// Batches the queue holds. With 64 a side that waits does so for half of them, about fifty microseconds of the other
/// side's work: several times what it costs to wake a thread.
const CAPACITY: usize = 64;

/// A side that had to wait goes on when the queue is half full or half empty, not at the first batch: else every batch
/// would pay for a wake-up, and the operating system would be measured.
const HALF: usize = CAPACITY / 2;

/// One producer's objects on their way to one consumer.
pub struct Queue {
    ring: Mutex<Ring>,
    filled: Condvar,
    emptied: Condvar,
}

struct Ring {
    batches: Table<[Slot; BATCH]>,
    /// Position of the oldest batch.
    head: usize,
    /// Batches in the ring.
    length: usize,
    /// The last batch of a lap is in: a waiting consumer must not hope for half a queue.
    last: bool,
    consumer_waits: bool,
    producer_waits: bool,
    /// One side panicked: nobody may wait for it.
    closed: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        let ring = Ring {
            batches: Table::new(CAPACITY, |_| [Slot::EMPTY; BATCH]),
            head: 0,
            length: 0,
            last: false,
            consumer_waits: false,
            producer_waits: false,
            closed: false,
        };
        Self { ring: Mutex::new(ring), filled: Condvar::new(), emptied: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch in; `last` says that none follows in this lap. False if the other side is gone.
    pub fn push(&self, batch: &[Slot; BATCH], last: bool) -> bool {
        let mut ring = self.lock();
        if ring.length == CAPACITY {
            ring.producer_waits = true;
            while ring.length > HALF && !ring.closed {
                ring = self.emptied.wait(ring).unwrap_or_else(PoisonError::into_inner);
            }
            ring.producer_waits = false;
        }
        if ring.closed {
            return false;
        }
        let tail = (ring.head + ring.length) % CAPACITY;
        ring.batches[tail] = *batch;
        ring.length += 1;
        ring.last = last;
        if ring.consumer_waits && (last || ring.length >= HALF) {
            self.filled.notify_one();
        }
        true
    }

    /// Takes the oldest batch out; `None` if the other side is gone.
    pub fn pop(&self) -> Option<[Slot; BATCH]> {
        let mut ring = self.lock();
        if ring.length == 0 {
            ring.consumer_waits = true;
            while !(ring.length >= HALF || ring.length > 0 && ring.last || ring.closed) {
                ring = self.filled.wait(ring).unwrap_or_else(PoisonError::into_inner);
            }
            ring.consumer_waits = false;
        }
        if ring.closed {
            return None;
        }
        let batch = ring.batches[ring.head];
        ring.head = (ring.head + 1) % CAPACITY;
        ring.length -= 1;
        if ring.producer_waits && ring.length <= HALF {
            self.emptied.notify_one();
        }
        Some(batch)
    }

    /// Closes the queue if this thread panics before the guard is dropped.
    pub fn close_on_panic(&self) -> impl Drop + '_ {
        struct Guard<'q>(&'q Queue);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.lock().closed = true;
                    self.0.filled.notify_all();
                    self.0.emptied.notify_all();
                }
            }
        }
        Guard(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u32) -> [Slot; BATCH] {
        [Slot { size: number, ..Slot::EMPTY }; BATCH]
    }

    #[test]
    fn batches_come_out_in_the_order_in_which_they_went_in() {
        let queue = Queue::new();
        thread::scope(|scope| {
            scope.spawn(|| (0..1_000).for_each(|number| assert!(queue.push(&batch(number), number == 999))));
            for number in 0..1_000 {
                assert_eq!(queue.pop().expect("the producer lives")[BATCH - 1].size, number);
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
            assert!(queue.pop().is_none());
            assert!(producer.join().is_err());
        });
    }
}
