//! Marks in free blocks, by which debug builds notice a second free and a write after the free. Nothing in release.

use super::block::Block;
#[cfg(debug_assertions)]
use super::fault;

/// Differs from block to block, so that content copied from a freed block is not mistaken for a mark.
#[cfg(debug_assertions)]
fn of(block: *mut Block) -> *mut Block {
    std::ptr::without_provenance_mut(block.addr() ^ 0x5AB5_F4EE_DB10_C4ED_u64 as usize)
}

/// Whether `block`, a block of a span, is marked as free. Not where free blocks are poisoned: it may be live, and reading the
/// mark poisons it.
#[cfg(all(debug_assertions, not(allocmark_poison)))]
pub(super) fn is_set(block: *mut Block) -> bool {
    // SAFETY: the callers pass a block that is mapped.
    unsafe { Block::second(block) == of(block) }
}

/// Marks `block`, which nobody uses, as free; ends the process if it is free already.
#[inline]
pub(super) fn set(block: *mut Block) {
    #[cfg(debug_assertions)]
    {
        // SAFETY: the callers pass a block that is mapped and that nobody uses.
        unsafe {
            if Block::second(block) == of(block) {
                fault::die(block.addr(), "freed twice");
            }
            Block::set_second(block, of(block));
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = block;
}

/// Puts the mark back where a message link had replaced it.
#[inline]
pub(super) fn restore(block: *mut Block) {
    #[cfg(debug_assertions)]
    {
        // SAFETY: the callers pass a free block that they own.
        unsafe { Block::set_second(block, of(block)) };
    }
    #[cfg(not(debug_assertions))]
    let _ = block;
}

/// Takes the mark from `block`, which leaves the free list; ends the process if it was overwritten.
#[inline]
pub(super) fn check_and_clear(block: *mut Block) {
    #[cfg(debug_assertions)]
    {
        // SAFETY: the callers pass a block of a free list.
        unsafe {
            if Block::second(block) != of(block) {
                fault::die(block.addr(), "written to after it was freed");
            }
            Block::set_second(block, std::ptr::null_mut());
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = block;
}
