//! Every workload on tcmalloc: `cargo bench --features tcmalloc --bench tcmalloc`.

use std::process::ExitCode;

use allocmark::allocators::tcmalloc::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: tcmalloc_better::TCMalloc = tcmalloc_better::TCMalloc;

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).main()
}
