//! Every workload on snmalloc: `cargo bench --bench snmalloc`.

use std::process::ExitCode;
use std::ptr::NonNull;

use allocmark::allocators::snmalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).reporting(statistics).usable(usable).main()
}

/// What snmalloc says of itself: what it has reserved from the operating system.
fn statistics() -> Vec<(&'static str, u64)> {
    let said = snmalloc_rs::SnMalloc::memory_stats();
    vec![
        ("current_memory_usage", said.current_memory_usage as u64),
        ("peak_memory_usage", said.peak_memory_usage as u64),
    ]
}

/// What a live block can hold. The binding answers for any address but null.
fn usable(block: NonNull<u8>) -> usize {
    GLOBAL.usable_size(block.as_ptr()).unwrap_or_default()
}
