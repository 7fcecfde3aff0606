//! Where things lie: segments, slices, and bitmaps of slices. Arithmetic only, nothing here touches memory.

#![forbid(unsafe_code)]

/// What is mapped at a time, and the alignment of a mapping, so that masking a block's address finds its header.
/// 4 MiB is 64 slices, so one word holds a bit for each, and two huge pages. A smaller segment would call the kernel
/// more often and could not hold blocks of megabytes; a larger one costs each thread more address space.
pub(super) const SEGMENT: usize = 4 << 20;

/// The granule in which a segment is handed to spans. 64 KiB holds eight blocks of 8 KiB and is a multiple of every
/// kernel page size in use, so a slice's memory can be given back on its own.
pub(super) const SLICE: usize = 64 << 10;

/// Slices of a segment.
pub(super) const SLICES: usize = SEGMENT / SLICE;

/// All slices but the first, which holds the segment's header.
pub(super) const USABLE: u64 = !1;

/// The segment in which `address` lies.
#[inline]
pub(super) const fn segment_of(address: usize) -> usize {
    address & !(SEGMENT - 1)
}

/// The slice of its segment in which `address` lies: less than [`SLICES`].
#[inline]
pub(super) const fn slice_of(address: usize) -> usize {
    (address & (SEGMENT - 1)) / SLICE
}

/// The bits of `count` slices from `start` on, where `start + count` is at most 64.
pub(super) const fn mask(start: u32, count: u32) -> u64 {
    let ones = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
    ones << start
}

/// The lowest run of `count` set bits.
pub(super) const fn find_run(bits: u64, count: u32) -> Option<u32> {
    // After each round, bit i of `starts` says that `length` set bits begin at i.
    let (mut starts, mut length) = (bits, 1);
    while length < count && starts != 0 {
        let step = if length < count - length { length } else { count - length };
        starts &= starts >> step;
        length += step;
    }
    if starts == 0 { None } else { Some(starts.trailing_zeros()) }
}

/// The first run of set bits as `(start, count)`, and the bits without it.
pub(super) const fn split_run(bits: u64) -> Option<((u32, u32), u64)> {
    if bits == 0 {
        return None;
    }
    let start = bits.trailing_zeros();
    let count = (!(bits >> start)).trailing_zeros();
    Some(((start, count), bits & !mask(start, count)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn find_run_slowly(bits: u64, count: u32) -> Option<u32> {
        (0..=64 - count).find(|&start| bits & mask(start, count) == mask(start, count))
    }

    #[test]
    fn an_address_is_its_segment_plus_its_slice_plus_less_than_a_slice() {
        for address in [0, 1, SLICE - 1, SLICE, SEGMENT - 1, SEGMENT, 7 * SEGMENT + 5 * SLICE + 3, usize::MAX]
        {
            let rest = address - segment_of(address) - slice_of(address) * SLICE;
            assert!(rest < SLICE && slice_of(address) < SLICES);
            assert_eq!(segment_of(address) % SEGMENT, 0);
        }
    }

    #[test]
    fn the_lowest_run_is_found() {
        let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..2000 {
            // A multiplicative generator; OR-ing two of its outputs makes longer runs.
            bits = bits.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            let sample = bits | bits.rotate_left(23) | bits.rotate_left(7);
            for count in 1..=64 {
                assert_eq!(find_run(sample, count), find_run_slowly(sample, count));
            }
        }
        assert_eq!(find_run(u64::MAX, 64), Some(0));
        assert_eq!(find_run(USABLE, 63), Some(1));
        assert_eq!(find_run(USABLE, 64), None);
        assert_eq!(find_run(0, 1), None);
    }

    #[test]
    fn runs_split_off_one_after_the_other_are_all_the_bits() {
        for bits in [0, 1, USABLE, u64::MAX, 0xF0F0_0000_0000_0001, 1 << 63] {
            let (mut rest, mut seen) = (bits, 0);
            while let Some(((start, count), without)) = split_run(rest) {
                assert_eq!(seen & mask(start, count), 0);
                seen |= mask(start, count);
                rest = without;
            }
            assert_eq!(seen, bits);
        }
    }
}
