//! Every workload that releases in bulk, on our bump allocator for many threads: `cargo bench --bench bump-shared`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::bulk_shared::<allocmark::allocators::bump_shared::BumpShared>().main()
}
