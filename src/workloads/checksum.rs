//! Checksums over what a workload made: computed off the clock, compared with those of a run under the system's allocator.

use std::fmt;

/// FNV-1a over 64-bit words in place of bytes (with the published 64-bit constants): a multiplication for each word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

const OFFSET_BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;

impl Checksum {
    /// Of nothing.
    pub const fn new() -> Self {
        Self(OFFSET_BASIS)
    }

    /// Of what was before, and then this word.
    #[inline]
    #[must_use]
    pub const fn word(self, word: u64) -> Self {
        Self((self.0 ^ word).wrapping_mul(PRIME))
    }

    /// Of what was before, and then these words.
    #[must_use]
    pub fn words(self, words: impl IntoIterator<Item = u64>) -> Self {
        words.into_iter().fold(self, Self::word)
    }

    /// Of what was before, and then these bytes: by words, the rest byte by byte.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let whole = self.words(words.iter().map(|&word| u64::from_le_bytes(word)));
        whole.words(rest.iter().map(|&byte| u64::from(byte)))
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

/// A checksum of what is written to it; whoever writes the same text in other pieces gets the same.
///
/// FNV-1a byte by byte, as it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextChecksum(pub u64);

impl TextChecksum {
    /// Of nothing.
    pub const EMPTY: Self = Self(OFFSET_BASIS);

    /// Of what was written so far and then `bytes`.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

impl fmt::Write for TextChecksum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self = self.and(text.as_bytes());
        Ok(())
    }
}

/// The sum of all bytes, as messages of the FIX protocol carry it: what an application computes itself over a record that
/// it reads. It costs a small part of what the record's memory costs.
#[inline]
pub fn byte_sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn another_byte_another_order_or_another_length_has_another_checksum() {
        let sum = |bytes: &[u8]| Checksum::new().bytes(bytes).value();
        assert_ne!(sum(b"abcdefgh1"), sum(b"abcdefgh2"));
        assert_ne!(sum(b"abcdefgh12345678"), sum(b"12345678abcdefgh"));
        assert_ne!(sum(b"abcdefgh"), sum(b"abcdefgh\0"));
    }

    #[test]
    fn one_byte_at_a_time_it_is_the_published_function() {
        // From the test vectors of the FNV draft (Fowler, Noll, Vo, Eastlake): FNV-1a, 64 bits, of "foobar".
        let words = b"foobar".iter().map(|&byte| u64::from(byte));
        assert_eq!(Checksum::new().words(words).value(), 0x85944171f73967e8);
    }

    #[test]
    fn a_checksum_does_not_depend_on_the_pieces_and_does_on_the_order() {
        let mut pieces = TextChecksum::EMPTY;
        write!(pieces, "{}-ab", 12).unwrap();
        assert_eq!(pieces, TextChecksum::EMPTY.and(b"12-ab"));
        assert_ne!(pieces, TextChecksum::EMPTY.and(b"12-ba"));
        // The published value of FNV-1a 64 for "a".
        assert_eq!(TextChecksum::EMPTY.and(b"a"), TextChecksum(0xAF63_DC4C_8601_EC8C));
    }
}
