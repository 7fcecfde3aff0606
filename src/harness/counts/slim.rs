//! A counted subject whose handles are as large as its own.
//!
//! The handle of [`Counting`] is a reference to it. Where blocks hold handles (an allocator's `Box` in another's), they are
//! larger by that, and the bytes that are counted are not those that are measured: 40 a node of `tree`, of which a global
//! allocator is asked for 24. So here the counts lie in a static, and a handle is the subject's and nothing else.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use allocator_api2::alloc::AllocError;

use crate::allocators::contract::{Bulk, Demand, Subject};
use crate::instruments::counting::{Count, Counted, Counting, Tally, Usable};

/// Counts for all slim subjects of the process. The lock is held for writing before and after a run alone.
static COUNTER: RwLock<Counting<()>> = RwLock::new(Counting::new(()));

/// Held by whoever runs a slim subject: the counts are one process's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Some subject of the run has a sibling.
static SIBLINGS: AtomicBool = AtomicBool::new(false);

/// One of several siblings released everything that it had, and how much that was is not known: the counts are of all.
static LIVE_UNKNOWN: AtomicBool = AtomicBool::new(false);

fn counter() -> RwLockReadGuard<'static, Counting<()>> {
    COUNTER.read().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a run with empty counts: `usable` says how many bytes a block can hold. Nobody else begins one while the guard
/// lives.
pub(super) fn begin(usable: Option<Usable>) -> MutexGuard<'static, ()> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Relaxed, here and below: the threads of a run are made and joined between here and the look at the flag.
    SIBLINGS.store(false, Ordering::Relaxed);
    LIVE_UNKNOWN.store(false, Ordering::Relaxed);
    *COUNTER.write().unwrap_or_else(PoisonError::into_inner) = Counting::with((), Tally::new(), usable);
    guard
}

/// Looks at the counts of the run.
pub(super) fn tallied<R>(look: impl FnOnce(&Tally) -> R) -> R {
    look(counter().tally())
}

/// Whether the tally's live bytes are those of the run.
pub(super) fn live_is_known() -> bool {
    !LIVE_UNKNOWN.load(Ordering::Relaxed)
}

/// The subject.
#[derive(Debug)]
pub struct Slim<S>(S);

/// Counts in the static, and takes no room in a handle.
#[derive(Clone, Copy, Debug)]
pub struct InStatic;

impl Count for InStatic {
    fn admit(self, block: NonNull<u8>, bytes: usize) {
        (&*counter()).admit(block, bytes);
    }

    fn dismiss(self, bytes: usize) {
        (&*counter()).dismiss(bytes);
    }

    fn resize(self, block: NonNull<u8>, old: usize, new: usize) {
        (&*counter()).resize(block, old, new);
    }
}

impl<S: Subject> Subject for Slim<S> {
    type Handle<'a>
        = Counted<S::Handle<'a>, InStatic>
    where
        Self: 'a;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        S::for_demand(demand).map(Self)
    }

    fn sibling(&self, demand: &Demand) -> Result<Self, AllocError> {
        SIBLINGS.store(true, Ordering::Relaxed);
        self.0.sibling(demand).map(Self)
    }

    fn handle(&self) -> Self::Handle<'_> {
        Counted { handle: self.0.handle(), count: InStatic }
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        self.0.owns(block)
    }
}

impl<S: Bulk> Bulk for Slim<S> {
    fn reset(&mut self) {
        if SIBLINGS.load(Ordering::Relaxed) {
            LIVE_UNKNOWN.store(true, Ordering::Relaxed);
        }
        tallied(Tally::release_all);
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::global::GlobalSubject;

    #[test]
    fn a_handle_is_as_large_as_the_subjects() {
        type Global = <Slim<GlobalSubject> as Subject>::Handle<'static>;
        assert_eq!((size_of::<Global>(), size_of::<Counted<&u64, InStatic>>()), (0, size_of::<&u64>()));
    }
}
