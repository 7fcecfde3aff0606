//! Address arithmetic of the allocators, apart from the memory it is about: plain numbers in, plain numbers out.
//!
//! Sizes and alignments are those of a [`Layout`](std::alloc::Layout): the alignment is a power of two and the size,
//! rounded up to it, fits `isize`. Several sums below cannot overflow because of exactly that.

#![forbid(unsafe_code)]

use std::alloc::Layout;

/// The smallest multiple of `align` that is not below `value`, if there is one. `align` is a power of two.
pub(crate) const fn round_up(value: usize, align: usize) -> Option<usize> {
    debug_assert!(align.is_power_of_two());
    match value.checked_add(align - 1) {
        Some(sum) => Some(sum & !(align - 1)),
        None => None,
    }
}

/// [`round_up`] for a `value` of at most `isize::MAX` and an `align` of at most half the address space, where the sum
/// cannot overflow.
#[inline(always)]
pub(crate) const fn round_up_small(value: usize, align: usize) -> usize {
    debug_assert!(value <= isize::MAX as usize && align.is_power_of_two());
    (value + (align - 1)) & !(align - 1)
}

/// Where a block of `layout` lies that begins as early as it may in the free bytes `from..to` after the address `base`: how
/// far behind `base` it starts, and how far behind `base` the next block may start. Its size is rounded up to `step`, a
/// power of two that `base` and `from` are multiples of, and that is the alignment of all blocks that ask for no more.
///
/// `from <= to`, and `base + to` is at most `isize::MAX`. Then no sum in here overflows: the alignment is at most half the
/// address space, and the size, rounded up to it, at most `isize::MAX`.
#[inline(always)]
pub(crate) const fn place(
    base: usize,
    from: usize,
    to: usize,
    layout: Layout,
    step: usize,
) -> Option<(usize, usize)> {
    debug_assert!(from <= to && (base + from).is_multiple_of(step));
    let skip =
        if layout.align() <= step { 0 } else { round_up_small(base + from, layout.align()) - (base + from) };
    let bytes = round_up_small(layout.size(), step);
    let room = to - from;
    if room < skip || room - skip < bytes { None } else { Some((from + skip, from + skip + bytes)) }
}

/// Division of multiples by a divisor that is known only at run time, without the division: one multiplication.
///
/// A 64-bit division costs 10 to 40 cycles; a block's index is needed for each block that goes back to a shared list.
///
/// With `m = floor(2^64 / d) + 1` we have `d * m = 2^64 + e`, `0 < e <= d`. For a multiple `x = k * d` that gives
/// `x * m = k * 2^64 + k * e`, whose upper half is `k` as long as `k * e < 2^64`: true for `k` and `d` below `2^32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExactDivisor {
    multiplier: u64,
}

impl ExactDivisor {
    /// A divisor from 2 to `u32::MAX`.
    pub(crate) const fn new(divisor: u32) -> Self {
        assert!(divisor >= 2, "the multiplier of 1 does not fit 64 bits");
        Self { multiplier: (u64::MAX / divisor as u64) + 1 }
    }

    /// `multiple / divisor`, for a multiple of the divisor that is less than `2^32` times as large.
    #[inline(always)]
    pub(crate) const fn quotient(self, multiple: usize) -> u32 {
        ((multiple as u128 * self.multiplier as u128) >> 64) as u32
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounding_up_stops_at_the_end_of_the_address_space() {
        assert_eq!(round_up(usize::MAX, 1), Some(usize::MAX));
        assert_eq!(round_up(usize::MAX, 2), None);
        assert_eq!(round_up(usize::MAX - 15, 16), Some(usize::MAX - 15));
        assert_eq!(round_up_small(isize::MAX as usize, 1 << (usize::BITS - 1)), 1 << (usize::BITS - 1));
    }

    proptest! {
        #[test]
        fn rounding_up_gives_the_nearest_multiple(value in 0..usize::MAX / 2, shift in 0..32_u32) {
            let align = 1_usize << shift;
            let rounded = round_up(value, align).unwrap();
            prop_assert!(rounded >= value && rounded - value < align && rounded.is_multiple_of(align));
            prop_assert_eq!(rounded, round_up_small(value, align));
        }

        #[test]
        fn a_block_is_placed_where_a_search_step_by_step_finds_room_first(
            (base, from, room) in (0..1_usize << 40, 0..400_usize, 0..400_usize),
            (size, shift) in (0..300_usize, 0..12_u32),
        ) {
            let (base, from) = (base * 8, from * 8);
            let to = from + room;
            let layout = Layout::from_size_align(size, 1 << shift).unwrap();
            // In numbers that cannot overflow.
            let fits = |start: usize| start as u128 + layout.size().next_multiple_of(8) as u128 <= to as u128;
            let mut starts = (from..=to).step_by(8).filter(|start| (base + start).is_multiple_of(layout.align()));
            let found = starts.next().filter(|&start| fits(start)).map(|start| (start, start + size.next_multiple_of(8)));
            prop_assert_eq!(place(base, from, to, layout, 8), found);
        }

        #[test]
        fn no_layout_is_so_large_that_placing_it_overflows(
            (base, from, to) in (0..1_usize << 40, 0..1_usize << 20, 0..1_usize << 20),
            (below, shift) in (0..100_usize, 0..usize::BITS),
        ) {
            let align = 1_usize << shift;
            // The largest size that a layout of this alignment may have, or a little less.
            let most = (isize::MAX as usize) & !(align - 1);
            let layout = Layout::from_size_align(most.saturating_sub(below), align).unwrap();
            let (base, from) = (base * 8, from.min(to) * 8);
            match place(base, from, to * 8, layout, 8) {
                None => {}
                Some((start, end)) => {
                    prop_assert!(start >= from && (base + start).is_multiple_of(align));
                    prop_assert!(end - start >= layout.size() && end <= to * 8);
                }
            }
        }

        #[test]
        fn a_product_divides_back_exactly(index in 0..u32::MAX, divisor in 2..u32::MAX) {
            let divided = ExactDivisor::new(divisor).quotient(index as usize * divisor as usize);
            prop_assert_eq!(divided, index);
        }

        #[test]
        fn powers_of_two_divide_back_exactly(index in 0..u32::MAX, shift in 1..32_u32) {
            let divided = ExactDivisor::new(1 << shift).quotient((index as usize) << shift);
            prop_assert_eq!(divided, index);
        }
    }
}
