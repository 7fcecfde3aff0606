//! A segment: 4 MiB at a multiple of 4 MiB, cut into 64 slices, the first of which holds the header.
//!
//! ```text
//! ├ slice 0 ─┼ slice 1 ─┼ slices 2 … 9 ──────────┼ slice 10 ┼ …
//! │ header   │ span of  │ span of 16 KiB blocks  │ free     │
//! │          │ 64 B     │                        │          │
//! first_slice:  1          2 2 2 2 2 2 2 2
//! ```
//!
//! A block finds its segment by masking its address, its slice by a shift, and its span's header by one look at
//! `first_slice`. What other threads read of a segment (owner, `first_slice`) lies in two cache lines that rarely
//! change; what the owner writes at every operation lies in the spans' own lines.

use crate::allocators::sync::{AtomicPtr, AtomicU8, Ordering::Relaxed};
use std::cell::Cell;
use std::ptr::NonNull;

use super::geometry::{SEGMENT, SLICE, SLICES, USABLE, find_run, mask, segment_of, slice_of, split_run};
use super::heap::Heap;
use super::span::{Span, SpanRef};
use super::{regions, reserve};
use crate::allocators::{pages, poison};

/// The header. All zero is a valid one, so a new mapping needs nothing but `adopt`.
#[repr(C, align(64))]
pub(super) struct Segment {
    /// The heap whose segment it is; null while in the reserve. Constant as long as any block is live.
    owner: AtomicPtr<Heap>,
    /// Slices in use by spans; the complement within [`USABLE`] is free.
    used: Cell<u64>,
    /// Slices whose memory was written since it last read as zero.
    dirty: Cell<u64>,
    /// Neighbours in one of the owner's lists.
    pub(super) next: Cell<Option<SegmentRef>>,
    pub(super) previous: Cell<Option<SegmentRef>>,
    /// For each slice in use the first slice of its span. Written before a block of the span is handed out.
    first_slice: LineOfBytes,
    /// The span that begins at each slice; the first is never used.
    spans: [Span; SLICES],
}

/// On a line of its own, beside the owner's.
#[repr(C, align(64))]
struct LineOfBytes([AtomicU8; SLICES]);

const _: () = assert!(size_of::<Segment>() <= SLICE && size_of::<Span>() == 64);

/// A segment that is known to be mapped.
///
/// Invariant: made from a live block's address, or while the calling thread's heap owns the segment, or under the gate
/// of [`reserve`]; not used after the segment was given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentRef(NonNull<Segment>);

impl std::ops::Deref for SegmentRef {
    type Target = Segment;

    #[inline]
    fn deref(&self) -> &Segment {
        // SAFETY: by the invariant the header is mapped and initialised; it is only changed through cells and atomics.
        unsafe { self.0.as_ref() }
    }
}

impl SegmentRef {
    /// The segment in which `address` lies.
    ///
    /// # Safety
    /// The invariant of the type.
    #[inline]
    pub(super) unsafe fn of(address: usize) -> Self {
        // The header is outside of what a block's pointer may access, so its provenance is the one that `map` exposed.
        let header = std::ptr::with_exposed_provenance_mut(segment_of(address));
        // SAFETY: a segment is never mapped at address zero.
        Self(unsafe { NonNull::new_unchecked(header) })
    }

    /// Maps a new segment, without an owner. `None` when the operating system has no memory.
    pub(super) fn map() -> Option<Self> {
        let start = pages::map_aligned(SEGMENT, SEGMENT).ok()?;
        let base = start.as_ptr().expose_provenance();
        if !regions::mark(base, 1, true) {
            // SAFETY: it was mapped above and nobody has seen it.
            unsafe { pages::unmap(start, SEGMENT) };
            return None;
        }
        // Blocks are opened when they are handed out; the header's slice stays open.
        poison::poison(start.as_ptr().wrapping_add(SLICE), SEGMENT - SLICE);
        reserve::count_mapped(SEGMENT);
        Some(Self(start.cast()))
    }

    /// Gives the segment back to the operating system.
    ///
    /// # Safety
    /// The caller holds the gate; the segment has no spans, and nobody uses it after this.
    pub(super) unsafe fn unmap(self) {
        regions::unmark(self.base(), 1, true);
        // SAFETY: a segment is one mapping of this length, and by the caller's word nobody refers to it.
        unsafe { pages::unmap(self.0.cast(), SEGMENT) };
        reserve::count_unmapped(SEGMENT);
    }

