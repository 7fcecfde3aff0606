//! The models.

use std::ptr;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::block::Block;
use super::handover::Handover;
use super::remote::{Chain, Inbox, Message, Outbox};
use crate::allocators::held::Held;
use crate::allocators::sync::{AtomicUsize, Ordering};
use crate::explore;

/// Memory of one block, as aligned as a block is.
#[repr(align(16))]
struct Place(std::cell::UnsafeCell<[usize; 2]>);

/// Blocks that all threads free.
struct Blocks {
    places: Vec<Place>,
    held: Held,
}

// SAFETY: the places are written through pointers by whom the code under test lets; whether that is one at a time is what
// `held` and loom look at.
unsafe impl Sync for Blocks {}
// SAFETY: as above.
unsafe impl Send for Blocks {}

impl Blocks {
    /// All of them in use.
    fn new(count: usize) -> Self {
        let held = Held::new(count);
        (0..count).for_each(|index| held.take(index));
        Self { places: (0..count).map(|_| Place(std::cell::UnsafeCell::new([0; 2]))).collect(), held }
    }

    /// Gives a block up for a message.
    fn free(&self, index: usize) -> *mut Block {
        self.held.give_back(index);
        self.places[index].0.get().cast()
    }

    /// Receives what a message brings.
    fn receive(&self, chain: Chain) {
        let mut at = chain.first;
        for left in (0..chain.count).rev() {
            let index = self.places.iter().position(|place| ptr::eq(place.0.get().cast(), at));
            self.held.take(index.expect("one of our blocks"));
            assert_eq!(left == 0, at == chain.last, "the chain is as long as the message says");
            // SAFETY: a block of ours, whose link was written by the outbox.
            at = unsafe { Block::next(at) };
        }
    }
}

#[test]
fn messages_of_two_senders_arrive_whole_and_once() {
    explore(3, || {
        let world = Arc::new((Inbox::new(), Blocks::new(5)));
        let senders = [0..3, 3..5].map(|own| {
            let world = world.clone();
            thread::spawn(move || {
                let (inbox, blocks) = &*world;
                let outbox = Outbox::new();
                for index in own {
                    blocks.held.step();
                    // SAFETY: the block is this thread's to give.
                    unsafe { outbox.add(64, blocks.free(index), 2, |message| inbox.push(message)) };
                }
                outbox.flush(|message| inbox.push(message));
            })
        });
        let (inbox, blocks) = &*world;
        blocks.held.step();
        inbox.take().for_each(|chain| blocks.receive(chain));
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        inbox.take().for_each(|chain| blocks.receive(chain));
        assert_eq!(blocks.held.count(), 5, "no block was lost");
        assert!(inbox.is_empty());
    });
}

/// A heap as far as it is handed over: what only its thread may touch, and the way in.
struct Heap {
    handover: Handover,
    idle: AtomicUsize,
    /// What a heap keeps in cells. Loom fails when two threads are at it at once, or one does not see what the last did.
    cells: UnsafeCell<u32>,
    blocks: Blocks,
}

// SAFETY: the cells are loom's, which checks their use; the rest is made for threads.
unsafe impl Sync for Heap {}
// SAFETY: as above.
unsafe impl Send for Heap {}

impl Heap {
    /// A heap that the calling thread has, with `blocks` in use.
    fn new(blocks: usize) -> Arc<Self> {
        let heap = Self {
            handover: Handover::new(),
            idle: AtomicUsize::new(0),
            cells: UnsafeCell::new(0),
            blocks: Blocks::new(blocks + 1),
        };
        // Replaces the values that inbox and flag begin with (see the crate), with one block more than was asked for.
        heap.release();
        heap.free(blocks);
        assert!(heap.acquire());
        Arc::new(heap)
    }

    /// What a thread does that needs a heap: `heaps::acquire`.
    fn acquire(&self) -> bool {
        self.blocks.held.step();
        let taken = self.handover.try_take(&self.idle);
        assert!(self.idle.load(Ordering::Relaxed) <= 1, "the count of idle heaps is never below zero");
        taken
    }

    /// What a thread does that needs blocks: `Heap::collect`. The caller has the heap.
    fn collect(&self) {
        // SAFETY: the pointer is good while the closure runs; loom checks that nobody else is at the cells.
        self.cells.with_mut(|cells| unsafe { *cells += 1 });
        self.handover.messages().for_each(|chain| self.blocks.receive(chain));
    }

    /// `heaps::release`.
    fn release(&self) {
        self.blocks.held.step();
        self.collect();
        self.handover.release(&self.idle, || self.collect());
    }

    /// What a thread does that does not have the heap: `heaps::post`.
    fn free(&self, block: usize) {
        self.blocks.held.step();
        // SAFETY: the block is the caller's to give.
        let message = unsafe { Message::single(self.blocks.free(block)) };
        if self.handover.post(message, &self.idle) {
            self.collect();
            self.release();
        }
    }

    /// All threads are gone: nobody has the heap, and nothing is in it that nobody will look at.
    fn check(&self) {
        assert_eq!(self.idle.load(Ordering::Relaxed), 1);
        assert_eq!(
            self.blocks.held.count(),
            self.blocks.places.len(),
            "no message stays in a heap that nobody has"
        );
        assert!(self.acquire(), "nobody has the heap");
        self.collect();
    }
}

#[test]
fn a_message_to_a_heap_whose_thread_ends_is_seen_by_one_of_the_two() {
    explore(4, || {
        let heap = Heap::new(1);
        let sender = {
            let heap = heap.clone();
            thread::spawn(move || heap.free(0))
        };
        heap.release();
        sender.join().unwrap();
        heap.check();
    });
}

#[test]
fn two_senders_and_a_thread_that_ends_take_turns() {
    explore(3, || {
        let heap = Heap::new(2);
        let senders = [0, 1].map(|block| {
            let heap = heap.clone();
            thread::spawn(move || heap.free(block))
        });
        heap.release();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        heap.check();
    });
}

#[test]
fn a_heap_passes_to_a_new_thread_while_a_message_is_on_its_way() {
    explore(3, || {
        let heap = Heap::new(1);
        let sender = {
            let heap = heap.clone();
            thread::spawn(move || heap.free(0))
        };
        let heir = {
            let heap = heap.clone();
            thread::spawn(move || {
                if heap.acquire() {
                    heap.collect();
                    heap.release();
                }
            })
        };
        heap.release();
        sender.join().unwrap();
        heir.join().unwrap();
        heap.check();
    });
}
