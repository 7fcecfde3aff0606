//! Text that is written before the clock, outside the allocator under test: what a program under measurement reads.

use std::fmt;

use super::table::Table;

/// A text in memory of the harness's own, filled from its start.
#[derive(Debug)]
pub struct Document {
    room: Table<u8>,
    /// Bytes written: whole strings one after another, so UTF-8.
    length: usize,
}

impl Document {
    /// An empty one with room for so many bytes. All of it is touched at once: how much is resident does not depend on what
    /// is written.
    pub fn new(bytes: usize) -> Self {
        Self { room: Table::new(bytes, |_| 0), length: 0 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // SAFETY: `write_str` alone writes bytes and moves the end, and it adds whole strings.
        unsafe { std::str::from_utf8_unchecked(&self.room[..self.length]) }
    }

    /// Bytes written.
    pub fn bytes(&self) -> usize {
        self.length
    }
}

impl fmt::Write for Document {
    /// # Errors
    /// If there is no room for all of `text`: nothing of it is written then.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.room.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// A checksum of what is written to it; whoever writes the same text in other pieces gets the same.
///
/// FNV-1a (the published 64-bit constants).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(pub u64);

impl Checksum {
    /// Of nothing.
    pub const EMPTY: Self = Self(0xCBF2_9CE4_8422_2325);

    /// Of what was written so far and then `bytes`.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        Self(
            bytes
                .iter()
                .fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)),
        )
    }
}

impl fmt::Write for Checksum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self = self.and(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_of_it_written() {
        let mut document = Document::new(6);
        assert_eq!(document.write_str("four"), Ok(()));
        assert_eq!(document.write_str("more"), Err(fmt::Error));
        assert_eq!(document.write_str("ü"), Ok(()));
        assert_eq!((document.as_str(), document.bytes()), ("fourü", 6));
    }

    #[test]
    fn a_checksum_does_not_depend_on_the_pieces_and_does_on_the_order() {
        let mut pieces = Checksum::EMPTY;
        write!(pieces, "{}-ab", 12).unwrap();
        assert_eq!(pieces, Checksum::EMPTY.and(b"12-ab"));
        assert_ne!(pieces, Checksum::EMPTY.and(b"12-ba"));
        // The published value of FNV-1a 64 for "a".
        assert_eq!(Checksum::EMPTY.and(b"a"), Checksum(0xAF63_DC4C_8601_EC8C));
    }
}
