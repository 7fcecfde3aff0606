//! The shared bump allocator as an `Allocator`.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use super::BumpShared;
use super::offset::STEP;
use crate::allocators::arithmetic::round_up_small;
use crate::allocators::poison;

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
        let moved = self.allocate(new)?;
        // SAFETY: the old block has `old.size()` bytes (the caller's promise) and the new one at least as many; they are
        // disjoint, as the old one is still in use.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.cast().as_ptr(), old.size()) };
        poison::poison(block.as_ptr(), old.size());
        Ok(moved)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller keeps the promises of `grow_zeroed`, which are those of `grow`.
        let grown = unsafe { self.grow(block, old, new)? };
        // SAFETY: the new block has `new.size()` bytes; those from `old.size()` on are cleared.
        unsafe { ptr::write_bytes(grown.cast::<u8>().as_ptr().add(old.size()), 0, new.size() - old.size()) };
        Ok(grown)
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if !block.as_ptr().addr().is_multiple_of(new.align()) {
            let moved = self.allocate(new)?;
            // SAFETY: both have at least `new.size()` bytes, and are disjoint as both are in use.
            unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.cast().as_ptr(), new.size()) };
            poison::poison(block.as_ptr(), old.size());
            return Ok(moved);
        }
        poison::bound(block.as_ptr(), new.size(), old.size());
        self.offset.give_back(self.share(), self.end_of(block, new), self.end_of(block, old));
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }
}
