//! How a heap passes from one thread to the next, and why no message stays in a heap that nobody has.
//!
//! ```text
//!   a thread has the heap:    taken    ◀── messages; the thread collects them when it needs blocks
//!        │ release       ▲
//!        ▼               │ try_take, by a thread that starts, or by the sender of a message, who collects for once
//!   nobody has it:        idle
//! ```
//!
//! A message may arrive while the heap is being released. Sender and releaser each write and then read what the other
//! has written:
//!
//! ```text
//!   sender                         releaser
//!   push the message               taken = false
//!   taken?  no: try to take it     any message?  yes: try to take it
//! ```
//!
//! All four are `SeqCst`, so they have one order that every thread agrees on, and whoever comes last with its write reads
//! the other's. So one of the two at least notices, and if both do, [`Handover::try_take`] lets one of them in. With less,
//! each could read the old value: both writes would still be on their way. Fences between the writes and the reads would
//! do the same; they would cost every message one more barrier on x86, where the exchange is one already.
//!
//! The exchanges that empty the inbox and take the heap are `SeqCst` too, though Acquire would do: loom, which tries every
//! order of all this, lets a `SeqCst` load miss a newer store if what it reads instead is not one. The instructions are the
//! same on x86, and neither is on a fast path.

use super::remote::{Inbox, Message, Messages};
use crate::allocators::sync::{AtomicBool, AtomicUsize, Ordering, const_unless_loom};

/// What is left of a heap for threads that do not have it. On cache lines of its own.
#[repr(align(128))]
pub(super) struct Handover {
    /// What other threads freed of the heap.
    inbox: Inbox,
    /// A thread has the heap.
    taken: AtomicBool,
}

impl Handover {
    const_unless_loom! {
        /// That of a heap which its maker has.
        pub(super) const fn new() -> Self {
            Self { inbox: Inbox::new(), taken: AtomicBool::new(true) }
        }
    }

    /// Takes the heap if nobody has it; then it is no longer one of the `idle`, the count of which may only be too large.
    pub(super) fn try_take(&self, idle: &AtomicUsize) -> bool {
        // Relaxed: only to avoid writing to heaps that are taken. Acquire, as part of SeqCst (see the module): everything
        // that the last thread did with the heap comes before what we do.
        if self.taken.load(Ordering::Relaxed)
            || self.taken.compare_exchange(false, true, Ordering::SeqCst, Ordering::Relaxed).is_err()
        {
            return false;
        }
        // Relaxed: a count. The acquire above puts it after the addition in `release`.
        idle.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// All messages that have arrived. Only the thread that has the heap.
    #[inline]
    pub(super) fn messages(&self) -> Messages {
        if self.inbox.is_empty() { Messages::none() } else { self.inbox.take() }
    }

    /// Lets go of the heap, which the calling thread has. Comes back to it to `collect` what has arrived meanwhile.
    pub(super) fn release(&self, idle: &AtomicUsize, mut collect: impl FnMut()) {
        loop {
            // Before the heap is released, so that the count never falls below zero.
            idle.fetch_add(1, Ordering::Relaxed);
            // Release, as part of SeqCst: what we did comes before the next thread's use.
            self.taken.store(false, Ordering::SeqCst);
            // Somebody who sent blocks while the heap was ours relies on us to look once more.
            if self.inbox.is_empty() || !self.try_take(idle) {
                return;
            }
            collect();
        }
    }

    /// Adds a message. Any thread. If nobody has the heap, it is the caller's now (`true`), who has to collect and to
    /// release it.
    #[must_use]
    pub(super) fn post(&self, message: Message, idle: &AtomicUsize) -> bool {
        self.inbox.push(message);
        // SeqCst: see the module.
        !self.taken.load(Ordering::SeqCst) && self.try_take(idle)
    }
}
