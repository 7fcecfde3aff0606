//! The harness's own cost, by an allocator that does next to nothing: `cargo bench --bench null`.

use std::process::ExitCode;

use allocmark::harness::bench;

fn main() -> ExitCode {
    bench::control::<allocmark::allocators::null::Null>().main()
}
