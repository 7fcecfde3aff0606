//! The pool as an `Allocator`.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::Pool;

// SAFETY: a block is in exactly one place (see `Pool::storage`), so those handed out are disjoint; they are as large and
// as aligned as `take` has compared; they stay until the pool is dropped, which no handle outlives; all copies of a
// handle are the same pool.
unsafe impl Allocator for &Pool {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.take(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.storage.blocks().check_owned(block);
        // SAFETY: the caller promises a block of this allocator that is in use, with this layout, and given up now.
        unsafe { self.put(block, layout) };
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller promises a block in use with the layout `old`.
        unsafe { self.storage.blocks().resize(block, old, new) }
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller promises a block in use with the layout `old`, and a size that is not smaller.
        unsafe { self.storage.blocks().grow_zeroed(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller promises a block in use with the layout `old`.
        unsafe { self.storage.blocks().resize(block, old, new) }
    }
}
