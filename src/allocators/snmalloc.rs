//! `snmalloc`: facts only; its type is named in its own bench executable and nowhere else.

use super::contract::Facts;

/// Facts about snmalloc.
pub const FACTS: Facts = Facts {
    id: "snmalloc",
    ours: false,
    configuration_of: None,
    title: "snmalloc",
    description: "Each thread allocates from slabs of its own without synchronising. A block that another thread frees \
                  travels back to its owner as a message: frees are batched by owner and posted to a lock-free queue, \
                  which the owner works off while it allocates.",
    configuration: "crate features off except `build_cc`, so its default `usewait-on-address` is off too (waiting \
                    threads spin); outside MSVC that build does not define NDEBUG, so the C++ library's own assertions \
                    are compiled in unless CXXFLAGS says -DNDEBUG",
    package: Some("snmalloc-rs"),
    missing_entry_points: &[
        "realloc in place: the binding returns the block as it is when both sizes fall into one size class, and \
         otherwise allocates, copies and frees",
    ],
    links: &["https://github.com/microsoft/snmalloc", "https://docs.rs/snmalloc-rs"],
    goals: &[],
};
