//! A canary behind the bytes that were asked for, by which debug builds notice at the free that somebody wrote beyond them.
//! Nothing in release builds, nor where AddressSanitizer watches the same bytes and says who wrote.
//!
//! ```text
//!   block of 64, 41 asked for:   | 41 bytes of the user | 16 bytes of canary | 7 untouched |
//! ```
//!
//! Where a block has no byte to spare there is no canary: what is overrun then is the next block, whose mark, if it is free,
//! may tell.

/// The most bytes of a canary. An overrun begins at the first byte, so few are enough: a write of the widest primitive just
/// past the end is caught whole. The rest of a large block's slack, up to a quarter of it, stays untouched.
pub(super) const MOST: usize = 16;

/// Whether this build has canaries.
pub(super) const fn is_kept() -> bool {
    cfg!(all(debug_assertions, not(allocmark_poison)))
}

/// Differs from address to address, so that a canary which was copied from elsewhere is none.
fn byte_at(address: usize) -> u8 {
    0xC5 ^ (address as u8).wrapping_mul(31)
}

fn places(block: *mut u8, used: usize, whole: usize) -> impl Iterator<Item = *mut u8> {
    (used..whole).take(MOST).map(move |at| block.wrapping_add(at))
}

/// Puts a canary behind the first `used` bytes of a block of `whole` bytes.
///
/// # Safety
/// `block` may be written to for `whole` bytes, and its user does not use those from `used` on.
#[inline(always)]
pub(super) unsafe fn set(block: *mut u8, used: usize, whole: usize) {
    if is_kept() {
        // SAFETY: places within the block, as the caller says.
        places(block, used, whole).for_each(|place| unsafe { place.write(byte_at(place.addr())) });
    }
}

/// Whether the canary is as it was [`set`]. Always, where there is none.
///
/// # Safety
/// `set` was called with these arguments.
#[inline(always)]
pub(super) unsafe fn is_intact(block: *mut u8, used: usize, whole: usize) -> bool {
    // SAFETY: places that `set` has written.
    !is_kept() || places(block, used, whole).all(|place| unsafe { place.read() } == byte_at(place.addr()))
}

#[cfg(all(test, debug_assertions, not(allocmark_poison)))]
mod tests {
    use super::*;

    #[test]
    fn a_canary_notices_each_of_its_bytes_and_no_other() {
        let mut memory = [0_u8; 64];
        let block = memory.as_mut_ptr();
        for used in [0, 41, 63, 64] {
            for at in 0..64 {
                // SAFETY: within the array.
                unsafe {
                    set(block, used, 64);
                    *block.add(at) ^= 1;
                    let of_canary = (used..used + MOST).contains(&at);
                    assert_eq!(is_intact(block, used, 64), !of_canary, "{used} used, {at} written");
                }
            }
        }
    }
}
