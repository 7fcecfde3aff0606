//! What happens when the operating system has no more memory. In a process of its own, since it limits the address space.
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout};

use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();

/// Allocates until null comes; returns the blocks.
fn exhaust(layout: Layout) -> Vec<*mut u8> {
    let mut blocks = Vec::with_capacity(1 << 20);
    loop {
        // SAFETY: the size is not zero.
        let block = unsafe { SLAB.alloc(layout) };
        if block.is_null() {
            return blocks;
        }
        // SAFETY: the block is at least one byte long.
        unsafe { block.write(1) };
        blocks.push(block);
    }
}

#[test]
fn exhausted_memory_is_null_and_all_of_it_can_be_used_again() {
    let limit = libc::rlimit { rlim_cur: 512 << 20, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is read, and only concerns what is mapped from now on.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    for size in [1000, 50_000, 3 << 20, 20 << 20, 1000] {
        let layout = Layout::from_size_align(size, 8).expect("valid");
        let first = exhaust(layout);
        assert!(first.len() * size > 100 << 20, "{} blocks of {size}", first.len());
        // Other sizes fail too, or are served from what is left, and nothing breaks.
        for other in [16, 5000, 200_000, 8 << 20] {
            let other = Layout::from_size_align(other, 16).expect("valid");
            // SAFETY: the size is not zero; what came is freed.
            unsafe {
                let block = SLAB.alloc_zeroed(other);
                if !block.is_null() {
                    SLAB.dealloc(block, other);
                }
            }
        }
        let count = first.len();
        for block in first {
            // SAFETY: the block is live with this layout.
            unsafe { SLAB.dealloc(block, layout) };
        }
        #[cfg(debug_assertions)]
        assert_eq!(SLAB.check_invariants(), Ok(0));
        // All but what address space fragments in between.
        let second = exhaust(layout);
        assert!(second.len() * 10 >= count * 9, "{count} blocks of {size}, then {}", second.len());
        for block in second {
            // SAFETY: the block is live with this layout.
            unsafe { SLAB.dealloc(block, layout) };
        }
        // No `trim`: what is kept of one size must not be missing for the next.
    }
    assert_eq!(SLAB.statistics().live_blocks(), 0);
}
