//! A counted subject whose handles are as large as its own.
//!
//! The handle of [`Counting`] is a reference to it. Where blocks hold handles (an allocator's `Box` in another's), they are
//! larger by that, and the bytes that are counted are not those that are measured: 40 a node of `tree`, of which a global
//! allocator is asked for 24. So here the counts lie in a static, and a handle is the subject's and nothing else.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::allocators::contract::{Bulk, Demand, Subject};
use crate::instruments::counting::{Counting, Tally, Usable};

/// Counts for all slim subjects of the process. The lock is held for writing before and after a run alone.
static COUNTER: RwLock<Counting<()>> = RwLock::new(Counting::new(()));

/// Held by whoever runs a slim subject: the counts are one process's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn counter() -> RwLockReadGuard<'static, Counting<()>> {
    COUNTER.read().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a run with empty counts: `usable` says how many bytes a block can hold. Nobody else begins one while the guard
/// lives.
pub(super) fn begin(usable: Option<Usable>) -> MutexGuard<'static, ()> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    *COUNTER.write().unwrap_or_else(PoisonError::into_inner) = Counting::with((), Tally::new(), usable);
    guard
}

/// Looks at the counts of the run.
pub(super) fn tallied<R>(look: impl FnOnce(&Tally) -> R) -> R {
    look(counter().tally())
}

/// The subject.
#[derive(Debug)]
pub struct Slim<S>(S);

/// Its handle: that of the subject.
#[derive(Clone, Copy, Debug)]
pub struct Handle<H>(H);

impl<S: Subject> Subject for Slim<S> {
    type Handle<'a>
        = Handle<S::Handle<'a>>
    where
        Self: 'a;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        S::for_demand(demand).map(Self)
    }

    fn handle(&self) -> Self::Handle<'_> {
        Handle(self.0.handle())
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        self.0.owns(block)
    }
}

impl<S: Bulk> Bulk for Slim<S> {
    fn reset(&mut self) {
        tallied(Tally::release_all);
        self.0.reset();
    }
}

// SAFETY: every call is the subject's, arguments and answer unchanged; copies of the handle are copies of the subject's.
unsafe impl<H: Allocator> Allocator for Handle<H> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.0.allocate(layout)?;
        counter().admit(block.cast(), layout.size());
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.0.allocate_zeroed(layout)?;
        counter().admit(block.cast(), layout.size());
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        counter().dismiss(layout.size());
        // SAFETY: the block is alive and came from the subject with this layout (the caller's promises).
        unsafe { self.0.deallocate(block, layout) };
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `grow`, passed on unchanged.
        let grown = unsafe { self.0.grow(block, old, new) }?;
        counter().resize(grown.cast(), old.size(), new.size());
        Ok(grown)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `grow_zeroed`, passed on unchanged.
        let grown = unsafe { self.0.grow_zeroed(block, old, new) }?;
        counter().resize(grown.cast(), old.size(), new.size());
        Ok(grown)
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `shrink`, passed on unchanged.
        let shrunk = unsafe { self.0.shrink(block, old, new) }?;
        counter().resize(shrunk.cast(), old.size(), new.size());
        Ok(shrunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::global::GlobalSubject;

    #[test]
    fn a_handle_is_as_large_as_the_subjects() {
        type Global = <Slim<GlobalSubject> as Subject>::Handle<'static>;
        assert_eq!((size_of::<Global>(), size_of::<Handle<&u64>>()), (0, size_of::<&u64>()));
    }
}
