//! A live block: how all workloads take one and give it back.

use std::num::NonZeroU32;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::heap::take;
use super::mode::Mode;
use super::sizes::Sizes;

/// A block and its size; [`Slot::EMPTY`] stands for no block.
///
/// No block is empty, as none is that `Box` or `Vec` asks for: so nobody looks for that case inside the clock.
///
/// Sixteen bytes, so that tables of slots take little of the caches that the blocks want.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Where it is; dangling if empty.
    pub block: NonNull<u8>,
    /// Its size in bytes; its layout is [`Sizes::layout`] of it.
    pub size: NonZeroU32,
}

// SAFETY: a slot is an address and a number. To look into the block or to free it is unsafe, and who does so on another
// thread answers for that the allocator is one for all threads and that nobody else uses the block.
unsafe impl Send for Slot {}

impl Slot {
    /// No block.
    pub const EMPTY: Self = Self { block: NonNull::dangling(), size: NonZeroU32::MIN };

    /// Allocates `size` bytes and fills them as `mode` says. The compiler must assume that anybody may look at them.
    #[inline(always)]
    pub fn take<A: Allocator, M: Mode>(allocator: A, size: NonZeroU32, mode: &mut M) -> Self {
        let bytes = size.get() as usize;
        let block = take(allocator, Sizes::layout(bytes));
        // SAFETY: the block has `bytes` bytes and is ours alone.
        unsafe { mode.fill(block, bytes) };
        Self { block: opaque(block), size }
    }

    /// Inspects the block's content as `mode` says.
    ///
    /// # Safety
    /// The slot holds a live block that [`Slot::take`] filled with the same kind of `mode`.
    #[inline(always)]
    pub unsafe fn inspect<M: Mode>(self, mode: &mut M) {
        // SAFETY: `take` filled `size` bytes, and the block is still alive (the caller's promise).
        unsafe { mode.inspect(self.block, self.size.get() as usize) };
    }

    /// Inspects the block, then frees it.
    ///
    /// # Safety
    /// - The slot holds a live block that [`Slot::take`] had from `allocator`, filled with the same kind of `mode`.
    /// - No copy of the slot is used for the block afterwards.
    #[inline(always)]
    pub unsafe fn free<A: Allocator, M: Mode>(self, allocator: A, mode: &mut M) {
        // SAFETY: live and filled (the caller's first promise).
        unsafe { self.inspect(mode) };
        // SAFETY: it came from this allocator with this layout, and is not used again (the caller's promises).
        unsafe { allocator.deallocate(self.block, Sizes::layout(self.size.get() as usize)) };
    }
}

/// Hides where a pointer comes from, so that the compiler cannot remove an allocation that nobody needs.
///
/// `black_box` does that too, but it also makes the compiler store and reload everything in memory, the allocator's and
/// the harness's own state included: about a nanosecond, four times what the rest of a loop over `null` takes.
#[inline(always)]
#[must_use = "only what comes out is hidden"]
#[allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "there is no instruction that could follow the pointer"
)]
pub fn opaque(block: NonNull<u8>) -> NonNull<u8> {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let mut address = block.as_ptr();
        // SAFETY: no instruction: the register comes out as it went in, and neither memory nor stack is touched.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) address, options(nomem, nostack, preserves_flags));
        }
        // SAFETY: the pointer is the one that went in, which is not null.
        unsafe { NonNull::new_unchecked(address) }
    }
    #[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
    std::hint::black_box(block)
}
