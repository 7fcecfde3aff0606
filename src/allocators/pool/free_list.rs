//! A lock-free list of free block indices, with the links beside the blocks.
//!
//! ```text
//!   head: | tag 7 | index 4 |          one 64-bit word; every exchange makes the tag one larger
//!                      |
//!   links:  [ - ][ END ][ - ][ - ][ 1 ][ - ]      links[4] = 1, links[1] = END: the list is 4, 1
//! ```
//!
//! # Why the tag
//! Taking the first block reads the head (4), then its link (1), and exchanges the head 4 for 1. With a bare
//! compare-exchange another thread may in between take 4, take 1 and put 4 back: the head is 4 again, the exchange
//! succeeds, and 1 is handed out a second time. With the tag the head is not the same word again, unless exactly a
//! multiple of 2^32 exchanges happened between the two instructions of one thread: at 10 ns an exchange, that thread
//! was stopped for 43 seconds to the exchange. `a_bare_head_hands_one_block_out_twice` below shows the fault on the
//! same code with the tag left out.
//!
//! # Why reading the links is no data race
//! A link may be read while its block is taken and pushed again by somebody else, so links are atomics of their own,
//! never bytes of a block that a user may be writing. Such a read gives an outdated link, or what debug builds put
//! into the links of taken blocks; neither is followed out of bounds, and the exchange of the head then fails.

use crate::allocators::sync::{AtomicU32, AtomicU64, Ordering};

/// No block: the end of a list. Larger than every index.
pub(super) const END: u32 = u32::MAX;

/// How the head of a list is kept. There is one for use, and in tests one that shows what the tag is for.
pub(super) trait Head {
    /// What was seen in the head.
    type Seen: Copy;
    /// A head of an empty list.
    fn empty() -> Self;
    /// Reads the head.
    fn look(&self) -> Self::Seen;
    /// The index in what was seen.
    fn index(seen: Self::Seen) -> u32;
    /// Replaces what was `seen` by `index`. Fails when it is not there any more.
    fn exchange(&self, seen: Self::Seen, index: u32) -> bool;
}

/// An index and the number of exchanges so far, in one word.
#[derive(Debug)]
pub(super) struct TaggedHead(AtomicU64);

impl Head for TaggedHead {
    type Seen = u64;

    fn empty() -> Self {
        Self(AtomicU64::new(u64::from(END)))
    }

