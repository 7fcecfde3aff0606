//! Every workload of one thread on talc: `cargo bench --bench talc`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::region::<allocmark::allocators::talc::TalcRegion>().main()
}
