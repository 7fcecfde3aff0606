//! `rpmalloc`: facts only; its type is named in its own bench executable and nowhere else.

use super::contract::Facts;

/// Facts about rpmalloc.
pub const FACTS: Facts = Facts {
    id: "rpmalloc",
    ours: false,
    configuration_of: None,
    title: "rpmalloc",
    description: "Each thread has a heap of 64 KiB spans, one size class in each (steps of 16 bytes up to 1 KiB, of 512 \
                  bytes up to 32 KiB). Blocks freed by other threads are put on an atomic list of their span; empty \
                  spans are cached in the thread first and then for the whole process.",
    configuration: "crate defaults (turning them off changes nothing: they are empty), which always compile the C \
                    library with ENABLE_PRELOAD, so that pthread_create is replaced in every executable that names \
                    the type; thread cache and global cache on, statistics and assertions off, always -O2",
    package: Some("rpmalloc"),
    missing_entry_points: &[
        "realloc: the binding has none, so the standard library allocates, copies and frees every time",
        "unaligned malloc and calloc: the binding always calls rpaligned_alloc and rpaligned_calloc",
        "sized deallocation: the binding calls rpfree",
    ],
    links: &["https://github.com/mjansson/rpmalloc", "https://github.com/EmbarkStudios/rpmalloc-rs"],
    goals: &[],
};
