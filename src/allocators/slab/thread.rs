//! Which heap the calling thread has, from its first allocation to its end.
//!
//! ```text
//!   placeholder ──first slow path──▶ a heap ──thread ends──▶ placeholder, ended
//! ```
//!
//! The fast path reads one thread-local pointer that needs no initialisation and no destructor. A second thread-local
//! has the destructor that hands the heap on. Other thread-locals may allocate and free after that; they, and exit
//! handlers, borrow a heap for the one operation.

use std::cell::Cell;

use super::heap::Heap;
use super::heaps;

thread_local! {
    static CURRENT: Cell<&'static Heap> = const { Cell::new(Heap::placeholder()) };
    static ENDED: Cell<bool> = const { Cell::new(false) };
    static END: End = const { End };
}

/// Hands the thread's heap on when the thread ends.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        ENDED.set(true);
        detach();
    }
}

/// The calling thread's heap, or the placeholder.
#[inline]
pub(super) fn current() -> &'static Heap {
    // No panic: the thread-local has no destructor, so it is there until the thread's memory is gone.
    CURRENT.get()
}

/// Gets the calling thread a heap. `None` when the thread is about to end, or when there is no memory.
#[cold]
pub(super) fn attach() -> Option<&'static Heap> {
    if !current().is_placeholder() {
        return Some(current());
    }
    if ENDED.get() {
        return None;
    }
    let heap = heaps::acquire()?;
    heap.idle.set(false);
    // Before the destructor is registered: should that allocate, it finds a heap.
    CURRENT.set(heap);
    if END.try_with(|_| ()).is_err() {
        // The destructor has run without our having had a heap: nobody would hand this one on.
        ENDED.set(true);
        detach();
        return None;
    }
    Some(heap)
}

fn detach() {
    let heap = CURRENT.replace(Heap::placeholder());
    if !heap.is_placeholder() {
        heap.outbox.flush(heaps::post);
        heaps::release(heap);
    }
}
