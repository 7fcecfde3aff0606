//! The pool's memory: blocks, and in front of them the magazines and a link for each block.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::slice;

use allocator_api2::alloc::AllocError;

use super::FACTS;
use super::blocks::Blocks;
use super::magazine::Magazine;
use crate::allocators::slots::SLOTS;
use crate::allocators::sync::AtomicU32;

/// One mapping: magazines, then a link for each block, then the blocks.
#[derive(Debug)]
pub(super) struct Storage {
    /// In front of them is room for `SLOTS` magazines and `blocks.count()` links, accessed as those alone.
    blocks: Blocks,
}

impl Storage {
    /// Maps room for `count` blocks. Nothing is touched: memory is used as blocks are.
    pub(super) fn new(block: Layout, count: usize) -> Result<Self, AllocError> {
        let links = count.checked_mul(size_of::<AtomicU32>()).ok_or(AllocError)?;
        let front = links.checked_add(SLOTS * size_of::<Magazine>()).ok_or(AllocError)?;
        let storage = Self { blocks: Blocks::new(FACTS.id, block, count, front)? };
        #[cfg(loom)]
        storage.make_atomics();
        Ok(storage)
    }

    /// Zeroes are no atomics of loom's: those are made, each by a call.
    #[cfg(loom)]
    fn make_atomics(&self) {
        for slot in 0..SLOTS {
            // SAFETY: the mapping starts with room for a magazine for each slot, and nobody knows it yet.
            unsafe { self.blocks.front().cast::<Magazine>().add(slot).write(Magazine::new()) };
        }
        for index in 0..self.blocks.count() as usize {
            // SAFETY: the mapping has room for a link for each block, and nobody knows it yet.
            unsafe { self.first_link().add(index).write(AtomicU32::new(0)) };
        }
    }

    /// The blocks themselves.
    #[inline(always)]
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The magazine of each slot.
    #[inline(always)]
    pub(super) fn magazines(&self) -> &[Magazine; SLOTS] {
        // SAFETY: the front starts with room for them, is aligned to a page and so to 512, and lives as long as
        // `self`. Zeroed memory is a valid magazine, and all later access is through its atomics.
        unsafe { self.blocks.front().cast().as_ref() }
    }

    /// The link of each block.
    pub(super) fn links(&self) -> &[AtomicU32] {
        // SAFETY: there is a link for each block, and they live as long as `self`. Zeroed memory is a valid atomic, and
        // all access is through it.
        unsafe { slice::from_raw_parts(self.first_link().as_ptr(), self.blocks.count() as usize) }
    }

    fn first_link(&self) -> NonNull<AtomicU32> {
        // SAFETY: the links follow the magazines directly in the mapping, at a multiple of 512.
        unsafe { self.blocks.front().add(SLOTS * size_of::<Magazine>()) }.cast()
    }

    /// The block of this index, which must be below the count.
    pub(super) fn block(&self, index: u32) -> NonNull<u8> {
        self.blocks.block(index)
    }

    /// The index of `block`, which must be the start of one.
    pub(super) fn index(&self, block: NonNull<u8>) -> u32 {
        self.blocks.index(block)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn magazines_links_and_blocks_do_not_overlap() {
        let storage = Storage::new(Layout::new::<u64>(), 3).unwrap();
        let (magazines, links) = (storage.magazines().as_ptr_range(), storage.links().as_ptr_range());
        assert!(magazines.end.addr() <= links.start.addr());
        assert!(links.end.addr() <= storage.block(0).as_ptr().addr());
        assert_eq!(storage.links().len(), 3);
    }

    #[test]
    fn sizes_beyond_the_address_space_are_refused() {
        assert!(Storage::new(Layout::new::<u64>(), usize::MAX).is_err());
        assert!(Storage::new(Layout::new::<u64>(), usize::MAX / 4).is_err());
    }
}
