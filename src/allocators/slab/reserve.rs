//! What all heaps share: a few empty segments, the gate that keeps them mapped while somebody looks, and the sum of
//! what is mapped.

use crate::allocators::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::ptr::{self, NonNull};

use super::huge;
use super::segment::{Segment, SegmentRef};

/// Empty segments kept for the next heap that needs one: 32 MiB at most, so that threads which come and go, or a heap
/// that grows and shrinks by some segments, do not have the kernel zero their pages each time.
pub(super) const KEPT: usize = 8;

static SLOTS: [AtomicPtr<Segment>; KEPT] = [const { AtomicPtr::new(ptr::null_mut()) }; KEPT];

/// Somebody took a segment from the reserve since it was last asked.
static TAKEN: AtomicBool = AtomicBool::new(false);

static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Free slices that hold memory, in all heaps.
static PURGEABLE: AtomicUsize = AtomicUsize::new(0);

/// Held while segments are unmapped and while all segments are walked. The only lock of the allocator. Whoever unmaps
/// only tries it, and keeps the segment if it is taken: no allocation ever waits, also not in the child of a fork whose
/// parent was walking.
static GATE: AtomicBool = AtomicBool::new(false);

/// Proof that the gate is held; dropping it opens the gate.
pub(super) struct Gate(());

impl Gate {
    /// Takes the gate unless somebody holds it.
    pub(super) fn try_hold() -> Option<Self> {
        // Acquire: what was unmapped under the gate before must be seen as such. Relaxed on failure: nothing is read.
        let taken = GATE.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        // Made only if it was taken: dropping it opens the gate.
        taken.is_ok().then(|| Self(()))
    }

    /// Takes the gate, waiting until nobody holds it.
    pub(super) fn hold() -> Self {
        loop {
            if let Some(gate) = Self::try_hold() {
                return gate;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Release: what was done under the gate comes before whatever the next holder does.
        GATE.store(false, Ordering::Release);
    }
}

/// An empty segment without an owner: one from the reserve, or a new one. `None` when there is no memory.
pub(super) fn take() -> Option<SegmentRef> {
    let kept = SLOTS.iter().find_map(take_from);
    if kept.is_some() {
        // Relaxed: a hint.
        TAKEN.store(true, Ordering::Relaxed);
    }
    kept.or_else(SegmentRef::map).or_else(|| {
        // What is kept for huge blocks must not be what is missing.
        huge::release_spares();
        SegmentRef::map()
    })
}

/// Gives the reserve back to the operating system if nobody took from it since the last call. Heaps call it from time to
/// time: what a working program does not need is not kept.
pub(super) fn decay() {
    // Relaxed: a hint.
    if !TAKEN.swap(false, Ordering::Relaxed) {
        release_all();
    }
}

fn take_from(slot: &AtomicPtr<Segment>) -> Option<SegmentRef> {
    // Relaxed: only to avoid writing to empty slots.
    if slot.load(Ordering::Relaxed).is_null() {
        return None;
    }
    // Acquire: pairs with the release in `put`; the header's cells are ours from here on.
    let segment = NonNull::new(slot.swap(ptr::null_mut(), Ordering::Acquire))?;
    // SAFETY: what lies in a slot is a mapped segment, and the swap made it ours alone.
    Some(unsafe { SegmentRef::from_ptr(segment) })
}

/// Keeps an empty segment or gives it back to the operating system. `false` if neither is possible now: then the caller
/// still has it.
#[must_use]
pub(super) fn put(segment: SegmentRef) -> bool {
    for slot in &SLOTS {
        // Release: the next owner must see the header as we leave it. Relaxed on failure: nothing is read.
        let kept =
            slot.compare_exchange(ptr::null_mut(), segment.as_ptr(), Ordering::Release, Ordering::Relaxed);
        if kept.is_ok() {
            return true;
        }
    }
    let Some(_gate) = Gate::try_hold() else { return false };
    // SAFETY: the gate is held, and the caller gives the segment away empty.
    unsafe { segment.unmap() };
    true
}

/// Gives the reserve back to the operating system, unless somebody is walking the segments.
pub(super) fn release_all() {
    let Some(_gate) = Gate::try_hold() else { return };
    for segment in SLOTS.iter().filter_map(take_from) {
        // SAFETY: the gate is held, and the segment is empty and ours alone.
        unsafe { segment.unmap() };
    }
}

/// Segments in the reserve.
pub(super) fn kept() -> usize {
    SLOTS.iter().filter(|slot| !slot.load(Ordering::Relaxed).is_null()).count()
}

/// Adds to [`mapped_bytes`].
pub(super) fn count_mapped(bytes: usize) {
    // Relaxed: a statistic.
    MAPPED_BYTES.fetch_add(bytes, Ordering::Relaxed);
}

/// Subtracts from [`mapped_bytes`].
pub(super) fn count_unmapped(bytes: usize) {
    // Relaxed: a statistic.
    MAPPED_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

/// Bytes of address space in segments, huge blocks and heaps.
pub(super) fn mapped_bytes() -> usize {
    MAPPED_BYTES.load(Ordering::Relaxed)
}

/// Adds to [`purgeable`].
pub(super) fn add_purgeable(slices: usize) {
    // Relaxed: a budget.
    PURGEABLE.fetch_add(slices, Ordering::Relaxed);
}

/// Subtracts from [`purgeable`] what was added before.
pub(super) fn subtract_purgeable(slices: usize) {
    // Relaxed: a budget.
    PURGEABLE.fetch_sub(slices, Ordering::Relaxed);
}

/// Free slices that hold memory, in all heaps together.
pub(super) fn purgeable() -> usize {
    PURGEABLE.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_the_gate_held_leaves_it_so() {
        let gate = Gate::hold();
        for _ in 0..2 {
            assert!(Gate::try_hold().is_none());
        }
        drop(gate);
        drop(Gate::hold());
    }
}
