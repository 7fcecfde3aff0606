//! `jemalloc-bg`: facts only; jemalloc that gives memory back from threads of its own.

use super::contract::Facts;
use super::jemalloc;

/// Facts about jemalloc with background threads.
pub const FACTS: Facts = Facts {
    id: "jemalloc-bg",
    configuration_of: Some(jemalloc::FACTS.id),
    title: "jemalloc, background threads",
    description: "jemalloc with threads of its own that give unused pages back when their time has come, whether or not \
                  the program calls the allocator. Databases deploy it so: nobody's request pays for the giving \
                  back, and an idle program shrinks.",
    configuration: "background_thread:true, as MALLOC_CONF or the symbol malloc_conf sets it; all else as in the row \
                    jemalloc",
    ..jemalloc::FACTS
};
