//! Tables made before the clock starts, in memory that no allocator under test gave.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::allocators::pages;

/// Bytes in the tables of the process.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Bytes of memory in the tables of the process, all of them resident: what is the harness's own of what a process
/// occupies.
pub fn mapped_bytes() -> usize {
    // Relaxed: a count; nobody reads anything else on the strength of it.
    MAPPED.load(Ordering::Relaxed)
}

/// What the kernel gives for `bytes`: whole pages.
fn in_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(pages::page_size())
}

/// A fixed slice straight from the operating system, every page touched.
///
/// A `Vec` would take its memory from the global allocator, which is the one under test: it would change the heap that
/// is being measured, and its first use of fresh pages would fault inside the clock.
#[derive(Debug)]
pub struct Table<T: Copy> {
    /// `length` initialised elements, page-aligned; dangling if the table is empty.
    start: NonNull<T>,
    length: usize,
    /// What was mapped; 0 if nothing was.
    bytes: usize,
}

impl<T: Copy> Table<T> {
    /// A table of `length` elements, made in order.
    ///
    /// # Panics
    /// If the operating system has no memory for it: there is nothing to measure then.
    pub fn new(length: usize, mut element: impl FnMut(usize) -> T) -> Self {
        const { assert!(align_of::<T>() <= pages::PAGE, "a mapping is aligned to a page") };
        let bytes = length.checked_mul(size_of::<T>()).expect("a table fits the address space");
        let start = match bytes {
            0 => NonNull::dangling(),
            _ => pages::map(bytes).expect("memory for the harness's tables").cast::<T>(),
        };
        for index in 0..length {
            // SAFETY: `index < length`, and the mapping holds `length` elements at an address aligned to a page.
            unsafe { start.add(index).write(element(index)) };
        }
        MAPPED.fetch_add(in_pages(bytes), Ordering::Relaxed);
        Self { start, length, bytes }
    }
}

// SAFETY: a table owns its elements as a `Vec` does; which thread unmaps the memory makes no difference.
unsafe impl<T: Copy + Send> Send for Table<T> {}

// SAFETY: through `&Table` elements are only read, unless by a protocol of the one who asks for `pointer`.
unsafe impl<T: Copy + Sync> Sync for Table<T> {}

impl<T: Copy> Table<T> {
    /// The first element, for callers that share elements between threads by a protocol of their own.
    pub fn pointer(&self) -> NonNull<T> {
        self.start
    }
}

impl<T: Copy> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `length` elements at `start` were written by `new`; the table owns them and `&self` guards them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T: Copy> DerefMut for Table<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes the reference the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T: Copy> Drop for Table<T> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: the mapping came from `pages::map` with this size, elements need no drop (`T: Copy`), and no
            // borrow of the table outlives it.
            unsafe { pages::unmap(self.start.cast(), self.bytes) };
            MAPPED.fetch_sub(in_pages(self.bytes), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_what_was_put_in() {
        let mut table = Table::new(5_000, |index| index as u64);
        table[7] = 70;
        assert_eq!(table.len(), 5_000);
        assert_eq!(table[..9], [0, 1, 2, 3, 4, 5, 6, 70, 8]);
        assert_eq!(table[4_999], 4_999);
    }

    #[test]
    fn an_empty_table_maps_nothing() {
        assert!(Table::new(0, |_| 0_u8).is_empty());
    }
}
