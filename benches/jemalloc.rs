//! Every workload on jemalloc: `cargo bench --bench jemalloc`.

use std::process::ExitCode;

use allocmark::allocators::jemalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).library(version).main()
}

/// What the C library says of itself.
fn version() -> String {
    use tikv_jemalloc_ctl::{config, version};
    let version = version::read().unwrap_or("of unknown version");
    let options = config::malloc_conf::read().unwrap_or("unknown");
    format!("jemalloc {version}, built-in options: {}", if options.is_empty() { "none" } else { options })
}
