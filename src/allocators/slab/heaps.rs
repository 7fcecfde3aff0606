//! All heaps of the process: how a thread gets one, how it is handed on, and how blocks reach a heap that no thread has.

use crate::allocators::sync::{AtomicPtr, AtomicUsize, Ordering};
use std::ptr;

use super::heap::{Heap, as_static};
use super::remote::Message;
use super::reserve;
use super::segment::SegmentRef;
use crate::allocators::pages;

/// The newest heap; each links to the one before it. None is ever removed, so the list may be walked at any time.
static NEWEST: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());

/// How many heaps no thread has, at least: whether a search for one is worth it. Threads that start while all heaps are
/// taken would otherwise each walk the whole list.
static IDLE: AtomicUsize = AtomicUsize::new(0);

/// Every heap that was ever made, newest first.
pub(super) fn all() -> impl Iterator<Item = &'static Heap> {
    // Acquire: pairs with the release in `make`; the links behind it were published before.
    let mut next = NEWEST.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        let heap = as_static(ptr::NonNull::new(next.cast_mut())?);
        next = heap.older.get();
        Some(heap)
    })
}

/// How many heaps no thread has.
pub(super) fn idle() -> usize {
    IDLE.load(Ordering::Relaxed)
}

fn try_take(heap: &Heap) -> bool {
    heap.handover.try_take(&IDLE)
}

/// A heap for the calling thread alone: one whose thread has ended, or a new one. `None` when there is no memory.
pub(super) fn acquire() -> Option<&'static Heap> {
    // Relaxed: a hint. If it is wrong, a heap is made that could have been spared, or a search finds nothing.
    let idle = if idle() > 0 { all().find(|heap| try_take(heap)) } else { None };
    idle.or_else(make)
}

fn make() -> Option<&'static Heap> {
    let bytes = size_of::<Heap>().next_multiple_of(pages::page_size());
    let place = pages::map(bytes).ok()?.cast::<Heap>();
    reserve::count_mapped(bytes);
    // SAFETY: new pages that nobody else knows, large enough, and aligned to more than a heap needs.
    unsafe { place.write(Heap::new()) };
    let heap = as_static(place);
    let mut newest = NEWEST.load(Ordering::Relaxed);
    loop {
        heap.older.set(newest);
        // Release: publishes what was written above. The heap is taken already (see `Heap::new`). A push onto a list
        // from which nothing is removed: no ABA.
        match NEWEST.compare_exchange_weak(newest, place.as_ptr(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return Some(heap),
            Err(now) => newest = now,
        }
    }
}

/// Hands a heap of the calling thread on. What it holds stays in it, except for what is empty.
pub(super) fn release(heap: &'static Heap) {
    heap.settle();
    heap.handover.release(&IDLE, || heap.collect());
}

/// Sends a message to the heap that owns its blocks. If no thread has that heap, collects there right away: the blocks
/// of a thread that ended are not lost, and what becomes empty by them goes back.
pub(super) fn post(message: Message) {
    // SAFETY: the message's blocks are live, so their segment is mapped.
    let owner = unsafe { SegmentRef::of(message.address()) }.owner();
    let Some(owner) = ptr::NonNull::new(owner) else { return };
    let heap = as_static(owner);
    if heap.handover.post(message, &IDLE) {
        heap.collect();
        release(heap);
    }
}

/// Works with a heap that is handed on right after: for threads that have none of their own any more.
pub(super) fn with_borrowed<T>(work: impl FnOnce(&'static Heap) -> T) -> Option<T> {
    let heap = acquire()?;
    let result = work(heap);
    release(heap);
    Some(result)
}

/// Collects in every heap that no thread has.
pub(super) fn collect_idle() {
    for heap in all() {
        if try_take(heap) {
            heap.collect();
            heap.purge();
            release(heap);
        }
    }
}
