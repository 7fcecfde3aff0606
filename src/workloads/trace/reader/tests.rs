use super::super::forge;
use super::super::operation::{Align, Call, MOST_BYTES};
use super::super::writer::Writer;
use super::*;
use crate::stats::random::Random;

/// A table of every call, drawn; all of it freed by `finish`.
fn drawn(rows: usize, seed: u64) -> Vec<Operation> {
    let (mut random, mut live, mut vacant) = (Random::new(seed), Vec::new(), Vec::new());
    let (mut known, mut threads) = (0, 0);
    let mut table = Vec::new();
    while table.len() < rows {
        let thread = random.below(4) as u32;
        let thread = thread.min(threads);
        let size = 1 + (random.next_u64() >> 17 >> random.below(47));
        let align = Align::two_to_the(random.below(31) as u8).unwrap();
        let any = |random: &mut Random, live: &[u32]| random.below(live.len() as u64) as usize;
        let (slot, call) = match random.below(if live.is_empty() { 2 } else { 4 }) {
            kind @ 0..=1 => {
                let slot = vacant.pop().unwrap_or(known);
                known = known.max(slot + 1);
                live.push(slot);
                (
                    slot,
                    if kind == 0 { Call::Alloc { size, align } } else { Call::AllocZeroed { size, align } },
                )
            }
            2 => (live[any(&mut random, &live)], Call::Realloc { size }),
            _ => {
                let slot = live.swap_remove(any(&mut random, &live));
                vacant.push(slot);
                (slot, Call::Free)
            }
        };
        threads = threads.max(thread + 1);
        table.push(Operation { thread, slot, call });
    }
    table
}

fn written(table: &[Operation]) -> (Vec<u8>, Counts) {
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    table.iter().for_each(|&row| writer.push(row).unwrap());
    writer.finish().unwrap()
}

fn read(file: &[u8]) -> Result<(Vec<Operation>, Counts), ReadError> {
    let mut reader = Reader::new(file)?;
    let mut rows = Vec::new();
    for row in reader.by_ref() {
        rows.push(row.inspect_err(|_| assert!(rows.len() < 10_000_000))?);
    }
    assert!(reader.next().is_none());
    Ok((rows, reader.counts()))
}

fn fault(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

/// What is wrong with a chunk of this content.
fn content_fault(content: &[u8]) -> String {
    fault(&forge::file(content, 1, 1, 1))
}

#[test]
fn tables_are_read_as_they_were_written() {
    for (rows, seed) in [(0, 1), (1, 2), (100, 3), (60_000, 4)] {
        let table = drawn(rows, seed);
        let (file, counts) = written(&table);
        let (back, said) = read(&file).unwrap();
        assert_eq!(back[..rows], table, "{rows} rows");
        assert!(back[rows..].iter().all(|row| row.call == Call::Free));
        assert_eq!((said, counts.operations), (counts, back.len() as u64));
    }
}

#[test]
fn a_table_of_several_chunks_needs_only_one_in_memory() {
    let (file, _) = written(&drawn(60_000, 5));
    let mut reader = Reader::new(file.as_slice()).unwrap();
    assert!(reader.by_ref().all(|row| row.is_ok()));
    assert!(file.len() > 3 * MOST_PACKED, "{} bytes", file.len());
    assert!(reader.content.capacity() <= MOST_CONTENT + 1 && reader.packed.capacity() <= 2 * MOST_PACKED);
}

#[test]
fn bytes_may_come_one_at_a_time() {
    struct Drip<'a>(&'a [u8], bool);
    impl Read for Drip<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::Error::from(ErrorKind::Interrupted));
            }
            let one = bytes.len().min(1);
            self.0.read(&mut bytes[..one])
        }
    }
    let table = drawn(50, 6);
    let (file, _) = written(&table);
    let rows: Vec<_> = Reader::new(Drip(&file, false)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows[..50], table);
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused_at_its_end() {
    let (file, _) = written(&drawn(40, 7));
    for length in 0..file.len() {
        let error = read(&file[..length]).unwrap_err();
        assert!(matches!(error.problem, Problem::Ends { .. }), "{length} bytes: {error}");
        assert!(
            error.place.offset <= length as u64 && error.place.within.is_none(),
            "{length} bytes: {error}"
        );
    }
}

