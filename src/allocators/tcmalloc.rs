//! `tcmalloc`: facts only; its type is named in its own bench executable and nowhere else.

use super::contract::Facts;

/// Facts about TCMalloc.
pub const FACTS: Facts = Facts {
    id: "tcmalloc",
    ours: false,
    configuration_of: None,
    title: "TCMalloc",
    description: "Google's allocator. Freed blocks are cached for each processor (by restartable sequences, where the \
                  kernel has them; for each thread otherwise), behind that in lists for each size class and in a page \
                  heap that keeps to huge pages.",
    configuration: "crate defaults: 8 KiB pages and the extension interface; no thread for background actions, so \
                    memory goes back only while the program allocates",
    package: Some("tcmalloc-better"),
    missing_entry_points: &[
        "realloc: off by default in the binding, so the standard library allocates, copies and frees every time",
        "alloc_zeroed: the binding has none, so every block is cleared",
        "unaligned allocation: the binding always calls the aligned entry points",
    ],
    links: &["https://github.com/google/tcmalloc", "https://github.com/maratik123/tcmalloc-better"],
    goals: &[],
};
