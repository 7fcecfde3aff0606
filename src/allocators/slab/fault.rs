//! The end of a program that misused the allocator: a message on stderr, then abort, without allocating or unwinding.

use std::fmt::{self, Write};

/// Stack buffer of one message: formatting must not allocate.
struct Message {
    text: [u8; 200],
    length: usize,
}

impl Write for Message {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for &byte in part.as_bytes() {
            // A message that is too long is cut: the address stands at its beginning.
            if let Some(place) = self.text.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

/// Says that `address` was misused and how, and ends the process.
#[cold]
#[inline(never)]
pub(super) fn die(address: usize, what: &str) -> ! {
    let mut message = Message { text: [0; 200], length: 0 };
    let _ = writeln!(message, "slab: block {address:#x}: {what}");
    // SAFETY: the buffer's first `length` bytes are initialised, and `length` is at most the buffer's. A failed or
    // partial write has no consequence but a shorter message.
    unsafe { libc::write(2, message.text.as_ptr().cast(), message.length) };
    std::process::abort()
}
