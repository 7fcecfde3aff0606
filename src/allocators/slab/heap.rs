//! A heap: the spans that one thread allocates from.
//!
//! ```text
//! bins, one for each class      list ──▶ blocks to allocate next: free ones of the current span
//!                               current ──▶ span that serves it
//!                               available ──▶ span ⇄ span ⇄ span      (with free blocks)
//! roomy  ──▶ segment ⇄ segment  (with free slices)
//! packed ──▶ segment ⇄ segment  (without)
//! inbox  ──▶ blocks of ours that others freed          outbox: blocks of others that we freed
//! ```
//!
//! A heap belongs to one thread at a time, which alone uses everything but the inbox and the flag that says whether it
//! belongs to one. Heaps are never unmapped: when their thread ends they wait for the next.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicBool;

use super::class::{CLASSES, Class};
use super::remote::{Inbox, Outbox};
use super::segment::SegmentRef;
use super::span::{Block, Span, SpanRef, State, mark};
use super::{heaps, huge, reserve, thread};

/// Refills of one heap after which what was kept and not needed is given back. A refill brings about 4 KiB of blocks, so
/// this is about 64 MiB of allocation: enough to fill what is kept and empty it again.
const DECAY_REFILLS: u32 = 16_384;

/// See the module.
#[repr(C, align(128))]
pub(super) struct Heap {
    pub(super) bins: [Bin; CLASSES],
    pub(super) roomy: Cell<Option<SegmentRef>>,
    pub(super) packed: Cell<Option<SegmentRef>>,
    /// Slices in `roomy` that are free and hold memory.
    pub(super) purgeable: Cell<u32>,
    /// The least that `purgeable` was since the last decay.
    pub(super) least_purgeable: Cell<u32>,
    /// No thread will allocate from it soon: nothing empty is kept.
    pub(super) idle: Cell<bool>,
    /// Refills until the reserve is looked at.
    pub(super) until_decay: Cell<u32>,
    pub(super) outbox: Outbox,
    /// The heap made before it; constant once it is published.
    pub(super) older: Cell<*const Heap>,
    pub(super) shared: Shared,
}

/// What other threads write, away from what the owner writes.
#[repr(align(128))]
pub(super) struct Shared {
    pub(super) inbox: Inbox,
    /// A thread has this heap.
    pub(super) taken: AtomicBool,
}

/// The spans of one class. Full ones are in no list: they come back by themselves.
pub(super) struct Bin {
    /// Blocks to allocate next: free ones of the current span, which counts them as live.
    pub(super) list: Cell<*mut Block>,
    pub(super) current: Cell<SpanRef>,
    pub(super) available: Cell<Option<SpanRef>>,
}

impl Bin {
    const fn new() -> Self {
        Self {
            list: Cell::new(ptr::null_mut()),
            current: Cell::new(Heap::no_span()),
            available: Cell::new(None),
        }
    }

    /// Takes a block from the list; null if there is none.
    #[inline]
    fn pop(&self) -> *mut Block {
        let block = self.list.get();
        if !block.is_null() {
            mark::check_and_clear(block);
            // SAFETY: blocks on the list are free, and written when they were put there.
            self.list.set(unsafe { (*block).next });
        }
        block
    }
}

// SAFETY: everything that is not atomic is used only by the thread that has the heap, which is one at a time: `taken`
// is acquired and released around it. The placeholder is never changed.
unsafe impl Sync for Heap {}

/// The placeholders are shared by all threads and never written: there is no block on the span's list to take and no
/// span below the heap to free into.
struct NeverWritten<T>(T);

// SAFETY: as the name says.
unsafe impl<T> Sync for NeverWritten<T> {}

static NO_SPAN: NeverWritten<Span> = NeverWritten(Span::placeholder());
static NO_HEAP: Heap = Heap::new();

impl Heap {
    /// A heap without memory.
    pub(super) const fn new() -> Self {
        Self {
            bins: [const { Bin::new() }; CLASSES],
            roomy: Cell::new(None),
            packed: Cell::new(None),
            purgeable: Cell::new(0),
            least_purgeable: Cell::new(0),
            idle: Cell::new(false),
            until_decay: Cell::new(DECAY_REFILLS),
            outbox: Outbox::new(),
            older: Cell::new(ptr::null()),
            shared: Shared { inbox: Inbox::new(), taken: AtomicBool::new(true) },
        }
    }

