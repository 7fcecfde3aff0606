//! `vectors`: fill vectors of many lengths, side by side; with room reserved, pushed one by one, appended in runs.

use std::num::NonZeroU32;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::vec::Vec;

use super::checksum::Checksum;
use super::heap::Heap;
use super::mode::{Mode, Touch};
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Rows of many results, each result turned into two columns.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    form: Form,
}

/// How a vector is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// From nothing, one element at a time: the capacity doubles from 4 on.
    Push,
    /// Room for all first: one allocation.
    Reserved,
    /// From nothing, [`RUN`] elements at a time, as from a buffer that is read again and again.
    Extend,
}

/// Pairs of vectors in a pass: a page of results, and long against a clock reading.
const PAIRS: usize = 256;

/// Elements of a vector. As many vectors of 1–2 elements as of 512–1024: lists in programs are mostly short, and the few
/// long ones do most of the growing. An assumption; we know of no published distribution of lengths.
const LENGTHS: Sizes = Sizes::LogUniform(1, 1024);

/// Elements appended at once: 24 rows of 32 bytes are what a read of 768 bytes brings. Not a power of two, so that the
/// capacities are others than those of pushing.
const RUN: usize = 24;

/// One line of a result.
#[derive(Clone, Copy, Debug)]
struct Row {
    key: u64,
    quote: Quote,
}

/// A small struct as programs keep them in vectors: three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quote {
    price: u64,
    quantity: u64,
    time: u64,
}

type Pair<A> = (Vec<u64, A>, Vec<Quote, A>);

impl Form {
    const ALL: [Self; 3] = [Self::Push, Self::Reserved, Self::Extend];

    const fn id(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Reserved => "reserved",
            Self::Extend => "extend",
        }
    }
}

impl Shape for Vectors {
    const FACTS: Facts = Facts {
        id: "vectors",
        title: "fill vectors of many lengths, two side by side",
        family: Family::Applications,
        why: "The vector is the container of most programs, and most of what it asks of an allocator is to become larger. \
              The rows of a result are turned into two columns, words and structs of 24 bytes, which are filled side by \
              side; all columns are kept to the end and then dropped. Lengths are drawn from 1 to 1 024, \
              short ones being as likely as long ones for each doubling.\n\n\
              Pushed, a vector doubles from four elements on and is resized each time; with room reserved it is allocated \
              once; appended in runs of 24 it is resized less often. Because two vectors grow in turn, neither is the \
              newest block for long: growing in place, which an allocator can do for a vector that grows alone at the end \
              of its memory, works for one of them at most.\n\n\
              Every allocator runs the same source: all vectors are dropped one by one, and one that releases everything \
              together is reset as well. The operation is a pair of vectors: per element one would see the price of a \
              store.",
        effect: "Reserved is fastest on every allocator and pushed slowest; the distance between them is the price of \
              resizing, and larger for an arena than with `strings`, for its two vectors stand in each other's way and \
              every growth copies. Reserved, the allocators differ by two allocations and two frees in the time of writing \
              150 rows: little.",
        origin: "A shape of our own. bumpalo, blink-alloc and bump-scope measure pushing into one vector alone, which is the \
              best case of an arena.",
        operation: "pair of vectors",
        step: "pair of vectors",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "form", title: "how they are filled", axis: Axis::Category }],
    };

    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        // In `quick`, `strings` stands for it: texts that grow and texts with reserved room.
        scope.pick(vec![], Form::ALL.map(|form| Self { form }).to_vec())
    }

    fn params(&self) -> Params {
        Params::default().with("form", self.form.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        // Growing by doubling asks for less than four times the final length in total; 32 bytes of elements a row.
        let rows = LENGTHS.budget(PAIRS);
        let pass_bytes = 4 * rows * size_of::<Row>() + 2 * PAIRS * (size_of::<Pair<&System>>() + 4 * 24);
        Demand { block: None, live_blocks: 2 * PAIRS + 2, pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        match self.form {
            // Two vectors a pair, and the one that keeps them.
            Form::Reserved => Some(Declared::pairs(2 * PAIRS + 1)),
            // How often the others are resized depends on the lengths drawn.
            Form::Push | Form::Extend => None,
        }
    }
}

impl OneThread for Vectors {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let lengths = LENGTHS.table(PAIRS, &mut random);
        let rows = rows(&mut random);
        let expected = checksum(&columns(System, &lengths, &rows, self.form, &mut Touch));
        drive(&mut Columns { lengths, rows, form: self.form, expected, heap, mode });
    }
}

/// As many as the longest result has; shorter ones are the first of them.
fn rows(random: &mut Random) -> Table<Row> {
    Table::new(LENGTHS.largest(), |_| {
        let [key, price, quantity, time] = std::array::from_fn(|_| random.next_u64());
        Row { key, quote: Quote { price, quantity, time } }
    })
}

