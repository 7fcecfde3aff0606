//! A block that nobody uses, as the allocator sees it: two links.

use crate::allocators::poison;

/// A block that is free, or on its way to its owner. Its address is a multiple of 16.
///
/// Its words are reached through the functions below alone: all of a free block is poisoned, where that is done, but for the
/// time of such an access.
#[repr(C)]
pub(super) struct Block {
    next: *mut Block,
    second: *mut Block,
}

/// # Safety
/// Of each of these: `block` is mapped, large enough for a `Block`, and nobody but the caller uses it.
impl Block {
    /// The next block of the list.
    #[inline(always)]
    pub(super) unsafe fn next(block: *mut Self) -> *mut Self {
        // SAFETY: as the caller says.
        Self::open(block, || unsafe { (*block).next })
    }

    /// Makes `next` the next block of the list.
    #[inline(always)]
    pub(super) unsafe fn set_next(block: *mut Self, next: *mut Self) {
        // SAFETY: as the caller says.
        Self::open(block, || unsafe { (*block).next = next });
    }

    /// In the last block of a message: the next message. In debug builds otherwise a mark that says "free".
    #[inline(always)]
    pub(super) unsafe fn second(block: *mut Self) -> *mut Self {
        // SAFETY: as the caller says.
        Self::open(block, || unsafe { (*block).second })
    }

    /// Writes what [`second`](Self::second) reads.
    #[inline(always)]
    pub(super) unsafe fn set_second(block: *mut Self, second: *mut Self) {
        // SAFETY: as the caller says.
        Self::open(block, || unsafe { (*block).second = second });
    }

    #[inline(always)]
    fn open<T>(block: *mut Self, access: impl FnOnce() -> T) -> T {
        poison::unpoison(block.cast(), size_of::<Self>());
        let result = access();
        poison::poison(block.cast(), size_of::<Self>());
        result
    }
}
