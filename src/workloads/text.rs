//! A small text type over `Vec<u8, A>`: `allocator-api2` has no `String`.

use std::alloc::Layout;
use std::fmt;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use super::heap::refused;

/// UTF-8 text in an allocator's memory.
#[derive(Debug)]
pub struct Text<A: Allocator> {
    /// Whole strings one after another, so UTF-8.
    bytes: Vec<u8, A>,
}

impl<A: Allocator> Text<A> {
    /// An empty text that owns no memory yet.
    pub fn new_in(allocator: A) -> Self {
        Self { bytes: Vec::new_in(allocator) }
    }

    /// Makes room for `more` bytes, growing geometrically as `String` does.
    pub fn reserve(&mut self, more: usize) {
        if self.bytes.try_reserve(more).is_err() {
            refused(Layout::array::<u8>(self.bytes.len() + more).unwrap_or(Layout::new::<u8>()));
        }
    }

    /// Appends `text`.
    pub fn push_str(&mut self, text: &str) {
        self.reserve(text.len());
        let length = self.bytes.len();
        // SAFETY: `reserve` made room for `text.len()` bytes behind `length`; the two do not overlap, for the room is
        // borrowed mutably; after the copy the bytes up to the new length are initialised.
        unsafe {
            self.bytes.as_mut_ptr().add(length).copy_from_nonoverlapping(text.as_ptr(), text.len());
            self.bytes.set_len(length + text.len());
        }
    }

    /// Bytes that it owns, written or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // SAFETY: `push_str` alone adds bytes, and it adds whole strings.
        unsafe { std::str::from_utf8_unchecked(&self.bytes) }
    }
}

impl<A: Allocator> fmt::Write for Text<A> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use allocator_api2::alloc::Global;

    use super::*;

    #[test]
    fn text_grows_as_it_is_written() {
        let mut text = Text::new_in(Global);
        for number in 0..100 {
            write!(text, "{number},").expect("writing to memory");
        }
        text.push_str("ä");
        assert!(text.as_str().starts_with("0,1,2,"));
        assert!(text.as_str().ends_with("99,ä"));
        assert_eq!(text.as_bytes().len(), 10 * 2 + 90 * 3 + 2);
    }
}
