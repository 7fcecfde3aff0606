//! `bump-slice`: any size, released all together, one thread, over bytes that the caller has.
//!
//! ```text
//!   start                             next                 end
//!   |                                 |                    |
//!   +-------+-----+--+-------+--------+--------------------+
//!   | block | ... |##| block | newest | free               |   the caller's slice; ## is padding for an alignment
//!   +-------+-----+--+-------+--------+--------------------+
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | two loads, two additions, a mask, a comparison, a store; three instructions more where size or alignment are not constants |
//! | free | of the newest block: its memory is used again; of others: one comparison |
//! | grow, shrink | of the newest block: where it is, without copying; grow of others: allocate and copy |
//! | reset | one store |
//! | memory | no header; padding for alignments alone, sizes are not rounded |
//!
//! # Any address
//! Blocks are aligned by their addresses and not by their distance from the start, so the slice may begin anywhere; what
//! lies before the first multiple of an alignment is padding. Of a slice that reaches into the last 64 KiB of the address
//! space those are left out: that is what allocating a constant layout needs no check for overflow for.
//!
//! # No minimum alignment
//! The arena rounds every size up to 8, so that the next block needs no aligning. That takes an addition and a mask where
//! the size is known at run time, and aligning takes as much; where size and alignment are constants, aligning is one
//! addition and one mask. Against that stands the room: a caller who gives a slice has counted its bytes, and texts of odd
//! lengths lie in it without gaps.
//!
//! # Why upwards
//! Both directions were written, with the same interface, and counted beside bumpalo 3.20.3, which moves downwards, and
//! bump-scope 2.4.1, which moves upwards. Instructions of one operation, the loop around it included (callgrind, x86-64):
//!
//! | | upwards, as it is | downwards | bumpalo | bump-scope |
//! |---|--:|--:|--:|--:|
//! | a block of 40 bytes, constant layout | 11 | 9 | 14 | 15 |
//! | a block of 16 to 256 bytes, size at run time | 16 | 12 | 18 | 17 |
//! | a tree's node, made, summed and dropped | 76.3 | 73.3 | 77.3 | 77.3 |
//! | an element pushed to a growing `Vec` | 7.0 | 18.7 | 20.7 | 9.0 |
//!
//! Downwards needs two to four instructions less for a block that stays as it is. But its newest block cannot grow without
//! its content moving: the vector took 2.7 times the instructions. Upwards is ahead of both crates in every line.
//!
//! # Only uninitialised bytes
//! [`BumpSlice::new`] takes `MaybeUninit<u8>` and not `u8`. A block may be written with a value that has padding, and
//! padding is uninitialised; whoever owns a `&mut [u8]` may read it afterwards and must find bytes. An owner of bytes who
//! does not need them makes an array of `MaybeUninit<u8>` in the first place, or takes the spare capacity of a `Vec<u8>`.
//!
//! # Exhaustion
//! [`AllocError`]. Nothing has changed then, and a smaller block may still fit.
//!
//! # No standard library
//! The files of the allocator need `core` and allocator-api2 alone. The file `mapped.rs`, which is for the benchmarks,
//! needs more.
//!
//! # When not to use it
//! - When the sum of all blocks is not known beforehand: [`arena`](super::arena) grows.
//! - When blocks die at different times and the memory of the dead is needed, on one thread: [`talc`](super::talc) has free
//!   lists in memory of its own; [`pool_local`](super::pool_local) for one size.
//! - Across threads: [`bump_shared`](super::bump_shared) has one region for all, [`arena_thread`](super::arena_thread) an
//!   arena for each.
//! - When a part is to be released and the rest kept: [bump-scope](super::bump_scope) has scopes.
//! - For values of one type whose destructors must run: the crate typed-arena. Of several types:
//!   [`Arena::alloc_with_drop`](super::arena::Arena::alloc_with_drop).
//!
//! That crate has no row of its own here. It hands out references to one type: of the workloads that release everything
//! together `tree` alone asks for blocks of one layout, its nodes own each other through handles that typed-arena's users
//! do without, and it cannot be asked whether a block is its own, which is how a cell proves who served it.
//!
//! # Examples
//! ```
//! use core::mem::MaybeUninit;
//!
//! use allocator_api2::vec::Vec;
//! use allocmark::allocators::bump_slice::BumpSlice;
//!
//! let mut memory = [const { MaybeUninit::uninit() }; 1024];
//! let mut bump = BumpSlice::new(&mut memory);
//! for day in 0..3_u32 {
//!     let mut prices = Vec::new_in(&bump);
//!     prices.extend((0..100).map(|tick| day * 1000 + tick));
//!     assert!(bump.used() >= 400);
//!     drop(prices);
//!     bump.reset();
//! }
//! assert!(bump.alloc([0_u8; 2000]).is_err());
//! assert_eq!(bump.remaining(), 1024);
//! ```
//!
//! It cannot be reset while a block is borrowed:
//! ```compile_fail,E0502
//! use core::mem::MaybeUninit;
//! use allocmark::allocators::bump_slice::BumpSlice;
//!
//! let mut memory = [const { MaybeUninit::uninit() }; 64];
//! let mut bump = BumpSlice::new(&mut memory);
//! let number = bump.alloc(1).unwrap();
//! bump.reset();
//! *number = 2;
//! ```
//!
//! And the slice cannot be used while it is there:
//! ```compile_fail,E0506
//! use core::mem::MaybeUninit;
//! use allocmark::allocators::bump_slice::BumpSlice;
//!
//! let mut memory = [const { MaybeUninit::uninit() }; 64];
//! let bump = BumpSlice::new(&mut memory);
//! memory[0] = MaybeUninit::new(1);
//! bump.alloc(1).unwrap();
//! ```

