//! A thread's own stack of free blocks, in front of the shared list.
//!
//! Only the thread that owns the slot changes it, so its operations are plain loads and stores. The fields are atomics
//! all the same, because other threads read the counts, and because a slot's next owner is another thread.

use std::ptr::NonNull;

use crate::allocators::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The most blocks in a magazine. With 60 pointers a magazine is 512 bytes: eight cache lines of one thread alone, and
/// found by a shift. Half of it moves at a time, so the shared list is asked once in 30 operations at worst.
/// Two in models.
pub(super) const LENGTH: usize = if cfg!(loom) { 2 } else { 60 };

/// A stack of blocks. All zeroes is a valid one: that of a thread that has not joined the pool yet.
#[derive(Debug)]
#[repr(C, align(512))]
pub(super) struct Magazine {
    /// 0: not joined. Otherwise the number of blocks plus one, at most `LENGTH + 1`.
    ///
    /// One number for both, so that the fast paths need no other comparison to send a thread that has not joined to
    /// the slow path, where it joins.
    level: AtomicU32,
    /// Allocations served from here.
    hits: AtomicU64,
    /// Allocations that had to ask the shared list.
    misses: AtomicU64,
    /// `entries[..level - 1]` are free blocks of the pool, each with the right to a whole block.
    entries: [AtomicPtr<u8>; LENGTH],
}

const _: () =
    assert!(size_of::<Magazine>() == 512, "one magazine is a power of two and shares no cache line");

// Every access below is relaxed. By the owner: a thread sees its own stores, and the hand-over of a slot synchronises.
// By readers of the counts: each number stands for itself.
impl Magazine {
    /// As zeroed memory is one. Loom's atomics are made, each at a place of its own in the run of a model.
    #[cfg(any(test, loom))]
    pub(super) fn new() -> Self {
        Self {
            level: AtomicU32::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            entries: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
        }
    }

    /// Takes the block that was put in last.
    #[inline(always)]
    pub(super) fn take(&self) -> Option<NonNull<u8>> {
        let level = self.level.load(Ordering::Relaxed);
        // Both "not joined" (0) and "empty" (1) wrap to an index beyond the end.
        let entry = self.entries.get((level as usize).wrapping_sub(2))?;
        self.level.store(level - 1, Ordering::Relaxed);
        self.hits.store(self.hits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        // SAFETY: an entry below the level was written by `put` or `Filling::push`, which take nothing that is null.
        Some(unsafe { NonNull::new_unchecked(entry.load(Ordering::Relaxed)) })
    }

    /// Puts `block` in, unless there are `length` already or the thread has not joined.
    #[inline(always)]
    pub(super) fn put(&self, block: NonNull<u8>, length: usize) -> bool {
        let level = self.level.load(Ordering::Relaxed);
        // "Not joined" (0) wraps to an index beyond every length.
        let index = (level as usize).wrapping_sub(1);
        if index >= length {
            return false;
        }
        let Some(entry) = self.entries.get(index) else { return false };
        entry.store(block.as_ptr(), Ordering::Relaxed);
        self.level.store(level + 1, Ordering::Relaxed);
        true
    }

    /// Begins to fill it, which must be empty. Nothing has changed until [`Filling::finish`].
    pub(super) fn fill(&self) -> Filling<'_> {
        debug_assert_eq!(self.len(), 0);
        Filling { magazine: self, len: 0 }
    }

    /// Whether its thread, or an earlier owner of the slot, has joined the pool.
    pub(super) fn has_joined(&self) -> bool {
        self.level.load(Ordering::Relaxed) != 0
    }

    /// From now on it takes blocks.
    pub(super) fn join(&self) {
        self.level.store(1, Ordering::Relaxed);
    }

