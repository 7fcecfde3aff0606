//! Every workload of one block size on our pool with a lock: `cargo bench --bench pool-mutex`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::fixed_size_shared::<allocmark::allocators::pool_mutex::PoolMutex>().main()
}
