//! The one file that takes memory from the operating system and gives it back.
//!
//! Addresses and sizes are multiples of [`PAGE`]; new memory reads as zero.

use std::io;
use std::ptr::NonNull;

/// The granule of everything here: the page size of x86_64 and of most aarch64 kernels. Larger kernel pages are
/// handled by [`page_size`], which callers that round must use.
pub const PAGE: usize = 4096;

/// The kernel's page size.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(PAGE)
}

/// Maps `bytes` of new zeroed memory, private to this process.
///
/// # Errors
/// What the kernel answered, usually `ENOMEM`; `EINVAL` for zero bytes.
#[allow(clippy::disallowed_methods)]
pub fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Gives `bytes` at `start` back to the operating system.
///
/// # Safety
/// - `[start, start + bytes)` is made of whole pages that came from [`map`] and were not given back yet.
/// - Nothing refers to that memory any more.
#[allow(clippy::disallowed_methods)]
pub unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller owns the mapped pages and nothing refers to them.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    debug_assert_eq!(result, 0, "munmap of a mapping we own");
}
