//! `stream`: records pass through a window, the oldest leaves first.

use std::num::NonZeroU32;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::heap::{Heap, take};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// What a typed allocator of this shape implements: a queue of records that holds so many and no more.
///
/// To run here, an allocator implements this for itself, is built for a number of records of at most so many bytes, and
/// stands in place of [`Boxes`] in the `open` below. One whose window is counted in bytes releases the oldest when the
/// number is reached all the same, or the windows would not compare.
pub trait Window {
    /// Copies a record in, as the newest. If the window was full, the oldest was released before.
    fn push(&mut self, record: &[u8]);

    /// The record that has been there longest.
    fn oldest(&self) -> Option<&[u8]>;
}

/// The reference: each record is a block of its own; a ring of their places says which is the oldest.
///
/// The ring lies outside the heap and was made before, as a program's `VecDeque` has its size once it runs.
pub struct Boxes<A: Allocator> {
    allocator: A,
    /// Records in their order from `oldest` on, around the end; only those counted by `length`.
    ring: Table<Slot>,
    oldest: usize,
    length: usize,
}

impl<A: Allocator> Boxes<A> {
    /// A window of so many records.
    fn new(records: usize, allocator: A) -> Self {
        Self { allocator, ring: Table::new(records, |_| Slot::EMPTY), oldest: 0, length: 0 }
    }

    /// The place so many records behind the oldest.
    #[inline(always)]
    fn place(&self, behind: usize) -> usize {
        let place = self.oldest + behind;
        if place < self.ring.len() { place } else { place - self.ring.len() }
    }

    #[inline(always)]
    fn release_oldest(&mut self) {
        let Slot { block, size } = self.ring[self.oldest];
        (self.oldest, self.length) = (self.place(1), self.length - 1);
        // SAFETY: a place that is counted holds a block that `push` took from this allocator with this layout; it is not
        // counted any more.
        unsafe { self.allocator.deallocate(block, Sizes::layout(size.get() as usize)) };
    }
}

impl<A: Allocator> Window for Boxes<A> {
    #[inline(always)]
    fn push(&mut self, record: &[u8]) {
        if self.length == self.ring.len() {
            self.release_oldest();
        }
        let block = take(&self.allocator, Sizes::layout(record.len()));
        // SAFETY: the block has as many bytes as the record, and is a fresh one: the two do not overlap.
        unsafe { block.as_ptr().copy_from_nonoverlapping(record.as_ptr(), record.len()) };
        let place = self.place(self.length);
        self.ring[place] = Slot { block, size: Sizes::size(record.len()) };
        self.length += 1;
    }

    #[inline(always)]
    fn oldest(&self) -> Option<&[u8]> {
        let Slot { block, size } = *self.ring.get(self.oldest).filter(|_| self.length > 0)?;
        // SAFETY: a place that is counted holds a live block, of which `push` wrote all `size` bytes; it is freed by
        // `&mut self` alone.
        Some(unsafe { NonNull::slice_from_raw_parts(block, size.get() as usize).as_ref() })
    }
}

impl<A: Allocator> Drop for Boxes<A> {
    fn drop(&mut self) {
        while self.length > 0 {
            self.release_oldest();
        }
    }
}

/// A window of so many records.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    window: usize,
}

/// Records of a pass, and more than any window holds: every one of them leaves in the pass or in the one after.
const RECORDS: usize = 16_384;

/// Messages of a market feed or of a log. Evenly, so that neighbours in a window differ in size.
const SIZES: Sizes = Sizes::Uniform(32, 512);

/// Bytes that records are cut from: small enough to stay in the second-level cache, so that it is the window's memory that
/// is fetched.
const SOURCE: usize = 64 << 10;

impl Shape for Stream {
    const FACTS: Facts = Facts {
        id: "stream",
        title: "records pass through a window, the oldest leaves first",
        family: Family::Typed,
        why: "Market data, logs, telemetry: what came last is kept and what came before it makes room. The order of release \
              is the order of arrival, so a ring needs neither a free list nor a search: it writes each record \
              behind the last. The interface is typed, for a ring that takes records and lets the oldest go is no \
              allocator of blocks.\n\n\
              Before each arrival the oldest record is read as a whole. On allocators that know nothing of the order \
              each record is a block of its own, and each step frees the oldest block, which has not been touched \
              for a whole window, and takes one of another size.",
        effect: "The large window costs more than the small one for everybody, because the oldest record must be fetched from \
              memory. General allocators that put blocks of one size together reuse what was freed last; those that \
              merge neighbours gain, because neighbours die together. A ring should be faster than all of them by the \
              free and the search.",
        origin: "A shape of our own, after tick and log buffers. The literature's queue of blocks (`xmalloc-test` and the like) \
              hands them to another thread, which is `handoff`.",
        operation: "record",
        step: "record",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "window", title: "records in the window", axis: Axis::Count }],
    };

    /// 270 KiB and 2.7 MiB of records: within second-level caches, and beyond most.
    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![], vec![1_000, 10_000]).into_iter().map(|window| Self { window }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("window", self.window)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        let pass_bytes = SIZES.budget(RECORDS + self.window);
        Demand { block: None, live_blocks: self.window, pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(RECORDS))
    }
}

