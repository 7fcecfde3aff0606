//! The one atomic offset, and the shares that threads cut off the free bytes behind it. Numbers alone: bytes behind the
//! start of the region, which `mod.rs` makes pointers of.
//!
//! # Why no byte is handed out twice
//! At any moment each byte of the region belongs to exactly one of: a block in use, the free part `next..end` of one share,
//! the free rest behind the offset, or what is lost until the reset. Bytes change hands in these ways:
//!
//! - From the rest to a share or to a block, by a compare-exchange of the offset. It succeeds only if the offset is where
//!   the new range begins, so of two threads one gets the range.
//! - Between a share and a block, by the thread whose share it is, which alone changes it: plain stores.
//! - From a block to the share of whoever gives it back, where the block ends at the share's `next`. The caller gives up a
//!   block that is its own, the share is its own, so both ranges are exclusively this thread's, and they adjoin. Nothing
//!   depends on where the block was made: by this thread or another one, in this share or just before it.
//! - From a block back to the rest, by a compare-exchange of the offset from the block's end to its start. It succeeds only
//!   if the rest begins where the block ends.
//!
//! The offset may go up and come down again between the load and the compare-exchange (ABA). That does no harm: success
//! says where the free rest begins *now*, no other fact is concluded from the earlier load, and the other range, the block
//! or the share, is this thread's own all the while.

#![forbid(unsafe_code)]

use std::alloc::Layout;

use crate::allocators::arithmetic::{place, round_up_small};
use crate::allocators::sync::{AtomicUsize, Ordering};

/// Every block starts at a multiple of this, since every size is rounded up to it: the alignment of nearly everything.
pub(super) const STEP: usize = 8;
/// Shares begin and end at a multiple of this, so that no two threads write to one cache line through their small blocks.
pub(super) const LINE: usize = 64;
/// A block larger than one part in this of a share does not come out of one, so that what is left of a share when the next
/// one is taken is at most a quarter.
const LARGE_PARTS: usize = 4;

/// The free bytes that one thread has to itself. All zeroes is a valid one, without any.
///
/// Only the thread that owns the slot changes it. The fields are atomics because others read them for a figure, and because
/// a slot's next owner is another thread. All accesses are relaxed: a thread sees its own stores, and the hand-over of a
/// slot synchronises. 128 bytes: processors fetch lines in pairs.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Share {
    /// Where the next block may start, a multiple of `STEP`.
    next: AtomicUsize,
    /// The end of the free bytes; never below `next`, and at most the capacity.
    end: AtomicUsize,
}

