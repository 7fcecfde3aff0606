//! Every workload that releases in bulk, on our arenas of threads: `cargo bench --bench arena-thread`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::bulk_shared::<allocmark::allocators::arena_thread::ArenaThread>().main()
}
