//! Files with any content in valid frames, for tests and the fuzzer. Written from the description of the format, not with
//! the writer: what the two agree on is what the description says.

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// A part of a file with its checksum after it.
pub(super) fn sealed(mut part: Vec<u8>) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(&part);
    part.extend(crc.sum().to_le_bytes());
    part
}

/// A header with this title.
pub(super) fn header(title: &[u8]) -> Vec<u8> {
    let mut header = b"\x89TRACE\r\n\x01\0\0\0".to_vec();
    header.extend((title.len() as u32).to_le_bytes());
    header.extend(title);
    sealed(header)
}

/// DEFLATE's stream of these bytes.
pub(super) fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, content).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

/// A chunk that says `length` and has these packed bytes.
pub(super) fn chunk(length: u32, packed: &[u8]) -> Vec<u8> {
    let mut chunk = length.to_le_bytes().to_vec();
    chunk.extend((packed.len() as u32).to_le_bytes());
    chunk.extend(packed);
    sealed(chunk)
}

/// A closing block with these counts.
pub(super) fn closing(threads: u32, slots: u32, operations: u64) -> Vec<u8> {
    let mut block = vec![0; 4];
    block.extend(threads.to_le_bytes());
    block.extend(slots.to_le_bytes());
    block.extend(operations.to_le_bytes());
    sealed(block)
}

/// A file of one chunk with this content.
pub(super) fn file(content: &[u8], threads: u32, slots: u32, operations: u64) -> Vec<u8> {
    let chunk = chunk(content.len() as u32, &packed(content));
    [header(b"forged"), chunk, closing(threads, slots, operations)].concat()
}
