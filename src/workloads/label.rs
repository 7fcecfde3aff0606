//! A block that carries its own size, for whoever is handed its address alone.
//!
//! Programs whose blocks change hands do the same: a message's header says how long it is. The one who frees must know the
//! layout, so it reads the header, and with it the first line of memory that another processor wrote.

use std::num::NonZeroU32;
use std::panic::panic_any;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::heap::take as allocate;
use super::mode::{Mode, WrongResult};
use super::sizes::Sizes;
use super::slot::opaque;

/// What stands in the first eight bytes of a labelled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Bytes of the block, label included.
    pub size: NonZeroU32,
    /// Anything: it comes out as it went in.
    pub note: u32,
}

/// A label as it lies in memory: the size, the note. Not a [`Label`]: what an allocator has written over may be any number.
type Written = [u32; 2];

const BYTES: usize = size_of::<Written>();

impl Label {
    /// Allocates a block of this size, labels it, and fills what follows the label as `mode` says.
    ///
    /// # Panics
    /// If the block has no room for anything but its label.
    #[inline(always)]
    pub fn take<A: Allocator, M: Mode>(self, allocator: A, mode: &mut M) -> NonNull<u8> {
        let bytes = self.size.get() as usize;
        assert!(bytes > BYTES, "a labelled block holds more than its label");
        let block = allocate(allocator, Sizes::layout(bytes));
        // SAFETY: the block has `bytes` bytes and is ours alone. With more than eight it is aligned to eight, so the label
        // may stand at its start; behind it `bytes - BYTES` are left.
        unsafe {
            block.cast::<Written>().write([self.size.get(), self.note]);
            mode.fill(block.add(BYTES), bytes - BYTES);
        }
        opaque(block)
    }

    /// Reads the label of a block that has at most `most` bytes.
    ///
    /// # Safety
    /// The block is alive, came from [`Label::take`], and nobody writes to it.
    ///
    /// # Panics
    /// With [`WrongResult`] if no such block can have this label: somebody has written over it.
    #[inline(always)]
    pub unsafe fn of(block: NonNull<u8>, most: usize) -> Self {
        // SAFETY: `take` wrote it there, and the block is alive (the caller's promise).
        let [size, note] = unsafe { block.cast::<Written>().read() };
        match NonZeroU32::new(size) {
            Some(size) if (BYTES + 1..=most).contains(&(size.get() as usize)) => Self { size, note },
            _ => lost(size, most),
        }
    }

    /// Inspects the block, then frees it.
    ///
    /// # Safety
    /// - `self` is the label of `block`, which is alive, and which [`Label::take`] had from `allocator` and filled with the
    ///   same kind of `mode`.
    /// - The block is not used afterwards.
    #[inline(always)]
    pub unsafe fn free<A: Allocator, M: Mode>(self, block: NonNull<u8>, allocator: A, mode: &mut M) {
        let bytes = self.size.get() as usize;
        // SAFETY: `take` filled so many bytes behind the label, and the block is alive.
        unsafe { mode.inspect(block.add(BYTES), bytes - BYTES) };
        // SAFETY: it came from this allocator with this layout, and is not used again (the caller's promises).
        unsafe { allocator.deallocate(block, Sizes::layout(bytes)) };
    }
}

#[cold]
#[inline(never)]
fn lost(size: u32, most: usize) -> ! {
    panic_any(WrongResult { found: u64::from(size), expected: most as u64 })
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;
    use crate::workloads::mode::Pattern;

    fn label(size: u32) -> Label {
        Label { size: NonZeroU32::new(size).expect("not 0"), note: 5 }
    }

    #[test]
    fn a_label_and_what_follows_it_stay_as_they_were_written() {
        let mut mode = Pattern::new();
        for size in [9, 16, 1_040] {
            let block = label(size).take(System, &mut mode);
            // SAFETY: taken just now, and freed here alone.
            unsafe {
                assert_eq!(Label::of(block, 1_040), label(size));
                Label::of(block, 1_040).free(block, System, &mut mode);
            }
        }
        assert_eq!(mode.fault(), None);
    }

    #[test]
    fn a_byte_behind_the_label_that_changed_is_found() {
        let mut mode = Pattern::new();
        let block = label(100).take(System, &mut mode);
        // SAFETY: the block has 100 bytes, and is freed here alone.
        unsafe {
            block.add(50).write(!block.add(50).read());
            label(100).free(block, System, &mut mode);
        }
        assert!(mode.fault().expect("a fault").contains("lost its content"));
    }

    #[test]
    fn a_label_that_was_written_over_is_found() {
        for size in [0, 8, 101] {
            let block = label(100).take(System, &mut Pattern::new());
            // SAFETY: the block has room for a label and is read before it is freed with the layout it was taken with.
            let read = unsafe {
                block.cast::<Written>().write([size, 5]);
                std::panic::catch_unwind(|| Label::of(block, 100))
            };
            // SAFETY: as above; nobody uses it afterwards.
            unsafe { System.deallocate(block, Sizes::layout(100)) };
            assert!(read.expect_err("no such label").is::<WrongResult>());
        }
    }
}
