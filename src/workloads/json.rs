//! `json`: parse a document into a tree, walk it, drop it.

pub mod parse;

use std::fmt::Write;

use allocator_api2::alloc::{Allocator, System};

use self::parse::Value;
use super::checksum::TextChecksum;
use super::document::Document;
use super::heap::{Heap, release};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// A document of at least so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Json {
    document: usize,
}

/// Beyond the size that was asked for: the record that reaches it, and the end.
const LAST_RECORD: usize = 16 << 10;

/// Levels of replies below a record.
const REPLIES: u64 = 4;

impl Shape for Json {
    const FACTS: Facts = Facts {
        id: "json",
        title: "parse a document into a tree, walk it, drop it",
        family: Family::Applications,
        why: "Every service does this all day: a request arrives as text, becomes a tree of values, is looked at and \
              forgotten. Names and texts are small blocks of their own; lists and objects are vectors that \
              grow as their members are read, because the parser does not know how many will come; texts with \
              escapes grow too. All of it dies at once.\n\n\
              A general allocator is told of each block when the tree is dropped. For one that releases everything \
              together the tree is left as it is, and a reset ends it.\n\n\
              Reading numbers, names and escapes is the same work for every allocator and takes a good part of the \
              time, as it does in a service.",
        effect: "Arenas are fastest: no block is freed, and the newest vector grows where it lies. Among general allocators \
              those with a short way for small blocks; the larger document adds what they do when a tree no longer fits \
              their caches.",
        origin: "A shape of our own, after what simd-json's and serde_json's benchmarks do with real documents, which \
              zooko's bench-allocators runs under several allocators. Here the document is drawn from the seed, and the parser \
              is part of the suite: so it takes an allocator.",
        operation: "value",
        step: "",
        probes: &[Probe::Time, Probe::Instructions],
        parameters: &[Parameter { name: "document", title: "bytes of the document", axis: Axis::Bytes }],
    };

    /// A request of 128 KiB, whose tree is near a millisecond of work; and one whose tree outgrows second-level caches.
    fn cases(scope: Scope) -> Vec<Self> {
        let documents = scope.pick(vec![128 << 10], vec![128 << 10, 1 << 20]);
        documents.into_iter().map(|document| Self { document }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("document", self.document)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        // The shortest values, `0,` in a list, become 40 bytes each on a growing vector, which asks for four times as much
        // in all; the others have more text for each byte.
        let bytes = self.document + LAST_RECORD;
        Demand { block: None, live_blocks: bytes / 4, pass_bytes: 80 * bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // How many texts there are, and how often a vector grows, depends on what is drawn.
        None
    }
}

/// A document as it is drawn, and the values in it.
struct Draft {
    document: Document,
    values: usize,
    random: Random,
}

impl Draft {
    /// Draws records until there are `bytes`.
    fn of(bytes: usize, seed: u64) -> Self {
        let mut draft =
            Self { document: Document::new(bytes + LAST_RECORD), values: 0, random: Random::new(seed) };
        draft.records(bytes).expect("room for the last record");
        draft
    }

    fn records(&mut self, bytes: usize) -> std::fmt::Result {
        self.values += 1;
        self.document.write_str("[\n")?;
        self.record(0)?;
        while self.document.bytes() < bytes {
            self.document.write_str(",\n")?;
            self.record(0)?;
        }
        self.document.write_str("\n]\n")
    }

    /// A post with its author, tags, place and replies.
    fn record(&mut self, depth: u64) -> std::fmt::Result {
        // The object, and its members with one value each.
        self.values += 1 + 4;
        let (id, score) = (self.random.below(1 << 40), self.random.below(100_000));
        write!(self.document, "{{\"id\": {id}, \"score\": {}.{:02}, ", score / 100, score % 100)?;
        write!(self.document, "\"open\": {}, \"text\": \"", self.random.below(2) == 0)?;
        self.words(1, 12)?;
        self.document.write_str("\", \"tags\": [")?;
        self.values += 1;
        for tag in 0..self.random.below(6) {
            self.document.write_str(if tag > 0 { ", \"" } else { "\"" })?;
            self.words(1, 1)?;
            self.document.write_str("\"")?;
            self.values += 1;
        }
        self.document.write_str("], \"author\": ")?;
        if self.random.below(4) == 0 {
            self.values += 1;
            self.document.write_str("null")?;
        } else {
            self.values += 1 + 2;
            self.document.write_str("{\"name\": \"")?;
            self.words(2, 2)?;
            let (degrees, power) = (self.random.below(360), self.random.below(3));
            write!(self.document, "\", \"where\": -{degrees}.5e{power}}}")?;
        }
        self.document.write_str(", \"replies\": [")?;
        self.values += 1;
        // Fewer the deeper they lie: at most 2, 2, 1, 1 and 0.
        for reply in 0..self.random.below((REPLIES - depth).div_ceil(2) + 1) {
            if reply > 0 {
                self.document.write_str(", ")?;
            }
            self.record(depth + 1)?;
        }
        self.document.write_str("]}")
    }

    /// Words of a text, some with escapes.
    fn words(&mut self, least: u64, most: u64) -> std::fmt::Result {
        const WORDS: [&str; 12] = [
            "market",
            "of",
            "order",
            "settled",
            "a",
            "tick",
            "depth",
            "spread",
            "ü",
            r"caf\u00e9",
            r#"\"limit\""#,
            r"\n",
        ];
        for word in 0..least + self.random.below(most - least + 1) {
            self.document.write_str(if word > 0 { " " } else { "" })?;
            self.document.write_str(WORDS[self.random.below(WORDS.len() as u64) as usize])?;
        }
        Ok(())
    }
}

impl OneThread for Json {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let Draft { document, values, .. } = Draft::of(self.document, seed);
        let tree = parse::parse(document.as_str(), System).expect("what is drawn is a document");
        let (expected, found) = walk(&tree);
        assert_eq!(found, values, "every value that was drawn is read");
        drop(tree);
        drive(&mut Request { document, values, expected, heap, mode });
    }
}

struct Request<'h, H, M> {
    document: Document,
    values: usize,
    /// The checksum of the tree under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Request<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut sum = 0;
        let pass = timed(clock, self.values, || {
            // A document that cannot be read comes to no sum, and so to a wrong one.
            if let Ok(tree) = parse::parse(self.document.as_str(), self.heap.handle()) {
                sum = walk(&tree).0;
                release::<H, _>(tree);
            }
            self.heap.reset();
        });
        self.mode.result(sum, self.expected);
        pass
    }
}

