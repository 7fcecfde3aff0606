//! A heap's segments: where new spans come from and empty ones go.

use std::cell::Cell;

use super::class::Class;
use super::geometry::{SLICE, SLICES};
use super::heap::Heap;
use super::reserve;
use super::segment::SegmentRef;
use super::span::SpanRef;

/// Free slices that may hold memory in all heaps together before heaps give theirs back: 32 MiB. Giving back and touching
/// again costs the kernel more than the program's own use of the memory, so a program whose demand swings by less than
/// this does not pay for it; and a program that has become idle keeps no more.
const PURGEABLE_MOST: usize = (32 << 20) / SLICE;

/// A heap that holds less than a segment's worth gives nothing back while it is in use, so that the cost is paid at most
/// once for each 4 MiB that it freed, whatever other heaps hold.
const WORTH_PURGING: u32 = SLICES as u32;

impl Heap {
    /// A span of `class` without blocks, and with a countdown of zero live ones; the caller gives it its state.
    pub(super) fn new_span(&self, class: Class) -> Option<SpanRef> {
        let count = class.shape().slices;
        let (segment, (span, clean)) = match self.take_slices(count) {
            Some(found) => found,
            None => {
                let segment = reserve::take()?;
                segment.set_owner(std::ptr::from_ref(self).cast_mut());
                link(&self.roomy, segment);
                self.add_purgeable(segment.purgeable().count_ones());
                (segment, self.take_from(segment, count)?)
            }
        };
        if segment.is_packed() {
            unlink(&self.roomy, segment);
            link(&self.packed, segment);
        }
        span.begin(class, clean);
        Some(span)
    }

    fn take_slices(&self, count: u32) -> Option<(SegmentRef, (SpanRef, bool))> {
        let mut next = self.roomy.get();
        while let Some(segment) = next {
            if let Some(found) = self.take_from(segment, count) {
                return Some((segment, found));
            }
            next = segment.next.get();
        }
        None
    }

    fn take_from(&self, segment: SegmentRef, count: u32) -> Option<(SpanRef, bool)> {
        let before = segment.purgeable().count_ones();
        let found = segment.take(count)?;
        let after = segment.purgeable().count_ones();
        self.subtract_purgeable(before - after);
        Some(found)
    }

    /// Takes back a span of ours without live blocks that is in no list.
    pub(super) fn release_span(&self, span: SpanRef) {
        let segment = span.segment();
        let before = segment.purgeable().count_ones();
        if segment.is_packed() {
            unlink(&self.packed, segment);
            link(&self.roomy, segment);
        }
        segment.release(span);
        self.add_purgeable(segment.purgeable().count_ones() - before);
        // One segment stays although it is empty, or a thread that holds little would go to the reserve all the time.
        let alone = segment.next.get().is_none() && segment.previous.get().is_none();
        if segment.is_empty() && (self.idle.get() || !alone) {
            self.give_up(segment);
        }
        if self.purgeable.get() > WORTH_PURGING && reserve::purgeable() > PURGEABLE_MOST {
            self.purge();
        }
    }

    fn add_purgeable(&self, slices: u32) {
        self.purgeable.update(|held| held + slices);
        reserve::add_purgeable(slices as usize);
    }

    fn subtract_purgeable(&self, slices: u32) {
        // At most what is counted: see `purge`.
        let slices = slices.min(self.purgeable.get());
        self.purgeable.update(|held| held - slices);
        self.least_purgeable.update(|least| least.min(self.purgeable.get()));
        reserve::subtract_purgeable(slices as usize);
    }

    /// Gives back what was not needed since the last call, if it is worth it: slices that stayed free all the time.
    pub(super) fn decay(&self) {
        if self.least_purgeable.get() > WORTH_PURGING {
            self.purge();
        }
        self.least_purgeable.set(self.purgeable.get());
    }

    /// At the end of the heap's thread: gives back what is worth it.
    pub(super) fn purge_before_idle(&self) {
        if self.purgeable.get() > WORTH_PURGING {
            self.purge();
        }
    }

    /// Gives back the memory of all free slices.
    pub(super) fn purge(&self) {
        let mut next = self.roomy.get();
        while let Some(segment) = next {
            segment.purge();
            next = segment.next.get();
        }
        // What the kernel refused (locked memory) is no longer counted, or it would be tried at every release.
        self.subtract_purgeable(self.purgeable.get());
    }

    /// Gives up every segment without spans.
    pub(super) fn give_up_empty_segments(&self) {
        let mut next = self.roomy.get();
        while let Some(segment) = next {
            next = segment.next.get();
            if segment.is_empty() {
                self.give_up(segment);
            }
        }
    }

    fn give_up(&self, segment: SegmentRef) {
        let held = segment.purgeable().count_ones();
        unlink(&self.roomy, segment);
        let owner = segment.owner();
        segment.set_owner(std::ptr::null_mut());
        if reserve::put(segment) {
            self.subtract_purgeable(held);
        } else {
            // Somebody is walking the segments: it stays until the next one is given up.
            segment.set_owner(owner);
            link(&self.roomy, segment);
        }
    }
}

/// Puts `segment` at the head of a list.
fn link(list: &Cell<Option<SegmentRef>>, segment: SegmentRef) {
    let head = list.replace(Some(segment));
    segment.previous.set(None);
    segment.next.set(head);
    if let Some(head) = head {
        head.previous.set(Some(segment));
    }
}

/// Takes `segment` out of the list it is in.
fn unlink(list: &Cell<Option<SegmentRef>>, segment: SegmentRef) {
    let (previous, next) = (segment.previous.take(), segment.next.take());
    match previous {
        Some(previous) => previous.next.set(next),
        None => list.set(next),
    }
    if let Some(next) = next {
        next.previous.set(previous);
    }
}
