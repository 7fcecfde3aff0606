//! Blocks with a pattern in them, so that an overlap or a lost byte shows. Shared by the conformance tests, the soak and the
//! fuzzer, which include this file.

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

// SAFETY: its bytes are its own, and it is freed through an allocator that the thread has which frees it.
unsafe impl Send for Block {}

/// After so many bytes the pattern repeats itself. A prime, so that content that was moved by a power of two shows.
const PERIOD: usize = 251;

/// The pattern of seed `s` is the `PERIOD` bytes from `s` on. A table, because comparing slices is quick in all builds.
static PATTERNS: [u8; PERIOD + 255] = {
    let mut bytes = [0; PERIOD + 255];
    let mut at = 0;
    while at < bytes.len() {
        // The upper bits of a product with the golden ratio, as in multiplicative hashing (Knuth).
        bytes[at] = ((at as u32).wrapping_mul(0x9E37_79B1) >> 24) as u8;
        at += 1;
    }
    bytes
};

fn pattern(seed: u8) -> &'static [u8] {
    &PATTERNS[seed.into()..][..PERIOD]
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(PERIOD).all(|part| part == &[0; PERIOD][..part.len()])
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
        assert!(is_zero(block.bytes()), "{layout:?} is cleared");
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
        let (pattern, size) = (pattern(self.seed), self.layout.size());
        let mut at = from;
        while at < size {
            let part = &pattern[at % PERIOD..];
            let count = part.len().min(size - at);
            // SAFETY: within the block, which nobody else refers to; the part is at least as long as `count`.
            unsafe { self.start.add(at).copy_from_nonoverlapping(NonNull::from(part).cast(), count) };
            at += count;
        }
    }

    pub(crate) fn assert_intact(&mut self) {
        let (seed, layout) = (self.seed, self.layout);
        let intact = |part: &[u8]| part == &pattern(seed)[..part.len()];
        let wrong = self.bytes().chunks(PERIOD).position(|part| !intact(part));
        assert_eq!(wrong, None, "the content of {layout:?} is as it was written, in parts of {PERIOD} bytes");
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
        assert!(is_zero(&self.bytes()[old..]), "what is new is cleared");
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
