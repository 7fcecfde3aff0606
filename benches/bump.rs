//! Every workload that releases in bulk on bumpalo: `cargo bench --bench bump`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::bulk::<allocmark::allocators::bump::Bump>().main()
}
