//! With `cfg(allocmark_poison)`, AddressSanitizer finds what touches a byte that is in no live block of ours. Each misuse runs
//! in a process of its own, which must end with a report. `scripts/sanitize.sh own` runs these.
#![cfg(allocmark_poison)]

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::process::Command;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocmark::allocators::arena::Arena;
use allocmark::allocators::pool::Pool;
use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();
const MISUSE: &str = "ALLOCMARK_TEST_POISON";

/// Runs the test `name` again in a process in which `misuse` is committed, and wants it to end with the sanitizer's report.
#[track_caller]
fn is_reported(name: &str, misuse: impl FnOnce()) {
    is_reported_of(name, 0, misuse);
}

/// The same for one of several cases, which the number tells from the others.
#[track_caller]
fn is_reported_of(name: &str, case: usize, misuse: impl FnOnce()) {
    if let Ok(asked) = std::env::var(MISUSE) {
        if asked != case.to_string() {
            return;
        }
        misuse();
        // The misuse went unnoticed.
        std::process::exit(0);
    }
    let output = Command::new(std::env::current_exe().expect("this executable"))
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(MISUSE, case.to_string())
        .output()
        .expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("AddressSanitizer: use-after-poison"), "{name}, case {case}: {words}");
    assert!(!output.status.success(), "{name}");
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("valid")
}

/// Reads the byte at `at`, whatever the compiler knows of it.
///
/// # Safety
/// None where it is misused: the sanitizer ends the process.
unsafe fn read(block: *mut u8, at: usize) {
    // SAFETY: as said.
    black_box(unsafe { black_box(block).add(at).read_volatile() });
}

/// A block of `allocator`; the tests read it where they may not.
fn block(allocator: &dyn Allocator, size: usize) -> NonNull<u8> {
    allocator.allocate(layout(size)).expect("memory").cast()
}

// SAFETY of all below: none, each commits a misuse on purpose; the sanitizer defines what comes of it.

#[test]
fn a_read_of_a_freed_block_of_slab_is_reported() {
    for (case, (size, at)) in
        [(16, 0), (64, 0), (64, 63), (3000, 1500), (100_000, 99_999), (5 << 20, 4 << 20)]
            .into_iter()
            .enumerate()
    {
        // SAFETY: see above.
        is_reported_of("a_read_of_a_freed_block_of_slab_is_reported", case, || unsafe {
            let (block, _other) = (SLAB.alloc(layout(size)), SLAB.alloc(layout(size)));
            read(block, at);
            SLAB.dealloc(block, layout(size));
            read(block, at);
        });
    }
}

#[test]
fn a_read_of_a_block_of_slab_that_another_thread_freed_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_of_a_block_of_slab_that_another_thread_freed_is_reported", || unsafe {
        let block = SLAB.alloc(layout(64));
        let address = block.expose_provenance();
        let free = move || SLAB.dealloc(std::ptr::with_exposed_provenance_mut(address), layout(64));
        std::thread::spawn(free).join().expect("it frees");
        read(block, 40);
    });
}

#[test]
fn a_read_beyond_what_was_asked_of_slab_is_reported() {
    for (case, size) in [1, 13, 41, 1100, 70_001, (5 << 20) + 1].into_iter().enumerate() {
        // SAFETY: see above.
        is_reported_of("a_read_beyond_what_was_asked_of_slab_is_reported", case, || unsafe {
            let block = SLAB.alloc(layout(size));
            read(block, size - 1);
            read(block, size);
        });
    }
}

#[test]
fn a_read_beyond_the_new_size_of_a_block_of_slab_is_reported() {
    for (case, (size, new)) in
        [(60, 50), (50, 60), (6 << 20, 5 << 20), (5 << 20, (5 << 20) + 9)].into_iter().enumerate()
    {
        // SAFETY: see above.
        is_reported_of("a_read_beyond_the_new_size_of_a_block_of_slab_is_reported", case, || unsafe {
            let block = SLAB.realloc(SLAB.alloc(layout(size)), layout(size), new);
            read(block, new - 1);
            read(block, new);
        });
    }
}

#[test]
fn a_read_of_memory_of_slab_that_was_never_handed_out_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_of_memory_of_slab_that_was_never_handed_out_is_reported", || unsafe {
        read(SLAB.alloc(layout(64)), 64 * 100);
    });
}

#[test]
fn what_slab_says_can_be_used_can_be_used() {
    // SAFETY: each block is written as far as it may be, and freed once.
    unsafe {
        let block = SLAB.alloc(layout(41));
        let usable = SLAB.usable_size(NonNull::new(block).expect("memory"));
        block.write_bytes(1, usable);
        SLAB.dealloc(block, layout(41));
        let whole = Allocator::allocate(&SLAB, layout(41)).expect("memory");
        whole.cast::<u8>().write_bytes(1, whole.len());
        Allocator::deallocate(&SLAB, whole.cast(), layout(41));
    }
}

#[test]
fn a_read_of_a_freed_block_of_a_pool_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_of_a_freed_block_of_a_pool_is_reported", || unsafe {
        let pool = Pool::new(layout(64), 1000).expect("memory");
        let block = block(&&pool, 64);
        read(block.as_ptr(), 63);
        (&pool).deallocate(block, layout(64));
        read(block.as_ptr(), 0);
    });
}

#[test]
fn a_read_beyond_what_was_asked_of_a_pool_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_beyond_what_was_asked_of_a_pool_is_reported", || unsafe {
        let pool = Pool::new(layout(64), 1000).expect("memory");
        let block = block(&&pool, 33);
        read(block.as_ptr(), 32);
        read(block.as_ptr(), 33);
    });
}

#[test]
fn a_read_of_a_block_of_a_pool_that_was_never_handed_out_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_of_a_block_of_a_pool_that_was_never_handed_out_is_reported", || unsafe {
        let pool = Pool::new(layout(64), 1000).expect("memory");
        read(block(&&pool, 64).as_ptr(), 64 * 500);
    });
}

#[test]
fn a_read_of_a_block_of_an_arena_after_the_reset_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_of_a_block_of_an_arena_after_the_reset_is_reported", || unsafe {
        let mut arena = Arena::new();
        let block = block(&&arena, 24);
        read(block.as_ptr(), 23);
        arena.reset();
        read(block.as_ptr(), 0);
    });
}

#[test]
fn a_read_beyond_what_was_asked_of_an_arena_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_beyond_what_was_asked_of_an_arena_is_reported", || unsafe {
        let arena = Arena::new();
        let block = block(&&arena, 21);
        read(block.as_ptr(), 20);
        read(block.as_ptr(), 21);
    });
}

#[test]
fn a_read_of_an_arena_s_block_that_has_moved_is_reported() {
    // SAFETY: see above.
    is_reported("a_read_of_an_arena_s_block_that_has_moved_is_reported", || unsafe {
        let arena = Arena::new();
        let (first, _second) = (block(&&arena, 24), block(&&arena, 24));
        let _moved = (&arena).grow(first, layout(24), layout(48));
        read(first.as_ptr(), 8);
    });
}
