//! Every workload on jemalloc: `cargo bench --bench jemalloc`.

use std::ffi::CStr;
use std::process::ExitCode;
use std::ptr::{self, NonNull};

use allocmark::allocators::contract::Facts;
use allocmark::allocators::jemalloc::FACTS;
use allocmark::harness::bench::{self, Bench};
use tikv_jemalloc_ctl::{config, epoch, raw, stats, version};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bench(&FACTS).main()
}

/// This allocator, under the facts of one of its configurations.
pub(crate) fn bench(facts: &'static Facts) -> Bench {
    bench::general(facts, &GLOBAL)
        .library(library)
        .asking(owns)
        .purging(purge)
        .reporting(statistics)
        .usable(usable)
}

/// What the C library says of itself: version, built-in options, and what it runs with, whoever said so.
fn library() -> String {
    let number = version::read().unwrap_or("of unknown version").trim_end_matches('\0');
    // A version ends in the whole hash of its commit, of which nine letters say enough.
    let number = number.find("-g").map_or(number, |hash| &number[..number.len().min(hash + 11)]);
    let options = config::malloc_conf::read().unwrap_or("unknown").trim_end_matches('\0');
    let options = if options.is_empty() { String::new() } else { format!("built with {options}, ") };
    // SAFETY: both names end in 0, and their values have these types (jemalloc's manual, `opt.*`).
    let (background, decay_ms) = unsafe {
        (raw::read::<bool>(b"opt.background_thread\0"), raw::read::<isize>(b"opt.dirty_decay_ms\0"))
    };
    let background = background.map_or("unknown", |on| if on { "on" } else { "off" });
    let decay_ms = decay_ms.map_or("unknown".to_owned(), |ms| ms.to_string());
    format!("jemalloc {number}, {options}background threads {background}, decay {decay_ms} ms")
}

/// Whether jemalloc knows a block: it names the arena of one that is its own, and refuses any other.
fn owns(block: NonNull<u8>) -> bool {
    let mut pointer = block.as_ptr();
    let mut arena = 0_u32;
    let mut length = size_of_val(&arena);
    // SAFETY: the name ends in 0; `arenas.lookup` takes an address, which it looks up in a map and does not follow, and
    // writes an `unsigned`; both places have the lengths that are passed and outlive the call.
    let refused = unsafe {
        tikv_jemalloc_sys::mallctl(
            c"arenas.lookup".as_ptr(),
            (&raw mut arena).cast(),
            &raw mut length,
            (&raw mut pointer).cast(),
            size_of_val(&pointer),
        )
    };
    refused == 0
}

/// Gives back this thread's cached blocks to the arenas, and every unused page of the arenas to the operating system.
fn purge() {
    // 4096 is MALLCTL_ARENAS_ALL of jemalloc's header: the number that stands for all arenas.
    for order in [c"thread.tcache.flush", c"arena.4096.purge"] {
        command(order);
    }
}

/// Carries out an order that neither reads nor writes a value. Refused is what has nothing to act on, as the flush of a
/// thread without a cache.
fn command(order: &CStr) {
    // SAFETY: the name ends in 0; both orders take no value, which null pointers and a length of 0 say.
    unsafe {
        tikv_jemalloc_sys::mallctl(order.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
    }
}

/// What jemalloc says of itself, by its names. The numbers are those of the last epoch, so a new one is begun.
fn statistics() -> Vec<(&'static str, u64)> {
    if epoch::advance().is_err() {
        return Vec::new();
    }
    let said = [
        ("stats.allocated", stats::allocated::read()),
        ("stats.active", stats::active::read()),
        ("stats.resident", stats::resident::read()),
        ("stats.retained", stats::retained::read()),
        ("stats.mapped", stats::mapped::read()),
    ];
    said.into_iter().filter_map(|(name, bytes)| Some((name, bytes.ok()? as u64))).collect()
}

/// What a live block can hold.
fn usable(block: NonNull<u8>) -> usize {
    // SAFETY: the caller has a live block of this allocator.
    unsafe { tikv_jemalloc_sys::malloc_usable_size(block.as_ptr().cast()) }
}
