//! Every workload on mimalloc: `cargo bench --bench mimalloc`.

use std::process::ExitCode;
use std::ptr::NonNull;

use allocmark::allocators::mimalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: mimalloc_crate::MiMalloc = mimalloc_crate::MiMalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).library(library).asking(owns).main()
}

/// What the C library says of itself: one number, two digits for each part after the first.
fn library() -> String {
    // SAFETY: the function reads a constant and has no preconditions.
    let version = unsafe { libmimalloc_sys::mi_version() };
    format!("mimalloc {}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// Whether mimalloc knows a block.
fn owns(block: NonNull<u8>) -> bool {
    // SAFETY: mimalloc looks the address up in its own map of regions and does not follow it.
    unsafe { libmimalloc_sys::mi_is_in_heap_region(block.as_ptr().cast()) }
}
