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
//! belongs to one (see [`handover`](super::handover)). Heaps are never unmapped: when their thread ends they wait for the next.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::bin::{Bin, no_span};
use super::block::Block;
use super::class::{CLASSES, Class};
use super::handover::Handover;
use super::mark;
use super::remote::Outbox;
use super::segment::SegmentRef;
use super::span::{SpanRef, State};
use super::{heaps, huge, reserve, thread};
use crate::allocators::poison;

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
    /// What other threads write, away from what the owner writes.
    pub(super) handover: Handover,
}

// SAFETY: everything that is not atomic is used only by the thread that has the heap, which is one at a time: the
// handover sees to that. The placeholder is never changed.
unsafe impl Sync for Heap {}

/// Shared by all threads that have no heap yet, and never written: its bins have no block on their lists and the placeholder
/// as current span, and no segment names it as owner, so no operation of the fast paths gets as far as a write.
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
            handover: Handover::new(),
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
    pub(super) fn bin(&self, class: Class) -> &Bin {
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
        let list = bin.current.get().take_list();
        if list.is_null() {
            // Among others the placeholder, into which nothing may be written.
            return self.refill(class).0.cast();
        }
        bin.list.set(list);
        bin.pop().cast()
    }

    /// As [`allocate`](Self::allocate), with the first `size` bytes zero.
    pub(super) fn allocate_zeroed(&self, class: Class, size: usize) -> *mut u8 {
        let block = self.bin(class).pop();
        let (block, zero) = if block.is_null() { self.refill(class) } else { (block, false) };
        poison::unpoison(block.cast(), size);
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
    /// `block` is a live block of `segment`, of the class of `layout`, which is not huge; the calling thread has this heap.
    #[inline(never)]
    pub(super) unsafe fn free_remotely(&self, segment: SegmentRef, block: *mut Block, layout: Layout) {
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
        let Some(class) = Class::of(layout) else { return };
        mark::set(block);
        let span = segment.span_of(block.addr()).address();
        // SAFETY: the block is a live one of that span, and given away by the caller.
        unsafe { heap.outbox.add(span, block, class.shape().batch, heaps::post) };
    }

    /// Finds a block when the bin has none on its list. Returns null if there is no memory, and whether all of
    /// the block is known to be zero.
    #[cold]
    #[inline(never)]
    fn refill(&self, class: Class) -> (*mut Block, bool) {
        if self.is_placeholder() {
            return match thread::attach() {
                Some(heap) => {
                    // What attaching has allocated, if anything, may have left blocks in the list; `refill` replaces it.
                    let block = heap.bin(class).pop();
                    if block.is_null() { heap.refill(class) } else { (block, false) }
                }
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
            if let Some(empty) = bin.retire() {
                self.release_span(empty);
            }
            let Some(next) = bin.take_available().or_else(|| self.new_span(class)) else {
                return (ptr::null_mut(), false);
            };
            bin.serve_from(next);
        }
    }

    /// Takes what others have freed of ours.
    pub(super) fn collect(&self) {
        for chain in self.handover.messages() {
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
                    live => bin.make_available(span, live),
                }
            }
            State::Available => {
                bin.unlink_available(span);
                self.release_span(span);
            }
            // Not pinned, or the countdown would be 1 at least.
            State::Current => {
                bin.current.set(no_span());
                self.release_span(span);
            }
            State::Unused => {}
        }
    }

    /// Prepares for a time without a thread: gives up all that is empty.
    pub(super) fn settle(&self) {
        self.idle.set(true);
        self.collect();
        for empty in self.bins.iter().filter_map(Bin::retire) {
            self.release_span(empty);
        }
        self.give_up_empty_segments();
        self.purge_before_idle();
    }
}

/// A heap by address, for the registry.
pub(super) fn as_static(heap: NonNull<Heap>) -> &'static Heap {
    // SAFETY: the registry holds only heaps that were written completely before they were published, and heaps are
    // never unmapped.
    unsafe { heap.as_ref() }
}
