//! `null`: the control. It does as little as a sound allocator can, so that its time is the time of the harness.
//!
//! ```text
//!   start                next                      end
//!   |                    |                         |
//!   +--------------------+-------------------------+
//!   | blocks handed out  | touched, not handed out |   one mapping, every page touched at construction
//!   +--------------------+-------------------------+
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | align and add, one comparison, one store |
//! | free | nothing at all |
//! | grow | one comparison when the block is the newest; else allocate and copy |
//! | reset | one store |
//!
//! Blocks are distinct and aligned, so it is sound and passes every content check; it merely never uses memory twice
//! between two resets. The mapping does not come from the global allocator, which may be the one under test.
//!
//! # When not to use it
//! As an allocator. It is measured and never ranked.
//!
//! # Examples
//! ```
//! use allocator_api2::boxed::Box;
//! use allocmark::allocators::contract::{Bulk, Subject};
//! use allocmark::allocators::null::Null;
//!
//! let mut null = Null::with_bytes(4096).unwrap();
//! let first = Box::new_in(1_u64, null.handle());
//! let second = Box::new_in(2_u64, null.handle());
//! assert_eq!((*first, *second), (1, 2));
//! drop((first, second));
//! null.reset();
//! ```

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use super::arithmetic::round_up;
use super::contract::{Bulk, Demand, Facts, Known, Subject};
use super::pages;

/// Facts about the control.
pub const FACTS: Facts = Facts {
    id: "null",
    ours: true,
    configuration_of: None,
    title: "Null",
    description: "The control: it moves an offset through memory that was touched beforehand and frees nothing. What \
                  it takes is what the harness takes; it is shown and never ranked.",
    configuration: "a region as large as one pass of the workload requests, touched at construction",
    package: None,
    missing_entry_points: &[],
    links: &[],
    goals: &[],
};

/// The do-nothing allocator. One thread; [`Bulk::reset`] makes the whole region free again.
#[derive(Debug)]
pub struct Null {
    /// The mapping, with the right to all of it. Page-aligned; ours alone until drop.
    start: NonNull<u8>,
    /// Its length in whole pages.
    bytes: usize,
    /// Address of the first byte not handed out; always within `start..=end`.
    next: Cell<usize>,
    /// Address just after the mapping; at most `isize::MAX`, so that no sum in `allocate` can overflow.
    end: usize,
}

impl Null {
    /// Maps and touches room for blocks of `bytes` in total, alignment padding included.
    ///
    /// # Errors
    /// [`AllocError`] when the kernel refuses, or puts the mapping into the upper half of the address space.
    pub fn with_bytes(bytes: usize) -> Result<Self, AllocError> {
        let page = pages::page_size();
        let bytes = round_up(bytes.max(1), page).ok_or(AllocError)?;
        let start = pages::map(bytes).map_err(|_| AllocError)?;
        let end = start.as_ptr().addr() + bytes;
        let null = Self { start, bytes, next: Cell::new(start.as_ptr().addr()), end };
        if end > isize::MAX as usize {
            return Err(AllocError);
        }
        for offset in (0..bytes).step_by(page) {
            // SAFETY: `offset` is below `bytes`, so the byte lies in the mapping, which nobody else knows yet.
            // Volatile, because a store of zero to zeroed memory may otherwise be left out, and the page untouched.
            unsafe { start.as_ptr().add(offset).write_volatile(0) };
        }
        Ok(null)
    }

    /// Whether the block of `bytes` at `block` is the one handed out last.
    #[inline(always)]
    fn is_newest(&self, block: NonNull<u8>, bytes: usize) -> bool {
        block.as_ptr().addr() + bytes == self.next.get()
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        // SAFETY: the mapping came from `pages::map` with this length and is given back once, here; `&mut self` shows
        // that no handle, and so no block, is out.
        unsafe { pages::unmap(self.start, self.bytes) };
    }
}

// SAFETY: blocks are disjoint, since `next` only moves up between two resets and a block ends where `next` is then;
// they stay valid until the reset or the drop, which both need `&mut Null` and so outlive no handle; all copies of a
// handle are the same allocator.
unsafe impl Allocator for &Null {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let mask = layout.align() - 1;
        // `next` is at most isize::MAX and `size + mask` too (the promise of `Layout`): the sums cannot overflow.
        let address = (self.next.get() + mask) & !mask;
        let end = address + layout.size();
        if end > self.end {
            return Err(AllocError);
        }
        self.next.set(end);
        // SAFETY: `start <= address <= self.end`, so the pointer is within the mapping or just after it, and not null.
        let block = unsafe { NonNull::new_unchecked(self.start.as_ptr().with_addr(address)) };
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let address = block.as_ptr().addr();
        let fits = self.end - address >= new.size() && address.is_multiple_of(new.align());
        if self.is_newest(block, old.size()) && fits {
            self.next.set(address + new.size());
            // SAFETY: `address` is that of a live block, so it lies in the mapping and is not null. The pointer is made
            // from `start` anew because the caller's may be entitled to the old length alone.
            let block = unsafe { NonNull::new_unchecked(self.start.as_ptr().with_addr(address)) };
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        let moved = self.allocate(new)?;
        // SAFETY: the old block holds `old.size()` bytes (the caller's promise), the new one at least as many, and they
        // are disjoint because the old one is still alive.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.as_ptr().cast(), old.size()) };
        Ok(moved)
    }
}

impl Subject for Null {
    type Handle<'a> = &'a Null;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        // `pass_bytes` contains the padding between blocks; a page more covers the padding before the first.
        Self::with_bytes(demand.pass_bytes.checked_add(pages::PAGE).ok_or(AllocError)?)
    }

    #[inline(always)]
    fn handle(&self) -> &Null {
        self
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        (self.start.as_ptr().addr()..self.end).contains(&block.as_ptr().addr())
    }
}

impl Known for Null {
    const FACTS: &'static Facts = &FACTS;
}

impl Bulk for Null {
    #[inline]
    fn reset(&mut self) {
        self.next.set(self.start.as_ptr().addr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_used_to_its_last_byte_and_then_refuses() {
        let null = Null::with_bytes(pages::page_size()).unwrap();
        let whole = Layout::from_size_align(pages::page_size(), 1).unwrap();
        assert!((&null).allocate(whole).is_ok());
        assert_eq!((&null).allocate(Layout::new::<u8>()), Err(AllocError));
        assert!((&null).allocate(Layout::from_size_align(0, 1).unwrap()).is_ok());
    }

    #[test]
    fn an_alignment_beyond_everything_is_refused_without_overflow() {
        let null = Null::with_bytes(1).unwrap();
        let layout = Layout::from_size_align(1, 1 << (usize::BITS - 2)).unwrap();
        assert_eq!((&null).allocate(layout), Err(AllocError));
        let layout = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
        assert_eq!((&null).allocate(layout), Err(AllocError));
    }

    #[test]
    fn the_newest_block_grows_where_it_is() {
        let null = Null::with_bytes(4096).unwrap();
        let (old, new) = (Layout::new::<u64>(), Layout::new::<[u64; 4]>());
        let block = (&null).allocate(old).unwrap().cast::<u8>();
        // SAFETY: `block` is live, of layout `old`, and `new` is not smaller.
        let grown = unsafe { (&null).grow(block, old, new) }.unwrap();
        assert_eq!(grown.cast::<u8>(), block);
        assert_eq!(grown.len(), 32);
    }
}
