//! Every workload of one block size on our pool: `cargo bench --bench pool`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::fixed_size_shared::<allocmark::allocators::pool::Pool>().main()
}
