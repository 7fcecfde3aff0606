//! Every workload of one block size on our pool for one thread: `cargo bench --bench pool-local`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::fixed_size::<allocmark::allocators::pool_local::PoolLocal>().main()
}
