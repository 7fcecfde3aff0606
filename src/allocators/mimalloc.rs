//! `mimalloc`: facts only; its type is named in its own bench executable and nowhere else.

use super::contract::Facts;

/// Facts about mimalloc.
pub const FACTS: Facts = Facts {
    id: "mimalloc",
    ours: false,
    configuration_of: None,
    title: "mimalloc",
    description: "Each thread owns pages of blocks of one size class, with a free list in every page, so that \
                  neighbours in time become neighbours in memory. What another thread frees goes onto a second, atomic \
                  list of that page, which the owner collects in bulk; a page that its thread left behind is adopted \
                  by another one.",
    configuration: "default settings: C library version 3, `extended` (more functions, the same allocation path); \
                    secure mode, debug checks and symbol override off",
    package: Some("mimalloc"),
    missing_entry_points: &[
        "unaligned malloc, zalloc and realloc: the binding always calls the aligned entry points, whatever the \
         alignment",
        "sized deallocation: the binding calls mi_free",
    ],
    links: &["https://github.com/microsoft/mimalloc", "https://github.com/purpleprotocol/mimalloc_rust"],
    goals: &[],
};
