//! The spans of one class in one heap, and the blocks to allocate next.
//!
//! Full spans are in no list: they come back by themselves when enough of their blocks were freed.

use std::cell::Cell;
use std::ptr;

use super::block::Block;
use super::mark;
use super::span::{Span, SpanRef, State};

/// See the module.
pub(super) struct Bin {
    /// Blocks to allocate next: free ones of the current span, which counts them as live.
    pub(super) list: Cell<*mut Block>,
    /// The span that serves allocations; [`no_span`] if there is none.
    pub(super) current: Cell<SpanRef>,
    /// Other spans with free blocks.
    pub(super) available: Cell<Option<SpanRef>>,
}

/// Shared by all bins and never written: it has no free block to take, and no block to be freed into it.
struct NeverWritten(Span);

// SAFETY: as the name says.
unsafe impl Sync for NeverWritten {}

static NO_SPAN: NeverWritten = NeverWritten(Span::placeholder());

/// Stands for the current span of a bin that has none, so that the fast path need not ask.
pub(super) const fn no_span() -> SpanRef {
    // SAFETY: a static's header is always there.
    unsafe { SpanRef::new(&raw const NO_SPAN.0) }
}

impl Bin {
    /// A bin without spans.
    pub(super) const fn new() -> Self {
        Self { list: Cell::new(ptr::null_mut()), current: Cell::new(no_span()), available: Cell::new(None) }
    }

    /// Takes a block from the list; null if there is none.
    #[inline]
    pub(super) fn pop(&self) -> *mut Block {
        let block = self.list.get();
        if !block.is_null() {
            mark::check_and_clear(block);
            // SAFETY: blocks on the list are free, and written when they were put there.
            self.list.set(unsafe { Block::next(block) });
        }
        block
    }

    /// Blocks on the list. Only for the thread that has the heap.
    pub(super) fn listed(&self) -> usize {
        let (mut count, mut block) = (0, self.list.get());
        while !block.is_null() {
            count += 1;
            // SAFETY: a block of the list is a free one, and nobody else takes from it.
            block = unsafe { Block::next(block) };
        }
        count
    }

    /// Makes `span`, which is in no list and has blocks left, the current one.
    pub(super) fn serve_from(&self, span: SpanRef) {
        span.enter(State::Current, span.live() + span.class().shape().pin);
        self.current.set(span);
    }

    /// Takes the current span out of service. Returns it if it is empty: then it is in no list.
    #[must_use]
    pub(super) fn retire(&self) -> Option<SpanRef> {
        let span = self.current.replace(no_span());
        if span.state() != State::Current {
            return None;
        }
        // What was not allocated goes back to the span.
        let mut block = self.list.replace(ptr::null_mut());
        while !block.is_null() {
            // SAFETY: a block of the list is a free one.
            let next = unsafe { Block::next(block) };
            // SAFETY: it is a block of the current span that counts as live, and nobody uses it. Whether the countdown
            // ends is seen below.
            let _ = unsafe { span.put_back(block) };
            block = next;
        }
        let live = span.live();
        if live == 0 {
            return Some(span);
        }
        if span.is_full() {
            span.enter(State::Full, span.class().shape().wake);
        } else {
            self.make_available(span, live);
        }
        None
    }

    /// Puts a span with `live` live blocks, and others, into the list.
    pub(super) fn make_available(&self, span: SpanRef, live: u32) {
        span.enter(State::Available, live);
        let head = self.available.replace(Some(span));
        span.previous.set(None);
        span.next.set(head);
        if let Some(head) = head {
            head.previous.set(Some(span));
        }
    }

    /// Takes an available span out of the list.
    pub(super) fn unlink_available(&self, span: SpanRef) {
        let (previous, next) = (span.previous.take(), span.next.take());
        match previous {
            Some(previous) => previous.next.set(next),
            None => self.available.set(next),
        }
        if let Some(next) = next {
            next.previous.set(previous);
        }
    }

    /// Takes the available span that was put there last: its blocks are the most likely ones in the cache.
    pub(super) fn take_available(&self) -> Option<SpanRef> {
        let span = self.available.get()?;
        self.unlink_available(span);
        Some(span)
    }
}
