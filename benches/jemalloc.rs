//! Every workload on jemalloc: `cargo bench --bench jemalloc`.

use std::process::ExitCode;
use std::ptr::NonNull;

use allocmark::allocators::jemalloc::FACTS;
use allocmark::harness::bench;
use tikv_jemalloc_ctl::{config, version};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).library(library).asking(owns).main()
}

/// What the C library says of itself.
fn library() -> String {
    let number = version::read().unwrap_or("of unknown version").trim_end_matches('\0');
    let options = config::malloc_conf::read().unwrap_or("unknown").trim_end_matches('\0');
    format!("jemalloc {number}, built-in options: {}", if options.is_empty() { "none" } else { options })
}

/// Whether jemalloc knows a block: it names the arena of one that is its own, and refuses any other.
fn owns(block: NonNull<u8>) -> bool {
    let mut pointer = block.as_ptr();
    let mut arena = 0_u32;
    let mut length = size_of_val(&arena);
    // SAFETY: the name ends in 0; `arenas.lookup` takes an address, which it looks up in a map and does not follow, and
    // writes an `unsigned`; both places have the lengths that are passed and outlive the call.
    let refused = unsafe {
        tikv_jemalloc_sys::mallctl(
            c"arenas.lookup".as_ptr(),
            (&raw mut arena).cast(),
            &raw mut length,
            (&raw mut pointer).cast(),
            size_of_val(&pointer),
        )
    };
    refused == 0
}
