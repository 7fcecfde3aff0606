//! How an arena finds memory for a block: the fast path, the way to the next chunk, and the `Allocator`.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::chunk::{self, ChunkRef, FIRST_BYTES, HEADER_BYTES, MOST_BYTES};
use super::{Arena, STEP};
use crate::allocators::arithmetic::{round_up, round_up_small};
use crate::allocators::{moving, poison};

impl<A: Allocator> Arena<A> {
    /// New memory for `layout`.
    #[inline(always)]
    pub(super) fn place(&self, layout: Layout) -> Option<NonNull<u8>> {
        match self.place_in_current(layout) {
            Some(block) => Some(block),
            None => self.place_in_next(layout),
        }
    }

    /// New memory for `layout` in the current chunk, if there is room.
    #[inline(always)]
    pub(in crate::allocators) fn place_in_current(&self, layout: Layout) -> Option<NonNull<u8>> {
        let next = self.next.get();
        // How far to the block, whose alignment `next` has already in nearly all cases.
        let skip = if layout.align() <= STEP {
            0
        } else {
            round_up(next.as_ptr().addr(), layout.align())? - next.as_ptr().addr()
        };
        let bytes = round_up_small(layout.size(), STEP);
        if self.room() < skip || self.room() - skip < bytes {
            return None;
        }
        // SAFETY: `skip + bytes` is not more than what is left between `next` and the end of its chunk. Without a chunk
        // nothing is left, and adding zero to a dangling pointer is allowed.
        let block = unsafe { next.add(skip) };
        // SAFETY: as above.
        self.next.set(unsafe { block.add(bytes) });
        poison::unpoison(block.as_ptr(), layout.size());
        Some(block)
    }

    /// Goes to a chunk with room for `layout`, a kept one or a new one.
    #[cold]
    #[inline(never)]
    pub(in crate::allocators) fn place_in_next(&self, layout: Layout) -> Option<NonNull<u8>> {
        let skip = layout.align().saturating_sub(chunk::ALIGN);
        let bytes = round_up(layout.size(), STEP)?.checked_add(HEADER_BYTES + skip)?;
        let chunk = self.unlink_kept(bytes).or_else(|| self.new_chunk(bytes))?;
        // Right after the current one, so that those before the new current chunk are full and those after it empty.
        match self.current.get() {
            Some(current) => {
                chunk.set_next(current.next());
                current.set_next(Some(chunk));
            }
            None => {
                chunk.set_next(self.first.get());
                self.first.set(Some(chunk));
            }
        }
        self.used_before.set(self.used());
        self.go_to(chunk);
        self.check_invariants();
        self.place_in_current(layout)
    }

    /// Makes an empty chunk the current one.
    pub(super) fn go_to(&self, chunk: ChunkRef) {
        self.current.set(Some(chunk));
        self.next.set(chunk.start());
        self.end.set(chunk.end());
    }

    /// Takes the first chunk after the current one that has `bytes` out of the list.
    fn unlink_kept(&self, bytes: usize) -> Option<ChunkRef> {
        let mut before = self.current.get();
        loop {
            let chunk = before.map_or(self.first.get(), ChunkRef::next)?;
            if chunk.bytes() >= bytes {
                match before {
                    Some(before) => before.set_next(chunk.next()),
                    None => self.first.set(chunk.next()),
                }
                return Some(chunk);
            }
            before = Some(chunk);
        }
    }

    /// Takes a new chunk of at least `least` bytes: as large as all chunks together, so that the arena doubles.
    fn new_chunk(&self, least: usize) -> Option<ChunkRef> {
        let left = self.limit - self.held.get();
        if least > left {
            return None;
        }
        let wanted = self.held.get().clamp(FIRST_BYTES, MOST_BYTES).max(least).min(left);
        let chunk =
            ChunkRef::allocate(&self.backing, wanted).or_else(|_| ChunkRef::allocate(&self.backing, least));
        let chunk = chunk.ok()?;
        self.held.set(self.held.get() + chunk.bytes());
        self.grown.set(true);
        Some(chunk)
    }

    /// Takes the memory of the newest block back; does nothing for others.
    #[inline(always)]
    pub(in crate::allocators) fn take_back(&self, block: NonNull<u8>, layout: Layout) {
        poison::poison(block.as_ptr(), layout.size());
        if self.is_newest(block, layout) {
            // SAFETY: the newest block starts this far before `next`, in the same chunk.
            self.next.set(unsafe { self.next.get().sub(round_up_small(layout.size(), STEP)) });
        }
    }

    /// Makes the newest block longer where it is, if there is room and it is aligned; its new size is not smaller.
    #[inline(always)]
    pub(in crate::allocators) fn grow_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        let more = round_up_small(new.size(), STEP) - round_up_small(old.size(), STEP);
        let aligned = block.as_ptr().addr().is_multiple_of(new.align());
        if !(self.is_newest(block, old) && aligned && more <= self.room()) {
            return None;
        }
        let next = self.next.get();
        // SAFETY: `more` bytes are left after `next` in its chunk.
        self.next.set(unsafe { next.add(more) });
        // SAFETY: the newest block starts this far before `next`. Made from `next`, because the caller's pointer may have
        // the right to the old length alone.
        let block = unsafe { next.sub(round_up_small(old.size(), STEP)) };
        poison::unpoison(block.as_ptr(), new.size());
        Some(block)
    }

    /// Takes the tail of the newest block back; does nothing for others. The block's new size is not larger.
    #[inline(always)]
    pub(in crate::allocators) fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        poison::bound(block.as_ptr(), new.size(), old.size());
        if self.is_newest(block, old) {
            let less = round_up_small(old.size(), STEP) - round_up_small(new.size(), STEP);
            // SAFETY: the newest block ends at `next` and is at least this long.
            self.next.set(unsafe { self.next.get().sub(less) });
        }
    }

    /// Whether the block is the one that ends at `next`. Only one can: blocks do not overlap, and no block of another
    /// chunk, of this arena or of any other, ends where this chunk's blocks start, because a header lies in between. (One
    /// of no bytes may; moving `next` by nothing changes nothing.)
    #[inline(always)]
    fn is_newest(&self, block: NonNull<u8>, layout: Layout) -> bool {
        block.as_ptr().addr() + round_up_small(layout.size(), STEP) == self.next.get().as_ptr().addr()
    }
}

// SAFETY: blocks are disjoint, as `next` moves past a block before it is handed out and back only over the newest one,
// which its owner gave up; they are aligned and as long as asked; they stay where they are until a reset, a release or
// the drop, which need the arena unborrowed, so no handle is left. All copies of a handle are the same arena.
unsafe impl<A: Allocator> Allocator for &Arena<A> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.place(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.take_back(block, layout);
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if let Some(block) = self.grow_in_place(block, old, new) {
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
        self.shrink_in_place(block, old, new);
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }
}
