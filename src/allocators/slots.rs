//! Small numbers for threads: each running thread that uses one of our scoped allocators owns one of [`SLOTS`] slots of the
//! process.
//!
//! A slot is what finds a thread's share of any such allocator (its magazine in a pool) with one addition. It is claimed at
//! the first use and given up when the thread ends; the next owner finds the shares as the last one left them. Threads that
//! come when all slots are taken, or that are ending, do without.

use std::cell::Cell;

use super::sync::{AtomicU64, Ordering, const_thread_local};

/// Threads that can own a slot at the same time. 128 is four times the threads of a common server processor; a pool's
/// magazines then reserve 64 KiB of addresses, of which only those in use become memory.
/// Two in models, so that they can run out.
pub(super) const SLOTS: usize = if cfg!(loom) { 2 } else { WORDS * 64 };
/// Words of a set of slots.
const WORDS: usize = if cfg!(loom) { 1 } else { 2 };

/// This thread has not asked yet, or there was none free.
const UNCLAIMED: usize = usize::MAX;
/// This thread is ending: its slot is given up and it must not claim another, which nobody would give up.
const ENDING: usize = usize::MAX - 1;

/// Which slots are taken.
#[cfg(not(loom))]
static TAKEN: SlotSet = SlotSet([const { AtomicU64::new(0) }; WORDS]);
#[cfg(loom)]
loom::lazy_static! {
    static ref TAKEN: SlotSet = SlotSet::default();
}

const_thread_local! {
    // Apart from the guard, because a plain cell without a destructor is read without a check of its state.
    static SLOT: Cell<usize> = const { Cell::new(UNCLAIMED) };
    static GUARD: Guard = const { Guard };
}

/// Gives the thread's slot up when the thread ends.
struct Guard;

// Loom drops a thread's locals all at once, so that none can look at another: its threads call `end_thread` themselves.
#[cfg(not(loom))]
impl Drop for Guard {
    fn drop(&mut self) {
        end_thread();
    }
}

/// Gives the calling thread's slot up for good, as its end does.
pub(super) fn end_thread() {
    let slot = SLOT.with(|slot| slot.replace(ENDING));
    if slot < SLOTS {
        release(slot);
    }
}

/// The calling thread's slot, if it has one.
#[inline(always)]
pub(super) fn current() -> Option<usize> {
    let slot = SLOT.with(Cell::get);
    (slot < SLOTS).then_some(slot)
}

/// The calling thread's slot, claimed now if need be.
#[cold]
pub(super) fn current_or_claim() -> Option<usize> {
    if let Some(slot) = current() {
        return Some(slot);
    }
    // Touching the guard registers its destructor, which takes no memory from the global allocator.
    if SLOT.with(Cell::get) == ENDING || GUARD.try_with(|_| ()).is_err() {
        SLOT.with(|slot| slot.set(ENDING));
        return None;
    }
    let slot = (0..SLOTS).find(|&slot| !is_taken(slot) && claim(slot))?;
    SLOT.with(|own| own.set(slot));
    Some(slot)
}

/// Takes `slot` if it is free; [`release`] gives it up.
pub(super) fn claim(slot: usize) -> bool {
    // Acquire: pairs with `release`; what the last owner left in its magazines is visible to the new one. The failure
    // (the bit was set already) gives us nothing to read, but one ordering serves both.
    TAKEN.word(slot).fetch_or(bit(slot), Ordering::Acquire) & bit(slot) == 0
}

/// Gives `slot` up, which the caller owns.
pub(super) fn release(slot: usize) {
    // Release: all that the owner did to its magazines comes before what the next owner does.
    TAKEN.word(slot).fetch_and(!bit(slot), Ordering::Release);
}

fn is_taken(slot: usize) -> bool {
    // Relaxed: only a hint, `claim` decides.
    TAKEN.word(slot).load(Ordering::Relaxed) & bit(slot) != 0
}

fn bit(slot: usize) -> u64 {
    1 << (slot % 64)
}

/// A set of slots, one bit for each.
#[derive(Debug, Default)]
pub(super) struct SlotSet([AtomicU64; WORDS]);

impl SlotSet {
    fn word(&self, slot: usize) -> &AtomicU64 {
        &self.0[slot / 64]
    }

    /// For sets that only grow.
    pub(super) fn insert(&self, slot: usize) {
        // Relaxed: readers use the set to find magazines, whose fields are atomics that were zero all along.
        self.word(slot).fetch_or(bit(slot), Ordering::Relaxed);
    }

    pub(super) fn contains(&self, slot: usize) -> bool {
        // Relaxed: as above.
        self.word(slot).load(Ordering::Relaxed) & bit(slot) != 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        // Relaxed: as above.
        members(self.0.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    /// The members that no thread owns at the moment.
    pub(super) fn iter_unowned(&self) -> impl Iterator<Item = usize> {
        let mut words = [0; WORDS];
        for (word, (ours, taken)) in words.iter_mut().zip(self.0.iter().zip(&TAKEN.0)) {
            // Relaxed: a hint, `claim` decides.
            *word = ours.load(Ordering::Relaxed) & !taken.load(Ordering::Relaxed);
        }
        members(words)
    }
}

fn members(words: [u64; WORDS]) -> impl Iterator<Item = usize> {
    (0..SLOTS).filter(move |slot| words[slot / 64] & bit(*slot) != 0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_run_at_the_same_time_own_different_slots() {
        let barrier = Barrier::new(4);
        let mut slots: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let slot = current_or_claim();
                        barrier.wait();
                        assert_eq!(current(), slot, "it stays the same");
                        slot.expect("fewer threads than slots")
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), 4);
    }

    #[test]
    fn a_set_of_slots_lists_its_members_in_order() {
        let set = SlotSet::default();
        for slot in [SLOTS - 1, 0, 63, 64] {
            set.insert(slot);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, SLOTS - 1]);
    }
}
