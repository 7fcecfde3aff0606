//! Every workload on snmalloc: `cargo bench --bench snmalloc`.

use std::process::ExitCode;

use allocmark::allocators::snmalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).main()
}