#[test]
fn a_single_flipped_bit_anywhere_is_found() {
    let (file, _) = written(&drawn(40, 8));
    for bit in 0..8 * file.len() {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = read(&damaged).expect_err("a flipped bit");
        assert!(error.place.offset <= file.len() as u64, "bit {bit}: {error}");
    }
}

#[test]
fn a_byte_that_was_added_or_lost_anywhere_is_found() {
    let (file, _) = written(&drawn(40, 9));
    for place in 0..=file.len() {
        let mut longer = file.clone();
        longer.insert(place, 0x2A);
        assert!(read(&longer).is_err(), "a byte more at {place}");
        let mut shorter = file.clone();
        if place < file.len() {
            shorter.remove(place);
            assert!(read(&shorter).is_err(), "a byte less at {place}");
        }
    }
}

#[test]
fn any_bytes_are_refused_without_harm() {
    let mut random = Random::new(10);
    for length in 0..500 {
        let bytes: Vec<u8> = (0..length).map(|_| random.next_u64() as u8).collect();
        assert!(read(&bytes).is_err());
        assert!(read(&[forge::header(b"noise"), bytes.clone()].concat()).is_err());
        // Within a valid frame the rows themselves are at fault, or the counts.
        if !bytes.is_empty() {
            assert!(read(&forge::file(&bytes, 1, 1, 1)).is_err());
        }
    }
}

#[test]
fn a_forged_file_is_read_if_it_keeps_the_rules() {
    // alloc slot 0 of 5 bytes aligned to 8; realloc to 300; thread 1 frees.
    let content = [3 << 3, 0, 5, 2, 0, 0xAC, 2, 4 | 3, 1, 0];
    let (rows, counts) = read(&forge::file(&content, 2, 1, 3)).unwrap();
    let align = Align::of(8).unwrap();
    let calls = [Call::Alloc { size: 5, align }, Call::Realloc { size: 300 }, Call::Free];
    assert_eq!(rows.iter().map(|row| row.call).collect::<Vec<_>>(), calls);
    assert_eq!(rows.iter().map(|row| (row.thread, row.slot)).collect::<Vec<_>>(), [(0, 0), (0, 0), (1, 0)]);
    assert_eq!(counts, Counts { threads: 2, slots: 1, operations: 3 });
}

#[test]
fn rows_that_break_a_rule_are_refused_where_they_stand() {
    let place = |within: usize| format!("byte {within} of the content of the chunk at byte 26: expected ");
    let told = |content: &[u8], within, words: &str| {
        let said = content_fault(content);
        assert!(said.starts_with(&place(within)) && said.ends_with(words), "{said}");
    };
    told(&[3, 0], 0, "a slot with a live block, found slot 0, which is empty");
    told(&[2, 7, 9], 0, "a slot with a live block, found slot 7, which is empty");
    told(&[0, 0, 8, 0, 0, 8], 3, "an empty slot, found slot 0, whose block is live");
    told(&[0, 0, 8, 3, 0, 3, 0], 5, "a slot with a live block, found slot 0, which is empty");
    told(&[0, 1, 8], 0, "a slot up to 0, found 1");
    told(&[0, 0xFF, 0xFF, 0xFF, 0xFF, 0xF, 8], 0, "a slot up to 0, found 4294967295");
    told(&[0, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 8], 0, "a number that fits its column, found a larger one");
    told(&[4, 2, 0, 8], 0, "a thread up to 0, found 2");
    told(&[4, 0, 0, 8], 0, "another thread than the row before has, found 0 again");
    told(&[31 << 3, 0, 8], 0, "found 2^31");
    told(&[0, 0, 8, 3 | 1 << 3, 0], 3, "none in realloc and free, found 2^1");
    told(&[0, 0, 0], 0, &format!("a size of 1 to {MOST_BYTES} bytes, found 0"));
    told(&[0, 0, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20], 0, &format!("bytes, found {}", MOST_BYTES + 1));
    told(&[0, 0, 0x88, 0], 0, "a number in its shortest form, found needless bytes");
    told(&[0, 0, 8, 0, 1], 3, "the rest of a row, found the content's end");
}

