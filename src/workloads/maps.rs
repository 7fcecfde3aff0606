//! `maps`: fill a map with texts, look them up, empty it, each in an order of its own.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use allocator_api2::alloc::{Allocator, System};
use hashbrown::HashMap;

use super::checksum::byte_sum;
use super::hash::BuildWordHasher;
use super::heap::Heap;
use super::mode::{Mode, Touch};
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Profile, Scope, Shape,
    timed,
};
use super::sizes::Sizes;
use super::table::Table;
use super::text::Text;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// A map from words to texts, from empty to empty.
#[derive(Clone, Copy, Debug)]
pub struct Maps {
    kind: Kind,
    n: usize,
}

/// Which map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// hashbrown's: the map behind the standard library's, which on stable Rust takes no allocator itself.
    Hash,
    /// The standard library's, which on stable Rust takes its nodes from the global allocator.
    BTree,
}

/// Bytes of a value: names, tokens, addresses. A text of its own for each, as `String` would be.
const LENGTHS: Sizes = Sizes::LogUniform(8, 128);

/// One look-up in so many is for a key that is not there: enough that the branch is not always the same.
const MISS: u64 = 8;

impl Kind {
    const fn id(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::BTree => "b-tree",
        }
    }
}

impl Shape for Maps {
    const FACTS: Facts = Facts {
        id: "maps",
        title: "fill a map with texts, look them up, remove them",
        family: Family::Applications,
        why: "Indices, caches, symbol tables. A hash map asks for one large block again and again, each twice the one \
              before, and copies its entries over; a B-tree for a node of some hundred bytes now and then. Their values \
              own memory too: one small block each, which the look-ups read. All n entries are inserted, as many looked up, \
              and all removed, each in an order of its own, so that blocks are freed in none.\n\n\
              The hash map is hashbrown's, which takes an allocator, with a fixed hash function. The B-tree is the standard \
              library's, whose nodes come from the process's global allocator on stable Rust: it is measured on \
              allocators that can be that one, and its calls are not counted, nor are its nodes checked for overlaps, for \
              neither can be seen from here; its values and its answers are checked.\n\n\
              With an allocator that releases everything together the same source runs, and the map is reset away after the \
              last removal: nothing that was removed or outgrown came back before.",
        effect: "At 1 000 entries hashing or searching and reading take most of the time, and general allocators differ by \
              half at most; at 30 000 the order in which values lie in memory counts as well, and an allocator that \
              serves the growing table straight from the kernel pays for its pages. An arena saves the frees, and pays \
              for the memory of outgrown tables.",
        origin: "A shape of our own. hashbrown's own benchmarks measure the map with values that own nothing.",
        operation: "insert, look-up or removal",
        step: "insert, look-up or removal",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[
            Parameter { name: "kind", title: "the map", axis: Axis::Category },
            Parameter { name: "n", title: "entries when it is full", axis: Axis::Count },
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let (hash, tree) = (|n| Self { kind: Kind::Hash, n }, |n| Self { kind: Kind::BTree, n });
        // 1 000 entries with their values are 130 KB, within a core's own caches; 30 000 are 4 MB, beyond most of them.
        let mut standard = vec![hash(1_000), hash(30_000), tree(1_000)];
        if scope.profile == Profile::Full {
            standard.push(tree(30_000));
        }
        scope.pick(vec![hash(1_000)], standard)
    }

    fn params(&self) -> Params {
        Params::default().with("kind", self.kind.id()).with("n", self.n)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: self.kind == Kind::BTree }
    }

    fn demand(&self) -> Demand {
        // A hash table is at most 7/8 full and doubles, with a byte of control for each entry: at most 16/7 of the entries
        // at the end, and as much again for all the tables before.
        let entry = size_of::<(u64, Text<&System>)>() + 1;
        let tables = 2 * 16 * self.n * entry / 7 + 1024;
        Demand {
            block: None,
            live_blocks: self.n + 2,
            pass_bytes: LENGTHS.budget(self.n) + tables,
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        // How often the table grows is hashbrown's affair, and when a node splits the standard library's.
        None
    }
}

impl OneThread for Maps {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let life = Life::drawn(self.n, seed);
        let expected = life.run(self.kind, System, &mut Touch);
        drive(&mut Living { life, kind: self.kind, expected, heap, mode });
    }
}

/// An entry to insert: its key, and where its value is copied from.
#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    start: u32,
    bytes: NonZeroU32,
}

/// Everything that happens to a map.
struct Life {
    letters: Table<u8>,
    insertions: Table<Entry>,
    look_ups: Table<u64>,
    removals: Table<u64>,
}

/// Letters that values are copied from: they stay in the first-level cache, so that making a value costs its memory.
const LETTERS: usize = 4096;

impl Life {
    fn drawn(n: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let letters = Table::new(LETTERS, |_| b'a' + random.below(26) as u8);
        let insertions = Table::new(n, |_| {
            let (key, bytes) = (random.next_u64(), LENGTHS.draw(&mut random));
            Entry { key, start: random.below((LETTERS - LENGTHS.largest()) as u64) as u32, bytes }
        });
        let mut look_ups = Table::new(n, |index| match random.below(MISS) {
            // No other key is likely to be this one: there are 2^64.
            0 => !insertions[index].key,
            _ => insertions[index].key,
        });
        random.shuffle(&mut look_ups);
        let mut removals = Table::new(n, |index| insertions[index].key);
        random.shuffle(&mut removals);
        Self { letters, insertions, look_ups, removals }
    }

