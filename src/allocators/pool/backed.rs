//! A pool with another allocator behind it: any size, as long as that one lasts.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use super::Pool;
use crate::allocators::contract::Subject;

/// One of our pools, by default [`Pool`], that passes on to another allocator what does not fit, and what it is too full
/// for.
///
/// Each block goes back to the allocator that made it, which its address tells: a block that the backing served never
/// enters the pool, whatever its size.
///
/// # Examples
/// ```
/// use std::alloc::Layout;
///
/// use allocator_api2::alloc::System;
/// use allocator_api2::vec::Vec;
/// use allocmark::allocators::pool::Pool;
///
/// let pool = Pool::new(Layout::new::<[u64; 8]>(), 100).unwrap().with_backing(System);
/// let mut numbers = Vec::new_in(&pool); // starts in a block of the pool,
/// numbers.extend(0..1000_u64); // and moves to the system's memory when it outgrows that
/// assert_eq!(pool.pool().in_use(), 0);
/// ```
#[derive(Debug)]
pub struct BackedPool<A, P = Pool> {
    pool: P,
    backing: A,
}

impl<A, P> BackedPool<A, P> {
    /// Not public: the safety of what follows depends on `P::owns` being right, which nothing makes a foreign type
    /// promise.
    pub(in crate::allocators) fn new(pool: P, backing: A) -> Self {
        Self { pool, backing }
    }

    /// The pool in front.
    pub fn pool(&self) -> &P {
        &self.pool
    }

    /// The allocator behind.
    pub fn backing(&self) -> &A {
        &self.backing
    }
}

impl<A: Allocator, P: Subject> BackedPool<A, P> {
    /// Moves a block of the pool, which `new` does not fit, to the backing.
    ///
    /// # Safety
    /// `block` is a block of the pool in use with the layout `old`; neither it nor `new` has less than `bytes` bytes.
    #[cold]
    unsafe fn move_out(
        &self,
        block: NonNull<u8>,
        old: Layout,
        bytes: usize,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let moved = self.backing.allocate(new)?;
        // SAFETY: both hold `bytes` bytes, and are disjoint as both are in use.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.cast().as_ptr(), bytes) };
        // SAFETY: in use with this layout, and given up by the caller now that the content has moved.
        unsafe { self.pool.handle().deallocate(block, old) };
        Ok(moved)
    }
}

// SAFETY: every block is one of the pool's, whose promises hold, or one of the backing's, whose promises hold; they go
// back to where they came from, as the pool's addresses are its own until it is dropped, and `owns` of our pools compares
// exactly those.
unsafe impl<A: Allocator, P: Subject> Allocator for &BackedPool<A, P> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.pool.handle().allocate(layout).or_else(|_| self.backing.allocate(layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.pool.handle().allocate_zeroed(layout).or_else(|_| self.backing.allocate_zeroed(layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.pool.owns(block) {
            // SAFETY: a block of the pool, in use and given up now (the caller's promise).
            unsafe { self.pool.handle().deallocate(block, layout) };
        } else {
            // SAFETY: not of the pool, so of the backing; the rest is the caller's promise.
            unsafe { self.backing.deallocate(block, layout) };
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if !self.pool.owns(block) {
            // SAFETY: a block of the backing; the rest is the caller's promise.
            return unsafe { self.backing.grow(block, old, new) };
        }
        // SAFETY: a block of the pool; the rest is the caller's promise. A refusal has changed nothing.
        let grown = unsafe { self.pool.handle().grow(block, old, new) };
        // SAFETY: still in use with `old`, which `new` is not smaller than.
        grown.or_else(|_| unsafe { self.move_out(block, old, old.size(), new) })
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if !self.pool.owns(block) {
            // SAFETY: a block of the backing; the rest is the caller's promise.
            return unsafe { self.backing.grow_zeroed(block, old, new) };
        }
        // SAFETY: the caller keeps the promises of `grow_zeroed`, which are those of `grow`.
        let grown = unsafe { self.grow(block, old, new)? };
        // All of it, also what the backing gave beyond `new`: the contract speaks of the block returned.
        // SAFETY: the new block is as long as its length says, which is not less than `old.size()`.
        unsafe { ptr::write_bytes(grown.cast::<u8>().as_ptr().add(old.size()), 0, grown.len() - old.size()) };
        Ok(grown)
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if !self.pool.owns(block) {
            // SAFETY: a block of the backing; the rest is the caller's promise.
            return unsafe { self.backing.shrink(block, old, new) };
        }
        // SAFETY: a block of the pool; the rest is the caller's promise. A refusal has changed nothing.
        let shrunk = unsafe { self.pool.handle().shrink(block, old, new) };
        // SAFETY: still in use with `old`, which `new` is not larger than. Only a larger alignment brings us here.
        shrunk.or_else(|_| unsafe { self.move_out(block, old, new.size(), new) })
    }
}
