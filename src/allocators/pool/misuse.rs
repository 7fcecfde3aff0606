//! What happens when a caller breaks the contract: a message and the end of the process.

use std::io::IoSlice;
use std::process;

/// Says on standard error what was done to `pool`, and ends the process. Neither allocates nor unwinds: the caller is in
/// the middle of an allocator, which may be the global one.
#[cold]
#[inline(never)]
pub(super) fn stop(pool: &str, what: &str) -> ! {
    // One call for the whole line, so that it is not torn when several threads write.
    let parts = ["allocmark ", pool, ": ", what, "\n"].map(|part| IoSlice::new(part.as_bytes()));
    // SAFETY: `IoSlice` is promised to have the layout of `iovec`; each describes a string slice, which is readable for
    // its length. A failed or partial write has no consequence but a shorter message.
    unsafe { libc::writev(libc::STDERR_FILENO, parts.as_ptr().cast(), parts.len() as libc::c_int) };
    process::abort()
}
