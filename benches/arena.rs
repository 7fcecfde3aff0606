//! Every workload that releases in bulk on our arena: `cargo bench --bench arena`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::bulk::<allocmark::allocators::arena::Arena>().main()
}
