//! Every workload on the platform's malloc: `cargo bench --bench system`.

use std::process::ExitCode;

use allocmark::allocators::system::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).main()
}
