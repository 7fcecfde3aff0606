//! A span: a run of slices cut into blocks of one size class, and the list of those that are free.
//!
//! The header lies in the segment's first slice, away from the blocks:
//!
//! ```text
//! header: free ──┐  carved = 6, countdown, state, class
//!                ▼
//! blocks: [ live ][ ●─ ][ live ][ ● ][ live ][ live ]┊ never touched yet ┊ too short for a block
//!                   └─────────────┘
//! ```
//!
//! `countdown` is what makes freeing cheap: it is the number of frees until somebody must look at the span, so that
//! one decrement and one test find both a span that became empty and a full one that became useful again.

use crate::allocators::sync::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::block::Block;
use super::class::Class;
use super::geometry::SLICE;
use super::mark;
use super::segment::SegmentRef;

/// What a span is to its heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// No blocks: its slices are free or belong to another span.
    Unused = 0,
    /// Allocations of its class are served from it. Countdown: live blocks, with those that the bin's list holds, plus the
    /// class's pin.
    Current = 1,
    /// Has free blocks; in its bin's list. Countdown: live blocks, at least 1.
    Available = 2,
    /// Was full; in no list. Countdown: frees until it is made available.
    Full = 3,
}

/// The header of a span. Fields that are atomic are read by other threads (for statistics, and by debug checks) but
/// written only by the owner, so loads and stores are enough and `Relaxed` is: nobody concludes anything about other
/// memory from them.
#[repr(C, align(64))]
pub(super) struct Span {
    /// The first free block, or null.
    free: Cell<*mut Block>,
    /// See [`State`]. Also counts blocks that other threads freed until the owner has collected them.
    countdown: AtomicU32,
    /// Blocks that were ever handed out or put on the list; the memory behind them was not touched by this span.
    carved: AtomicU32,
    state: AtomicU8,
    class: AtomicU8,
    /// The memory that is not carved yet reads as zero.
    clean: Cell<bool>,
    /// Neighbours in the bin's list while available.
    pub(super) next: Cell<Option<SpanRef>>,
    pub(super) previous: Cell<Option<SpanRef>>,
}

/// A span header that is known to be mapped.
///
/// Invariant: made only from the placeholder (a static) or from a segment that the calling thread's heap owns, and not
/// used after that heap gave the segment away. It is not a reference, so that the segment may be unmapped while some
/// caller further up still holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanRef(NonNull<Span>);

impl std::ops::Deref for SpanRef {
    type Target = Span;

    #[inline]
    fn deref(&self) -> &Span {
        // SAFETY: by the invariant the header is mapped and initialised (all zero is valid); it is only ever changed
        // through cells and atomics.
        unsafe { self.0.as_ref() }
    }
}

impl SpanRef {
    /// # Safety
    /// The invariant of the type.
    #[inline]
    pub(super) const unsafe fn new(span: *const Span) -> Self {
        // SAFETY: the caller says that it points to a span.
        Self(unsafe { NonNull::new_unchecked(span.cast_mut()) })
    }

    /// Its identity.
    #[inline]
    pub(super) fn address(self) -> usize {
        self.0.addr().get()
    }

    /// The segment that holds the header.
    pub(super) fn segment(self) -> SegmentRef {
        // SAFETY: headers lie in their segment, which is mapped and ours by the invariant. (The placeholder has no
        // segment, and is never asked: it has no blocks.)
        unsafe { SegmentRef::of(self.address()) }
    }

    /// Where the blocks begin.
    pub(super) fn start(self) -> *mut u8 {
        self.segment().slice_start(self.segment().index_of(self))
    }

    /// Takes further blocks into use: the list of them, at least one, or null if all blocks are carved. They count as
    /// live. What is taken at once stays within one kernel page, so that memory is touched when it is needed.
    ///
    /// The first block was never written by this span, so it is zero but for its link if the span
    /// [`is_clean`](Span::is_clean).
    pub(super) fn carve(self) -> *mut Block {
        // From 1 KiB on one at a time: then there is no link to write, and a clean block is zero without exception.
        const AT_A_TIME: usize = 4096;
        let shape = self.class().shape();
        let carved = self.carved();
        if carved == shape.capacity || self.state() == State::Unused {
            return ptr::null_mut();
        }
        let count = if shape.block >= 1024 { 1 } else { (AT_A_TIME / shape.block) as u32 };
        let count = count.min(shape.capacity - carved);
        let start = self.start();
        let mut list = ptr::null_mut();
        // From the last to the first, so that the list ascends.
        for index in (carved..carved + count).rev() {
            // SAFETY: `index` is less than the capacity, so the block lies in the span's slices, all of one mapping.
            let block = unsafe { start.add(index as usize * shape.block) }.cast::<Block>();
            mark::restore(block);
            // SAFETY: it is large and aligned enough for a `Block`, and was not handed out.
            unsafe { Block::set_next(block, list) };
            list = block;
        }
        self.carved.store(carved + count, Relaxed);
        self.countdown.store(self.countdown() + count, Relaxed);
        list
    }
}