    /// The heap of a thread that has none: every allocation from it takes the slow path.
    pub(super) const fn placeholder() -> &'static Self {
        &NO_HEAP
    }

    /// Whether this is [`placeholder`](Self::placeholder).
    #[inline]
    pub(super) fn is_placeholder(&self) -> bool {
        ptr::eq(self, &NO_HEAP)
    }

    #[inline]
    fn bin(&self, class: Class) -> &Bin {
        // SAFETY: a class's index is less than CLASSES by its invariant.
        unsafe { self.bins.get_unchecked(class.index()) }
    }

    /// A block of `class`, or null.
    #[inline]
    pub(super) fn allocate(&self, class: Class) -> *mut u8 {
        let block = self.bin(class).pop();
        if block.is_null() { self.allocate_slowly(class) } else { block.cast() }
    }

    #[cold]
    #[inline(never)]
    fn allocate_slowly(&self, class: Class) -> *mut u8 {
        // The most frequent case, kept free of what the others need.
        let bin = self.bin(class);
        bin.list.set(bin.current.get().take_list());
        let block = bin.pop();
        if block.is_null() { self.refill(class).0.cast() } else { block.cast() }
    }

    /// As [`allocate`](Self::allocate), with the first `size` bytes zero.
    pub(super) fn allocate_zeroed(&self, class: Class, size: usize) -> *mut u8 {
        let block = self.bin(class).pop();
        let (block, zero) = if block.is_null() { self.refill(class) } else { (block, false) };
        if !block.is_null() && !zero {
            // SAFETY: the block is at least `size` bytes long and ours to write.
            unsafe { block.cast::<u8>().write_bytes(0, size) };
        }
        block.cast()
    }

    /// Frees a block of this heap.
    ///
    /// # Safety
    /// `block` is a live block of `segment`, which this heap owns; the calling thread has this heap.
    #[inline]
    pub(super) unsafe fn free(&self, segment: SegmentRef, block: *mut Block) {
        let span = segment.span_of(block.addr());
        // SAFETY: the block is a live one of that span, and we own it.
        if unsafe { span.push(block) } {
            self.countdown_ended(span, 0);
        }
    }

    /// Frees a block of another heap; `self` may be the placeholder.
    ///
    /// # Safety
    /// `block` is a live block of `segment`, of class `class`; the calling thread has this heap.
    #[inline(never)]
    pub(super) unsafe fn free_remotely(&self, segment: SegmentRef, block: *mut Block, class: Class) {
        let heap = if self.is_placeholder() { thread::attach() } else { Some(self) };
        let Some(heap) = heap else {
            mark::set(block);
            // SAFETY: the block is live and given away by the caller.
            heaps::post(unsafe { super::remote::Message::single(block) });
            return;
        };
        if ptr::eq(segment.owner(), heap) {
            // The thread had no heap and was given the one that this block belongs to.
            // SAFETY: as the caller says, and now we own it.
            unsafe { heap.free(segment, block) };
            return;
        }
        mark::set(block);
        let span = segment.span_of(block.addr()).address();
        // SAFETY: the block is a live one of that span, and given away by the caller.
        unsafe { heap.outbox.add(span, block, class.shape().batch, heaps::post) };
    }

    /// Finds a block when the current span has none on its list. Returns null if there is no memory, and whether all of
    /// the block is known to be zero.
    #[cold]
    #[inline(never)]
    fn refill(&self, class: Class) -> (*mut Block, bool) {
        if self.is_placeholder() {
            return match thread::attach() {
                Some(heap) => heap.refill(class),
                None => heaps::with_borrowed(|heap| heap.refill(class)).unwrap_or((ptr::null_mut(), false)),
            };
        }
        self.collect();
        self.until_decay.update(|left| left.saturating_sub(1));
        if self.until_decay.get() == 0 {
            self.until_decay.set(DECAY_REFILLS);
            self.decay();
            reserve::decay();
            huge::decay();
        }
        let bin = self.bin(class);
        loop {
            let span = bin.current.get();
            bin.list.set(span.take_list());
            let block = bin.pop();
            if !block.is_null() {
                return (block, false);
            }
            bin.list.set(span.carve());
            let block = bin.pop();
            if !block.is_null() {
                let alone = bin.list.get().is_null();
                return (block, alone && span.is_clean());
            }
            // Full, or the placeholder.
            self.retire(bin);
            let Some(next) = self.take_available(bin).or_else(|| self.new_span(class)) else {
                return (ptr::null_mut(), false);
            };
            let live = next.countdown();
            next.enter(State::Current, live + class.shape().pin);
            bin.current.set(next);
        }
    }

    /// Takes what others have freed of ours.
    pub(super) fn collect(&self) {
        if self.shared.inbox.is_empty() {
            return;
        }
        for chain in self.shared.inbox.take() {
            // SAFETY: the chain's blocks are live ones of a segment of ours: messages are sent to the owner.
            let span = unsafe { SegmentRef::of(chain.first.addr()) }.span_of(chain.first.addr());
            // SAFETY: a message holds blocks of one span that nobody uses, and it is ours.
            if let Some(left_over) = unsafe { span.push_chain(chain.first, chain.last, chain.count) } {
                self.countdown_ended(span, left_over);
            }
        }
    }

    /// A span's countdown reached zero, with `left_over` frees more: it is empty, or was full and is useful again.
    #[cold]
    #[inline(never)]
    fn countdown_ended(&self, span: SpanRef, left_over: u32) {
        let bin = self.bin(span.class());
        match span.state() {
            State::Full => {
                let shape = span.class().shape();
                match shape.capacity - shape.wake - left_over {
                    0 => self.release_span(span),
                    live => self.make_available(bin, span, live),
                }
            }
            State::Available => {
                self.unlink_available(bin, span);
                self.release_span(span);
            }
            // Not pinned, or the countdown would be 1 at least.
            State::Current => {
                bin.current.set(Self::no_span());
                self.release_span(span);
            }
            State::Unused => {}
        }
    }

    /// Takes the bin's current span out of service.
    fn retire(&self, bin: &Bin) {
        let span = bin.current.replace(Self::no_span());
        if span.state() != State::Current {
            return;
        }
        // What was not allocated goes back to the span.
        let mut block = bin.list.replace(ptr::null_mut());
        while !block.is_null() {
            // SAFETY: a block of the bin's list is a free one.
            let next = unsafe { (*block).next };
            // SAFETY: it is a block of the current span that counts as live, and nobody uses it. Whether the countdown
            // ends is seen below.
            let _ = unsafe { span.put_back(block) };
            block = next;
        }
        let live = span.live();
        if live == 0 {
            self.release_span(span);
        } else if span.is_full() {
            span.enter(State::Full, span.class().shape().wake);
        } else {
            self.make_available(bin, span, live);
        }
    }

    /// Prepares for a time without a thread: gives up all that is empty.
    pub(super) fn settle(&self) {
        self.idle.set(true);
        self.collect();
        for bin in &self.bins {
            self.retire(bin);
        }
        self.give_up_empty_segments();
        self.purge_before_idle();
    }

    const fn no_span() -> SpanRef {
        // SAFETY: a static's header is always there.
        unsafe { SpanRef::new(&raw const NO_SPAN.0) }
    }

    /// Blocks that wait in a bin's list. Only for the thread that has the heap.
    pub(super) fn listed(&self, class: Class) -> usize {
        let (mut count, mut block) = (0, self.bin(class).list.get());
        while !block.is_null() {
            count += 1;
            // SAFETY: a block of the bin's list is a free one, and nobody else takes from it.
            block = unsafe { (*block).next };
        }
        count
    }

    fn make_available(&self, bin: &Bin, span: SpanRef, live: u32) {
        span.enter(State::Available, live);
        let head = bin.available.replace(Some(span));
        span.previous.set(None);
        span.next.set(head);
        if let Some(head) = head {
            head.previous.set(Some(span));
        }
    }

    fn unlink_available(&self, bin: &Bin, span: SpanRef) {
        let (previous, next) = (span.previous.take(), span.next.take());
        match previous {
            Some(previous) => previous.next.set(next),
            None => bin.available.set(next),
        }
        if let Some(next) = next {
            next.previous.set(previous);
        }
    }

    fn take_available(&self, bin: &Bin) -> Option<SpanRef> {
        let span = bin.available.get()?;
        self.unlink_available(bin, span);
        Some(span)
    }
}

/// A heap by address, for the registry.
pub(super) fn as_static(heap: NonNull<Heap>) -> &'static Heap {
    // SAFETY: the registry holds only heaps that were written completely before they were published, and heaps are
    // never unmapped.
    unsafe { heap.as_ref() }
}
