//! Every workload on rpmalloc: `cargo bench --bench rpmalloc`.

use std::process::ExitCode;
use std::ptr::NonNull;

use allocmark::allocators::rpmalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: rpmalloc_crate::RpMalloc = rpmalloc_crate::RpMalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).usable(usable).main()
}

/// What a live block can hold.
fn usable(block: NonNull<u8>) -> usize {
    // SAFETY: the caller has a live block of this allocator, whose header lies at the start of its span.
    unsafe { rpmalloc_sys::rpmalloc_usable_size(block.as_ptr().cast()) }
}