    #[inline]
    fn look(&self) -> u64 {
        // Acquire: pairs with the release in `exchange`. Every change of the head is a read-modify-write, so whatever
        // value is read continues the release sequences of all earlier pushes, and their links are visible.
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    fn index(seen: u64) -> u32 {
        seen as u32
    }

    #[inline]
    fn exchange(&self, seen: u64, index: u32) -> bool {
        let tag = (seen >> 32).wrapping_add(1);
        // Success, release: who sees the new head sees the links that were stored before, and what the last user of a
        // pushed block did to it. No acquire: the tag says that this is the very head that `look` has acquired, and with
        // it what the last user of a taken block did to it. Failure, relaxed: the caller looks again.
        self.0
            .compare_exchange_weak(seen, (tag << 32) | u64::from(index), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}

/// Blocks that hang together: `first`, `links[first]`, … up to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) first: u32,
    pub(super) last: u32,
}

/// A list of free blocks. All its functions want the same `links`, one for each block.
#[derive(Debug)]
pub(super) struct FreeList<H = TaggedHead> {
    head: H,
}

impl<H: Head> FreeList<H> {
    pub(super) fn new() -> Self {
        Self { head: H::empty() }
    }

    /// Puts a chain, which the caller alone holds, in front.
    pub(super) fn push(&self, links: &[AtomicU32], chain: Chain) {
        loop {
            let seen = self.head.look();
            // Relaxed: published by the release in `exchange`.
            links[chain.last as usize].store(H::index(seen), Ordering::Relaxed);
            if self.head.exchange(seen, chain.first) {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Takes up to `most` blocks from the front, `most` being at least one. The caller alone holds them then.
    pub(super) fn pop(&self, links: &[AtomicU32], most: u32) -> Option<Chain> {
        loop {
            let seen = self.head.look();
            if H::index(seen) == END {
                return None;
            }
            let (chain, rest) = Self::follow(links, H::index(seen), most);
            if self.head.exchange(seen, rest) {
                return Some(chain);
            }
            std::hint::spin_loop();
        }
    }

    /// Hands each index of the list to `each`. Meaningful only while nobody changes it.
    pub(super) fn for_each(&self, links: &[AtomicU32], mut each: impl FnMut(u32)) {
        let mut index = H::index(self.head.look());
        while index != END {
            each(index);
            // Relaxed: published by the head we saw.
            index = links[index as usize].load(Ordering::Relaxed);
        }
    }

    /// Reads a chain of up to `most` blocks from `first` on, and what follows it. Only what a successful exchange
    /// confirms afterwards means anything.
    fn follow(links: &[AtomicU32], first: u32, most: u32) -> (Chain, u32) {
        let mut last = first;
        // Relaxed: a link that was stored before the head we saw is visible through the acquire in `look`; one that
        // was stored later is an outdated list, and the exchange fails.
        let mut rest = links[first as usize].load(Ordering::Relaxed);
        for _ in 1..most {
            if rest as usize >= links.len() {
                break;
            }
            last = rest;
            rest = links[last as usize].load(Ordering::Relaxed);
        }
        (Chain { first, last }, rest)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// The head as tutorials print it: the index alone.
    struct BareHead(AtomicU32);

    impl Head for BareHead {
        type Seen = u32;

        fn empty() -> Self {
            Self(AtomicU32::new(END))
        }

        fn look(&self) -> u32 {
            self.0.load(Ordering::Acquire)
        }

        fn index(seen: u32) -> u32 {
            seen
        }

        fn exchange(&self, seen: u32, index: u32) -> bool {
            self.0.compare_exchange(seen, index, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        }
    }

    fn links(count: u32) -> Vec<AtomicU32> {
        (0..count).map(|_| AtomicU32::new(END)).collect()
    }

    fn one(index: u32) -> Chain {
        Chain { first: index, last: index }
    }

    /// One thread stops between reading the head's link and exchanging the head, while another takes blocks 0 and 1
    /// and puts 0 back. Returns whether the first thread's exchange succeeded, and with it the list's new front.
    fn stop_between_look_and_exchange<H: Head>() -> (bool, u32) {
        let (list, links) = (FreeList::<H>::new(), links(3));
        for index in [2, 1, 0] {
            list.push(&links, one(index));
        }

        let seen = list.head.look();
        let (chain, rest) = FreeList::<H>::follow(&links, H::index(seen), 1);
        assert_eq!((chain, rest), (one(0), 1));

        assert_eq!(list.pop(&links, 1), Some(one(0)));
        assert_eq!(list.pop(&links, 1), Some(one(1)), "the other thread keeps block 1");
        list.push(&links, one(0));

        let succeeded = list.head.exchange(seen, rest);
        (succeeded, H::index(list.head.look()))
    }

    #[test]
    fn a_bare_head_hands_one_block_out_twice() {
        let (succeeded, front) = stop_between_look_and_exchange::<BareHead>();
        assert!(succeeded);
        assert_eq!(front, 1, "block 1 is in use and in front of the list: the next pop hands it out again");
    }

    #[test]
    fn a_tagged_head_notices_that_the_list_was_another_in_between() {
        let (succeeded, front) = stop_between_look_and_exchange::<TaggedHead>();
        assert!(!succeeded);
        assert_eq!(front, 0);
    }

    #[test]
    fn chains_come_back_in_the_order_they_hang_together() {
        let (list, links) = (FreeList::<TaggedHead>::new(), links(4));
        links[3].store(1, Ordering::Relaxed);
        list.push(&links, one(0));
        list.push(&links, Chain { first: 3, last: 1 });
        assert_eq!(list.pop(&links, 2), Some(Chain { first: 3, last: 1 }));
        assert_eq!(list.pop(&links, 9), Some(one(0)));
        assert_eq!(list.pop(&links, 1), None);
    }

    #[test]
    fn the_tag_wraps_round() {
        let list = FreeList { head: TaggedHead(AtomicU64::new(u64::MAX)) };
        list.push(&links(1), one(0));
        assert_eq!(list.head.look(), 0);
    }

    #[test]
    fn threads_never_hold_the_same_block() {
        const BLOCKS: u32 = 8;
        const ROUNDS: usize = if cfg!(miri) { 50 } else { 20_000 };
        let (list, links) = (FreeList::<TaggedHead>::new(), links(BLOCKS));
        for index in 0..BLOCKS {
            list.push(&links, one(index));
        }
        let held: Vec<_> = (0..BLOCKS).map(|_| Mutex::new(())).collect();
        std::thread::scope(|scope| {
            for most in 1..=3 {
                let (list, links, held) = (&list, &links, &held);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        let Some(chain) = list.pop(links, most) else { continue };
                        let mut guards = vec![];
                        let mut index = chain.first;
                        loop {
                            let guard = held[index as usize].try_lock();
                            guards.push(guard.expect("nobody else holds this block"));
                            if index == chain.last {
                                break;
                            }
                            index = links[index as usize].load(Ordering::Relaxed);
                        }
                        drop(guards);
                        list.push(links, chain);
                    }
                });
            }
        });
        let mut left = 0;
        while list.pop(&links, 1).is_some() {
            left += 1;
        }
        assert_eq!(left, BLOCKS, "no block was lost");
    }
}
