//! A heap's segments: where new spans come from and empty ones go.

use std::cell::Cell;

use super::class::Class;
use super::geometry::SLICES;
use super::heap::Heap;
use super::reserve;
use super::segment::SegmentRef;
use super::span::SpanRef;

/// Free slices that may hold memory before a heap gives all of it back: one segment's worth, 4 MiB. Giving back and
/// touching again costs the kernel about as much as the program's own use of the memory, and is paid at most once for
/// each 4 MiB that were freed as whole spans.
const PURGEABLE_MOST: u32 = SLICES as u32;

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
                self.purgeable.update(|slices| slices + segment.purgeable().count_ones());
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
        self.purgeable.update(|slices| slices.saturating_sub(before - after));
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
        self.purgeable.update(|slices| slices + (segment.purgeable().count_ones() - before));
        // One segment stays although it is empty, or a thread that holds little would go to the reserve all the time.
        let alone = segment.next.get().is_none() && segment.previous.get().is_none();
        if segment.is_empty() && (self.idle.get() || !alone) {
            self.give_up(segment);
        }
        if self.purgeable.get() > PURGEABLE_MOST {
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
        // What the kernel refused is not counted again: it would be tried at every release.
        self.purgeable.set(0);
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
            self.purgeable.update(|slices| slices.saturating_sub(held));
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
