//! Every workload on jemalloc: `cargo bench --bench jemalloc`.

use std::process::ExitCode;

use allocmark::allocators::jemalloc::FACTS;
use allocmark::harness::bench;
use tikv_jemalloc_ctl::{config, version};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).library(library).main()
}

/// What the C library says of itself.
fn library() -> String {
    let number = version::read().unwrap_or("of unknown version").trim_end_matches('\0');
    let options = config::malloc_conf::read().unwrap_or("unknown").trim_end_matches('\0');
    format!("jemalloc {number}, built-in options: {}", if options.is_empty() { "none" } else { options })
}