impl Share {
    #[cfg(any(test, loom))]
    pub(super) fn new() -> Self {
        Self { next: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    /// Bytes that its thread can hand out without asking.
    pub(super) fn free(&self) -> usize {
        // Read apart from each other while the thread may be at work, so the difference may be off, but not below zero.
        self.end.load(Ordering::Relaxed).saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// Forgets what is in it.
    ///
    /// Only while nobody uses the region.
    pub(super) fn clear(&self) {
        self.set(0, 0);
    }

    #[inline(always)]
    fn set(&self, next: usize, end: usize) {
        self.next.store(next, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
    }
}

/// On a line of its own: what stands beside it is read at each allocation and never changes.
#[derive(Debug)]
#[repr(align(128))]
struct Shared(AtomicUsize);

/// The region as numbers.
#[derive(Debug)]
pub(super) struct Offset {
    /// The address of the first byte, a multiple of `LINE`. `base + capacity` is at most `isize::MAX`.
    base: usize,
    /// Bytes of the region, a multiple of `LINE`.
    capacity: usize,
    /// Bytes that a share is given at once, a multiple of `LINE`; 0: every block comes from behind the offset.
    share_bytes: usize,
    /// The one offset: where the free rest begins. A multiple of `STEP`, at most `capacity`.
    offset: Shared,
}

impl Offset {
    pub(super) fn new(base: usize, capacity: usize, share_bytes: usize) -> Self {
        debug_assert!(base.is_multiple_of(LINE) && base + capacity <= isize::MAX as usize);
        debug_assert!(capacity.is_multiple_of(LINE) && share_bytes.is_multiple_of(LINE));
        Self { base, capacity, share_bytes, offset: Shared(AtomicUsize::new(0)) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn share_bytes(&self) -> usize {
        self.share_bytes
    }

    /// Bytes before the free rest.
    pub(super) fn taken(&self) -> usize {
        // Relaxed: a figure that stands for itself.
        self.offset.0.load(Ordering::Relaxed)
    }

    /// Makes the whole region the free rest. `&mut`: nobody uses it, and whoever does so later was told of it by something
    /// that synchronises.
    pub(super) fn clear(&mut self) {
        self.offset.0.store(0, Ordering::Relaxed);
    }

    /// A block out of the calling thread's share: where it starts.
    #[inline(always)]
    pub(super) fn place(&self, share: &Share, layout: Layout) -> Option<usize> {
        let (next, end) = (share.next.load(Ordering::Relaxed), share.end.load(Ordering::Relaxed));
        let (start, after) = place(self.base, next, end, layout, STEP)?;
        share.next.store(after, Ordering::Relaxed);
        Some(start)
    }

    /// A block that did not fit into the calling thread's share: out of a share that is made larger or anew, or, if it is
    /// large or the thread has none, from behind the offset.
    pub(super) fn place_slowly(&self, share: Option<&Share>, layout: Layout) -> Option<usize> {
        // Relaxed: where to try. The compare-exchange decides.
        let mut offset = self.offset.0.load(Ordering::Relaxed);
        loop {
            let adjoining = share.filter(|share| share.end.load(Ordering::Relaxed) == offset);
            // A new share, unless the block is large: it would leave little of it, and the rest of the old one is lost.
            let renewed = share.filter(|_| !self.is_large(layout.size() + (layout.align() - 1)));
            let from = match (adjoining, renewed) {
                // The share's free bytes and the free rest are one range.
                (Some(share), _) => share.next.load(Ordering::Relaxed),
                (None, Some(_)) => round_up_small(offset, LINE),
                (None, None) => offset,
            };
            let (start, after) = place(self.base, from, self.capacity, layout, STEP)?;
            let filled = adjoining.or(renewed);
            let to = match filled {
                Some(_) => self.end_of_share(offset, after),
                None => after,
            };
            match self.advance(offset, to) {
                Ok(()) => {
                    if let Some(share) = filled {
                        share.set(after, to);
                    }
                    return Some(start);
                }
                Err(now) => offset = now,
            }
        }
    }

    /// Makes the block that ends at `end` longer where it is, to end at `new_end`; both are multiples of `STEP`, `end` the
    /// smaller. False if what lies behind it is not free.
    #[inline(always)]
    pub(super) fn grow(&self, share: Option<&Share>, end: usize, new_end: usize) -> bool {
        match share.filter(|share| share.next.load(Ordering::Relaxed) == end) {
            Some(share) if new_end <= share.end.load(Ordering::Relaxed) => {
                share.next.store(new_end, Ordering::Relaxed);
                true
            }
            share => self.grow_slowly(share, end, new_end),
        }
    }

    /// As [`grow`](Self::grow), where the block is followed by this share, which has too little, or by none.
    #[cold]
    fn grow_slowly(&self, share: Option<&Share>, end: usize, new_end: usize) -> bool {
        if new_end > self.capacity {
            return false;
        }
        match share {
            Some(share) => {
                let offset = share.end.load(Ordering::Relaxed);
                let to = self.end_of_share(offset, new_end);
                let grown = self.advance(offset, to).is_ok();
                if grown {
                    share.set(new_end, to);
                }
                grown
            }
            None => self.advance(end, new_end).is_ok(),
        }
    }

    /// Gives `from..end` back, which is a block, or its tail. Used again if free bytes follow it, else lost until the reset.
    #[inline(always)]
    pub(super) fn give_back(&self, share: Option<&Share>, from: usize, end: usize) {
        match share {
            Some(share) if share.next.load(Ordering::Relaxed) == end => {
                share.next.store(from, Ordering::Relaxed);
            }
            // A small block came out of some share: the free rest does not follow it. To look would be to read the line
            // that all threads write to.
            _ if self.is_large(end - from) => self.give_back_to_rest(from, end),
            _ => {}
        }
    }

    #[cold]
    fn give_back_to_rest(&self, from: usize, end: usize) {
        // Release: what this thread did to these bytes comes before what their next owner does, who takes them with
        // acquire. Relaxed on failure, which tells nothing. All that ever changes the offset between two resets is a
        // read-modify-write, so an acquire sees all releases before it, whoever came in between.
        let _ = self.offset.0.compare_exchange(end, from, Ordering::Release, Ordering::Relaxed);
    }

    /// Takes `offset..to` out of the free rest, if that begins at `offset`; else says where it does.
    fn advance(&self, offset: usize, to: usize) -> Result<(), usize> {
        // Acquire: pairs with `give_back_to_rest`; earlier owners of these bytes are done with them. Relaxed on failure:
        // only the number is used, and tried again.
        self.offset.0.compare_exchange(offset, to, Ordering::Acquire, Ordering::Relaxed).map(drop)
    }

    /// Where a share ends that is made at `offset` and whose first block ends at `after`, which is at most the capacity: a
    /// multiple of the line, as the capacity is.
    fn end_of_share(&self, offset: usize, after: usize) -> usize {
        let whole = round_up_small(offset, LINE) + self.share_bytes;
        round_up_small(after, LINE).max(whole).min(self.capacity)
    }

    #[inline(always)]
    fn is_large(&self, bytes: usize) -> bool {
        bytes > self.share_bytes / LARGE_PARTS
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Place { size: usize, shift: u32 },
        Free { which: usize },
        Grow { which: usize, by: usize },
        Shrink { which: usize, by: usize },
    }

    fn operation() -> impl Strategy<Value = (usize, Operation)> {
        let size = prop_oneof![6 => 0..200_usize, 1 => 0..5_000_usize];
        let operation = prop_oneof![
            4 => (size.clone(), 0..9_u32).prop_map(|(size, shift)| Operation::Place { size, shift }),
            2 => any::<usize>().prop_map(|which| Operation::Free { which }),
            2 => (any::<usize>(), size.clone()).prop_map(|(which, by)| Operation::Grow { which, by }),
            1 => (any::<usize>(), size).prop_map(|(which, by)| Operation::Shrink { which, by }),
        ];
        (0..4_usize, operation)
    }

    /// Whoever asks: three threads with a share, and those without.
    fn share_of(shares: &[Share; 3], who: usize) -> Option<&Share> {
        shares.get(who)
    }

    /// All ranges that must not overlap: blocks, what is free in shares, the free rest.
    fn check(offset: &Offset, shares: &[Share; 3], blocks: &[(usize, usize)]) {
        let free = shares.iter().map(|s| (s.next.load(Ordering::Relaxed), s.end.load(Ordering::Relaxed)));
        let mut ranges: Vec<_> =
            blocks.iter().copied().chain(free).filter(|(start, end)| start < end).collect();
        ranges.push((offset.taken(), offset.capacity()));
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:?} of {ranges:?}");
        }
        assert!(ranges.iter().all(|&(start, end)| start <= end && end <= offset.capacity()));
        for share in shares {
            let (next, end) = (share.next.load(Ordering::Relaxed), share.end.load(Ordering::Relaxed));
            assert!(next <= end && next.is_multiple_of(STEP) && end.is_multiple_of(LINE));
        }
    }

    proptest! {
        #[test]
        fn every_byte_has_one_owner_whatever_threads_do_in_turn(
            lines in 0..2_000_usize,
            share_lines in prop_oneof![Just(0_usize), 1..20_usize],
            program in prop::collection::vec(operation(), 1..300),
        ) {
            let base = 0x7000_0000_0000 + 5 * LINE;
            let offset = Offset::new(base, lines * LINE, share_lines * LINE);
            let shares = [Share::new(), Share::new(), Share::new()];
            let mut blocks: Vec<(usize, usize)> = vec![];
            for (who, operation) in program {
                let share = share_of(&shares, who);
                let index = |which: usize| (!blocks.is_empty()).then(|| which % blocks.len());
                match operation {
                    Operation::Place { size, shift } => {
                        let layout = Layout::from_size_align(size, 1 << shift).unwrap();
                        let placed = share.and_then(|share| offset.place(share, layout));
                        if let Some(start) = placed.or_else(|| offset.place_slowly(share, layout)) {
                            prop_assert!((base + start).is_multiple_of(layout.align()));
                            blocks.push((start, start + round_up_small(size, STEP)));
                        }
                    }
                    Operation::Free { which } => {
                        if let Some(index) = index(which) {
                            let (start, end) = blocks.swap_remove(index);
                            offset.give_back(share, start, end);
                        }
                    }
                    Operation::Grow { which, by } => {
                        if let Some(index) = index(which) {
                            let end = blocks[index].1;
                            let new_end = end + round_up_small(by, STEP);
                            if new_end > end && offset.grow(share, end, new_end) {
                                blocks[index].1 = new_end;
                            }
                        }
                    }
                    Operation::Shrink { which, by } => {
                        if let Some(index) = index(which) {
                            let (start, end) = blocks[index];
                            let new_end = end - round_up_small(by, STEP).min(end - start);
                            offset.give_back(share, new_end, end);
                            blocks[index].1 = new_end;
                        }
                    }
                }
                check(&offset, &shares, &blocks);
            }
        }

        #[test]
        fn one_thread_is_refused_only_when_its_block_does_not_fit_behind_the_last(
            sizes in prop::collection::vec(1..3_000_usize, 1..200),
        ) {
            let offset = Offset::new(1 << 20, 64 * 1024, 1024);
            let (share, mut end) = (Share::new(), 0);
            for size in sizes {
                let layout = Layout::from_size_align(size, 8).unwrap();
                let placed = offset.place(&share, layout).or_else(|| offset.place_slowly(Some(&share), layout));
                let bytes = size.next_multiple_of(STEP);
                prop_assert_eq!(placed, (end + bytes <= 64 * 1024).then_some(end));
                end += if placed.is_some() { bytes } else { 0 };
                prop_assert_eq!(offset.taken() - share.free(), end);
            }
        }
    }
}
