//! The pool's memory: one mapping with the magazines, the links and the blocks.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::slice;

use allocator_api2::alloc::AllocError;

use super::magazine::Magazine;
use crate::allocators::arithmetic::{ExactDivisor, round_up};
use crate::allocators::slots::SLOTS;
use crate::allocators::sync::AtomicU32;
use crate::allocators::{canary, pages, poison};

/// Blocks smaller than this would be half administration: a link takes 4 bytes.
const SMALLEST_BLOCK: usize = 8;
/// Links above this are marks, not indices.
const MOST_BLOCKS: usize = u32::MAX as usize - 16;

/// One mapping: magazines, then a link for each block, then the blocks.
#[derive(Debug)]
pub(super) struct Storage {
    /// Start of the mapping and of the magazines, page-aligned, with the right to the whole mapping; ours until drop.
    start: NonNull<u8>,
    /// Length of the mapping in whole pages.
    bytes: usize,
    /// The first block, aligned for blocks; its provenance is that of `start`.
    blocks: NonNull<u8>,
    /// `count * block.size()`: how much after `blocks` is blocks.
    block_bytes: usize,
    /// The layout of a block, its size a multiple of its alignment: from 8 to `u32::MAX` bytes.
    block: Layout,
    /// Divides by `block.size()`.
    divisor: ExactDivisor,
    /// Number of blocks; at most `MOST_BLOCKS`.
    count: u32,
}

impl Storage {
    /// Maps room for `count` blocks. Nothing is touched: memory is used as blocks are.
    pub(super) fn new(block: Layout, count: usize) -> Result<Self, AllocError> {
        let size = round_up(block.size().max(SMALLEST_BLOCK), block.align()).ok_or(AllocError)?;
        let block = Layout::from_size_align(size, block.align()).map_err(|_| AllocError)?;
        let divisor = ExactDivisor::new(u32::try_from(size).map_err(|_| AllocError)?);
        if count > MOST_BLOCKS {
            return Err(AllocError);
        }

        let block_bytes = size.checked_mul(count).ok_or(AllocError)?;
        let before_blocks = SLOTS * size_of::<Magazine>() + count * size_of::<AtomicU32>();
        // The slack lets the blocks start at a multiple of their alignment wherever the mapping starts.
        let bytes = before_blocks.checked_add(block.align() - 1 + block_bytes).ok_or(AllocError)?;
        let bytes = round_up(bytes, pages::page_size()).ok_or(AllocError)?;
        let start = pages::map(bytes).map_err(|_| AllocError)?;

        let address = start.as_ptr().addr();
        // Fits: the slack for exactly this was added to a mapping that exists.
        let first = round_up(address + before_blocks, block.align()).expect("within the mapping");
        // SAFETY: `first - address` is at most `before_blocks` and the slack, so it lies within the mapping.
        let blocks = unsafe { start.add(first - address) };
        let storage = Self { start, bytes, blocks, block_bytes, block, divisor, count: count as u32 };
        if storage.is_poisoned() {
            poison::poison(blocks.as_ptr(), block_bytes);
        }
        Ok(storage)
    }

    /// The layout of a block.
    #[inline(always)]
    pub(super) fn block_layout(&self) -> Layout {
        self.block
    }

    /// The magazine of each slot.
    #[inline(always)]
    pub(super) fn magazines(&self) -> &[Magazine; SLOTS] {
        // SAFETY: the mapping starts with room for them, is aligned to a page and so to 512, and lives as long as
        // `self`. Zeroed memory is a valid magazine, and all later access is through its atomics.
        unsafe { self.start.cast().as_ref() }
    }

    /// The link of each block.
    pub(super) fn links(&self) -> &[AtomicU32] {
        // SAFETY: the links follow the magazines directly, at a multiple of 512; there is one for each block, and they
        // live as long as `self`. Zeroed memory is a valid atomic, and all access is through it.
        unsafe {
            let first = self.start.add(SLOTS * size_of::<Magazine>());
            slice::from_raw_parts(first.cast().as_ptr(), self.count as usize)
        }
    }

    /// Whether free blocks are poisoned: not where two blocks share a granule, which the sanitizer cannot describe.
    fn is_poisoned(&self) -> bool {
        let shared = |at: usize| !at.is_multiple_of(poison::GRANULE);
        !shared(self.blocks.as_ptr().addr()) && !shared(self.block.size())
    }

