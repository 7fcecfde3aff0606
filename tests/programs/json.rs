//! serde_json: documents are parsed on one thread, printed and dropped on another.

use std::fmt::Write;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use serde_json::Value;

use super::{Random, alone, assert_share, scaled};

/// Bytes of each document. The documents of all threads have more strings than a pool of the test holds.
const DOCUMENT_BYTES: usize = scaled(512 << 10);
/// Threads at once, each with a document.
const THREADS: usize = 4;

/// A list of records, printed as serde_json prints: keys in order, no spaces.
fn document(seed: usize) -> String {
    let mut random = Random::new(seed);
    let mut text = String::from("[");
    while text.len() < DOCUMENT_BYTES {
        let separator = if text.len() > 1 { "," } else { "" };
        let (length, id, half) = (1 + random.below(40), random.next(), random.below(1000));
        let (name, tag) = (random.word(length), random.word(3));
        write!(
            text,
            r#"{separator}{{"id":{id},"name":"{name}","nested":{{"deeper":[[],[null]],"price":{half}.5}},"#
        )
        .expect("a string takes everything");
        write!(text, r#""note":"a \"quote\"\nand ü","tags":["{tag}","-",true]}}"#)
            .expect("a string takes everything");
    }
    text.push(']');
    text
}

/// The names and notes of a document.
fn texts(records: &Value) -> impl Iterator<Item = &str> {
    let records = records.as_array().expect("a list").iter();
    records.flat_map(|record| ["name", "note"].map(|key| record[key].as_str().expect("a string")))
}

#[test]
fn json_is_printed_as_it_was_parsed_on_another_thread() {
    let _alone = alone();
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    senders.rotate_left(1);
    let work = |number: usize, to_next: Sender<(String, Value)>, values: Receiver<(String, Value)>| {
        let text = document(number);
        let value: Value = serde_json::from_str(&text).expect("well formed");
        to_next.send((text, value)).expect("the neighbour waits");

        let (text, value) = values.recv().expect("the neighbour sends");
        let printed = serde_json::to_string(&value).expect("a value can be printed");
        assert!(printed == text, "it was printed in another way than it was written");
        let again: Value = serde_json::from_str(&printed).expect("well formed");
        assert!(again == value);
        again
    };
    let values: Vec<_> = thread::scope(|scope| {
        let start = |(number, (to_next, values))| scope.spawn(move || work(number, to_next, values));
        let threads: Vec<_> = senders.into_iter().zip(receivers).enumerate().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let texts = || values.iter().flat_map(texts);
    assert_share(texts());
    // A name of at most 40 letters, and less than 200 bytes besides, make a record, which has two texts.
    assert!(texts().count() > 2 * THREADS * DOCUMENT_BYTES / 240);
}
