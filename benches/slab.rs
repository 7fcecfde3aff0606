//! Every workload on our slab: `cargo bench --bench slab`.

use std::process::ExitCode;

use allocmark::allocators::slab::FACTS;
use allocmark::harness::bench;

#[global_allocator]
static GLOBAL: allocmark::allocators::slab::Slab = allocmark::allocators::slab::Slab::new();

fn main() -> ExitCode {
    bench::general(&FACTS, &GLOBAL).asking(|block| GLOBAL.owns(block)).main()
}