impl Span {
    /// The span that all bins of a heap start with: it has no block to give.
    pub(super) const fn placeholder() -> Self {
        Self {
            free: Cell::new(ptr::null_mut()),
            countdown: AtomicU32::new(0),
            carved: AtomicU32::new(0),
            state: AtomicU8::new(State::Unused as u8),
            class: AtomicU8::new(0),
            clean: Cell::new(false),
            next: Cell::new(None),
            previous: Cell::new(None),
        }
    }

    /// Becomes a span of `class` with no block carved. The caller sets the state.
    pub(super) fn begin(&self, class: Class, clean: bool) {
        self.free.set(ptr::null_mut());
        self.carved.store(0, Relaxed);
        self.class.store(class.index() as u8, Relaxed);
        self.clean.set(clean);
    }

    /// Stops being a span; none of its blocks may be live.
    pub(super) fn end(&self) {
        self.enter(State::Unused, 0);
        self.free.set(ptr::null_mut());
    }

    /// Takes the whole list of free blocks, which then count as live; null if there is none. Only of a current span.
    #[inline]
    pub(super) fn take_list(&self) -> *mut Block {
        let list = self.free.get();
        if !list.is_null() {
            self.free.set(ptr::null_mut());
            // Now all that is carved is live.
            self.countdown.store(self.carved() + self.class().shape().pin, Relaxed);
        }
        list
    }

    /// Puts `block` back. Returns whether the countdown ended.
    ///
    /// # Safety
    /// It is a live block of this span, and the caller is the owner; it must not be used any more.
    #[inline]
    #[must_use]
    pub(super) unsafe fn push(&self, block: *mut Block) -> bool {
        mark::set(block);
        // SAFETY: as the caller says.
        unsafe { self.put_back(block) }
    }

    /// As [`push`](Self::push), for a block that was never handed out, and so is still marked.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    #[inline]
    pub(super) unsafe fn put_back(&self, block: *mut Block) -> bool {
        // SAFETY: as the caller says.
        unsafe { self.link(block) };
        let left = self.countdown.load(Relaxed).wrapping_sub(1);
        self.countdown.store(left, Relaxed);
        left == 0
    }

    /// # Safety
    /// `block` is a block of this span that nobody uses.
    #[inline]
    unsafe fn link(&self, block: *mut Block) {
        // SAFETY: nobody uses it, and blocks are at least as large and aligned as `Block`.
        unsafe { Block::set_next(block, self.free.get()) };
        self.free.set(block);
    }

    /// Puts a chain of `count` blocks back. Returns how many of them were left over when the countdown ended, or `None`
    /// if it did not end.
    ///
    /// # Safety
    /// As for [`push`](Self::push), for each block from `first` over `next` to `last`.
    #[must_use]
    pub(super) unsafe fn push_chain(&self, first: *mut Block, last: *mut Block, count: u32) -> Option<u32> {
        // SAFETY: the chain's blocks are nobody's any more; `last` may be written.
        unsafe { Block::set_next(last, self.free.get()) };
        self.free.set(first);
        let before = self.countdown();
        let left = before.saturating_sub(count);
        self.countdown.store(left, Relaxed);
        if left == 0 { Some(count - before) } else { None }
    }

    /// Changes what the span is to its heap.
    pub(super) fn enter(&self, state: State, countdown: u32) {
        self.state.store(state as u8, Relaxed);
        self.countdown.store(countdown, Relaxed);
    }

    /// What the span is to its heap.
    pub(super) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            1 => State::Current,
            2 => State::Available,
            3 => State::Full,
            _ => State::Unused,
        }
    }

    /// The class of its blocks.
    pub(super) fn class(&self) -> Class {
        // Never out of range; a class that exists is better than a panic in an allocator.
        Class::from_index(self.class.load(Relaxed) as usize).unwrap_or(SMALLEST)
    }

    /// See [`State`].
    pub(super) fn countdown(&self) -> u32 {
        self.countdown.load(Relaxed)
    }

    /// Blocks that were ever taken into use.
    pub(super) fn carved(&self) -> u32 {
        self.carved.load(Relaxed)
    }

    /// Whether memory that is not carved yet reads as zero.
    pub(super) fn is_clean(&self) -> bool {
        self.clean.get()
    }

    /// Whether there is neither a free block nor one to carve.
    pub(super) fn is_full(&self) -> bool {
        self.free.get().is_null() && self.carved() == self.class().shape().capacity
    }

    /// The first free block, for the heap walker.
    #[cfg(debug_assertions)]
    pub(super) fn first_free(&self) -> *mut Block {
        self.free.get()
    }

    /// Blocks in use, among them those on the bin's list, and those that other threads freed and the owner did not collect
    /// yet. May be off while
    /// the owner is at work, if another thread asks.
    pub(super) fn live(&self) -> u32 {
        let (countdown, shape) = (self.countdown(), self.class().shape());
        match self.state() {
            State::Unused => 0,
            State::Current => countdown.saturating_sub(shape.pin),
            State::Available => countdown,
            State::Full => shape.capacity.saturating_sub(shape.wake.saturating_sub(countdown)),
        }
    }

    /// Slices that hold carved blocks: the others were not touched by this span.
    pub(super) fn touched_slices(&self) -> u32 {
        (self.carved() as usize * self.class().shape().block).div_ceil(SLICE) as u32
    }
}

const SMALLEST: Class = match Class::from_index(0) {
    Some(class) => class,
    None => panic!("there is a class"),
};
