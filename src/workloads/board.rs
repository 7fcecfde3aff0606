//! A table of blocks that threads swap with each other.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::table::Table;

/// Cells that each hold a block or none. Any thread may swap any cell at any time, and who takes a block out owns it.
pub struct Board {
    /// Only ever reached as atomics: see [`Board::cell`].
    cells: Table<*mut u8>,
    length: usize,
}

// SAFETY: cells are reached through atomic operations alone, and the addresses in them are no more than numbers here.
unsafe impl Sync for Board {}

impl Board {
    /// `length` empty cells.
    pub fn new(length: usize) -> Self {
        Self { cells: Table::new(length, |_| ptr::null_mut()), length }
    }

    fn cell(&self, index: usize) -> &AtomicPtr<u8> {
        assert!(index < self.length, "cell {index} of {}", self.length);
        // SAFETY: the index is inside the table, whose elements are aligned, live as long as `self`, and are reached by
        // nobody but through this function.
        unsafe { AtomicPtr::from_ptr(self.cells.pointer().add(index).as_ptr()) }
    }

    /// Puts a block into a cell; gives back what was in it.
    #[inline(always)]
    pub fn swap(&self, index: usize, block: NonNull<u8>) -> Option<NonNull<u8>> {
        // Release: whoever takes the block out must see what was written into it. Acquire: and so must we of the one that
        // comes out, which another thread wrote and we may free.
        NonNull::new(self.cell(index).swap(block.as_ptr(), Ordering::AcqRel))
    }

    /// Empties a cell; gives back what was in it.
    #[inline(always)]
    pub fn take(&self, index: usize) -> Option<NonNull<u8>> {
        // Acquire: as in `swap`. Nothing is handed on, so there is nothing to release.
        NonNull::new(self.cell(index).swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Empties all cells.
    pub fn drain(&self) -> impl Iterator<Item = NonNull<u8>> + '_ {
        (0..self.length).filter_map(|index| self.take(index))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn address(number: usize) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(number)).expect("a number above 0")
    }

    #[test]
    fn a_cell_gives_back_what_was_put_in_once() {
        let board = Board::new(2);
        assert_eq!((board.swap(1, address(7)), board.swap(1, address(8))), (None, Some(address(7))));
        assert_eq!((board.take(1), board.take(1), board.take(0)), (Some(address(8)), None, None));
    }

    #[test]
    fn what_threads_swap_in_comes_out_once() {
        const EACH: usize = 2_000;
        let board = Board::new(10);
        let swapped = |first: usize| {
            let swap = |number: usize| board.swap(number % 10, address(number + 1));
            (first..first + EACH).filter_map(swap).collect::<Vec<_>>()
        };
        let mut seen: Vec<usize> = thread::scope(|scope| {
            let threads = [0, EACH].map(|first| scope.spawn(move || swapped(first).len()));
            threads.map(|thread| thread.join().unwrap()).to_vec()
        });
        seen.push(board.drain().count());
        assert_eq!(seen.iter().sum::<usize>(), 2 * EACH);
    }

    #[test]
    #[should_panic(expected = "cell 3 of 3")]
    fn a_cell_beyond_the_last_is_refused() {
        Board::new(3).take(3);
    }
}
