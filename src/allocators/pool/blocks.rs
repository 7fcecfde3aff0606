//! The memory of all pools: one mapping with what a pool keeps about its blocks in front, and then the blocks.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::AllocError;

use super::misuse;
use crate::allocators::arithmetic::{ExactDivisor, round_up};
use crate::allocators::{canary, pages, poison};

/// Blocks smaller than this would be half administration: a free one costs a pool 4 to 8 bytes.
const SMALLEST_BLOCK: usize = 8;
/// Numbers above this are left to the pools, for marks in place of an index.
const MOST_BLOCKS: usize = u32::MAX as usize - 16;

/// Room behind each block for its canary, in builds that have them.
const GUARD: usize = if canary::is_kept() { canary::MOST } else { 0 };

/// A fixed number of blocks of one layout, and room in front of them. Which blocks are in use is the pool's matter.
#[derive(Debug)]
pub(in crate::allocators) struct Blocks {
    /// The first block, aligned for blocks; its provenance is that of `start`.
    blocks: NonNull<u8>,
    /// `count * stride`: how much after `blocks` is blocks.
    block_bytes: usize,
    /// The layout of a block, its size a multiple of its alignment: from 8 to `u32::MAX` bytes.
    layout: Layout,
    /// From one block to the next: the block's size, and in debug builds a guard's.
    stride: usize,
    /// Divides by `stride`.
    divisor: ExactDivisor,
    /// Number of blocks; at most `MOST_BLOCKS`.
    count: u32,
    /// Start of the mapping, page-aligned, with the right to all of it; ours until drop.
    start: NonNull<u8>,
    /// Length of the mapping in whole pages.
    bytes: usize,
    /// The id of the pool, for messages.
    pool: &'static str,
}

// SAFETY: the mapping belongs to this value and to no thread, and nothing here is written after construction; the
// contents of blocks and of the room in front are the pool's to share or not.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

impl Blocks {
    /// Maps room for `count` blocks of `layout` and `front` bytes before them, for the pool with the id `pool`. Nothing is
    /// touched: memory is used as blocks are.
    pub(in crate::allocators) fn new(
        pool: &'static str,
        layout: Layout,
        count: usize,
        front: usize,
    ) -> Result<Self, AllocError> {
        let size = round_up(layout.size().max(SMALLEST_BLOCK), layout.align()).ok_or(AllocError)?;
        let layout = Layout::from_size_align(size, layout.align()).map_err(|_| AllocError)?;
        let stride =
            size.checked_add(GUARD).and_then(|sum| round_up(sum, layout.align())).ok_or(AllocError)?;
        let divisor = ExactDivisor::new(u32::try_from(stride).map_err(|_| AllocError)?);
        if count > MOST_BLOCKS {
            return Err(AllocError);
        }

        let block_bytes = stride.checked_mul(count).ok_or(AllocError)?;
        // The slack lets the blocks start at a multiple of their alignment wherever the mapping starts.
        let slack = layout.align() - 1;
        let bytes =
            front.checked_add(slack).and_then(|sum| sum.checked_add(block_bytes)).ok_or(AllocError)?;
        let bytes = round_up(bytes.max(1), pages::page_size()).ok_or(AllocError)?;
        let start = pages::map(bytes).map_err(|_| AllocError)?;

        let address = start.as_ptr().addr();
        // Fits: the slack for exactly this was added to a mapping that exists.
        let first = round_up(address + front, layout.align()).expect("within the mapping");
        // SAFETY: `first - address` is at most `front` and the slack, so it lies within the mapping or at its end.
        let blocks = unsafe { start.add(first - address) };
        let made =
            Self { blocks, block_bytes, layout, stride, divisor, count: count as u32, start, bytes, pool };
        if made.is_poisoned() {
            poison::poison(blocks.as_ptr(), block_bytes);
        }
        Ok(made)
    }

    /// The room in front of the blocks: page-aligned, zeroed at first, as long as it was asked for, there as long as
    /// `self` is.
    #[inline(always)]
    pub(in crate::allocators) fn front(&self) -> NonNull<u8> {
        self.start
    }

    /// The layout of a block.
    #[inline(always)]
    pub(in crate::allocators) fn layout(&self) -> Layout {
        self.layout
    }

