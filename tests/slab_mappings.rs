//! What happens when the process may have no more mappings. In a process of its own, since the limit is the process's.
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout};

use allocmark::allocators::pages;
use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();

/// Uses up the mappings that the process may have: alternate pages of one mapping are protected, until the kernel refuses
/// to split further. `None` if that takes more pages than there should be in a test.
fn use_mappings_up() -> Option<(std::ptr::NonNull<u8>, usize)> {
    let most: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()?;
    let (page, pages_needed) = (pages::page_size(), 2 * most);
    if most > 1 << 18 {
        return None;
    }
    let start = pages::map(pages_needed * page).ok()?;
    // SAFETY: pages of the mapping above, which nobody reads or writes.
    let refused = (0..pages_needed).step_by(2).any(|index| unsafe {
        libc::mprotect(start.add(index * page).as_ptr().cast(), page, libc::PROT_NONE) != 0
    });
    refused.then_some((start, pages_needed * page))
}

#[test]
fn blocks_can_be_freed_when_no_mapping_may_be_split() {
    // Their mappings lie side by side: to the kernel they are one.
    let layout = Layout::from_size_align(40 << 20, 8).expect("valid");
    // SAFETY: the size is not zero.
    let blocks = [(); 6].map(|()| unsafe { SLAB.alloc(layout) });
    for block in blocks {
        assert!(!block.is_null());
        // SAFETY: the block is at least one byte long.
        unsafe { block.write(1) };
    }
    let used_up = use_mappings_up();
    for block in [1, 3, 5, 0, 2, 4].map(|index| blocks[index]) {
        // SAFETY: each block is live with this layout, and is freed once.
        unsafe { SLAB.dealloc(block, layout) };
        // Not to be kept for the next.
        SLAB.trim();
        assert!(!SLAB.owns(std::ptr::NonNull::new(block).expect("not null")));
    }
    if let Some((start, bytes)) = used_up {
        // SAFETY: mapped by `use_mappings_up` with this length.
        unsafe { pages::unmap(start, bytes) };
    }
    assert_eq!(SLAB.statistics().huge_blocks, 0);
}
