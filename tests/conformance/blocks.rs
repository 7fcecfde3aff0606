//! Blocks with a pattern in them, so that an overlap or a lost byte shows.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::slice;

use allocator_api2::alloc::{AllocError, Allocator};

/// A live block, filled with bytes that follow from its seed.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) start: NonNull<u8>,
    pub(crate) layout: Layout,
    seed: u8,
}

fn pattern(seed: u8, index: usize) -> u8 {
    seed ^ (index as u8).wrapping_mul(31)
}

impl Block {
    pub(crate) fn new(allocator: &dyn Allocator, layout: Layout, seed: u8) -> Result<Self, AllocError> {
        let mut block = Self { start: allocator.allocate(layout)?.cast(), layout, seed };
        block.assert_aligned();
        block.fill(0);
        Ok(block)
    }

    pub(crate) fn zeroed(allocator: &dyn Allocator, layout: Layout, seed: u8) -> Result<Self, AllocError> {
        let mut block = Self { start: allocator.allocate_zeroed(layout)?.cast(), layout, seed };
        block.assert_aligned();
        assert!(block.bytes().iter().all(|&byte| byte == 0), "{layout:?} is cleared");
        block.fill(0);
        Ok(block)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is live, ours, and of this length; whoever made it has filled or cleared it.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }

    fn assert_aligned(&self) {
        assert!(self.start.as_ptr().addr().is_multiple_of(self.layout.align()), "{self:?} is aligned");
    }

    fn fill(&mut self, from: usize) {
        for index in from..self.layout.size() {
            // SAFETY: within the block.
            unsafe { self.start.add(index).write(pattern(self.seed, index)) };
        }
    }

    pub(crate) fn assert_intact(&mut self) {
        let (seed, layout) = (self.seed, self.layout);
        let wrong = self.bytes().iter().enumerate().position(|(index, &byte)| byte != pattern(seed, index));
        assert_eq!(wrong, None, "the content of {layout:?} is as it was written");
    }

    pub(crate) fn grow(&mut self, allocator: &dyn Allocator, new: Layout) -> Result<(), AllocError> {
        // SAFETY: live, of this layout, and the caller passes one that is not smaller.
        let grown = unsafe { allocator.grow(self.start, self.layout, new)? };
        let old = std::mem::replace(&mut self.layout, new).size();
        self.start = grown.cast();
        self.assert_aligned();
        self.fill(old);
        self.assert_intact();
        Ok(())
    }

    pub(crate) fn grow_zeroed(&mut self, allocator: &dyn Allocator, new: Layout) -> Result<(), AllocError> {
        // SAFETY: as in `grow`.
        let grown = unsafe { allocator.grow_zeroed(self.start, self.layout, new)? };
        let old = std::mem::replace(&mut self.layout, new).size();
        self.start = grown.cast();
        self.assert_aligned();
        assert!(self.bytes()[old..].iter().all(|&byte| byte == 0), "what is new is cleared");
        self.fill(old);
        self.assert_intact();
        Ok(())
    }

    pub(crate) fn shrink(&mut self, allocator: &dyn Allocator, new: Layout) -> Result<(), AllocError> {
        // SAFETY: live, of this layout, and the caller passes one that is not larger.
        let shrunk = unsafe { allocator.shrink(self.start, self.layout, new)? };
        self.start = shrunk.cast();
        self.layout = new;
        self.assert_aligned();
        self.assert_intact();
        Ok(())
    }

    pub(crate) fn free(mut self, allocator: &dyn Allocator) {
        self.assert_intact();
        // SAFETY: live, of this layout, and given up here.
        unsafe { allocator.deallocate(self.start, self.layout) };
    }
}
