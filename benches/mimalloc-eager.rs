//! Every workload on mimalloc without a purge delay: `cargo bench --bench mimalloc-eager`.

use std::process::ExitCode;

use allocmark::allocators::mimalloc_eager::FACTS;

#[path = "mimalloc.rs"]
#[allow(dead_code, reason = "its `main`, which is this one with other facts")]
mod mimalloc;

fn main() -> ExitCode {
    // SAFETY: the function has no preconditions; the option takes milliseconds.
    unsafe { libmimalloc_sys::mi_option_set(mimalloc::PURGE_DELAY, 0) };
    mimalloc::bench(&FACTS).main()
}