    /// How many there are.
    pub(in crate::allocators) fn count(&self) -> u32 {
        self.count
    }

    /// Whether a block serves `layout`.
    #[inline(always)]
    pub(in crate::allocators) fn fits(&self, layout: Layout) -> bool {
        layout.size() <= self.layout.size() && layout.align() <= self.layout.align()
    }

    /// Whether the address is that of a byte of a block.
    #[inline(always)]
    pub(in crate::allocators) fn contains(&self, block: NonNull<u8>) -> bool {
        // One comparison: an address below the first block wraps to a large offset.
        self.offset(block) < self.block_bytes
    }

    /// Whether `block`, which lies in the blocks, is where a block starts.
    pub(in crate::allocators) fn is_start(&self, block: NonNull<u8>) -> bool {
        self.offset(block).is_multiple_of(self.stride)
    }

    #[inline(always)]
    fn offset(&self, block: NonNull<u8>) -> usize {
        block.as_ptr().addr().wrapping_sub(self.blocks.as_ptr().addr())
    }

    /// The block of this index, which must be below the count.
    #[inline(always)]
    pub(in crate::allocators) fn block(&self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.count, "a free list holds indices of blocks alone");
        // SAFETY: the index is below the count, so the block lies within the mapping.
        unsafe { self.blocks.add(index as usize * self.stride) }
    }

    /// The index of `block`, which must be the start of one.
    #[inline(always)]
    pub(in crate::allocators) fn index(&self, block: NonNull<u8>) -> u32 {
        self.divisor.quotient(self.offset(block))
    }

    /// The same address with the right to the whole block. A caller's pointer may have been narrowed to what it asked
    /// for, and the block's next user may ask for more.
    #[inline(always)]
    pub(in crate::allocators) fn whole(&self, block: NonNull<u8>) -> NonNull<u8> {
        let whole = self.blocks.as_ptr().with_addr(block.as_ptr().addr());
        // SAFETY: it has the address of `block`, which is not null.
        unsafe { NonNull::new_unchecked(whole) }
    }

    /// What every pool's `grow` and `shrink` are: each block is as large as the largest, so it stays where it is, or is
    /// refused.
    ///
    /// # Errors
    /// [`AllocError`] when `new` does not fit into a block.
    ///
    /// # Safety
    /// `block` is the start of a block in use with the layout `old`.
    pub(in crate::allocators) unsafe fn resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if !self.fits(new) {
            return Err(AllocError);
        }
        let block = self.whole(block);
        self.check_guard(block, old.size());
        self.guard(block, new.size());
        self.open(block, new.size());
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }

    /// [`resize`](Self::resize) to a size that is not smaller, clearing what is new.
    ///
    /// # Errors
    /// As of [`resize`](Self::resize).
    ///
    /// # Safety
    /// As of [`resize`](Self::resize), and `new` is not smaller than `old`.
    pub(in crate::allocators) unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise, word for word.
        let grown = unsafe { self.resize(block, old, new)? };
        // SAFETY: the block holds `new.size()` bytes, of which those from `old.size()` on are cleared; the caller
        // promises that the new size is not smaller.
        unsafe { ptr::write_bytes(grown.cast::<u8>().as_ptr().add(old.size()), 0, new.size() - old.size()) };
        Ok(grown)
    }

    /// Whether free blocks are poisoned: not where two blocks share a granule, which the sanitizer cannot describe.
    fn is_poisoned(&self) -> bool {
        let shared = |at: usize| !at.is_multiple_of(poison::GRANULE);
        !shared(self.blocks.as_ptr().addr()) && !shared(self.stride)
    }

    /// Of `block`, which its user has, the first `used` bytes may be touched.
    #[inline(always)]
    pub(in crate::allocators) fn open(&self, block: NonNull<u8>, used: usize) {
        if cfg!(allocmark_poison) && self.is_poisoned() {
            poison::bound(block.as_ptr(), used, self.stride);
        }
    }

    /// Nobody may touch `block`, which is free.
    #[inline(always)]
    pub(in crate::allocators) fn close(&self, block: NonNull<u8>) {
        self.open(block, 0);
    }

    /// Looks after the bytes behind the first `size` of `block`, which is handed out now. Debug builds only.
    #[inline(always)]
    pub(in crate::allocators) fn guard(&self, block: NonNull<u8>, size: usize) {
        // SAFETY: `size` is at most the block's, and its stride ends before the next block. The block is being handed out
        // with `size` bytes, so nobody else uses those behind.
        unsafe { canary::set(block.as_ptr(), size, self.stride) };
    }

    /// Ends the process if the bytes behind the first `size` of `block` are not as [`guard`](Self::guard) left them.
    #[inline(always)]
    pub(in crate::allocators) fn check_guard(&self, block: NonNull<u8>, size: usize) {
        // Longer than a block: the layout is not the one that the block was made with.
        let fits = size <= self.layout.size();
        // SAFETY: what `guard` has set.
        if GUARD > 0 && !(fits && unsafe { canary::is_intact(block.as_ptr(), size, self.stride) }) {
            self.stop("freed a block that was written past its end, or with another layout than its own");
        }
    }

    /// Ends the process unless `block` lies in the blocks. Its owner is wrong in any build, so it is looked at in any.
    #[inline(always)]
    pub(in crate::allocators) fn check_owned(&self, block: NonNull<u8>) {
        if !self.contains(block) {
            self.stop("freed a block of another allocator");
        }
    }

    /// Ends the process unless `block`, which lies in the blocks, is the start of one that `is_live` by the pool's marks.
    pub(in crate::allocators) fn check_live(&self, block: NonNull<u8>, is_live: impl FnOnce(u32) -> bool) {
        if !self.is_start(block) {
            self.stop("freed a pointer into the middle of a block");
        }
        if !is_live(self.index(block)) {
            self.stop("freed a block that was not in use, so probably twice");
        }
    }

    #[cold]
    #[inline(never)]
    fn stop(&self, what: &str) -> ! {
        misuse::stop(self.pool, what)
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: the mapping came from `pages::map` with this length and is given back once. `&mut self` shows that no
        // borrow of the room in front is left; blocks are borrowed from the pool, which is going as well.
        unsafe { pages::unmap(self.start, self.bytes) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn blocks(layout: Layout, count: usize, front: usize) -> Result<Blocks, AllocError> {
        Blocks::new("test", layout, count, front)
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_found_by_index() {
        for (size, align) in [(1, 1), (24, 8), (100, 64), (4096, 4096), (1, 1 << 16)] {
            for front in [0, 100, 4096] {
                let blocks = blocks(Layout::from_size_align(size, align).unwrap(), 5, front).unwrap();
                let step = blocks.layout().size();
                assert!(step >= size);
                for index in 0..5 {
                    let block = blocks.block(index);
                    assert!(block.as_ptr().addr().is_multiple_of(align));
                    assert!(block.as_ptr().addr() >= blocks.front().as_ptr().addr() + front);
                    assert!(
                        index == 0 || block.as_ptr().addr() >= blocks.block(index - 1).as_ptr().addr() + step
                    );
                    assert_eq!(blocks.index(block), index);
                    assert!(blocks.contains(block) && blocks.is_start(block));
                }
            }
        }
    }

    #[test]
    fn addresses_beside_the_blocks_are_not_contained() {
        let blocks = blocks(Layout::new::<u64>(), 3, 64).unwrap();
        let (first, last) = (blocks.block(0), blocks.block(2));
        // SAFETY: the room in front lies before the blocks in the same mapping.
        assert!(!blocks.contains(unsafe { first.sub(1) }));
        // SAFETY: the end of the last block is at most the end of the mapping.
        assert!(!blocks.contains(unsafe { last.add(blocks.stride) }));
        // SAFETY: within the last block.
        assert!(!blocks.is_start(unsafe { last.add(1) }));
    }

    #[test]
    fn no_blocks_at_all_are_possible() {
        assert_eq!(blocks(Layout::new::<u8>(), 0, 0).unwrap().count(), 0);
    }

    #[test]
    fn more_than_the_indices_can_number_is_refused() {
        assert!(blocks(Layout::new::<u64>(), u32::MAX as usize, 0).is_err());
        assert!(blocks(Layout::new::<u64>(), usize::MAX / 4, 0).is_err());
        assert!(blocks(Layout::new::<u64>(), 1, usize::MAX).is_err());
        assert!(blocks(Layout::from_size_align(1 << 33, 8).unwrap(), 1, 0).is_err());
    }
}
