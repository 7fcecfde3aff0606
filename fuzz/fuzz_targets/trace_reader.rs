//! The reader of traces on bytes that mean harm.
//!
//! Three ways in, for checksums stop nearly all that is thrown at the front door: bytes as a file; bytes as the content of
//! a chunk whose frame is valid; a list of rows, written and read back.

#![no_main]

#[path = "../../src/workloads/trace/forge.rs"]
mod forge;
#[allow(dead_code, reason = "what the target does not use, others do")]
#[path = "../../src/workloads/trace/format.rs"]
mod format;
#[allow(dead_code, reason = "as above")]
#[path = "../../src/workloads/trace/operation.rs"]
mod operation;
#[allow(dead_code, reason = "as above")]
#[path = "../../src/workloads/trace/reader.rs"]
mod reader;
#[path = "../../src/workloads/trace/writer.rs"]
mod writer;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

use operation::{Align, Call, Ledger, Operation};
use reader::{Place, ReadError, Reader};
use writer::Writer;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// A file.
    File(&'a [u8]),
    /// What follows a valid header.
    AfterHeader(&'a [u8]),
    /// The content of a chunk, and the counts of the closing block.
    Content(&'a [u8], u32, u32, u64),
    /// A chunk's packed bytes, and the length that they are said to unpack to.
    Packed(&'a [u8], u32),
    /// Rows: thread, slot, size, power of the alignment, kind.
    Rows(Vec<(u8, u8, u64, u8, u8)>),
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::File(file) => drop(read(file)),
        Input::AfterHeader(rest) => drop(read(&[forge::header(b"fuzz").as_slice(), rest].concat())),
        Input::Content(content, threads, slots, operations) => {
            let file = forge::file(content, threads, slots, operations);
            if let Ok(rows) = read(&file) {
                same_again(&rows);
            }
            // With counts that are right, what else is wrong with it?
            let (mut ledger, mut reader) =
                (Ledger::new(), Reader::new(file.as_slice()).expect("a valid header"));
            while let Some(Ok(row)) = reader.next() {
                ledger.admit(row).expect("the reader gives rows that keep the rules");
            }
            let counts = ledger.counts();
            let file = forge::file(content, counts.threads, counts.slots, counts.operations);
            if let Ok(rows) = read(&file) {
                same_again(&rows);
            }
        }
        Input::Packed(packed, length) => {
            let parts =
                [forge::header(b"fuzz"), forge::chunk(length % 70_000, packed), forge::closing(1, 1, 2)];
            drop(read(&parts.concat()));
        }
        Input::Rows(rows) => write_and_read(&rows),
    }
});

/// Reads to the end or the first error, whose place must be in the file.
fn read(file: &[u8]) -> Result<Vec<Operation>, ReadError> {
    let all = Reader::new(file).and_then(|mut reader| {
        let rows: Result<Vec<Operation>, ReadError> = reader.by_ref().collect();
        assert!(reader.next().is_none(), "after the end or an error comes nothing");
        rows
    });
    if let Err(error) = &all {
        let Place { offset, within } = error.place;
        assert!(offset <= file.len() as u64 && within.is_none_or(|within| within < 64 << 10), "{error}");
    }
    all
}

/// What was read can be written, and is then read again.
fn same_again(rows: &[Operation]) {
    let mut writer = Writer::new(Vec::new(), "fuzz").expect("a title");
    for &row in rows {
        writer.push(row).expect("what the reader gives the writer takes");
    }
    let (file, counts) = writer.finish().expect("a vector takes everything");
    assert_eq!(counts.operations, rows.len() as u64, "nothing is live at the end");
    assert!(read(&file).expect("what the writer writes the reader reads") == rows);
}

/// Pushes rows, good and bad, and reads back those that were taken.
fn write_and_read(rows: &[(u8, u8, u64, u8, u8)]) {
    let (mut writer, mut ledger) = (Writer::new(Vec::new(), "fuzz").expect("a title"), Ledger::new());
    let mut taken = Vec::new();
    for &(thread, slot, size, power, kind) in rows {
        let align = Align::two_to_the(power % 32).unwrap_or(Align::of(1).expect("one is a power of two"));
        let call = match kind % 4 {
            0 => Call::Alloc { size, align },
            1 => Call::AllocZeroed { size, align },
            2 => Call::Realloc { size },
            _ => Call::Free,
        };
        let row = Operation { thread: thread.into(), slot: slot.into(), call };
        let allowed = ledger.admit(row).is_ok();
        assert_eq!(writer.push(row).is_ok(), allowed, "{row:?}");
        taken.extend(allowed.then_some(row));
    }
    let (file, _) = writer.finish().expect("a vector takes everything");
    let back = read(&file).expect("what the writer writes the reader reads");
    assert!(back[..taken.len()] == taken, "{taken:?}");
    assert!(back[taken.len()..].iter().all(|row| row.call == Call::Free));
}
