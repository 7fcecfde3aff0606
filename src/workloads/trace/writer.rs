//! Writes the file of a trace, chunk by chunk.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::format::{self, MAGIC, MOST_CONTENT, MOST_PACKED, MOST_ROW, MOST_TITLE, VERSION, checksum};
use super::operation::{Breach, Call, Counts, Ledger, Operation};

/// Why a trace was not written. The file, if there is one, is of no use.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The title is empty, too long, or not printable ASCII.
    #[error("expected a title of 1 to {MOST_TITLE} printable ASCII characters, found {0:?}")]
    Title(String),
    /// The row breaks a rule: its maker has a fault.
    #[error("row {row}: {breach}")]
    Row {
        /// Counted from 0.
        row: u64,
        /// The rule.
        breach: Breach,
    },
    /// The output refused.
    #[error("a trace could not be written: {0}")]
    Output(#[from] io::Error),
    /// The packer gave up, which no content should make it do.
    #[error("a chunk of {0} bytes could not be packed")]
    Packing(usize),
}

/// Takes rows, and has at most one chunk of them in memory.
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: W,
    ledger: Ledger,
    /// Rows of the chunk that is being filled.
    content: Vec<u8>,
    /// The thread of the last row in it.
    thread: u32,
    packed: Vec<u8>,
    packer: Compress,
}

impl<W: Write> Writer<W> {
    /// Begins a file; `title` says what it is a trace of.
    ///
    /// # Errors
    /// A title that is none, or what the output says.
    pub fn new(mut output: W, title: &str) -> Result<Self, WriteError> {
        let printable = title.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if title.is_empty() || title.len() > MOST_TITLE || !printable {
            return Err(WriteError::Title(title.to_owned()));
        }
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((title.len() as u32).to_le_bytes());
        header.extend(title.as_bytes());
        header.extend(checksum(&[&header]).to_le_bytes());
        output.write_all(&header)?;
        Ok(Self {
            output,
            ledger: Ledger::new(),
            content: Vec::with_capacity(MOST_CONTENT),
            thread: 0,
            packed: Vec::with_capacity(MOST_PACKED),
            // DEFLATE alone, without zlib's wrapper: the chunk has a checksum.
            packer: Compress::new(Compression::best(), false),
        })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// A row that breaks a rule, which is then left out; or what the output says.
    pub fn push(&mut self, operation: Operation) -> Result<(), WriteError> {
        let row = self.ledger.counts().operations;
        self.ledger.admit(operation).map_err(|breach| WriteError::Row { row, breach })?;
        if self.content.len() + MOST_ROW > MOST_CONTENT {
            self.chunk()?;
        }
        format::put(&mut self.content, self.thread, operation);
        self.thread = operation.thread;
        Ok(())
    }

    /// Frees what is still live, in the order of its slots and as the thread that called last, and ends the file. Gives
    /// back the output, flushed, and the counts.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> Result<(W, Counts), WriteError> {
        // A byte a slot is what the ledger has already.
        let left: Vec<u32> = self.ledger.live().collect();
        let thread = self.thread;
        for slot in left {
            self.push(Operation { thread, slot, call: Call::Free })?;
        }
        if !self.content.is_empty() {
            self.chunk()?;
        }
        let counts = self.ledger.counts();
        let mut closing = 0_u32.to_le_bytes().to_vec();
        closing.extend(counts.threads.to_le_bytes());
        closing.extend(counts.slots.to_le_bytes());
        closing.extend(counts.operations.to_le_bytes());
        closing.extend(checksum(&[&closing]).to_le_bytes());
        self.output.write_all(&closing)?;
        self.output.flush()?;
        Ok((self.output, counts))
    }

    fn chunk(&mut self) -> Result<(), WriteError> {
        let refused = WriteError::Packing(self.content.len());
        self.packer.reset();
        self.packed.clear();
        match self.packer.compress_vec(&self.content, &mut self.packed, FlushCompress::Finish) {
            Ok(Status::StreamEnd) if self.packed.len() <= MOST_PACKED => {}
            _ => return Err(refused),
        }
        let lengths = [self.content.len(), self.packed.len()].map(|length| (length as u32).to_le_bytes());
        let lengths = lengths.as_flattened();
        self.output.write_all(lengths)?;
        self.output.write_all(&self.packed)?;
        self.output.write_all(&checksum(&[lengths, &self.packed]).to_le_bytes())?;
        self.content.clear();
        self.thread = 0;
        Ok(())
    }
}
