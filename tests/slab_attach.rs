//! A thread's first allocation, where noting that its end is to be heard of allocates too. In a process of its own, whose
//! function for that is the one below.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_void};

use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();
const LAYOUT: Layout = Layout::new::<[u8; 48]>();

thread_local! {
    /// Only the threads of the test: what others have put aside to allocate next counts as in use.
    static OF_THE_TEST: Cell<bool> = const { Cell::new(false) };
}

fn allocate_and_free() {
    // SAFETY: the size is not zero; the block is freed once, with its layout.
    unsafe {
        let block = SLAB.alloc(LAYOUT);
        assert!(!block.is_null());
        SLAB.dealloc(block, LAYOUT);
    }
}

type Register = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;

/// As the C library's, which allocates with the process's `malloc`: here as a process whose `malloc` is slab.
#[unsafe(no_mangle)]
unsafe extern "C" fn __cxa_thread_atexit_impl(
    destructor: *mut c_void,
    object: *mut c_void,
    module: *mut c_void,
) -> c_int {
    if OF_THE_TEST.get() {
        allocate_and_free();
    }
    // SAFETY: the name ends with a zero; the C library has a function of that name and type, to which the caller's
    // arguments are passed on.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, c"__cxa_thread_atexit_impl".as_ptr());
        assert!(!next.is_null());
        std::mem::transmute::<*mut c_void, Register>(next)(destructor, object, module)
    }
}

#[test]
fn no_block_is_lost_when_a_thread_allocates_while_it_is_given_a_heap() {
    for _ in 0..10 {
        let thread = std::thread::spawn(|| {
            OF_THE_TEST.set(true);
            allocate_and_free();
        });
        thread.join().expect("no panic");
    }
    SLAB.trim();
    assert_eq!(SLAB.statistics().live_blocks(), 0);
}
