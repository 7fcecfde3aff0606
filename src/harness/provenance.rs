//! Proof of which allocator serves.
//!
//! A number under the wrong name is worse than none: a `#[global_allocator]` that was left out, a feature that swapped
//! it, a symbol that another library replaced. So every measured process shows who served it.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::{self, NonNull};

use crate::workloads::table::Table;

/// The size that is asked for: a class of small blocks that no workload uses much, so that few free blocks of it lie
/// around before the one we look for.
pub const LAYOUT: Layout = match Layout::from_size_align(2_000, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("2 000 bytes aligned to 8 are a layout"),
};

/// Blocks tried before giving up: 32 MiB, many times what any allocator keeps free of one class in a process this
/// small, and a few milliseconds.
const TRIES: usize = 16_384;

/// Frees a block through `Global`, then takes blocks from `claimed` itself until that block comes back.
///
/// Only an allocator that received the block can hand it out again. Its neighbours stay alive meanwhile, so that the
/// memory cannot go back to the operating system and come back to somebody else.
///
/// # Errors
/// What was seen instead, if the block does not come back.
pub fn reallocation(claimed: &'static (dyn GlobalAlloc + Sync)) -> Result<String, String> {
    // SAFETY: the layout has bytes. Null is looked for below.
    let block = || black_box(unsafe { std::alloc::alloc(LAYOUT) });
    let (before, wanted, after) = (block(), block(), block());
    if [before, wanted, after].contains(&ptr::null_mut()) {
        return Err("the global allocator refused 2 000 bytes".to_owned());
    }
    let address = wanted.addr();
    // SAFETY: allocated above with this layout, freed once.
    unsafe { std::alloc::dealloc(wanted, LAYOUT) };

    let mut taken = Table::new(TRIES, |_| ptr::null_mut::<u8>());
    let mut tries = 0;
    let found = loop {
        // SAFETY: the layout has bytes.
        let block = black_box(unsafe { claimed.alloc(LAYOUT) });
        if block.is_null() {
            break false;
        }
        taken[tries] = block;
        tries += 1;
        // Without `black_box` the compiler may fold the comparison: to it, two allocations never have one address.
        if black_box(block.addr()) == black_box(address) {
            break true;
        }
        if tries == TRIES {
            break false;
        }
    };
    for &block in &taken[..tries] {
        // SAFETY: taken from `claimed` with this layout, freed once.
        unsafe { claimed.dealloc(block, LAYOUT) };
    }
    for block in [before, after] {
        // SAFETY: allocated above with this layout, freed once.
        unsafe { std::alloc::dealloc(block, LAYOUT) };
    }
    if found {
        Ok("a block freed through Global came back from the allocator itself".to_owned())
    } else {
        Err(format!(
            "a block freed through Global did not come back from the claimed allocator in {tries} tries"
        ))
    }
}

/// Asks an allocator about a block that came through `Global`: does it know it as its own?
///
/// Beside [`reallocation`], where an allocator can be asked: that shows that the claimed allocator serves, this that it is
/// the one whose name it bears.
///
/// # Errors
/// If it does not.
pub fn asked(owns: fn(NonNull<u8>) -> bool) -> Result<(), String> {
    // SAFETY: the layout has bytes.
    let block = black_box(unsafe { std::alloc::alloc(LAYOUT) });
    let Some(block) = NonNull::new(block) else {
        return Err("the global allocator refused 2 000 bytes".to_owned());
    };
    let owned = owns(block);
    // SAFETY: allocated above with this layout, freed once.
    unsafe { std::alloc::dealloc(block.as_ptr(), LAYOUT) };
    if owned {
        Ok(())
    } else {
        Err("the allocator, asked, does not know a block that came through Global".to_owned())
    }
}

/// What a scoped allocator's own word about a block means.
///
/// # Errors
/// If it disowns the block.
pub fn ownership(owned: bool) -> Result<String, String> {
    if owned {
        Ok("a block it handed out lies in its own memory".to_owned())
    } else {
        Err("a block that came through its handle is not in its memory".to_owned())
    }
}