    /// The number of blocks in it.
    pub(super) fn len(&self) -> u32 {
        self.level.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Removes the `count` blocks that have been in it longest, and hands them to `each`, the youngest first. What was
    /// freed last is likeliest still in the cache, so it stays.
    pub(super) fn remove_oldest(&self, count: u32, mut each: impl FnMut(NonNull<u8>)) {
        let (count, len) = (count as usize, self.len() as usize);
        for entry in self.entries[..count].iter().rev() {
            if let Some(block) = NonNull::new(entry.load(Ordering::Relaxed)) {
                each(block);
            }
        }
        for index in count..len {
            let kept = self.entries[index].load(Ordering::Relaxed);
            self.entries[index - count].store(kept, Ordering::Relaxed);
        }
        self.level.store((len - count + 1) as u32, Ordering::Relaxed);
    }

    /// Hands its blocks to `each`.
    pub(super) fn for_each(&self, each: impl FnMut(NonNull<u8>)) {
        let entries = &self.entries[..self.len() as usize];
        entries.iter().filter_map(|entry| NonNull::new(entry.load(Ordering::Relaxed))).for_each(each);
    }

    pub(super) fn count_miss(&self) {
        self.misses.store(self.misses.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// A magazine that is being filled: the level is stored once, not for each block.
#[derive(Debug)]
pub(super) struct Filling<'a> {
    magazine: &'a Magazine,
    /// `entries[..len]` are blocks.
    len: usize,
}

impl Filling<'_> {
    /// Puts `block` on top. Of no more than `LENGTH`.
    #[inline(always)]
    pub(super) fn push(&mut self, block: NonNull<u8>) {
        let entry = self.magazine.entries.get(self.len);
        debug_assert!(entry.is_some(), "more than it was asked for");
        if let Some(entry) = entry {
            entry.store(block.as_ptr(), Ordering::Relaxed);
            self.len += 1;
        }
    }

    /// Leaves the magazine with all blocks but the one on top, which is returned.
    pub(super) fn finish(self) -> Option<NonNull<u8>> {
        let kept = self.len.checked_sub(1)?;
        self.magazine.level.store(kept as u32 + 1, Ordering::Relaxed);
        NonNull::new(self.magazine.entries[kept].load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ptr;

    use super::*;

    fn block(number: usize) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(number)).unwrap()
    }

    #[test]
    fn it_neither_gives_nor_takes_before_its_thread_has_joined() {
        let magazine = Magazine::new();
        assert_eq!(magazine.take(), None);
        assert!(!magazine.put(block(1), LENGTH));
        magazine.join();
        assert_eq!(magazine.take(), None);
        assert!(magazine.put(block(1), LENGTH));
        assert_eq!((magazine.take(), magazine.hits()), (Some(block(1)), 1));
    }

    #[test]
    fn it_is_full_at_the_length_it_is_told() {
        let magazine = Magazine::new();
        magazine.join();
        for number in 1..=LENGTH {
            assert!(!magazine.put(block(number), number - 1));
            assert!(magazine.put(block(number), number));
        }
        assert!(!magazine.put(block(99), LENGTH + 9), "the array is the last word");
    }

    #[test]
    fn the_oldest_leave_and_the_youngest_stay_on_top() {
        let magazine = Magazine::new();
        magazine.join();
        for number in 1..=5 {
            magazine.put(block(number), LENGTH);
        }
        let mut gone = vec![];
        magazine.remove_oldest(3, |block| gone.push(block));
        assert_eq!(gone, [block(3), block(2), block(1)]);
        assert_eq!(
            (magazine.take(), magazine.take(), magazine.take()),
            (Some(block(5)), Some(block(4)), None)
        );
    }
    #[test]
    fn the_block_that_was_filled_in_last_is_given_and_the_others_stay() {
        let magazine = Magazine::new();
        magazine.join();
        assert_eq!(magazine.fill().finish(), None);
        let mut filling = magazine.fill();
        (1..=3).for_each(|number| filling.push(block(number)));
        assert_eq!((filling.finish(), magazine.len()), (Some(block(3)), 2));
        assert_eq!(
            (magazine.take(), magazine.take(), magazine.take()),
            (Some(block(2)), Some(block(1)), None)
        );
    }
}
