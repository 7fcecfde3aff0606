//! `jemalloc`: facts only; its type is named in its own bench executable and nowhere else.

use super::contract::Facts;

/// Facts about jemalloc.
pub const FACTS: Facts = Facts {
    id: "jemalloc",
    ours: false,
    configuration_of: None,
    title: "jemalloc",
    description: "Every thread has a cache of recently freed blocks for each size class, in front of several arenas \
                  over which the threads are spread. Blocks of one class lie together in a slab with a bitmap beside \
                  it; pages that stay unused are given back bit by bit over about ten seconds, when the allocator is \
                  called again or asked to.",
    configuration: "default settings: crate defaults plus `stats` (compiled in because tikv-jemalloc-ctl's `stats` \
                    feature turns it on); background threads supported and off; names prefixed, the C library's \
                    malloc is not replaced",
    package: Some("tikv-jemallocator"),
    missing_entry_points: &[],
    links: &["https://jemalloc.net", "https://github.com/tikv/jemallocator"],
    goals: &[],
};
