//! Reads the file of a trace, row by row, and believes nothing in it.
//!
//! The bytes may come from anywhere: cut off, damaged, or made to do harm. What is read is a table that keeps every rule,
//! or an error that names the place. A reader holds one chunk, packed and unpacked, and a byte for each slot that the
//! rows really used: under 25 MiB, whatever the file says, of which 24 are a full ledger that grows the last time.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::format::{
    self, CLOSING, MAGIC, MOST_CONTENT, MOST_PACKED, MOST_TITLE, RowFault, VERSION, checksum,
};
use super::operation::{Breach, Counts, Ledger, Operation};

/// Where a file is not a trace, and why.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ReadError {
    /// Where.
    pub place: Place,
    /// Why.
    pub problem: Problem,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the file before it. For a place within packed content, those before the chunk.
    pub offset: u64,
    /// Bytes of the chunk's unpacked content before it.
    pub within: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.within {
            None => write!(out, "byte {}", self.offset),
            Some(within) => write!(out, "byte {within} of the content of the chunk at byte {}", self.offset),
        }
    }
}

/// What was expected, and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The input could not be read.
    #[error("the trace could not be read: {0}")]
    Input(#[source] io::Error),
    /// The file ends too early.
    #[error("expected {expected}, found the file's end")]
    Ends {
        /// What should be there.
        expected: &'static str,
    },
    /// The file goes on after its end.
    #[error("expected the file's end after the closing block, found more bytes")]
    GoesOn,
    /// Some other kind of file.
    #[error("expected the first bytes of a trace, {MAGIC:02x?}, found {0:02x?}")]
    Magic([u8; 8]),
    /// Another version of the format.
    #[error("expected a trace of version {VERSION}, found version {0}")]
    Version(u32),
    /// A title that is not printable ASCII.
    #[error("expected a title in printable ASCII")]
    Title,
    /// A length out of bounds.
    #[error("expected {what} of 1 to {most} bytes, found {found}")]
    Length {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
        /// The length.
        found: u32,
    },
    /// Damaged bytes.
    #[error(
        "expected the checksum of {what} to be {computed:#010x}, found {found:#010x}: the file is damaged"
    )]
    Checksum {
        /// Of what.
        what: &'static str,
        /// What the bytes give.
        computed: u32,
        /// What the file says.
        found: u32,
    },
    /// Packed content that is not one whole DEFLATE stream of the announced length.
    #[error("expected {packed} bytes that unpack to {content}, found bytes that do not")]
    Packing {
        /// Announced.
        packed: usize,
        /// Announced.
        content: usize,
    },
    /// Bytes that are no row.
    #[error("{0}")]
    Row(RowFault),
    /// A row that breaks a rule of the table.
    #[error("{0}")]
    Rule(#[source] Breach),
    /// The closing block counts something else.
    #[error("expected the closing block to count {counted:?}, found {found:?}")]
    Counts {
        /// What was read.
        counted: Counts,
        /// What the file says.
        found: Counts,
    },
}

