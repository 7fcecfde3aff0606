//! The pool as an `Allocator`.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use super::{Pool, misuse};

// SAFETY: a block is in exactly one place (see `Pool::storage`), so those handed out are disjoint; they are as large and
// as aligned as `fits` has compared; they stay until the pool is dropped, which no handle outlives; all copies of a
// handle are the same pool.
unsafe impl Allocator for &Pool {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if !self.fits(layout) {
            return Err(AllocError);
        }
        let block = self.take(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if !self.owns(block) {
            misuse::stop("allocmark pool: freed a block of another allocator\n");
        }
        // SAFETY: the caller promises a block of this allocator that is in use and given up now.
        unsafe { self.put(block, layout.size()) };
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // Every block is as large as the largest, so it grows where it is or not at all.
        if !self.fits(new) {
            return Err(AllocError);
        }
        let block = self.change(block, old.size(), new.size());
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller keeps the promises of `grow_zeroed`, which are those of `grow`.
        let grown = unsafe { self.grow(block, old, new)? };
        // SAFETY: the block holds `new.size()` bytes, of which those from `old.size()` on are cleared; the caller
        // promises that the new size is not smaller.
        unsafe { ptr::write_bytes(grown.cast::<u8>().as_ptr().add(old.size()), 0, new.size() - old.size()) };
        Ok(grown)
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the block stays where it is; a smaller size fits, and the alignment is compared.
        unsafe { self.grow(block, old, new) }
    }
}
