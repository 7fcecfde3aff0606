//! The free blocks of one thread: a stack of pointers with room for every block.

use std::cell::Cell;
use std::ptr::NonNull;

/// What the stack is made of.
pub(super) type Entry = Cell<*mut u8>;

/// A stack of pointers in memory that somebody else owns.
///
/// Pointers beside the blocks, not links inside them: see the [module](super).
#[derive(Debug)]
pub(super) struct Stack {
    /// One past the newest entry; from `base` to `base + room`. A pointer, not a count: it is the address that both
    /// operations need, without an addition before the access.
    top: Cell<NonNull<Entry>>,
    /// The oldest entry, with the right to all `room` entries.
    base: NonNull<Entry>,
}

impl Stack {
    /// An empty stack at `base`.
    ///
    /// # Safety
    /// `base` is valid for all entries that will be in it at once, for as long as it is used, and for nobody else.
    pub(super) unsafe fn new(base: NonNull<Entry>) -> Self {
        Self { top: Cell::new(base), base }
    }

    /// Takes the newest.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<NonNull<u8>> {
        let top = self.top.get();
        if top == self.base {
            return None;
        }
        // SAFETY: above `base`, so there is an entry below `top`.
        let newest = unsafe { top.sub(1) };
        self.top.set(newest);
        // SAFETY: `push` has written it; the memory is valid and ours (`new`).
        let block = unsafe { newest.as_ref() }.get();
        // SAFETY: `push` takes nothing that is null.
        Some(unsafe { NonNull::new_unchecked(block) })
    }

    /// Puts `block` on top.
    ///
    /// # Safety
    /// There is room: the memory given to [`new`](Self::new) has more entries than [`len`](Self::len).
    #[inline(always)]
    pub(super) unsafe fn push(&self, block: NonNull<u8>) {
        let top = self.top.get();
        // SAFETY: there is room at `top` (the caller's promise), and the memory is valid and ours (`new`). A cell of a
        // pointer is valid with any content.
        unsafe { top.as_ref() }.set(block.as_ptr());
        // SAFETY: one past an entry that exists.
        self.top.set(unsafe { top.add(1) });
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        (self.top.get().as_ptr().addr() - self.base.as_ptr().addr()) / size_of::<Entry>()
    }

    /// Hands each entry to `each`, the oldest first.
    pub(super) fn for_each(&self, mut each: impl FnMut(NonNull<u8>)) {
        for index in 0..self.len() {
            // SAFETY: below the length, so written by `push`.
            NonNull::new(unsafe { self.base.add(index).as_ref() }.get()).into_iter().for_each(&mut each);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn block(number: usize) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(number)).unwrap()
    }

    #[test]
    fn the_newest_comes_back_first_and_nothing_from_an_empty_one() {
        let room: [Entry; 3] = [const { Cell::new(ptr::null_mut()) }; 3];
        // SAFETY: three entries, and no more are pushed; the array outlives the stack and is not used otherwise.
        let stack = unsafe { Stack::new(NonNull::from(&room).cast()) };
        assert_eq!((stack.pop(), stack.len()), (None, 0));
        for number in 1..=3 {
            // SAFETY: as above.
            unsafe { stack.push(block(number)) };
        }
        assert_eq!((stack.pop(), stack.len()), (Some(block(3)), 2));
        let mut seen = vec![];
        stack.for_each(|block| seen.push(block));
        assert_eq!(seen, [block(1), block(2)]);
        assert_eq!((stack.pop(), stack.pop(), stack.pop()), (Some(block(2)), Some(block(1)), None));
    }
}
