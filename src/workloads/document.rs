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
}
