//! Every workload on jemalloc without decay: `cargo bench --bench jemalloc-eager`.

use std::ffi::c_char;
use std::process::ExitCode;

use allocmark::allocators::jemalloc_eager::FACTS;

#[path = "jemalloc.rs"]
#[allow(dead_code, reason = "its `main`, which is this one with other facts")]
mod jemalloc;

/// jemalloc reads its options from here before the first allocation.
// SAFETY: the symbol is the C library's weak `const char *`, with its prefix, which this definition takes the place of; a
// reference in an `Option` is such a pointer, and the text ends in 0.
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: Option<&'static c_char> = Some(
    // SAFETY: the pointer is that of a constant text.
    unsafe { &*c"dirty_decay_ms:0,muzzy_decay_ms:0".as_ptr() },
);

fn main() -> ExitCode {
    jemalloc::bench(&FACTS).main()
}
