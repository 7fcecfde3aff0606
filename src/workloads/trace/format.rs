//! The file of a trace, byte by byte: what reader and writer agree on.
//!
//! A file is a header, chunks, and a closing block. Numbers of fixed width are little-endian. A checksum is the CRC-32 of
//! gzip and PNG (polynomial 0xEDB88320), which finds every change of up to 32 neighbouring bits. Nothing follows the
//! closing block.
//!
//! # Header
//! | bytes | what |
//! |--:|---|
//! | 8 | [`MAGIC`] |
//! | 4 | [`VERSION`] |
//! | 4 | length of the title, 1 to [`MOST_TITLE`] |
//! | … | the title: what was recorded, in printable ASCII |
//! | 4 | checksum of everything before it |
//!
//! # Chunk
//! | bytes | what |
//! |--:|---|
//! | 4 | length of the content, 1 to [`MOST_CONTENT`] |
//! | 4 | length of the packed content, 1 to [`MOST_PACKED`] |
//! | … | the content, packed by DEFLATE (RFC 1951) as one stream, without a wrapper |
//! | 4 | checksum of everything in the chunk before it |
//!
//! The content is whole rows, one after another. Each chunk can be unpacked by itself; a row means the same in whichever
//! chunk it stands, but for the thread that it may leave out.
//!
//! # Row
//! | bytes | what |
//! |--:|---|
//! | 1 | bits 0–1 the call: 0 alloc, 1 alloc_zeroed, 2 realloc, 3 free; bit 2 whether a thread follows; bits 3–7 the alignment as a power of two (0–30), zero in realloc and free |
//! | 0–5 | the thread, if it is another than in the row before; at the start of a chunk, than 0 |
//! | 1–5 | the slot |
//! | 0–10 | the size in bytes, unless it is a free |
//!
//! Thread, slot and size are of variable length: seven bits a byte, the lowest first; the highest bit of a byte says that
//! another follows. Only the shortest form is allowed, and a thread is left out where it can be: a table has one content
//! (though DEFLATE may pack it in many ways).
//!
//! Which rows may follow each other is said at [`Ledger`](super::operation::Ledger).
//!
//! # Closing block
//! | bytes | what |
//! |--:|---|
//! | 4 | 0, where a chunk would have its length |
//! | 4 | threads |
//! | 4 | slots |
//! | 8 | rows |
//! | 4 | checksum of everything in the block before it |
//!
//! The counts stand at the end, for a recorder does not know them before, and may write to a pipe. Nobody misses them at the
//! start: memory is not reserved on a file's word. A file that ends without them was cut off.
//!
//! # Why so
//! Chunks of 64 KiB bound what either side holds, let a reader stop at the first damage, and cost DEFLATE about as much as
//! its window of 32 KiB does anyway. One byte of a row for everything that is small, and slots that are used again soon,
//! make rows of two to five bytes, which pack to about half of that.

use flate2::Crc;

use super::operation::{Align, Call, Operation};

/// The first bytes of a file. The first is no ASCII and the last two are a line's end, which show a transfer that took the
/// file for text.
pub const MAGIC: [u8; 8] = *b"\x89TRACE\r\n";

/// The version that this file describes. A reader refuses every other one.
pub const VERSION: u32 = 1;

/// The longest title, in bytes.
pub const MOST_TITLE: usize = 255;

/// The longest content of a chunk, in bytes.
pub const MOST_CONTENT: usize = 64 << 10;

/// The longest packed content. What cannot be packed becomes a little longer: an eighth is more than any packer adds.
pub const MOST_PACKED: usize = MOST_CONTENT + MOST_CONTENT / 8;

/// Bytes of a closing block between its zero and its checksum.
pub(super) const CLOSING: usize = 16;

/// The longest row.
pub(super) const MOST_ROW: usize = 1 + 5 + 5 + 10;

const THREAD_FOLLOWS: u8 = 1 << 2;
const ALIGN_SHIFT: u8 = 3;

/// The checksum of bytes that come in several pieces.
pub(super) fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    for piece in pieces {
        crc.update(piece);
    }
    crc.sum()
}

/// What is wrong with the bytes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFault {
    /// The content ends inside the row.
    Ends,
    /// A number that is too large for its column.
    Number,
    /// A number with needless bytes.
    Longwinded,
    /// An alignment that is none, or in a row that has none.
    Align(u8),
    /// A thread that did not need to be said.
    Repeated(u32),
}

impl std::fmt::Display for RowFault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ends => out.write_str("expected the rest of a row, found the content's end"),
            Self::Number => out.write_str("expected a number that fits its column, found a larger one"),
            Self::Longwinded => out.write_str("expected a number in its shortest form, found needless bytes"),
            Self::Align(power) => {
                write!(out, "expected an alignment of 2^0 to 2^30, none in realloc and free, found 2^{power}")
            }
            Self::Repeated(thread) => {
                write!(out, "expected another thread than the row before has, found {thread} again")
            }
        }
    }
}

