//! How a block is found, and the `Allocator`.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use super::BumpSlice;
use super::fit::fit;

impl BumpSlice<'_> {
    /// New memory for `layout`.
    #[inline(always)]
    pub(super) fn place(&self, layout: Layout) -> Option<NonNull<u8>> {
        let next = self.next.get();
        let block = fit(next.as_ptr().addr(), self.end, layout)?;
        // SAFETY: both addresses are from `next` to `end`, so in the slice or just after it, and `next` has the right to
        // the whole slice.
        unsafe {
            self.next.set(next.add(block.end - next.as_ptr().addr()));
            Some(next.add(block.start - next.as_ptr().addr()))
        }
    }

    /// Whether the block is the one that ends at `next`. Blocks do not overlap, so only one can, but for those of no
    /// bytes: moving `next` by nothing changes nothing.
    #[inline(always)]
    fn is_newest(&self, block: NonNull<u8>, layout: Layout) -> bool {
        block.as_ptr().addr() + layout.size() == self.next.get().as_ptr().addr()
    }
}

// SAFETY: blocks are disjoint, as `next` moves past a block before it is handed out and back only over the newest one,
// which its owner gave up; they are aligned and as long as asked; they stay where they are until a reset or the end of
// the borrow of the slice, and both need the `BumpSlice` unborrowed, so no handle is left. All copies of a handle are the
// same allocator.
unsafe impl Allocator for &BumpSlice<'_> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.place(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_newest(block, layout) {
            // SAFETY: the newest block starts this far before `next`, in the same slice.
            self.next.set(unsafe { self.next.get().sub(layout.size()) });
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let more = new.size() - old.size();
        let aligned = block.as_ptr().addr().is_multiple_of(new.align());
        if self.is_newest(block, old) && aligned && more <= self.remaining() {
            let next = self.next.get();
            // SAFETY: `more` bytes are left after `next` in the slice.
            self.next.set(unsafe { next.add(more) });
            // SAFETY: the newest block starts this far before `next`. Made from `next`, because the caller's pointer may
            // have the right to the old length alone.
            let block = unsafe { next.sub(old.size()) };
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        let moved = self.allocate(new)?;
        // SAFETY: the old block has `old.size()` bytes (the caller's promise) and the new one at least as many; they are
        // disjoint, as the old one is still in use.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.cast().as_ptr(), old.size()) };
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
            return Ok(moved);
        }
        if self.is_newest(block, old) {
            // SAFETY: the newest block ends at `next` and is at least this long.
            self.next.set(unsafe { self.next.get().sub(old.size() - new.size()) });
        }
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }
}
