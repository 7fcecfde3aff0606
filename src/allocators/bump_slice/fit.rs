//! Where a block fits between two addresses: arithmetic apart from the memory it is about.

#![forbid(unsafe_code)]

use core::alloc::Layout;
use core::ops::Range;

/// Sizes and alignments below this are placed without a check for overflow. Where the layout is a constant, as it is in
/// most programs, the test for it folds away; where it is not, it costs three instructions, and of blocks beyond 32 KiB
/// no program makes so many that the longer way shows.
const SMALL: usize = 1 << 15;

/// The highest end of a slice: so far below the end of the address space that a small block past it still has an address.
pub(super) const MOST_END: usize = usize::MAX - 2 * SMALL;

/// The addresses of the first block of `layout` in `next..end`, if it fits: its start is the first multiple of the
/// alignment from `next` on. `next <= end <= MOST_END`.
#[inline(always)]
pub(super) const fn fit(next: usize, end: usize, layout: Layout) -> Option<Range<usize>> {
    debug_assert!(next <= end && end <= MOST_END);
    let mask = layout.align() - 1;
    if (layout.size() | mask) < SMALL {
        // Neither sum reaches the end of the address space: each adds less than `SMALL` to `MOST_END` at most.
        let start = (next + mask) & !mask;
        let block = start..start + layout.size();
        if block.end <= end { Some(block) } else { None }
    } else {
        fit_large(next, end, layout)
    }
}

/// [`fit`] where the sums may overflow.
const fn fit_large(next: usize, end: usize, layout: Layout) -> Option<Range<usize>> {
    let mask = layout.align() - 1;
    let Some(sum) = next.checked_add(mask) else { return None };
    let start = sum & !mask;
    if start <= end && layout.size() <= end - start { Some(start..start + layout.size()) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in numbers that cannot overflow.
    fn expected(next: usize, end: usize, layout: Layout) -> Option<Range<usize>> {
        let start = (next as u128).next_multiple_of(layout.align() as u128);
        let last = start + layout.size() as u128;
        (last <= end as u128).then_some(start as usize..last as usize)
    }

    /// Mostly near the two ends of the address space and near its middle, where sums change sign.
    fn address() -> impl Strategy<Value = usize> {
        prop_oneof![
            0..1_usize << 17,
            isize::MAX as usize - (1 << 17)..isize::MAX as usize + (1 << 17),
            MOST_END - (1 << 17)..=MOST_END,
            0..=MOST_END,
        ]
    }

    fn layout() -> impl Strategy<Value = Layout> {
        let size = prop_oneof![0..200_usize, SMALL - 9..SMALL + 9, 0..=isize::MAX as usize];
        (size, 0..usize::BITS - 1)
            .prop_map(|(size, shift)| Layout::from_size_align(size, 1 << shift))
            .prop_filter_map("a layout", Result::ok)
    }

    proptest! {
        #[test]
        fn a_block_starts_at_the_first_address_that_is_aligned_and_is_refused_only_if_it_does_not_fit(
            (one, other, layout) in (address(), address(), layout())
        ) {
            let (next, end) = (one.min(other), one.max(other));
            prop_assert_eq!(fit(next, end, layout), expected(next, end, layout));
        }

        #[test]
        fn near_the_end_of_the_room_it_is_the_same(
            (next, room, layout) in (address(), 0..400_usize, layout())
        ) {
            let end = next.saturating_add(room).min(MOST_END);
            prop_assert_eq!(fit(next, end, layout), expected(next, end, layout));
        }
    }

    #[test]
    fn the_last_byte_can_be_had_and_one_more_cannot() {
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        assert_eq!(fit(1, 24, layout(16)), Some(8..24));
        assert_eq!(fit(1, 24, layout(17)), None);
        assert_eq!(fit(MOST_END - 20, MOST_END, layout(SMALL)), None);
    }
}
