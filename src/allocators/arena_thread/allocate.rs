//! The arenas of threads as an `Allocator`.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::{ArenaThread, Share};
use crate::allocators::{moving, slots};

impl<A: Allocator> ArenaThread<A> {
    /// The calling thread's share, if it has a slot already. Its arena is this thread's until it ends.
    #[inline(always)]
    fn share(&self) -> Option<&Share<A>> {
        slots::current().map(|slot| &self.shares[slot])
    }

    /// New memory for `layout`.
    #[inline(always)]
    fn place(&self, layout: Layout) -> Option<NonNull<u8>> {
        match self.share().and_then(|share| share.arena.place_in_current(layout)) {
            Some(block) => Some(block),
            None => self.place_slowly(layout),
        }
    }

    #[cold]
    #[inline(never)]
    fn place_slowly(&self, layout: Layout) -> Option<NonNull<u8>> {
        match slots::current_or_claim() {
            Some(slot) => {
                // Before the arena has memory: who has `&mut` later finds it by this.
                self.joined.insert(slot);
                self.shares[slot].place(layout)
            }
            None => self.common().place(layout),
        }
    }
}

impl<A: Allocator> Share<A> {
    /// As `Arena::place`, and what was used is written down at a change of chunk.
    fn place(&self, layout: Layout) -> Option<NonNull<u8>> {
        // A slot that was claimed just now comes with what its last owner left.
        self.arena.place_in_current(layout).or_else(|| {
            let block = self.arena.place_in_next(layout);
            self.note();
            block
        })
    }
}

// SAFETY: each block is one of an arena, which hands out disjoint, aligned and long enough ones and lets them stay where
// they are until its reset, release or drop; these need the whole unborrowed, so no handle is left. A thread changes its
// own arena alone, and that takes back only what lies in its current chunk just before its free bytes (see `is_newest`):
// a block that the caller gives up, whoever made it. All copies of a handle are the same allocator.
unsafe impl<A: Allocator> Allocator for &ArenaThread<A> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.place(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // A thread without an arena of its own has no newest block; in the common arena everything stays.
        if let Some(share) = self.share() {
            share.arena.take_back(block, layout);
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if let Some(grown) = self.share().and_then(|share| share.arena.grow_in_place(block, old, new)) {
            return Ok(NonNull::slice_from_raw_parts(grown, new.size()));
        }
        // SAFETY: in use with the layout `old`, as the caller says.
        let moved = unsafe { moving::copy(self, block, old, new)? };
        Ok(moved)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises, word for word.
        unsafe { moving::grow_zeroed(self, block, old, new) }
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if !block.as_ptr().addr().is_multiple_of(new.align()) {
            // SAFETY: in use with the layout `old`, as the caller says.
            let moved = unsafe { moving::copy(self, block, old, new)? };
            return Ok(moved);
        }
        if let Some(share) = self.share() {
            share.arena.shrink_in_place(block, old, new);
        }
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }
}
