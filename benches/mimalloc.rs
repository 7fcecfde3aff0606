//! Every workload on mimalloc: `cargo bench --bench mimalloc`.

use std::process::ExitCode;
use std::ptr::{self, NonNull};

use allocmark::allocators::contract::Facts;
use allocmark::allocators::mimalloc::FACTS;
use allocmark::harness::bench::{self, Bench};

#[global_allocator]
static GLOBAL: mimalloc_crate::MiMalloc = mimalloc_crate::MiMalloc;

fn main() -> ExitCode {
    bench(&FACTS).main()
}

/// This allocator, under the facts of one of its configurations.
pub(crate) fn bench(facts: &'static Facts) -> Bench {
    bench::general(facts, &GLOBAL)
        .library(library)
        .asking(owns)
        .purging(purge)
        .reporting(statistics)
        .usable(usable)
}

/// `mi_option_purge_delay` of mimalloc.h, which the binding does not name.
pub(crate) const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// What the C library says of itself: one number, two digits for each part after the first.
fn library() -> String {
    // SAFETY: the function reads a constant and has no preconditions.
    let version = unsafe { libmimalloc_sys::mi_version() };
    // SAFETY: as above.
    let delay_ms = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
    let (major, minor, patch) = (version / 10_000, version / 100 % 100, version % 100);
    format!("mimalloc {major}.{minor}.{patch}, purges after {delay_ms} ms")
}

/// Whether mimalloc knows a block.
fn owns(block: NonNull<u8>) -> bool {
    // SAFETY: mimalloc looks the address up in its own map of regions and does not follow it.
    unsafe { libmimalloc_sys::mi_is_in_heap_region(block.as_ptr().cast()) }
}

/// Frees this thread's unused pages and gives back what has nothing live in it, without waiting for its delays.
fn purge() {
    // SAFETY: the function has no preconditions.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// What mimalloc says of itself. Not its resident bytes: on Linux it takes what is committed for that.
fn statistics() -> Vec<(&'static str, u64)> {
    let (mut current, mut peak) = (0_usize, 0_usize);
    let none = ptr::null_mut();
    // SAFETY: every parameter may be null; the two places are writable and outlive the call.
    unsafe {
        libmimalloc_sys::mi_process_info(none, none, none, none, none, &raw mut current, &raw mut peak, none);
    }
    vec![("current_commit", current as u64), ("peak_commit", peak as u64)]
}

/// What a live block can hold.
fn usable(block: NonNull<u8>) -> usize {
    // SAFETY: the caller has a live block of this allocator.
    unsafe { libmimalloc_sys::mi_usable_size(block.as_ptr().cast()) }
}