    /// Its first address.
    pub(super) fn base(self) -> usize {
        self.0.addr().get()
    }

    /// As a raw pointer, for the reserve's slots.
    pub(super) fn as_ptr(self) -> *mut Segment {
        self.0.as_ptr()
    }

    /// # Safety
    /// The invariant of the type.
    pub(super) unsafe fn from_ptr(segment: NonNull<Segment>) -> Self {
        Self(segment)
    }

    /// Where a slice's memory begins.
    pub(super) fn slice_start(self, slice: usize) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.base() + slice * SLICE)
    }

    /// The span of the block at `address`, which is a live block of this segment.
    #[inline]
    pub(super) fn span_of(self, address: usize) -> SpanRef {
        self.span_at(self.first_slice_of(address))
    }

    /// The first slice of the span in which the live block at `address` lies.
    #[inline]
    pub(super) fn first_slice_of(self, address: usize) -> usize {
        // Relaxed: written before the block was handed out, and whoever brought the block here made that visible.
        self.first_slice.0[slice_of(address)].load(Relaxed) as usize
    }

    /// The header of the span that begins at `slice`.
    #[inline]
    pub(super) fn span_at(self, slice: usize) -> SpanRef {
        // The mask changes nothing but spares a comparison: slices are less than 64.
        let span = &self.spans[slice % SLICES];
        // SAFETY: the header is part of this segment, which satisfies the invariant.
        unsafe { SpanRef::new(span) }
    }

    /// The slice at which `span`, one of this segment, begins.
    pub(super) fn index_of(self, span: SpanRef) -> usize {
        (span.address() - (&raw const self.spans).addr()) / size_of::<Span>()
    }

    /// Takes `count` neighbouring free slices as a span. Returns it, and whether its memory reads as zero; the caller
    /// begins the span.
    pub(super) fn take(self, count: u32) -> Option<(SpanRef, bool)> {
        let start = find_run(self.free(), count)?;
        let taken = mask(start, count);
        self.used.set(self.used.get() | taken);
        for slice in start..start + count {
            // Relaxed: published together with the first block of the span.
            self.first_slice.0[slice as usize].store(start as u8, Relaxed);
        }
        Some((self.span_at(start as usize), self.dirty.get() & taken == 0))
    }

    /// Takes back the slices of `span`, whose blocks are all free.
    pub(super) fn release(self, span: SpanRef) {
        let start = self.index_of(span) as u32;
        self.dirty.set(self.dirty.get() | mask(start, span.touched_slices()));
        self.used.set(self.used.get() & !mask(start, span.class().shape().slices));
        span.end();
    }

    /// Gives the memory of free slices that were written back to the operating system.
    pub(super) fn purge(self) {
        let mut rest = self.purgeable();
        while let Some(((start, count), without)) = split_run(rest) {
            rest = without;
            let Some(memory) = NonNull::new(self.slice_start(start as usize)) else { continue };
            // SAFETY: whole slices of this segment, which is mapped; they are free, so nobody uses or relies on them.
            if unsafe { pages::decommit(memory, count as usize * SLICE) } {
                self.dirty.set(self.dirty.get() & !mask(start, count));
            }
        }
    }
}

impl Segment {
    /// The heap whose segment it is.
    #[inline]
    pub(super) fn owner(&self) -> *mut Heap {
        // Relaxed: constant while the block by which the caller came here is live; see `set_owner`.
        self.owner.load(Relaxed)
    }

    /// Changes hands. There are no spans at that time.
    pub(super) fn set_owner(&self, owner: *mut Heap) {
        // Relaxed: other threads come here through a block, and whoever hands them a block makes this visible too. A
        // statistics walk may see either value; both are heaps that are never unmapped, or null.
        self.owner.store(owner, Relaxed);
    }

    /// Slices that no span uses.
    pub(super) fn free(&self) -> u64 {
        USABLE & !self.used.get()
    }

    /// Free slices whose memory is held.
    pub(super) fn purgeable(&self) -> u64 {
        self.free() & self.dirty.get()
    }

    /// Whether no span uses it.
    pub(super) fn is_empty(&self) -> bool {
        self.used.get() == 0
    }

    /// Whether spans use all of it.
    pub(super) fn is_packed(&self) -> bool {
        self.free() == 0
    }

    /// The span headers by their first slice.
    pub(super) fn spans(&self) -> &[Span; SLICES] {
        &self.spans
    }
}