    /// Whether nobody has written to `block` beyond the first `used` bytes, with which it was [opened](Self::open) last.
    /// Release builds do not know.
    #[inline(always)]
    pub(super) fn is_intact(&self, block: NonNull<u8>, used: usize) -> bool {
        // SAFETY: `open` has set it.
        unsafe { canary::is_intact(block.as_ptr(), used, self.block.size()) }
    }

    /// Of `block`, which is in use and has the right to all of it, the user may touch the first `used` bytes.
    #[inline(always)]
    pub(super) fn open(&self, block: NonNull<u8>, used: usize) {
        // SAFETY: the block is this long, and the user was told of `used` bytes.
        unsafe { canary::set(block.as_ptr(), used, self.block.size()) };
        if cfg!(allocmark_poison) && self.is_poisoned() {
            poison::bound(block.as_ptr(), used, self.block.size());
        }
    }

    /// Nobody may touch `block`, which is free.
    #[inline(always)]
    pub(super) fn close(&self, block: NonNull<u8>) {
        if cfg!(allocmark_poison) && self.is_poisoned() {
            poison::poison(block.as_ptr(), self.block.size());
        }
    }

    /// Whether the address is that of a byte of a block.
    #[inline(always)]
    pub(super) fn contains(&self, block: NonNull<u8>) -> bool {
        // One comparison: an address below the first block wraps to a large offset.
        self.offset(block) < self.block_bytes
    }

    /// Whether `block`, which lies in the blocks, is where a block starts.
    pub(super) fn is_start(&self, block: NonNull<u8>) -> bool {
        self.offset(block).is_multiple_of(self.block.size())
    }

    #[inline(always)]
    fn offset(&self, block: NonNull<u8>) -> usize {
        block.as_ptr().addr().wrapping_sub(self.blocks.as_ptr().addr())
    }

    /// The block of this index, which must be below the count.
    pub(super) fn block(&self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.count, "a free list holds indices of blocks alone");
        // SAFETY: the index is below the count, so the block lies within the mapping.
        unsafe { self.blocks.add(index as usize * self.block.size()) }
    }

    /// The index of `block`, which must be the start of one.
    pub(super) fn index(&self, block: NonNull<u8>) -> u32 {
        self.divisor.quotient(self.offset(block))
    }

    /// The same address with the right to the whole block. A caller's pointer may have been narrowed to what it asked
    /// for, and the block's next user may ask for more.
    #[inline(always)]
    pub(super) fn whole(&self, block: NonNull<u8>) -> NonNull<u8> {
        let whole = self.blocks.as_ptr().with_addr(block.as_ptr().addr());
        // SAFETY: it has the address of `block`, which is not null.
        unsafe { NonNull::new_unchecked(whole) }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // SAFETY: the mapping came from `pages::map` with this length and is given back once. `&mut self` shows that no
        // borrow of magazines or links is left; blocks are borrowed from the pool, which is going as well.
        unsafe { pages::unmap(self.start, self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_disjoint_and_found_by_index() {
        for (size, align) in [(1, 1), (24, 8), (100, 64), (4096, 4096), (1, 1 << 16)] {
            let storage = Storage::new(Layout::from_size_align(size, align).unwrap(), 5).unwrap();
            let step = storage.block_layout().size();
            assert!(step >= size);
            for index in 0..5 {
                let block = storage.block(index);
                assert!(block.as_ptr().addr().is_multiple_of(align));
                assert_eq!(block.as_ptr().addr(), storage.block(0).as_ptr().addr() + index as usize * step);
                assert_eq!(storage.index(block), index);
                assert!(storage.contains(block) && storage.is_start(block));
            }
        }
    }

    #[test]
    fn addresses_beside_the_blocks_are_not_contained() {
        let storage = Storage::new(Layout::new::<u64>(), 3).unwrap();
        let (first, last) = (storage.block(0), storage.block(2));
        // SAFETY: the links lie before the blocks in the same mapping.
        assert!(!storage.contains(unsafe { first.sub(1) }));
        // SAFETY: the end of the last block is at most the end of the mapping.
        assert!(!storage.contains(unsafe { last.add(8) }));
        // SAFETY: within the last block.
        assert!(!storage.is_start(unsafe { last.add(1) }));
    }

    #[test]
    fn more_than_the_indices_can_number_is_refused() {
        assert!(Storage::new(Layout::new::<u64>(), u32::MAX as usize).is_err());
        assert!(Storage::new(Layout::new::<u64>(), usize::MAX / 4).is_err());
        assert!(Storage::new(Layout::from_size_align(1 << 33, 8).unwrap(), 1).is_err());
    }
}
