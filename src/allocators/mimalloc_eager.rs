//! `mimalloc-eager`: facts only; mimalloc that gives memory back at once.

use super::contract::Facts;
use super::mimalloc;

/// Facts about mimalloc without a delay of purging.
pub const FACTS: Facts = Facts {
    id: "mimalloc-eager",
    configuration_of: Some(mimalloc::FACTS.id),
    title: "mimalloc, no purge delay",
    description: "mimalloc that gives unused pages back to the operating system at once instead of after a delay, as its \
                  documentation suggests where memory is dear. What it saves it pays for in system calls and page faults.",
    configuration: "purge_delay=0, as MIMALLOC_PURGE_DELAY=0 sets it, before the first workload; all else as in the row \
                    mimalloc",
    ..mimalloc::FACTS
};
