//! An allocator as a workload sees it: a source of handles that either frees one block at a time or all together.

use std::alloc::Layout;
use std::mem::forget;
use std::panic::panic_any;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use crate::allocators::contract::{Bulk, Demand, Subject};

/// What a workload runs on. How blocks come back is a constant, so each form compiles to its own loop.
pub trait Heap {
    /// The allocator.
    type Handle<'a>: Allocator + Copy
    where
        Self: 'a;

    /// Whether freeing one block makes its memory available again; if not, only [`reset`](Self::reset) does.
    const FREES: bool;

    /// A handle to the allocator.
    fn handle(&self) -> Self::Handle<'_>;

    /// Releases everything, where that is how this heap releases; otherwise does nothing.
    fn reset(&mut self);

    /// One more of its kind, for a program that gives each phase an allocator of its own. Of a global allocator it is the
    /// same one again.
    fn sibling(&self, demand: &Demand) -> Self;
}

/// A subject whose blocks are freed one at a time.
#[derive(Debug)]
pub struct Individually<S>(pub S);

/// A subject whose blocks are released all together.
#[derive(Debug)]
pub struct Together<S>(pub S);

impl<S: Subject> Heap for Individually<S> {
    type Handle<'a>
        = S::Handle<'a>
    where
        Self: 'a;

    const FREES: bool = true;

    #[inline(always)]
    fn handle(&self) -> Self::Handle<'_> {
        self.0.handle()
    }

    #[inline(always)]
    fn reset(&mut self) {}

    fn sibling(&self, demand: &Demand) -> Self {
        Self(sibling(&self.0, demand))
    }
}

impl<S: Bulk> Heap for Together<S> {
    type Handle<'a>
        = S::Handle<'a>
    where
        Self: 'a;

    const FREES: bool = false;

    #[inline(always)]
    fn handle(&self) -> Self::Handle<'_> {
        self.0.handle()
    }

    #[inline(always)]
    fn reset(&mut self) {
        self.0.reset();
    }

    fn sibling(&self, demand: &Demand) -> Self {
        Self(sibling(&self.0, demand))
    }
}

fn sibling<S: Subject>(subject: &S, demand: &Demand) -> S {
    match subject.sibling(demand) {
        Ok(sibling) => sibling,
        Err(_) => refused(Layout::array::<u8>(demand.pass_bytes).unwrap_or(Layout::new::<u8>())),
    }
}

/// Ends the life of what a program built on a heap: dropped piece by piece, or left for the heap's [`reset`](Heap::reset),
/// which the caller owes it. To walk through data in order to tell an arena of each piece would be time for nothing.
#[inline(always)]
pub fn release<H: Heap, T>(built: T) {
    if H::FREES { drop(built) } else { forget(built) }
}

/// The panic payload of a workload whose allocator said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub Layout);

/// Allocates; a refusal ends the workload with [`Refused`] as the panic's payload.
#[inline(always)]
pub fn take<A: Allocator>(allocator: A, layout: Layout) -> NonNull<u8> {
    match allocator.allocate(layout) {
        Ok(block) => block.cast(),
        Err(_) => refused(layout),
    }
}

/// Ends the workload: the allocator refused `layout`.
#[cold]
#[inline(never)]
pub fn refused(layout: Layout) -> ! {
    panic_any(Refused(layout))
}
