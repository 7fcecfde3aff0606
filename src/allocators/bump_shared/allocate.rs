//! The shared bump allocator as an `Allocator`.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::BumpShared;
use super::offset::STEP;
use crate::allocators::arithmetic::round_up_small;
use crate::allocators::{moving, poison};

impl BumpShared {
    /// Where the bytes of a block end, as bytes behind the start of the region.
    #[inline(always)]
    fn end_of(&self, block: NonNull<u8>, layout: Layout) -> usize {
        self.offset_of(block) + round_up_small(layout.size(), STEP)
    }
}

// SAFETY: each byte belongs to one block or to one range of free bytes, and changes hands as `offset` says, so blocks are
// disjoint; they are aligned and as long as asked; they stay where they are until a reset or the drop, which need the
// region unborrowed, so no handle is left. All copies of a handle are the same region.
unsafe impl Allocator for &BumpShared {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.place(layout).ok_or(AllocError)?;
        poison::unpoison(block.as_ptr(), layout.size());
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        poison::poison(block.as_ptr(), layout.size());
        self.offset.give_back(self.share(), self.offset_of(block), self.end_of(block, layout));
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let end = self.end_of(block, old);
        // No overflow: the start of a block is at most the capacity, the size at most `isize::MAX`.
        let new_end = self.end_of(block, new);
        let aligned = block.as_ptr().addr().is_multiple_of(new.align());
        if aligned && (new_end == end || self.offset.grow(self.share(), end, new_end)) {
            // Made anew, because the caller's pointer may have the right to the old length alone.
            let block = self.block(self.offset_of(block));
            poison::unpoison(block.as_ptr(), new.size());
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        // SAFETY: in use with the layout `old`, as the caller says.
        let moved = unsafe { moving::copy(self, block, old, new)? };
        poison::poison(block.as_ptr(), old.size());
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
            poison::poison(block.as_ptr(), old.size());
            return Ok(moved);
        }
        poison::bound(block.as_ptr(), new.size(), old.size());
        self.offset.give_back(self.share(), self.end_of(block, new), self.end_of(block, old));
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }
}
