//! Blocks on their way from the thread that freed them to the heap that owns them: all that threads do to each other
//! while allocating, and the only lock-free algorithm here.
//!
//! A thread collects the blocks of one span in a batch of its outbox. A batch that is full, or in the way of another
//! span's, becomes a message and is pushed onto the inbox of the owner, who takes all messages at once:
//!
//! ```text
//! inbox ──▶ last ─ second ──▶ last ─ second ──▶ null        second = next message | blocks in this one − 1
//!            │ ▲               │
//!          next │              next (a message of one block: itself)
//!            ▼  │              ▼
//!          first ─▶ … (chain of up to 16 blocks of one span)
//! ```
//!
//! The message is named by the *last* block of its chain, whose link leads to the first. So the owner splices a whole
//! chain into a span's free list by writing that one block, and touches no other: the blocks in between come into its
//! cache when they are allocated again.
//!
//! Pushing is a compare-exchange on the head, taking is a swap with null. Nobody ever removes a single message, so the
//! ABA fault has no place: a push that finds the same head again links to what is then the head.

use crate::allocators::sync::{AtomicPtr, Ordering, const_unless_loom};
use std::cell::Cell;
use std::ptr;

use super::block::Block;
use super::geometry::SEGMENT;
use super::mark;

/// Low bits of a block's address that are zero and hold a message's length.
const LENGTH: usize = 15;

/// Batches of an outbox. What a thread holds back is at most this times 8 KiB. With fewer, a thread that frees blocks
/// of many spans in turn sends them one by one.
const BATCHES: usize = 32;

/// A closed batch: a chain of blocks of one span that nobody uses, the last linked to the first.
pub(super) struct Message {
    last: *mut Block,
    count: u32,
}

impl Message {
    /// A message of one block.
    ///
    /// # Safety
    /// A live block that the caller gives away.
    pub(super) unsafe fn single(block: *mut Block) -> Self {
        // SAFETY: the block is the caller's, and at least as large as a `Block`.
        unsafe { Block::set_next(block, block) };
        Self { last: block, count: 1 }
    }

    /// An address in the segment of its blocks.
    pub(super) fn address(&self) -> usize {
        self.last.addr()
    }
}

/// A received message.
pub(super) struct Chain {
    pub(super) first: *mut Block,
    pub(super) last: *mut Block,
    pub(super) count: u32,
}

/// Where the messages for one heap arrive.
pub(super) struct Inbox(AtomicPtr<Block>);