mod allocate;
mod fit;
mod mapped;

use core::alloc::Layout;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use allocator_api2::alloc::AllocError;

pub use self::mapped::{FACTS, MappedSlice};

/// A bulk allocator for one thread over a slice. `&BumpSlice` is an [`Allocator`](allocator_api2::alloc::Allocator); see
/// the [module](self).
#[derive(Debug)]
pub struct BumpSlice<'m> {
    /// Where the next block may start: in the slice or just after it, with the right to the whole slice. Its address is
    /// always from `start` to `end`.
    next: Cell<NonNull<u8>>,
    /// The first byte of the slice, with the right to all of it.
    start: NonNull<u8>,
    /// The address after the last byte to be used; at most [`fit::MOST_END`].
    end: usize,
    /// The slice is borrowed for as long as this is there, and nobody else reaches it.
    memory: PhantomData<&'m mut [MaybeUninit<u8>]>,
}

// SAFETY: the bytes are borrowed to this alone, blocks borrow from it, and it holds nothing that belongs to a thread.
unsafe impl Send for BumpSlice<'_> {}

impl<'m> BumpSlice<'m> {
    /// Allocates out of `memory`, of any address and length. When the borrow ends, what was written is left in it.
    pub fn new(memory: &'m mut [MaybeUninit<u8>]) -> Self {
        let bytes = memory.len();
        let memory = NonNull::from(memory).cast::<u8>();
        // One that lies wholly where blocks cannot be is as good as an empty one anywhere.
        let usable = memory.as_ptr().addr() <= fit::MOST_END;
        let start = if usable { memory } else { NonNull::dangling() };
        let bytes = if usable { bytes } else { 0 };
        let end = start.as_ptr().addr().saturating_add(bytes).min(fit::MOST_END);
        Self { next: Cell::new(start), start, end, memory: PhantomData }
    }

    /// Bytes handed out since the last reset, padding included.
    pub fn used(&self) -> usize {
        self.next.get().as_ptr().addr() - self.start.as_ptr().addr()
    }

    /// Bytes that can still be handed out. A block of that size fits if no padding is needed for its alignment.
    #[inline(always)]
    pub fn remaining(&self) -> usize {
        self.end - self.next.get().as_ptr().addr()
    }

    /// Bytes that can be handed out between two resets.
    pub fn capacity(&self) -> usize {
        self.end - self.start.as_ptr().addr()
    }

    /// Moves `value` into the slice. It is **not dropped** by the allocator; what it owns elsewhere is leaked unless the
    /// caller drops it in place. A [`Box`](allocator_api2::boxed::Box) in `&BumpSlice` drops its content.
    ///
    /// # Errors
    /// [`AllocError`] when there is no room for it. The value is dropped then.
    #[expect(clippy::mut_from_ref, reason = "each call makes a new value")]
    #[inline]
    pub fn alloc<T>(&self, value: T) -> Result<&mut T, AllocError> {
        let place = self.place(Layout::new::<T>()).ok_or(AllocError)?.cast::<T>();
        // SAFETY: new memory with the layout of `T`, which nobody else refers to until a reset or the end of the borrow,
        // and both need this unborrowed.
        unsafe {
            place.write(value);
            Ok(&mut *place.as_ptr())
        }
    }

    /// Releases every block.
    #[inline]
    pub fn reset(&mut self) {
        self.next.set(self.start);
    }

    /// Whether `block` lies in the slice.
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        (self.start.as_ptr().addr()..self.end).contains(&block.as_ptr().addr())
    }
}
