//! Huge blocks that grow where the kernel will not move their pages. In a process of its own, whose `mremap` is the one
//! below.
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use allocmark::allocators::pages;
use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();
const SEGMENT: usize = 4 << 20;
const OLD: usize = 5 << 20;
const NEW: usize = 9 << 20;
const OURS: u8 = 0xA5;
const OTHERS: u8 = 0x5A;

/// Where pages were to be moved last.
static DESTINATION: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Grows in place as the kernel does, but fails to move, as the kernel may: only after it has unmapped the destination
/// (`mremap_to` in its `mm/mremap.c`). Before the caller hears of it, another thread maps these addresses.
#[expect(clippy::disallowed_methods, reason = "this is the other thread, and the kernel")]
#[unsafe(no_mangle)]
extern "C" fn mremap(
    old: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
    flags: c_int,
    destination: *mut c_void,
) -> *mut c_void {
    if flags & libc::MREMAP_FIXED == 0 {
        // SAFETY: what the caller asked for.
        return unsafe { libc::syscall(libc::SYS_mremap, old, old_bytes, new_bytes, flags) } as *mut c_void;
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let fixed = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the caller has given the destination's pages to the kernel; a new mapping replaces them.
    unsafe {
        assert_eq!(libc::mmap(destination, new_bytes, access, fixed, -1, 0), destination);
        destination.write_bytes(OTHERS, new_bytes);
        *libc::__errno_location() = libc::ENOMEM;
    }
    DESTINATION.store(destination.cast(), Ordering::Relaxed);
    libc::MAP_FAILED
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("valid")
}

/// A block full of `OURS`, behind whose mapping there is no room.
#[expect(clippy::disallowed_methods, reason = "a page at a given place")]
fn enclosed_block() -> *mut u8 {
    // Or a longer mapping, kept from before, might serve it.
    SLAB.trim();
    // SAFETY: the size is not zero, and the block is as long.
    let block = unsafe {
        let block = SLAB.alloc(layout(OLD));
        assert!(!block.is_null());
        block.write_bytes(OURS, OLD);
        block
    };
    let end = (block.addr() + OLD).next_multiple_of(SEGMENT);
    let nothing = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: replaces nothing: it fails if there is a mapping already, which is as good.
    unsafe { libc::mmap(ptr::without_provenance_mut(end), pages::PAGE, libc::PROT_NONE, nothing, -1, 0) };
    block
}

/// Grows the block to `new` bytes, checks its content and frees it.
fn grow(block: *mut u8, new: usize) {
    // SAFETY: the block is live, with the layout of the last step.
    unsafe {
        let grown = SLAB.realloc(block, layout(OLD), new);
        assert!(!grown.is_null() && grown != block);
        assert!((0..OLD).all(|at| grown.add(at).read() == OURS), "the content came along");
        grown.add(OLD).write_bytes(OURS, new - OLD);
        assert!(SLAB.owns(NonNull::new(grown).expect("not null")));
        SLAB.dealloc(grown, layout(new));
    }
}

fn a_move_that_fails_leaves_the_destination_to_whoever_maps_it() {
    grow(enclosed_block(), NEW);
    let destination =
        NonNull::new(DESTINATION.swap(ptr::null_mut(), Ordering::Relaxed)).expect("it was tried");
    // SAFETY: the other thread's mapping, which it has filled, and which nobody may have unmapped.
    assert!((0..NEW).all(|at| unsafe { destination.add(at).read() } == OTHERS));
    assert!(!SLAB.owns(destination));
}

#[expect(clippy::disallowed_methods, reason = "what a program may do to its block's pages")]
fn a_block_whose_pages_are_not_of_one_kind_is_copied() {
    let block = enclosed_block();
    let middle = block.wrapping_add(OLD / 2).map_addr(|address| address.next_multiple_of(pages::page_size()));
    // SAFETY: a page of the block; the advice changes nothing that a program could see.
    assert_eq!(unsafe { libc::madvise(middle.cast(), pages::page_size(), libc::MADV_DONTDUMP) }, 0);
    grow(block, NEW);
    assert!(
        DESTINATION.load(Ordering::Relaxed).is_null(),
        "the kernel has said before that it moves one kind only"
    );
}

fn a_block_whose_move_would_exceed_the_address_space_is_copied() {
    const LARGE: usize = 40 << 20;
    let block = enclosed_block();
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: usize = statm.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is read, and written with one that is no higher than allowed.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &mut limit), 0);
        // Enough for the new mapping, but not for what is added to the old one besides.
        let lower = libc::rlimit { rlim_cur: (pages * pages::page_size() + LARGE * 3 / 2) as u64, ..limit };
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &lower), 0);
    }
    grow(block, LARGE);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    assert!(DESTINATION.load(Ordering::Relaxed).is_null(), "a move that could not succeed was not tried");
}

#[test]
fn what_cannot_be_moved_is_copied() {
    let before = SLAB.statistics().mapped_bytes;
    a_move_that_fails_leaves_the_destination_to_whoever_maps_it();
    a_block_whose_pages_are_not_of_one_kind_is_copied();
    a_block_whose_move_would_exceed_the_address_space_is_copied();
    SLAB.trim();
    let after = SLAB.statistics();
    assert_eq!((after.mapped_bytes, after.huge_blocks), (before, 0));
}
