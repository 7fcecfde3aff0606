//! Every workload on rpmalloc: `cargo bench --bench rpmalloc`.

use std::process::ExitCode;

use allocmark::allocators::rpmalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: rpmalloc_crate::RpMalloc = rpmalloc_crate::RpMalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).main()
}
