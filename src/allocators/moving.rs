//! What allocators that leave blocks where they are do when that is not possible: copy to a new block.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

/// A new block of `new` with the content of `block` that fits both. The old block is left as it is.
///
/// # Errors
/// Those of `allocate`; then nothing has changed.
///
/// # Safety
/// `block` is a live block of `allocator` with the layout `old`.
#[inline]
pub(crate) unsafe fn copy(
    allocator: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let copy = allocator.allocate(new)?;
    let bytes = if old.size() < new.size() { old.size() } else { new.size() };
    // SAFETY: both hold `bytes` bytes, and are disjoint as both are in use.
    unsafe { ptr::copy_nonoverlapping(block.as_ptr(), copy.cast().as_ptr(), bytes) };
    Ok(copy)
}

/// `grow` of `allocator`, with what is new cleared.
///
/// # Errors
/// Those of `grow`.
///
/// # Safety
/// As for [`Allocator::grow_zeroed`].
#[inline]
pub(crate) unsafe fn grow_zeroed(
    allocator: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    // SAFETY: the caller keeps the promises of `grow_zeroed`, which are those of `grow`.
    let grown = unsafe { allocator.grow(block, old, new)? };
    // SAFETY: the block has `new.size()` bytes; those from `old.size()` on, of which there are not fewer, are cleared.
    unsafe { ptr::write_bytes(grown.cast::<u8>().as_ptr().add(old.size()), 0, new.size() - old.size()) };
    Ok(grown)
}