struct Columns<'h, H, M> {
    lengths: Table<NonZeroU32>,
    rows: Table<Row>,
    form: Form,
    /// The checksum under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Columns<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut kept = None;
        let build = timed(clock, PAIRS, || {
            kept = Some(columns(self.heap.handle(), &self.lengths, &self.rows, self.form, self.mode));
        });
        // The checksum is ours and not the program's: the clock stops for it.
        let checksum = kept.as_ref().map_or(0, checksum);
        let release = timed(clock, 0, || drop(kept));
        let reset = timed(clock, 0, || self.heap.reset());
        self.mode.result(checksum, self.expected);
        let elapsed_ns = build.elapsed_ns + release.elapsed_ns + reset.elapsed_ns;
        Pass { elapsed_ns, operations: build.operations }
    }
}

/// Turns the first rows of each result, as many as it is long, into two columns.
fn columns<A: Allocator + Copy, M: Mode>(
    allocator: A,
    lengths: &[NonZeroU32],
    rows: &[Row],
    form: Form,
    mode: &mut M,
) -> Vec<Pair<A>, A> {
    let mut kept = with_room(allocator, lengths.len(), form);
    mode.begin();
    for length in lengths {
        let rows = &rows[..length.get() as usize];
        let mut keys = with_room(allocator, rows.len(), form);
        let mut quotes = with_room(allocator, rows.len(), form);
        match form {
            Form::Push | Form::Reserved => {
                for row in rows {
                    keys.push(row.key);
                    quotes.push(row.quote);
                }
            }
            Form::Extend => {
                for run in rows.chunks(RUN) {
                    keys.extend(run.iter().map(|row| row.key));
                    quotes.extend(run.iter().map(|row| row.quote));
                }
            }
        }
        kept.push((keys, quotes));
        mode.step();
    }
    kept
}

fn with_room<T, A: Allocator>(allocator: A, elements: usize, form: Form) -> Vec<T, A> {
    match form {
        Form::Reserved => Vec::with_capacity_in(elements, allocator),
        Form::Push | Form::Extend => Vec::new_in(allocator),
    }
}

fn checksum<A: Allocator>(kept: &Vec<Pair<A>, A>) -> u64 {
    let mut sum = Checksum::new();
    for (keys, quotes) in kept {
        sum = sum.word(keys.len() as u64).words(keys.iter().copied());
        sum = sum.words(quotes.iter().flat_map(|quote| [quote.price, quote.quantity, quote.time]));
    }
    sum.value()
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::contract::Subject;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::{Counting, Counts};

    fn prepared(seed: u64) -> (Table<NonZeroU32>, Table<Row>) {
        let mut random = Random::new(seed);
        (LENGTHS.table(PAIRS, &mut random), rows(&mut random))
    }

    #[test]
    fn all_forms_on_all_allocators_make_the_same_columns() {
        let (lengths, rows) = prepared(1);
        let expected = checksum(&columns(System, &lengths, &rows, Form::Push, &mut Touch));
        let mut arena = Arena::new();
        for form in Form::ALL {
            assert_eq!(checksum(&columns(System, &lengths, &rows, form, &mut Touch)), expected, "{form:?}");
            assert_eq!(checksum(&columns(&arena, &lengths, &rows, form, &mut Touch)), expected, "{form:?}");
            arena.reset();
        }
    }

    #[test]
    fn one_changed_element_or_length_changes_the_checksum() {
        let (mut lengths, rows) = prepared(1);
        let mut kept = columns(System, &lengths, &rows, Form::Push, &mut Touch);
        let expected = checksum(&kept);
        kept[100].1[0].time ^= 1;
        assert_ne!(checksum(&kept), expected);
        lengths[0] = NonZeroU32::new(lengths[0].get() % 1024 + 1).expect("not 0");
        assert_ne!(checksum(&columns(System, &lengths, &rows, Form::Push, &mut Touch)), expected);
    }

    #[test]
    fn pushing_resizes_most_and_reserving_never() {
        let (lengths, rows) = prepared(1);
        let counts = |form| {
            let counting = Counting::new(GlobalSubject);
            drop(columns(counting.handle(), &lengths, &rows, form, &mut Touch));
            counting.tally().snapshot()
        };
        let [push, reserved, extend]: [Counts; 3] = Form::ALL.map(counts);
        assert_eq!(reserved.reallocations, 0);
        assert!(push.reallocations > extend.reallocations && extend.reallocations > 0);
        // Lengths lie evenly between 2^0 and 2^10: eight of the ten doublings outgrow the first four elements, the last one
        // eight times; 3.6 on average.
        let each = push.reallocations as f64 / (2 * PAIRS) as f64;
        assert!((3.2..4.0).contains(&each), "{each} resizings a vector");
    }

    #[test]
    fn what_a_pass_asks_for_is_within_what_it_says() {
        for form in Form::ALL {
            let shape = Vectors { form };
            for seed in 0..20 {
                let (lengths, rows) = prepared(seed);
                let arena = Arena::new();
                mem::forget(columns(&arena, &lengths, &rows, form, &mut Touch));
                let (used, said) = (arena.used(), shape.demand().pass_bytes);
                assert!(used <= said, "{form:?}: {used} of {said}");
            }
        }
    }
}
