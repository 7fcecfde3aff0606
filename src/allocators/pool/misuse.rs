//! What happens when a caller breaks the contract: a message and the end of the process.

use std::process;

/// Writes `message` to standard error and ends the process. Neither allocates nor unwinds: the caller is in the middle
/// of an allocator, which may be the global one.
#[cold]
#[inline(never)]
pub(super) fn stop(message: &str) -> ! {
    // SAFETY: the pointer and length are those of a string slice, which is readable for that long.
    unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
    process::abort()
}