#[test]
fn lengths_that_lie_are_refused_before_memory_is_taken() {
    let after = |rest: &[u8]| fault(&[forge::header(b"forged").as_slice(), rest].concat());
    let long = after(&u32::MAX.to_le_bytes());
    assert_eq!(long, "byte 26: expected the content of a chunk of 1 to 65536 bytes, found 4294967295");
    let packed = after(&[9, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]);
    assert_eq!(
        packed,
        "byte 30: expected the packed content of a chunk of 1 to 73728 bytes, found 2147483647"
    );
    let none = after(&[9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(none, "byte 30: expected the packed content of a chunk of 1 to 73728 bytes, found 0");
    let title = [&MAGIC[..], &[1, 0, 0, 0, 0, 1, 0, 0]].concat();
    assert_eq!(fault(&title), "byte 12: expected a title of 1 to 255 bytes, found 256");
}

#[test]
fn content_that_unpacks_to_another_length_is_refused() {
    let content = [0, 0, 8, 3, 0];
    let file = |length, packed: &[u8]| {
        [forge::header(b"forged"), forge::chunk(length, packed), forge::closing(1, 1, 2)].concat()
    };
    let packed = forge::packed(&content);
    assert!(read(&file(5, &packed)).is_ok());
    // More or less than announced, a stream with something after it, one that does not end, one that is none.
    let longer = [packed.as_slice(), &[0]].concat();
    let cut = &packed[..packed.len() - 1];
    for (length, packed) in [(4, packed.as_slice()), (6, &packed), (5, &longer), (5, cut), (5, &[0xFF; 9])] {
        assert!(fault(&file(length, packed)).contains("found bytes that do not"), "{length}, {packed:?}");
    }
}

#[test]
fn a_chunk_that_unpacks_to_gigabytes_is_stopped_at_what_it_announces() {
    let bomb = forge::packed(&vec![0; 64 << 20]);
    assert!(bomb.len() > MOST_PACKED, "{} bytes", bomb.len());
    // As much of it as a chunk may hold.
    let chunk = forge::chunk(MOST_CONTENT as u32, &bomb[..MOST_PACKED]);
    let file = [forge::header(b"forged"), chunk].concat();
    let mut reader = Reader::new(file.as_slice()).unwrap();
    assert!(matches!(reader.next(), Some(Err(ReadError { problem: Problem::Packing { .. }, .. }))));
    assert!(reader.content.capacity() <= 2 * MOST_CONTENT, "{}", reader.content.capacity());
}

#[test]
fn counts_that_lie_and_blocks_that_are_left_are_refused() {
    let content = [0, 0, 8, 3, 0];
    for (threads, slots, operations) in [(2, 1, 2), (1, 2, 2), (1, 1, 3), (u32::MAX, u32::MAX, u64::MAX)] {
        let said = fault(&forge::file(&content, threads, slots, operations));
        assert!(
            said.contains("expected the closing block to count Counts { threads: 1, slots: 1, "),
            "{said}"
        );
    }
    let said = content_fault(&[0, 0, 8]);
    assert!(said.ends_with("expected that nothing is live when the table ends, found 1 blocks"), "{said}");
}

#[test]
fn a_file_ends_with_its_closing_block() {
    let (file, _) = written(&drawn(5, 11));
    let said = fault(&[file.as_slice(), b"\n"].concat());
    let expected =
        format!("byte {}: expected the file's end after the closing block, found more bytes", file.len());
    assert_eq!(said, expected);
}

#[test]
fn other_files_and_versions_are_told_apart() {
    assert!(fault(b"\x89PNG\r\n\x1a\n").starts_with("byte 0: expected the first bytes of a trace"));
    let newer = [&MAGIC[..], &[2, 0, 0, 0]].concat();
    assert_eq!(fault(&newer), "byte 8: expected a trace of version 1, found version 2");
    let unprintable = forge::header(b"a\nb");
    assert_eq!(fault(&unprintable), "byte 16: expected a title in printable ASCII");
    assert!(Writer::new(Vec::new(), "a\nb").is_err() && Writer::new(Vec::new(), "").is_err());
}
