//! Every workload that releases in bulk on our bump allocator over a slice: `cargo bench --bench bump-slice`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::bulk::<allocmark::allocators::bump_slice::MappedSlice>().main()
}
