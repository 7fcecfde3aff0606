//! `jemalloc-eager`: facts only; jemalloc that gives memory back at once.

use super::contract::Facts;
use super::jemalloc;

/// Facts about jemalloc without decay.
pub const FACTS: Facts = Facts {
    id: "jemalloc-eager",
    configuration_of: Some(jemalloc::FACTS.id),
    title: "jemalloc, no decay",
    description: "jemalloc that returns unused pages to the operating system at once instead of over ten seconds, as \
                  it is configured where memory is dear. What it saves it pays for in system calls and page faults.",
    configuration: "dirty_decay_ms:0,muzzy_decay_ms:0, as MALLOC_CONF or the symbol malloc_conf sets them; all else as \
                    in the row jemalloc",
    ..jemalloc::FACTS
};
