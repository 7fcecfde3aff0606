//! `system-one-arena`: facts only; the platform's malloc with one arena, as people deploy it to save memory.

use super::contract::Facts;
use super::system;

/// Facts about glibc's malloc with one arena.
pub const FACTS: Facts = Facts {
    id: "system-one-arena",
    configuration_of: Some(system::FACTS.id),
    title: "System, one arena",
    description: "glibc's malloc told to use one arena for all threads, as containers are often told that run programs of \
                  many threads in little memory. Threads keep their caches of small blocks; whatever goes past \
                  them takes one common lock. Where the platform's C library is not glibc it is the same as System.",
    configuration: "mallopt(M_ARENA_MAX, 1) before the first thread is made, which is what the environment variable \
                    MALLOC_ARENA_MAX=1 does; all else default",
    links: &["https://man7.org/linux/man-pages/man3/mallopt.3.html"],
    ..system::FACTS
};