/// Where a record lies in the source.
#[derive(Clone, Copy)]
struct Cut {
    start: u32,
    bytes: NonZeroU32,
}

/// The records of a pass, one after another without end.
struct Records {
    source: Table<u8>,
    cuts: Table<Cut>,
}

impl Records {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let source = Table::new(SOURCE, |_| random.next_u64() as u8);
        let cuts = Table::new(RECORDS, |_| {
            let bytes = SIZES.draw(&mut random);
            Cut { start: random.below((SOURCE - bytes.get() as usize) as u64) as u32, bytes }
        });
        Self { source, cuts }
    }

    fn record(&self, cut: &Cut) -> &[u8] {
        &self.source[cut.start as usize..][..cut.bytes.get() as usize]
    }

    /// The last `n` of a pass, in their order: what the window holds before each.
    fn last(&self, n: usize) -> impl Iterator<Item = &[u8]> {
        self.cuts[RECORDS - n..].iter().map(|cut| self.record(cut))
    }
}

/// What a record comes to: every byte of it is read.
#[inline]
fn read(record: &[u8]) -> u64 {
    let (words, rest) = record.as_chunks::<8>();
    let sum = words.iter().fold(record.len() as u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, &byte| (sum << 8) ^ sum >> 56 ^ u64::from(byte))
}

/// Lets all records of a pass through a full window; gives back what those that left came to.
fn pass_through<M: Mode>(records: &Records, window: &mut impl Window, mode: &mut M) -> u64 {
    let mut sum = 0_u64;
    mode.begin();
    for cut in records.cuts.iter() {
        sum = sum.rotate_left(1).wrapping_add(window.oldest().map_or(0, read));
        window.push(records.record(cut));
        mode.step();
    }
    sum
}

/// What a pass must come to, without a window: the records that leave are those of a window before.
fn expected(records: &Records, window: usize) -> u64 {
    let first = records.cuts[..RECORDS - window].iter().map(|cut| records.record(cut));
    let leaving = records.last(window).chain(first);
    leaving.fold(0_u64, |sum, record| sum.rotate_left(1).wrapping_add(read(record)))
}

impl OneThread for Stream {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let records = Records::new(seed);
        let expected = expected(&records, self.window);
        let mut window = Boxes::new(self.window, heap.handle());
        records.last(self.window).for_each(|record| window.push(record));
        drive(&mut Feed { records, window, expected, mode });
    }
}

struct Feed<'m, W, M> {
    records: Records,
    window: W,
    expected: u64,
    mode: &'m mut M,
}

impl<W: Window, M: Mode> Body for Feed<'_, W, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut sum = 0;
        let pass = timed(clock, RECORDS, || sum = pass_through(&self.records, &mut self.window, self.mode));
        self.mode.result(sum, self.expected);
        pass
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use allocator_api2::alloc::System;

    use super::*;
    use crate::workloads::mode::Touch;

    /// A window in safe Rust, to compare with.
    struct Plain(VecDeque<Vec<u8>>, usize);

    impl Window for Plain {
        fn push(&mut self, record: &[u8]) {
            if self.0.len() == self.1 {
                self.0.pop_front();
            }
            self.0.push_back(record.to_vec());
        }

        fn oldest(&self) -> Option<&[u8]> {
            self.0.front().map(Vec::as_slice)
        }
    }

    #[test]
    fn the_oldest_record_is_the_one_that_came_a_window_ago() {
        let (mut boxes, mut plain) = (Boxes::new(7, System), Plain(VecDeque::new(), 7));
        let records = Records::new(1);
        for cut in &records.cuts[..100] {
            assert_eq!(boxes.oldest(), plain.oldest());
            boxes.push(records.record(cut));
            plain.push(records.record(cut));
        }
        assert_eq!(boxes.oldest(), Some(records.record(&records.cuts[93])));
    }

    #[test]
    fn every_pass_over_a_full_window_comes_to_what_is_expected() {
        let records = Records::new(1);
        let mut window = Boxes::new(50, System);
        records.last(50).for_each(|record| window.push(record));
        for _ in 0..2 {
            assert_eq!(pass_through(&records, &mut window, &mut Touch), expected(&records, 50));
        }
        assert_ne!(expected(&records, 50), expected(&records, 51));
        assert_ne!(expected(&records, 50), expected(&Records::new(2), 50));
    }

    #[test]
    fn every_byte_of_a_record_is_read() {
        for length in [32, 37] {
            let record: Vec<u8> = (0..length).collect();
            for at in 0..record.len() {
                let mut other = record.clone();
                other[at] ^= 1;
                assert_ne!(read(&record), read(&other), "byte {at} of {length}");
            }
        }
    }
}
