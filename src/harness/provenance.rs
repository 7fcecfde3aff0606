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

/// Blocks taken through `Global`, of which every other one is freed. Not one alone: snmalloc hands a slab out again only
/// when a good part of it is free, and others keep a freed block back until their page has more of them.
const HELD: usize = 1_024;

/// Blocks tried before giving up: 32 MiB, many times what any allocator keeps free of one class in a process this
/// small, and a few milliseconds.
const TRIES: usize = 16_384;

/// Frees blocks through `Global`, then takes blocks from `claimed` itself until one of them comes back.
///
/// Only an allocator that received a block can hand it out again. Its neighbours stay alive meanwhile, so that the
/// memory cannot go back to the operating system and come back to somebody else.
///
/// # Errors
/// What was seen instead, if none comes back.
pub fn reallocation(claimed: &'static (dyn GlobalAlloc + Sync)) -> Result<String, String> {
    // SAFETY: the layout has bytes. Null is looked for below.
    let held = Table::new(HELD, |_| black_box(unsafe { std::alloc::alloc(LAYOUT) }));
    if held.contains(&ptr::null_mut()) {
        return Err("the global allocator refused 2 000 bytes".to_owned());
    }
    let mut wanted = Table::new(HELD / 2, |pair| held[2 * pair].addr());
    wanted.sort_unstable();
    for block in held.iter().step_by(2) {
        // SAFETY: allocated above with this layout, freed once: the others are freed below.
        unsafe { std::alloc::dealloc(*block, LAYOUT) };
    }

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
        if wanted.binary_search(&black_box(block.addr())).is_ok() {
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
    for block in held.iter().skip(1).step_by(2) {
        // SAFETY: allocated above with this layout, freed once: every other one was freed before.
        unsafe { std::alloc::dealloc(*block, LAYOUT) };
    }
    if found {
        Ok("a block freed through Global came back from the allocator itself".to_owned())
    } else {
        Err(format!("no block freed through Global came back from the claimed allocator in {tries} tries"))
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