/// Gives the rows of a file one after another; after the last one, or an error, none.
#[derive(Debug)]
pub struct Reader<R: Read> {
    input: R,
    /// Bytes read until here.
    offset: u64,
    title: String,
    ledger: Ledger,
    unpacker: Decompress,
    packed: Vec<u8>,
    content: Vec<u8>,
    /// Bytes of the content whose rows were given.
    given: usize,
    /// Where the content's chunk begins.
    chunk: u64,
    /// The thread of the last row of this chunk.
    thread: u32,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header. The reader asks for few bytes at a time where it can: put a `BufReader` before a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self {
            input,
            offset: 0,
            title: String::new(),
            ledger: Ledger::new(),
            unpacker: Decompress::new(false),
            packed: Vec::new(),
            content: Vec::new(),
            given: 0,
            chunk: 0,
            thread: 0,
            over: false,
        };
        reader.header()?;
        Ok(reader)
    }

    /// What the trace is of.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The rows until here.
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    fn header(&mut self) -> Result<(), ReadError> {
        let magic = self.bytes::<8>("the first bytes of a trace")?;
        if magic != MAGIC {
            return Err(at(0, Problem::Magic(magic)));
        }
        let start = self.offset;
        let version = self.number("a version")?;
        if version != VERSION {
            return Err(at(start, Problem::Version(version)));
        }
        let start = self.offset;
        let length = self.number("a title's length")?;
        let mut title = [0; MOST_TITLE];
        let title = match length as usize {
            bytes @ 1..=MOST_TITLE => &mut title[..bytes],
            _ => return Err(at(start, Problem::Length { what: "a title", most: MOST_TITLE, found: length })),
        };
        let start = self.offset;
        self.fill(title, "a title")?;
        let computed = checksum(&[&magic, &version.to_le_bytes(), &length.to_le_bytes(), title]);
        self.compare("the header", computed)?;
        if !title.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(at(start, Problem::Title));
        }
        self.title = String::from_utf8_lossy(title).into_owned();
        Ok(())
    }

    /// The next row; none after the last.
    fn row(&mut self) -> Result<Option<Operation>, ReadError> {
        if self.given == self.content.len() && !self.chunk()? {
            return Ok(None);
        }
        let mut rest = &self.content[self.given..];
        let here = Place { offset: self.chunk, within: Some(self.given) };
        let wrong = |problem| ReadError { place: here, problem };
        let operation = format::get(&mut rest, self.thread).map_err(|fault| wrong(Problem::Row(fault)))?;
        self.ledger.admit(operation).map_err(|breach| wrong(Problem::Rule(breach)))?;
        self.given = self.content.len() - rest.len();
        self.thread = operation.thread;
        Ok(Some(operation))
    }

    /// Reads and unpacks a chunk; false if the closing block came, and the end after it.
    fn chunk(&mut self) -> Result<bool, ReadError> {
        self.chunk = self.offset;
        let length = self.number("a chunk or the closing block")?;
        let content = match length as usize {
            0 => return self.closing().map(|()| false),
            bytes @ 1..=MOST_CONTENT => bytes,
            _ => return Err(self.length("the content of a chunk", MOST_CONTENT, length)),
        };
        let length = self.number("a packed length")?;
        let packed = match length as usize {
            bytes @ 1..=MOST_PACKED => bytes,
            _ => return Err(self.length("the packed content of a chunk", MOST_PACKED, length)),
        };
        let mut bytes = std::mem::take(&mut self.packed);
        bytes.resize(packed, 0);
        self.fill(&mut bytes, "the rest of a chunk")?;
        let lengths = [content, packed].map(|length| (length as u32).to_le_bytes());
        self.compare("the chunk", checksum(&[lengths.as_flattened(), &bytes]))?;
        self.unpacker.reset(false);
        // One byte more than announced shows a stream that goes on.
        self.content.resize(content + 1, 0);
        let status = self.unpacker.decompress(&bytes, &mut self.content, FlushDecompress::Finish);
        let whole = self.unpacker.total_in() == packed as u64 && self.unpacker.total_out() == content as u64;
        if !(whole && matches!(status, Ok(Status::StreamEnd))) {
            return Err(at(self.chunk, Problem::Packing { packed, content }));
        }
        self.content.truncate(content);
        self.packed = bytes;
        self.given = 0;
        self.thread = 0;
        Ok(true)
    }

    fn closing(&mut self) -> Result<(), ReadError> {
        let block = self.bytes::<CLOSING>("the rest of the closing block")?;
        self.compare("the closing block", checksum(&[&[0; 4], &block]))?;
        let number = |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| block[from + byte]));
        let operations = u64::from(number(8)) | u64::from(number(12)) << 32;
        let found = Counts { threads: number(0), slots: number(4), operations };
        let counted = self.ledger.close().map_err(|breach| at(self.chunk, Problem::Rule(breach)))?;
        if found != counted {
            return Err(at(self.chunk, Problem::Counts { counted, found }));
        }
        let end = self.offset;
        match self.fill(&mut [0], "") {
            Err(ReadError { problem: Problem::Ends { .. }, .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(at(end, Problem::GoesOn)),
        }
    }

    fn length(&self, what: &'static str, most: usize, found: u32) -> ReadError {
        at(self.offset - 4, Problem::Length { what, most, found })
    }

    fn compare(&mut self, what: &'static str, computed: u32) -> Result<(), ReadError> {
        let start = self.offset;
        let found = self.number("a checksum")?;
        if found == computed {
            return Ok(());
        }
        Err(at(start, Problem::Checksum { what, computed, found }))
    }

    fn number(&mut self, expected: &'static str) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.bytes(expected)?))
    }

    fn bytes<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, expected)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8], expected: &'static str) -> Result<(), ReadError> {
        while !bytes.is_empty() {
            match self.input.read(bytes) {
                Ok(0) => return Err(at(self.offset, Problem::Ends { expected })),
                Ok(count) => {
                    self.offset += count as u64;
                    bytes = &mut bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(at(self.offset, Problem::Input(error))),
            }
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Operation, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let row = self.row().transpose();
        self.over = !matches!(row, Some(Ok(_)));
        row
    }
}

fn at(offset: u64, problem: Problem) -> ReadError {
    ReadError { place: Place { offset, within: None }, problem }
}

// The path is said because the fuzzer's crate includes this file by its own.
#[cfg(test)]
#[path = "reader/tests.rs"]
mod tests;
