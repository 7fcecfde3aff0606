//! A pool as the global allocator, with the system's behind it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use super::Pool;
use crate::allocators::sync::{AtomicU8, Ordering, const_unless_loom};

/// Nobody has asked for a block yet.
const NEW: u8 = 0;
/// A thread is making the pool.
const BUSY: u8 = 1;
/// The pool is there.
const READY: u8 = 2;
/// The pool could not be made; the system's allocator serves everything.
const FAILED: u8 = 3;

/// A [`Pool`] that can be the `#[global_allocator]`; the system's allocator serves what does not fit, and what the pool
/// is too full for. The pool is made when the first block that fits is asked for.
///
/// # Examples
/// ```standalone_crate
/// use std::alloc::Layout;
///
/// use allocmark::allocators::pool::PoolGlobal;
///
/// #[global_allocator]
/// static GLOBAL: PoolGlobal = PoolGlobal::new(Layout::new::<[u64; 8]>(), 10_000);
///
/// let boxes: Vec<_> = (0..100).map(|number| Box::new([number; 8])).collect();
/// let pool = GLOBAL.pool().unwrap();
/// assert!(pool.owns(std::ptr::NonNull::from(&*boxes[99]).cast()));
/// assert!(pool.in_use() >= 100);
/// ```
pub struct PoolGlobal {
    block: Layout,
    capacity: usize,
    /// One of the states above. Goes from `NEW` over `BUSY` to `READY` or `FAILED`, and stays there.
    state: AtomicU8,
    /// Written by the thread that set `BUSY`; initialised and never written again once the state is `READY`.
    pool: UnsafeCell<MaybeUninit<Pool>>,
}

// SAFETY: `pool` is written by one thread, between `BUSY` and `READY`, and shared only after; a `Pool` is `Sync`.
unsafe impl Sync for PoolGlobal {}

impl PoolGlobal {
    const_unless_loom! {
        /// A pool of `capacity` blocks of layout `block`, to be made when the first is needed.
        pub const fn new(block: Layout, capacity: usize) -> Self {
            Self { block, capacity, state: AtomicU8::new(NEW), pool: UnsafeCell::new(MaybeUninit::uninit()) }
        }
    }

    /// The pool, once a block that fits was asked for.
    #[inline(always)]
    pub fn pool(&self) -> Option<&Pool> {
        // Acquire: pairs with the release in `make`; the pool is visible with its state.
        if self.state.load(Ordering::Acquire) != READY {
            return None;
        }
        // SAFETY: the state says it is initialised, and nobody writes it any more.
        Some(unsafe { (*self.pool.get()).assume_init_ref() })
    }

    /// Makes the pool, unless that was tried before. A thread that comes while another is at it does not wait but gets
    /// its block from the system: waiting might allocate.
    #[cold]
    #[inline(never)]
    fn make(&self) -> Option<&Pool> {
        // Relaxed: the exchange only decides who makes it.
        self.state.compare_exchange(NEW, BUSY, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let made = match Pool::new(self.block, self.capacity) {
            Ok(pool) => {
                // SAFETY: the exchange has made this thread the only one that may write it, and nobody reads it yet.
                unsafe { (*self.pool.get()).write(pool) };
                READY
            }
            Err(_) => FAILED,
        };
        // Release: who reads `READY` sees the pool.
        self.state.store(made, Ordering::Release);
        self.pool()
    }

    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() > self.block.size() || layout.align() > self.block.align() {
            return None;
        }
        self.pool().or_else(|| self.make())?.take(layout)
    }

    #[inline(always)]
    fn owner(&self, block: *mut u8) -> Option<(&Pool, NonNull<u8>)> {
        let (pool, block) = (self.pool()?, NonNull::new(block)?);
        pool.owns(block).then_some((pool, block))
    }
}

// SAFETY: every block is one of the pool or one of the system's allocator, and goes back to where it came from, as the
// pool's addresses are its own for ever after it is made. Neither unwinds. Making the pool and claiming a thread's
// slot take memory from the operating system alone.
unsafe impl GlobalAlloc for PoolGlobal {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => block.as_ptr(),
            // SAFETY: the caller promises a layout of a size above zero.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(block) = self.take(layout) else {
            // SAFETY: as in `alloc`.
            return unsafe { System.alloc_zeroed(layout) };
        };
        // SAFETY: the block has at least this size.
        unsafe { ptr::write_bytes(block.as_ptr(), 0, layout.size()) };
        block.as_ptr()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.owner(block) {
            // SAFETY: a block of the pool, in use and given up now (the caller's promise).
            Some((pool, block)) => unsafe { pool.put(block, layout) },
            // SAFETY: not of the pool, so of the system; the rest is the caller's promise.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some((pool, owned)) = self.owner(block) else {
            // SAFETY: a block of the system's; the rest is the caller's promise.
            return unsafe { System.realloc(block, layout, new_size) };
        };
        // SAFETY: the caller promises that `new_size` makes a valid layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: a block of the pool, in use with this layout (the caller's promise).
        if let Ok(resized) = unsafe { pool.storage.blocks().resize(owned, layout, new) } {
            return resized.cast().as_ptr();
        }
        // SAFETY: the caller promises a size above zero.
        let moved = unsafe { System.alloc(new) };
        if !moved.is_null() {
            // SAFETY: it grows, so both hold `layout.size()` bytes; both are in use, so they are disjoint.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size()) };
            // SAFETY: in use, and given up now that the content has moved.
            unsafe { pool.put(owned, layout) };
        }
        moved
    }
}

impl Drop for PoolGlobal {
    fn drop(&mut self) {
        // Relaxed: `&mut` shows that every other access comes before.
        if self.state.load(Ordering::Relaxed) == READY {
            // SAFETY: initialised, and dropped once.
            unsafe { self.pool.get_mut().assume_init_drop() };
        }
    }
}
