//! `slab` as the [`Allocator`] of collections.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use super::{Slab, allocate, allocate_zeroed, block_bytes, free, move_block, reallocate};
use crate::allocators::poison;

/// A block with all the bytes that its user may use: to the end of its class.
#[inline]
fn slice_of(block: *mut u8, bytes: usize) -> Result<NonNull<[u8]>, AllocError> {
    let block = NonNull::new(block).ok_or(AllocError)?;
    poison::unpoison(block.as_ptr(), bytes);
    Ok(NonNull::slice_from_raw_parts(block, bytes))
}

fn dangling(layout: Layout) -> NonNull<[u8]> {
    let start = NonNull::new(ptr::without_provenance_mut(layout.align())).unwrap_or(NonNull::dangling());
    NonNull::slice_from_raw_parts(start, 0)
}

// SAFETY: all values are the same process-wide heap, so a block may be freed through any of them, moving a value does
// not move blocks, and blocks stay valid until freed. Every layout between what was requested and the length returned
// leads to the same class.
unsafe impl Allocator for Slab {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(dangling(layout));
        }
        slice_of(allocate(layout), block_bytes(layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(dangling(layout));
        }
        // All of it is zero, also what the caller did not ask for but may use.
        let whole = block_bytes(layout);
        // SAFETY: a class's block size is a multiple of every alignment that leads to the class, and fits isize.
        slice_of(allocate_zeroed(unsafe { Layout::from_size_align_unchecked(whole, layout.align()) }), whole)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller says that it is a live block of this allocator that the layout fits.
            unsafe { free(block.as_ptr(), layout) }
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as the caller says.
        unsafe { change(block, old, new) }
    }

    #[inline]
    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as the caller says.
        let grown = unsafe { change(block, old, new) }?;
        // SAFETY: the block is as long as its length says, and bytes behind the old content are nobody's.
        unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, grown.len() - old.size()) };
        Ok(grown)
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as the caller says.
        unsafe { change(block, old, new) }
    }
}

/// # Safety
/// As for [`Allocator::grow`] or [`Allocator::shrink`].
unsafe fn change(block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
    if old.size() == 0 {
        return Allocator::allocate(&Slab, new);
    }
    if new.size() == 0 {
        // SAFETY: as the caller says; the block has a size, so it was allocated.
        unsafe { free(block.as_ptr(), old) };
        return Ok(dangling(new));
    }
    let changed = if old.align() == new.align() {
        // SAFETY: as the caller says, and the alignments are the same.
        unsafe { reallocate(block.as_ptr(), old, new) }
    } else {
        // SAFETY: as the caller says; moving works between any layouts.
        unsafe { move_block(block.as_ptr(), old, new) }
    };
    slice_of(changed, block_bytes(new))
}
