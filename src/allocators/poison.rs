//! Tells AddressSanitizer which bytes of our own memory nobody may touch now. Nothing in other builds.
//!
//! The sanitizer knows the blocks of the system's malloc, and nothing inside memory that was mapped. With
//! `cfg(allocmark_poison)`, which `scripts/sanitize.sh` sets together with `-Zsanitizer=address`, our allocators keep one rule:
//! **a byte that is in no live block is poisoned**, and of a live block only the bytes that were asked for are not.
//!
//! ```text
//!   block of 64, 41 asked for:   | 41 usable             | 23 poisoned: an overrun is found |
//!   free block:                  | poisoned: a use after the free is found                  |
//!   not handed out yet, or released by a reset:            poisoned
//! ```
//!
//! What is not seen: a use after the free once the block was handed out again (there is no quarantine, which would be
//! another allocator than the one under test); an overrun within the last 8 bytes' granule where the next block shares it
//! (pools whose block size is no multiple of 8 are not poisoned at all); what another thread does to the two words of a
//! free block that hold the allocator's links, in the instant in which the allocator uses them.

#[cfg(allocmark_poison)]
unsafe extern "C" {
    fn __asan_poison_memory_region(start: *const std::ffi::c_void, bytes: usize);
    fn __asan_unpoison_memory_region(start: *const std::ffi::c_void, bytes: usize);
}

/// The granule of the sanitizer's book-keeping: of each 8 bytes it knows how many of the first may be touched.
pub(crate) const GRANULE: usize = 8;

/// Nobody may touch these bytes from now on.
#[inline(always)]
pub(crate) fn poison(start: *mut u8, bytes: usize) {
    // SAFETY: it changes the sanitizer's record of these addresses, and no memory of the program.
    #[cfg(allocmark_poison)]
    unsafe {
        __asan_poison_memory_region(start.cast(), bytes);
    }
    #[cfg(not(allocmark_poison))]
    let _ = (start, bytes);
}

/// These bytes may be touched again.
#[inline(always)]
pub(crate) fn unpoison(start: *mut u8, bytes: usize) {
    // SAFETY: as in `poison`.
    #[cfg(allocmark_poison)]
    unsafe {
        __asan_unpoison_memory_region(start.cast(), bytes);
    }
    #[cfg(not(allocmark_poison))]
    let _ = (start, bytes);
}

/// Of the `whole` bytes from `start` on, the first `used` may be touched and the others not.
#[inline(always)]
pub(crate) fn bound(start: *mut u8, used: usize, whole: usize) {
    unpoison(start, used);
    poison(start.wrapping_add(used), whole.saturating_sub(used));
}
