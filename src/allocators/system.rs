//! `system`: the platform's malloc, which every Rust program uses unless it says otherwise.

use super::contract::Facts;

/// Facts about the platform's allocator.
pub const FACTS: Facts = Facts {
    id: "system",
    ours: false,
    configuration_of: None,
    title: "System",
    description: "The malloc of the platform's C library, through std::alloc::System: what a Rust program uses unless \
                  it names another. On glibc (ptmalloc) each thread keeps a small cache of freed blocks (tcache) in \
                  front of arenas that are locked, split and coalesced; blocks from 128 KiB on come from mmap at first, \
                  with a threshold that rises as such blocks are freed.",
    configuration: "default settings of the C library",
    package: None,
    missing_entry_points: &[
        "sized deallocation: the C library's free finds the size again",
        "alignment above 16 bytes: alloc_zeroed allocates and then clears; realloc allocates, copies and frees",
    ],
    links: &[
        "https://doc.rust-lang.org/std/alloc/struct.System.html",
        "https://sourceware.org/glibc/wiki/MallocInternals",
    ],
    goals: &[],
};
