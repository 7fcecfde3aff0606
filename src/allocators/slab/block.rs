//! A block that nobody uses, as the allocator sees it: two links.

/// A block that is free, or on its way to its owner. Its address is a multiple of 16.
#[repr(C)]
pub(super) struct Block {
    /// The next block of the list.
    pub(super) next: *mut Block,
    /// In the last block of a message: the next message. In debug builds otherwise a mark that says "free".
    pub(super) second: *mut Block,
}