/// Reads the whole tree: a checksum, and how many values there are.
fn walk<A: Allocator>(tree: &Value<A>) -> (u64, usize) {
    fn add<A: Allocator>(value: &Value<A>, sum: &mut u64, count: &mut usize) {
        *count += 1;
        // The kind is in it, and the order; a list ends where the next value is one of another level's.
        let word = match value {
            Value::Null => 1,
            Value::Bool(truth) => 2 + u64::from(*truth),
            Value::Number(number) => number.to_bits(),
            Value::Text(text) => TextChecksum::EMPTY.and(text.as_bytes()).0,
            Value::List(list) => {
                list.iter().for_each(|value| add(value, sum, count));
                4 + list.len() as u64
            }
            Value::Object(members) => {
                for (name, value) in members {
                    *sum = sum.wrapping_add(TextChecksum::EMPTY.and(name.as_bytes()).0);
                    add(value, sum, count);
                }
                !(members.len() as u64)
            }
        };
        *sum = (sum.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let (mut sum, mut count) = (0, 0);
    add(tree, &mut sum, &mut count);
    (sum, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::{Individually, Together};
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    const SHORT: Json = Json { document: 4 << 10 };

    fn sum(document: &str) -> u64 {
        walk(&parse::parse(document, System).unwrap()).0
    }

    #[test]
    fn the_document_has_nesting_escapes_and_fractions() {
        let draft = Draft::of(128 << 10, 1);
        let text = draft.document.as_str();
        for part in ["\\\"limit", "\\u00e9", "ü", ".5e2", "null", "[]", "\"replies\": [{"] {
            assert!(text.contains(part), "{part}");
        }
        assert!((128 << 10..144 << 10).contains(&text.len()));
        assert!(draft.values > text.len() / 40, "{} values", draft.values);
    }

    #[test]
    fn another_document_has_another_checksum() {
        let same = sum(r#"{"a": [1, "x"], "b": null}"#);
        assert_eq!(same, sum(r#"{"a":[1,"\u0078"],"b":null}"#));
        for other in [
            r#"{"a": [2, "x"], "b": null}"#,
            r#"{"a": [1, "y"], "b": null}"#,
            r#"{"c": [1, "x"], "b": null}"#,
            r#"{"a": ["x", 1], "b": null}"#,
            r#"{"a": [1, "x"], "b": true}"#,
            r#"{"a": [1], "x": null}"#,
        ] {
            assert_ne!(same, sum(other), "{other}");
        }
    }

    #[test]
    fn every_heap_gives_the_same_and_gets_everything_back() {
        let (mut one, mut mode) = (Individually(Checked::new(GlobalSubject)), Pattern::new());
        SHORT.open(&mut one, &mut mode, 1, &mut |body| {
            body.pass(&WallClock::new());
        });
        assert_eq!((one.0.fault(), mode.fault(), one.0.live_blocks()), (None, None, 0));
        let (mut many, mut mode) = (Together(Checked::new(Arena::new())), Pattern::new());
        SHORT.open(&mut many, &mut mode, 1, &mut |body| {
            body.pass(&WallClock::new());
        });
        assert_eq!((many.0.fault(), mode.fault(), many.0.live_blocks()), (None, None, 0));
    }
}
