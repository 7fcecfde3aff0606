//! Every workload on the platform's malloc: `cargo bench --bench system`.

use std::process::ExitCode;

use allocmark::allocators::contract::Facts;
use allocmark::allocators::system::FACTS;
use allocmark::harness::bench::{self, Bench};

#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

fn main() -> ExitCode {
    bench(&FACTS).main()
}

/// This allocator, under the facts of one of its configurations.
pub(crate) fn bench(facts: &'static Facts) -> Bench {
    asked(bench::general(facts, &GLOBAL))
}

/// Other platforms' malloc is not asked: each has another way, or none.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn asked(bench: Bench) -> Bench {
    bench
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn asked(bench: Bench) -> Bench {
    bench.purging(glibc::purge).reporting(glibc::statistics).usable(glibc::usable)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ptr::NonNull;

    /// Gives back the free pages of every arena.
    pub(crate) fn purge() {
        // SAFETY: the function has no preconditions.
        unsafe { libc::malloc_trim(0) };
    }

    /// What `mallinfo2` says, by its names: the heaps, the mappings, and what of the heaps is in use or free. Nothing before
    /// glibc 2.33, which does not have it.
    pub(crate) fn statistics() -> Vec<(&'static str, u64)> {
        // SAFETY: the name ends in 0.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
        if found.is_null() {
            return Vec::new();
        }
        // SAFETY: a symbol of that name in the C library is this function.
        let mallinfo2: unsafe extern "C" fn() -> libc::mallinfo2 = unsafe { std::mem::transmute(found) };
        // SAFETY: the function has no preconditions.
        let said = unsafe { mallinfo2() };
        vec![
            ("arena", said.arena as u64),
            ("hblkhd", said.hblkhd as u64),
            ("uordblks", said.uordblks as u64),
            ("fordblks", said.fordblks as u64),
        ]
    }

    /// What a live block can hold.
    pub(crate) fn usable(block: NonNull<u8>) -> usize {
        // SAFETY: the caller has a live block of this allocator.
        unsafe { libc::malloc_usable_size(block.as_ptr().cast()) }
    }
}