/// Appends a row to a content whose row before was of thread `before`.
pub(super) fn put(content: &mut Vec<u8>, before: u32, operation: Operation) {
    let Operation { thread, slot, call } = operation;
    let (kind, align, size) = match call {
        Call::Alloc { size, align } => (0, align.power(), Some(size)),
        Call::AllocZeroed { size, align } => (1, align.power(), Some(size)),
        Call::Realloc { size } => (2, 0, Some(size)),
        Call::Free => (3, 0, None),
    };
    let other = thread != before;
    content.push(kind | if other { THREAD_FOLLOWS } else { 0 } | align << ALIGN_SHIFT);
    if other {
        put_number(content, thread.into());
    }
    put_number(content, slot.into());
    if let Some(size) = size {
        put_number(content, size);
    }
}

fn put_number(content: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        content.push(number as u8 | 0x80);
        number >>= 7;
    }
    content.push(number as u8);
}

/// Takes the first row off `content`.
pub(super) fn get(content: &mut &[u8], before: u32) -> Result<Operation, RowFault> {
    let tag = get_byte(content)?;
    let thread = if tag & THREAD_FOLLOWS == 0 { before } else { get_column(content)? };
    if tag & THREAD_FOLLOWS != 0 && thread == before {
        return Err(RowFault::Repeated(thread));
    }
    let power = tag >> ALIGN_SHIFT;
    let align = Align::two_to_the(power).ok_or(RowFault::Align(power))?;
    let slot = get_column(content)?;
    let call = match tag & 3 {
        0 => Call::Alloc { size: get_number(content)?, align },
        1 => Call::AllocZeroed { size: get_number(content)?, align },
        _ if power != 0 => return Err(RowFault::Align(power)),
        2 => Call::Realloc { size: get_number(content)? },
        _ => Call::Free,
    };
    Ok(Operation { thread, slot, call })
}

fn get_byte(content: &mut &[u8]) -> Result<u8, RowFault> {
    let (&byte, rest) = content.split_first().ok_or(RowFault::Ends)?;
    *content = rest;
    Ok(byte)
}

/// A number of 32 bits.
fn get_column(content: &mut &[u8]) -> Result<u32, RowFault> {
    get_number(content)?.try_into().map_err(|_| RowFault::Number)
}

fn get_number(content: &mut &[u8]) -> Result<u64, RowFault> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = get_byte(content)?;
        let bits = u64::from(byte & 0x7F);
        // The tenth byte has room for one bit.
        if bits << shift >> shift != bits {
            return Err(RowFault::Number);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 { Err(RowFault::Longwinded) } else { Ok(number) };
        }
    }
    Err(RowFault::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> Result<u64, RowFault> {
        let mut rest = bytes;
        let number = get_number(&mut rest)?;
        assert!(rest.is_empty());
        Ok(number)
    }

    #[test]
    fn numbers_of_every_length_are_read_as_they_were_written() {
        for bits in 0..64 {
            for around in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) | 1, u64::MAX >> bits] {
                let mut bytes = Vec::new();
                put_number(&mut bytes, around);
                assert_eq!(number(&bytes), Ok(around));
            }
        }
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(number(&[0]), Ok(0));
        assert_eq!(number(&[0x80, 0]), Err(RowFault::Longwinded));
        assert_eq!(number(&[0xFF, 0x80, 0]), Err(RowFault::Longwinded));
        assert_eq!(number(&[0xFF; 10]), Err(RowFault::Number));
        assert_eq!(number(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]), Err(RowFault::Number));
        assert_eq!(number(&[0xFF]), Err(RowFault::Ends));
    }

    #[test]
    fn every_tag_is_a_row_that_is_written_back_alike_or_a_fault() {
        for tag in 0..=u8::MAX {
            let bytes = [tag, 1, 2, 3];
            let mut rest = bytes.as_slice();
            if let Ok(operation) = get(&mut rest, 0) {
                let mut back = Vec::new();
                put(&mut back, 0, operation);
                assert_eq!(back, bytes[..bytes.len() - rest.len()], "{operation:?}");
            } else {
                assert!(tag >> ALIGN_SHIFT == 31 || (tag & 2 == 2 && tag >> ALIGN_SHIFT != 0), "{tag}");
            }
        }
    }

    #[test]
    fn no_row_is_longer_than_the_longest() {
        let mut content = Vec::new();
        let call = Call::Alloc { size: u64::MAX, align: Align::of(1).unwrap() };
        put(&mut content, 0, Operation { thread: u32::MAX, slot: u32::MAX, call });
        assert_eq!(content.len(), MOST_ROW);
    }
}