impl Inbox {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }
    }

    /// Adds a message. Any thread.
    pub(super) fn push(&self, message: Message) {
        // Relaxed: the head is only linked to, not looked into.
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            let second = head.map_addr(|address| address | (message.count as usize - 1));
            // SAFETY: the message's blocks are nobody else's until the exchange succeeds.
            unsafe { Block::set_second(message.last, second) };
            // Release, as part of SeqCst: what was written to the blocks, by their users and here, comes before the
            // owner's use. SeqCst besides, because the sender then asks whether the heap is idle; see `handover`.
            match self.0.compare_exchange_weak(head, message.last, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether there is no message.
    pub(super) fn is_empty(&self) -> bool {
        // SeqCst: the other half of the order described in `handover`. On the refill path it costs a plain load.
        self.0.load(Ordering::SeqCst).is_null()
    }

    /// Takes all messages. Only the thread that has the heap.
    pub(super) fn take(&self) -> Messages {
        // Acquire, as part of SeqCst: pairs with the release of every push since the last take; each later push
        // continues the release sequence of those before it. SeqCst besides, for the model checker: see `handover`.
        Messages(self.0.swap(ptr::null_mut(), Ordering::SeqCst))
    }
}

/// Messages that were taken from an inbox.
pub(super) struct Messages(*mut Block);

impl Messages {
    pub(super) const fn none() -> Self {
        Self(ptr::null_mut())
    }
}

impl Iterator for Messages {
    type Item = Chain;

    fn next(&mut self) -> Option<Chain> {
        let last = self.0;
        if last.is_null() {
            return None;
        }
        // SAFETY: a message in the list is made of blocks that nobody but its taker uses; `push` wrote both words.
        let (first, second) = unsafe { (Block::next(last), Block::second(last)) };
        mark::restore(last);
        self.0 = second.map_addr(|address| address & !LENGTH);
        Some(Chain { first, last, count: (second.addr() & LENGTH) as u32 + 1 })
    }
}

/// Blocks of one span that wait to be sent.
struct Batch {
    /// The address of the span's header; meaningless without blocks.
    span: Cell<usize>,
    first: Cell<*mut Block>,
    last: Cell<*mut Block>,
    count: Cell<u32>,
}

impl Batch {
    const fn new() -> Self {
        Self {
            span: Cell::new(0),
            first: Cell::new(ptr::null_mut()),
            last: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
        }
    }

    fn close(&self) -> Option<Message> {
        let count = self.count.replace(0);
        if count == 0 {
            return None;
        }
        let last = self.last.get();
        // SAFETY: the batch's blocks were given to it in `add`.
        unsafe { Block::set_next(last, self.first.get()) };
        Some(Message { last, count })
    }
}

/// What one thread freed of other heaps and did not send yet: at most one batch at each place, chosen by the span.
pub(super) struct Outbox([Batch; BATCHES]);

impl Outbox {
    pub(super) const fn new() -> Self {
        Self([const { Batch::new() }; BATCHES])
    }

    /// Adds a block of the span whose header is at `span`; `send`s what has become complete, or has to make room. A
    /// batch is complete with `most` blocks, at most 16.
    ///
    /// # Safety
    /// A live block of that span, which the caller gives away.
    #[inline]
    pub(super) unsafe fn add(
        &self,
        span: usize,
        block: *mut Block,
        most: u32,
        mut send: impl FnMut(Message),
    ) {
        // Neighbouring headers are 64 B apart; headers of different segments differ in the upper bits only.
        let batch = &self.0[((span / 64) ^ (span / SEGMENT)) % BATCHES];
        if batch.span.get() != span {
            if let Some(message) = batch.close() {
                send(message);
            }
            batch.span.set(span);
        }
        let count = batch.count.get();
        if count == 0 {
            batch.last.set(block);
        }
        // SAFETY: the block is the caller's to give; `first` is null or stale only if the block is the last, whose link
        // is set when the batch is closed.
        unsafe { Block::set_next(block, batch.first.get()) };
        batch.first.set(block);
        batch.count.set(count + 1);
        if count + 1 >= most
            && let Some(message) = batch.close()
        {
            send(message);
        }
    }

    /// Sends everything.
    pub(super) fn flush(&self, send: impl FnMut(Message)) {
        self.0.iter().filter_map(Batch::close).for_each(send);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[repr(align(16))]
    struct Place(#[expect(dead_code, reason = "only its address matters")] [usize; 2]);

    fn blocks(count: usize) -> Vec<*mut Block> {
        // Leaked on purpose: a few bytes in a test.
        (0..count).map(|_| Box::into_raw(Box::new(Place([0; 2]))).cast()).collect()
    }

    fn drain(inbox: &Inbox) -> Vec<Vec<usize>> {
        let mut chains = Vec::new();
        for chain in inbox.take() {
            let (mut at, mut blocks) = (chain.first, vec![chain.first.addr()]);
            while at != chain.last {
                // SAFETY: the chain was built by the outbox from blocks that are never freed.
                at = unsafe { Block::next(at) };
                blocks.push(at.addr());
            }
            assert_eq!(blocks.len(), chain.count as usize);
            chains.push(blocks);
        }
        chains
    }

    #[test]
    fn a_full_batch_is_sent_as_one_message_with_all_its_blocks() {
        let (inbox, outbox, blocks) = (Inbox::new(), Outbox::new(), blocks(33));
        for &block in &blocks {
            // SAFETY: blocks of our own that are used for nothing else.
            unsafe { outbox.add(64, block, 16, |message| inbox.push(message)) };
        }
        let chains = drain(&inbox);
        assert_eq!(chains.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16]);
        outbox.flush(|message| inbox.push(message));
        let rest = drain(&inbox);
        assert_eq!(rest, [[blocks[32].addr()]]);
        assert!(inbox.is_empty());
        outbox.flush(|_| panic!("nothing is left"));
    }

    #[test]
    fn spans_that_share_a_place_do_not_share_a_message() {
        let (inbox, outbox, blocks) = (Inbox::new(), Outbox::new(), blocks(4));
        for (index, &block) in blocks.iter().enumerate() {
            let span = 64 * BATCHES * (index % 2);
            // SAFETY: blocks of our own that are used for nothing else.
            unsafe { outbox.add(span, block, 16, |message| inbox.push(message)) };
        }
        outbox.flush(|message| inbox.push(message));
        assert_eq!(drain(&inbox).iter().map(Vec::len).collect::<Vec<_>>(), [1; 4]);
    }

    #[test]
    fn concurrent_senders_lose_and_duplicate_nothing() {
        let (inbox, senders, each) = (Inbox::new(), 4, if cfg!(miri) { 50 } else { 5000 });
        let mut received = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..senders {
                scope.spawn(|| {
                    let outbox = Outbox::new();
                    for (index, block) in blocks(each).into_iter().enumerate() {
                        // SAFETY: blocks of our own that are used for nothing else.
                        unsafe { outbox.add(64 * (index % 3), block, 7, |message| inbox.push(message)) };
                    }
                    outbox.flush(|message| inbox.push(message));
                });
            }
            while received.len() < senders * each {
                received.extend(drain(&inbox).into_iter().flatten());
                std::thread::yield_now();
            }
        });
        received.sort_unstable();
        received.dedup();
        assert_eq!(received.len(), senders * each);
    }
}
