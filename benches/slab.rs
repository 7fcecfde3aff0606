//! Every workload on our slab: `cargo bench --bench slab`.

use std::process::ExitCode;
use std::ptr::NonNull;

use allocmark::allocators::slab::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: allocmark::allocators::slab::Slab = allocmark::allocators::slab::Slab::new();

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL)
        .asking(|block| GLOBAL.owns(block))
        .purging(|| GLOBAL.trim())
        .reporting(statistics)
        .usable(usable)
        .main()
}

/// What a live block can hold.
fn usable(block: NonNull<u8>) -> usize {
    // SAFETY: the caller has a live block of this allocator.
    unsafe { GLOBAL.usable_size(block) }
}

/// What slab says of itself.
fn statistics() -> Vec<(&'static str, u64)> {
    let said = GLOBAL.statistics();
    vec![("mapped_bytes", said.mapped_bytes as u64), ("live_bytes", said.live_bytes() as u64)]
}
