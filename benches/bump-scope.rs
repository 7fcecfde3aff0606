//! Every workload that releases in bulk on bump-scope: `cargo bench --bench bump-scope`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::bulk::<allocmark::allocators::bump_scope::ScopedBump>().main()
}