    fn operations(&self) -> usize {
        self.insertions.len() + self.look_ups.len() + self.removals.len()
    }

    /// The whole life on a new map; gives back what was read from the values.
    fn run<A: Allocator + Copy, M: Mode>(&self, kind: Kind, allocator: A, mode: &mut M) -> u64 {
        match kind {
            Kind::Hash => {
                self.run_on(HashMap::with_hasher_in(BuildWordHasher::default(), allocator), allocator, mode)
            }
            Kind::BTree => self.run_on(BTreeMap::new(), allocator, mode),
        }
    }

    fn run_on<A: Allocator + Copy, M: Mode>(
        &self,
        mut map: impl Map<Text<A>>,
        allocator: A,
        mode: &mut M,
    ) -> u64 {
        let letters = std::str::from_utf8(&self.letters).expect("ASCII letters are UTF-8");
        let mut read = 0_u64;
        mode.begin();
        for &Entry { key, start, bytes } in self.insertions.iter() {
            let mut value = Text::new_in(allocator);
            value.push_str(&letters[start as usize..][..bytes.get() as usize]);
            map.insert(key, value);
            mode.step();
        }
        let mut fold = |value: Option<&Text<A>>| {
            let found = value.map_or(1, |value| byte_sum(value.as_bytes()));
            read = read.rotate_left(1).wrapping_add(found);
        };
        for key in self.look_ups.iter() {
            fold(map.get(key));
            mode.step();
        }
        for key in self.removals.iter() {
            fold(map.remove(key).as_ref());
            mode.step();
        }
        read
    }
}

/// What both maps can do.
trait Map<V> {
    fn insert(&mut self, key: u64, value: V);
    fn get(&self, key: &u64) -> Option<&V>;
    fn remove(&mut self, key: &u64) -> Option<V>;
}

impl<V, A: Allocator> Map<V> for HashMap<u64, V, BuildWordHasher, A> {
    fn insert(&mut self, key: u64, value: V) {
        self.insert(key, value);
    }

    fn get(&self, key: &u64) -> Option<&V> {
        self.get(key)
    }

    fn remove(&mut self, key: &u64) -> Option<V> {
        self.remove(key)
    }
}

impl<V> Map<V> for BTreeMap<u64, V> {
    fn insert(&mut self, key: u64, value: V) {
        self.insert(key, value);
    }

    fn get(&self, key: &u64) -> Option<&V> {
        self.get(key)
    }

    fn remove(&mut self, key: &u64) -> Option<V> {
        self.remove(key)
    }
}

struct Living<'h, H, M> {
    life: Life,
    kind: Kind,
    /// What is read under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Living<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut read = 0;
        let pass = timed(clock, self.life.operations(), || {
            read = self.life.run(self.kind, self.heap.handle(), self.mode);
            self.heap.reset();
        });
        self.mode.result(read, self.expected);
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::arena::Arena;

    #[test]
    fn both_maps_on_all_allocators_read_the_same() {
        let life = Life::drawn(500, 1);
        let expected = life.run(Kind::Hash, System, &mut Touch);
        assert_eq!(life.run(Kind::BTree, System, &mut Touch), expected);
        assert_eq!(life.run(Kind::Hash, &Arena::new(), &mut Touch), expected);
    }

    #[test]
    fn one_changed_letter_is_read() {
        let mut life = Life::drawn(500, 1);
        let expected = life.run(Kind::Hash, System, &mut Touch);
        life.letters[life.insertions[7].start as usize] ^= 1;
        assert_ne!(life.run(Kind::Hash, System, &mut Touch), expected);
    }

    #[test]
    fn a_lost_entry_is_missed() {
        let mut life = Life::drawn(500, 1);
        let expected = life.run(Kind::BTree, System, &mut Touch);
        life.insertions[7].key ^= 1;
        assert_ne!(life.run(Kind::BTree, System, &mut Touch), expected);
    }

    #[test]
    fn every_key_is_removed_once_and_one_look_up_in_eight_finds_nothing() {
        let life = Life::drawn(8_000, 1);
        let mut keys: Vec<u64> = life.insertions.iter().map(|entry| entry.key).collect();
        let mut removed = life.removals.to_vec();
        assert_ne!(keys, removed, "in another order");
        keys.sort_unstable();
        removed.sort_unstable();
        assert_eq!(keys, removed);
        keys.dedup();
        assert_eq!(keys.len(), 8_000);
        let misses = life.look_ups.iter().filter(|key| keys.binary_search(key).is_err()).count();
        assert!((900..1_100).contains(&misses), "{misses} of 8 000");
    }

    #[test]
    fn what_a_pass_asks_for_is_within_what_it_says() {
        for n in [1_000, 2_000, 30_000] {
            let arena = Arena::new();
            let life = Life::drawn(n, 1);
            life.run(Kind::Hash, &arena, &mut Touch);
            let (used, said) = (arena.used(), Maps { kind: Kind::Hash, n }.demand().pass_bytes);
            assert!(used <= said, "{n}: {used} of {said}");
        }
    }
}
