//! Debug builds end a program that misuses `slab`, with a message. Each misuse runs in a process of its own.
#![cfg(all(debug_assertions, unix))]

use std::alloc::{GlobalAlloc, Layout};
use std::process::Command;

use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();
const MISUSE: &str = "SLAB_TEST_MISUSE";

/// Runs the test `name` again, in a process in which `misuse` is committed; returns what it says when it is killed.
fn dying_words(name: &str, misuse: impl FnOnce()) -> String {
    if std::env::var_os(MISUSE).is_some() {
        misuse();
        // The misuse went unnoticed.
        std::process::exit(0);
    }
    let output = Command::new(std::env::current_exe().expect("this executable"))
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(MISUSE, "1")
        .output()
        .expect("it runs");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "it was not aborted");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("valid")
}

#[test]
fn a_second_free_is_noticed() {
    let words = dying_words("a_second_free_is_noticed", || {
        // SAFETY: none: the second free is the misuse. Debug builds of the allocator define what it does.
        unsafe {
            let (block, _other) = (SLAB.alloc(layout(64)), SLAB.alloc(layout(64)));
            SLAB.dealloc(block, layout(64));
            SLAB.dealloc(block, layout(64));
        }
    });
    assert!(words.contains("freed twice"), "{words}");
}

#[test]
fn a_second_free_from_another_thread_is_noticed() {
    let words = dying_words("a_second_free_from_another_thread_is_noticed", || {
        // SAFETY: none: the second free is the misuse.
        let block = unsafe { SLAB.alloc(layout(64)) }.expose_provenance();
        std::thread::spawn(move || {
            let block = std::ptr::with_exposed_provenance_mut(block);
            // SAFETY: none, as above.
            unsafe {
                SLAB.dealloc(block, layout(64));
                SLAB.dealloc(block, layout(64));
            }
        })
        .join()
        .expect("it does not come to this");
    });
    assert!(words.contains("freed twice"), "{words}");
}

#[test]
fn a_second_free_of_a_huge_block_ends_the_process() {
    let words = dying_words("a_second_free_of_a_huge_block_ends_the_process", || {
        // SAFETY: none: the second free is the misuse.
        unsafe {
            let block = SLAB.alloc(layout(5 << 20));
            SLAB.dealloc(block, layout(5 << 20));
            SLAB.dealloc(block, layout(5 << 20));
        }
    });
    assert!(words.contains("not a live block"), "{words}");
}

#[test]
fn a_block_of_another_allocator_is_noticed() {
    let words = dying_words("a_block_of_another_allocator_is_noticed", || {
        // SAFETY: none: the block belongs to the system's allocator.
        unsafe { SLAB.dealloc(std::alloc::System.alloc(layout(64)), layout(64)) };
    });
    assert!(words.contains("not a block of this allocator"), "{words}");
}

#[test]
fn a_free_with_another_layout_is_noticed() {
    let words = dying_words("a_free_with_another_layout_is_noticed", || {
        // SAFETY: none: the layout is the misuse.
        unsafe { SLAB.dealloc(SLAB.alloc(layout(64)), layout(640)) };
    });
    assert!(words.contains("another layout"), "{words}");
}

#[test]
fn a_free_inside_of_a_block_is_noticed() {
    let words = dying_words("a_free_inside_of_a_block_is_noticed", || {
        // SAFETY: none: the address is the misuse.
        unsafe { SLAB.dealloc(SLAB.alloc(layout(64)).add(16), layout(64)) };
    });
    assert!(words.contains("middle of a block"), "{words}");
}

// The sanitizer finds the write itself: `tests/poison.rs`.
#[cfg(not(allocmark_poison))]
#[test]
fn a_write_after_the_free_is_noticed_when_the_block_is_allocated_again() {
    let name = "a_write_after_the_free_is_noticed_when_the_block_is_allocated_again";
    let words = dying_words(name, || {
        // SAFETY: none: the write is the misuse.
        unsafe {
            let block = SLAB.alloc(layout(64));
            SLAB.dealloc(block, layout(64));
            block.add(8).write_bytes(0xEE, 8);
            // Its turn comes within a span's blocks.
            for _ in 0..1024 {
                SLAB.alloc(layout(64));
            }
        }
    });
    assert!(words.contains("written to after"), "{words}");
}

// The sanitizer finds the write itself: `tests/poison.rs`.
#[cfg(not(allocmark_poison))]
#[test]
fn a_write_beyond_the_size_is_noticed_when_the_block_is_freed_or_reallocated() {
    let name = "a_write_beyond_the_size_is_noticed_when_the_block_is_freed_or_reallocated";
    let words = dying_words(name, || {
        // SAFETY: none: the write is the misuse.
        unsafe {
            let block = SLAB.realloc(SLAB.alloc(layout(41)), layout(41), 45);
            block.add(45).write(0);
            SLAB.realloc(block, layout(45), 200);
        }
    });
    assert!(words.contains("beyond the size"), "{words}");
}

#[cfg(not(allocmark_poison))]
#[test]
fn a_write_beyond_the_size_of_a_huge_block_is_noticed() {
    let words = dying_words("a_write_beyond_the_size_of_a_huge_block_is_noticed", || {
        // SAFETY: none: the write is the misuse.
        unsafe {
            let block = SLAB.alloc_zeroed(layout((5 << 20) + 1));
            block.add((5 << 20) + 1).write(1);
            SLAB.dealloc(block, layout((5 << 20) + 1));
        }
    });
    assert!(words.contains("beyond the size"), "{words}");
}

#[test]
fn a_second_free_of_a_block_of_a_few_bytes_is_noticed_as_such() {
    let words = dying_words("a_second_free_of_a_block_of_a_few_bytes_is_noticed_as_such", || {
        // SAFETY: none: the second free is the misuse.
        unsafe {
            let (block, _other) = (SLAB.alloc(layout(5)), SLAB.alloc(layout(5)));
            SLAB.dealloc(block, layout(5));
            SLAB.dealloc(block, layout(5));
        }
    });
    assert!(words.contains("freed twice"), "{words}");
}
