//! Writes beyond a block's size, noticed by debug builds when the block is freed or reallocated: a canary in what its class
//! has more than was asked for. For blocks of `GlobalAlloc` alone. Nothing in release builds, nor where AddressSanitizer
//! watches these bytes.

use std::alloc::Layout;

use super::class::Class;
use crate::allocators::sync::{AtomicBool, Ordering::Relaxed};
use crate::allocators::{canary, pages};

/// Somebody asked how much a block can hold, and may use it all from then on: no canary means anything any more. For the
/// whole process, because nothing in a block that its user may write could say so of the block.
static ASKED: AtomicBool = AtomicBool::new(false);

/// The bytes from a block's begin that exist: of a huge one its pages.
fn whole(layout: Layout) -> usize {
    // Does not overflow: the mapping has these pages, or there is no block.
    Class::of(layout).map_or_else(|| layout.size().next_multiple_of(pages::PAGE), |class| class.shape().block)
}

/// Sets the canary of a block that was allocated just now, or of none.
#[inline(always)]
pub(super) fn set(block: *mut u8, layout: Layout) -> *mut u8 {
    if cfg!(debug_assertions) && !block.is_null() {
        // SAFETY: a block of this layout has so many bytes, and its user was told of no more than the layout's.
        unsafe { canary::set(whole_block(block), layout.size(), whole(layout)) };
    }
    block
}

/// Ends the process if the canary of `block` was overwritten.
///
/// # Safety
/// `block` is a live block of this layout that was [`set`].
#[inline(always)]
pub(super) unsafe fn check(block: *mut u8, layout: Layout) {
    #[cfg(all(debug_assertions, not(allocmark_poison)))]
    {
        // First what would make the rest meaningless: a block that is not ours, of another class, or free.
        match Class::of(layout) {
            Some(class) => {
                super::walker::check_free(block.cast(), class);
                // A second free, which the free itself tells.
                if super::mark::is_set(whole_block(block).cast()) {
                    return;
                }
            }
            None => {
                // SAFETY: it makes sure that this is a live huge block before it reads anything.
                let _ = unsafe { super::huge::usable(block) };
            }
        }
        // SAFETY: as the caller says.
        let intact = unsafe { canary::is_intact(whole_block(block), layout.size(), whole(layout)) };
        // Relaxed: whoever asked, and wrote, came before the block was handed on to be freed.
        if !intact && !ASKED.load(Relaxed) {
            super::fault::die(block.addr(), "written to beyond the size that was asked for");
        }
    }
    #[cfg(not(all(debug_assertions, not(allocmark_poison))))]
    let _ = (block, layout);
}

/// From now on blocks may be written to as far as they go.
pub(super) fn stop_looking() {
    ASKED.store(true, Relaxed);
}

/// The caller's pointer may have the right to the requested size alone.
fn whole_block(block: *mut u8) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(block.addr())
}
