//! Chunks of an arena: memory from the backing allocator with a header in front, in one list.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::allocators::poison;
use crate::allocators::sync::{AtomicPtr, Ordering};

/// The first chunk: one page.
pub(super) const FIRST_BYTES: usize = 4096;
/// Chunks grow no larger than this by themselves, so at most this much is taken and not needed. At one call of the
/// backing allocator for each MiB, the calls cost less than 1 % of touching the memory; larger chunks would gain
/// nothing more. A single larger block gets a chunk of its size.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// The alignment of a chunk, and so of its first block.
pub(super) const ALIGN: usize = 16;

/// The way to a chunk, or to none.
///
/// Only the thread that owns the arena sets one. It is atomic because `arena-thread` walks the chunks of one thread on
/// another one, to find whose a block is; a chunk is taken and its link set once in many allocations.
#[derive(Debug)]
pub(super) struct Link(AtomicPtr<Chunk>);

impl Link {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(super) fn get(&self) -> Option<ChunkRef> {
        // Acquire: pairs with `set`; the header behind it is written.
        NonNull::new(self.0.load(Ordering::Acquire)).map(ChunkRef)
    }

    pub(super) fn set(&self, chunk: Option<ChunkRef>) {
        let chunk = chunk.map_or(ptr::null_mut(), |chunk| chunk.0.as_ptr());
        // Release: the chunk's header comes before the way to it.
        self.0.store(chunk, Ordering::Release);
    }
}

/// The header of a chunk; its memory follows.
#[derive(Debug)]
#[repr(C, align(16))]
pub(super) struct Chunk {
    /// The one to be used after this.
    next: Link,
    /// Bytes of the chunk, header included: the size it was allocated with.
    bytes: usize,
}

/// Bytes of a chunk that are not for blocks.
pub(super) const HEADER_BYTES: usize = size_of::<Chunk>();

const _: () = assert!(align_of::<Chunk>() == ALIGN && HEADER_BYTES.is_multiple_of(ALIGN));

/// A chunk that has not been freed, with the right to all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkRef(NonNull<Chunk>);

impl ChunkRef {
    /// Takes a chunk of `bytes`, header included: at least [`HEADER_BYTES`].
    pub(super) fn allocate(backing: &impl Allocator, bytes: usize) -> Result<Self, AllocError> {
        debug_assert!(bytes >= HEADER_BYTES);
        let layout = Layout::from_size_align(bytes, ALIGN).map_err(|_| AllocError)?;
        let chunk = backing.allocate(layout)?.cast::<Chunk>();
        // SAFETY: the memory is new, aligned as a chunk is, and has room for the header.
        unsafe { chunk.write(Chunk { next: Link::new(), bytes }) };
        let chunk = Self(chunk);
        chunk.close();
        Ok(chunk)
    }

    /// Gives the chunk back.
    ///
    /// # Safety
    /// It came from `backing`, nothing refers to it or to its memory any more, and no copy of this is used again.
    pub(super) unsafe fn deallocate(self, backing: &impl Allocator) {
        let bytes = self.bytes();
        poison::unpoison(self.start().as_ptr(), bytes - HEADER_BYTES);
        // SAFETY: `allocate` has checked this size.
        let layout = unsafe { Layout::from_size_align_unchecked(bytes, ALIGN) };
        // SAFETY: it came from there with this layout; the rest is the caller's promise.
        unsafe { backing.deallocate(self.0.cast(), layout) };
    }

    /// Nobody may touch its memory until it is handed out.
    pub(super) fn close(self) {
        poison::poison(self.start().as_ptr(), self.bytes() - HEADER_BYTES);
    }

    fn header(&self) -> &Chunk {
        // SAFETY: a `ChunkRef` stands for a chunk that is not freed; its header is never borrowed mutably.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn next(self) -> Option<Self> {
        self.header().next.get()
    }

    pub(super) fn set_next(self, next: Option<Self>) {
        self.header().next.set(next);
    }

    /// Bytes of the chunk, header included.
    pub(super) fn bytes(self) -> usize {
        self.header().bytes
    }

    /// The first byte for blocks, with the right to the whole chunk.
    pub(super) fn start(self) -> NonNull<u8> {
        // SAFETY: the header lies within the chunk, so its end does too, or is its end.
        unsafe { self.0.cast::<u8>().add(HEADER_BYTES) }
    }

    /// The address after the last byte.
    pub(super) fn end(self) -> usize {
        self.0.as_ptr().addr() + self.bytes()
    }
}

/// The chunks from `first` on.
pub(super) fn from(first: Option<ChunkRef>) -> impl Iterator<Item = ChunkRef> {
    std::iter::successors(first, |chunk| chunk.next())
}

/// The same chunks, the largest first. One step for each when they are in rising order, as they are while an arena grows.
pub(super) fn largest_first(mut chunks: Option<ChunkRef>) -> Option<ChunkRef> {
    let mut sorted: Option<ChunkRef> = None;
    while let Some(chunk) = chunks {
        chunks = chunk.next();
        let before = from(sorted).take_while(|other| other.bytes() > chunk.bytes()).last();
        match before {
            None => {
                chunk.set_next(sorted);
                sorted = Some(chunk);
            }
            Some(before) => {
                chunk.set_next(before.next());
                before.set_next(Some(chunk));
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;

    use super::*;

    #[test]
    fn chunks_are_sorted_largest_first_and_none_is_lost() {
        for sizes in [vec![], vec![64], vec![64, 128, 256], vec![256, 64, 128, 128, 512, 32]] {
            let mut list = None;
            for &bytes in sizes.iter().rev() {
                let chunk = ChunkRef::allocate(&Global, bytes).unwrap();
                chunk.set_next(list);
                list = Some(chunk);
            }
            let sorted: Vec<_> = from(largest_first(list)).collect();
            let mut expected = sizes.clone();
            expected.sort_by(|a, b| b.cmp(a));
            assert_eq!(sorted.iter().map(|chunk| chunk.bytes()).collect::<Vec<_>>(), expected);
            for chunk in sorted {
                // SAFETY: from `Global`, and each is visited once.
                unsafe { chunk.deallocate(&Global) };
            }
        }
    }
}
