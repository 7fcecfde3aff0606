//! `objects`: take, use and return objects that are costly to make.

use std::alloc::Layout;
use std::array;
use std::ops::DerefMut;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;

use super::heap::{Heap, refused};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Profile, Scope, Shape};
use super::table::Table;
use super::team;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// What a typed allocator of this shape implements: a source of objects that are ready for use.
///
/// The guard gives its object back when it is dropped. An object that was used before comes as it was left: whoever takes it
/// begins with what makes it fit for the next use, as [`Cipher::begin`] does.
///
/// To run here, an allocator implements this for itself, makes its objects with [`Cipher::new`] where it has none left, and
/// stands in place of [`Made`] in the `open` below.
pub trait Objects<T> {
    /// An object on loan.
    type Guard: DerefMut<Target = T>;

    /// An object.
    fn take(&self) -> Self::Guard;
}

/// The reference: each object is made anew, in a block of its own, and is gone when it is returned.
#[derive(Clone, Copy, Debug)]
pub struct Made<A>(A);

impl<A: Allocator + Copy> Objects<Cipher> for Made<A> {
    type Guard = Box<Cipher, A>;

    #[inline(always)]
    fn take(&self) -> Box<Cipher, A> {
        match Box::<Cipher, A>::try_new_uninit_in(self.0) {
            Ok(room) => Box::write(room, Cipher::new()),
            Err(_) => refused(Layout::new::<Cipher>()),
        }
    }
}

/// An object of 1 KiB: a table that takes long to fill and is the same for all, and little that changes with use.
#[derive(Clone, Debug)]
pub struct Cipher {
    table: [u32; TABLE],
    /// What the use at hand has come to.
    state: u64,
    uses: u64,
}

/// Words of the table: what is left of 1 KiB.
const TABLE: usize = (1024 - 2 * size_of::<u64>()) / size_of::<u32>();

/// A number that is not zero and has no pattern: the fraction of the golden ratio.
const SEED: u32 = 0x9E37_79B9;

impl Cipher {
    /// Fills the table: each word follows from the one before by a chain of shifts (G. Marsaglia, "Xorshift RNGs", 2003), so
    /// none can be had before the other.
    #[expect(clippy::new_without_default, reason = "there is nothing to compare a default with")]
    pub fn new() -> Self {
        let mut word = SEED;
        let table = array::from_fn(|_| {
            word ^= word << 13;
            word ^= word >> 17;
            word ^= word << 5;
            word
        });
        Self { table, state: 0, uses: 0 }
    }

    /// Forgets the last use.
    #[inline]
    pub fn begin(&mut self, key: u64) {
        self.state = key;
        self.uses += 1;
    }

    /// Looks a few words up, each by what the ones before gave.
    #[inline]
    pub fn mix(&mut self) -> u64 {
        for _ in 0..LOOK_UPS {
            let word = self.table[(self.state >> 32) as usize % TABLE];
            self.state = (self.state ^ u64::from(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        self.state
    }
}

/// Words looked up in a use: little beside what it takes to make an object.
const LOOK_UPS: usize = 8;

/// `threads` threads that take and return objects.
#[derive(Clone, Copy, Debug)]
pub struct Loans {
    threads: usize,
}

/// Objects that a thread holds at once: requests in progress.
const HELD: usize = 8;

/// Objects that a thread takes in a lap: more than a millisecond of work at 300 ns each, against which it counts for little
/// that threads wake up tens of microseconds apart.
const TAKEN: usize = 8_192;

impl Shape for Loans {
    const FACTS: Facts = Facts {
        id: "objects",
        title: "take, use and return 1 KiB objects that are costly to make",
        family: Family::Typed,
        why: "Connections, codecs, buffers with tables: objects of which the memory is the smaller part and the making the \
              larger. A pool of objects keeps those that are returned as they are, and gives them out again without making \
              them anew. The interface is typed, because such a pool knows what it holds.\n\n\
              The constructor fills a table of 252 words, each of which follows from the one before. Each thread holds \
              eight objects and returns the oldest before it takes another. On an allocator of memory every \
              taking is an allocation and the whole constructor: that is the price that a pool of objects is to be \
              compared with.",
        effect: "All allocators of memory are close together, for the constructor takes most of the time, and two threads halve \
              it. A pool of objects should take a small part of any of these times.",
        origin: "A shape of our own, after the object pools of servers and games. Public suites of allocators do not have \
              it, for they measure memory alone.",
        operation: "take + return",
        step: "take + return",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter { name: "threads", title: "threads", axis: Axis::Threads }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let all = if scope.profile == Profile::Full { scope.threads(1) } else { vec![1, 2] };
        scope.pick(vec![], all).into_iter().map(|threads| Self { threads }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("threads", self.threads)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: Some(Layout::new::<Cipher>()),
            live_blocks: self.threads * HELD,
            pass_bytes: self.threads * TAKEN * size_of::<Cipher>(),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads * TAKEN))
    }
}

/// A lap of one thread: takes an object for each key, and returns them all.
fn lap<M: Mode>(objects: &impl Objects<Cipher>, keys: &[u64], mode: &mut M) -> u64 {
    let mut held: [Option<_>; HELD] = array::from_fn(|_| None);
    let mut sum = 0_u64;
    mode.begin();
    for (index, &key) in keys.iter().enumerate() {
        let place = &mut held[index % HELD];
        drop(place.take());
        let object = place.insert(objects.take());
        object.begin(key);
        sum = sum.rotate_left(1).wrapping_add(object.mix());
        mode.step();
    }
    sum
}

impl ManyThreads for Loans {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (heap, shared) = (&*heap, &*mode);
        let member = |index: usize, laps: &team::Laps<'_>| {
            let mut mode = shared.fork();
            let mut random = Random::new(seed.wrapping_add(index as u64));
            let keys = Table::new(TAKEN, |_| random.next_u64());
            // One object is enough to know what all come to: nothing of a use is left for the next.
            let mut one = Cipher::new();
            let expected = keys.iter().fold(0_u64, |sum, &key| {
                one.begin(key);
                sum.rotate_left(1).wrapping_add(one.mix())
            });
            let objects = Made(heap.handle());
            while laps.next() {
                let mut sum = 0;
                laps.time(|| sum = lap(&objects, &keys, &mut mode));
                mode.result(sum, expected);
            }
            mode
        };
        for other in team::run(self.threads, self.threads * TAKEN, member, drive) {
            mode.join(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ops::Deref;

    use allocator_api2::alloc::System;

    use super::*;
    use crate::workloads::mode::Touch;

    /// Objects that were returned, and how many were ever made: what an object pool does, in a few lines.
    #[derive(Default)]
    struct Kept {
        idle: RefCell<Vec<Cipher>>,
        made: RefCell<usize>,
    }

    struct Loan<'k>(Option<Cipher>, &'k Kept);

    impl Deref for Loan<'_> {
        type Target = Cipher;

        fn deref(&self) -> &Cipher {
            self.0.as_ref().unwrap()
        }
    }

    impl DerefMut for Loan<'_> {
        fn deref_mut(&mut self) -> &mut Cipher {
            self.0.as_mut().unwrap()
        }
    }

    impl Drop for Loan<'_> {
        fn drop(&mut self) {
            self.1.idle.borrow_mut().extend(self.0.take());
        }
    }

    impl<'k> Objects<Cipher> for &'k Kept {
        type Guard = Loan<'k>;

        fn take(&self) -> Loan<'k> {
            let kept = self.idle.borrow_mut().pop();
            let object = kept.unwrap_or_else(|| {
                *self.made.borrow_mut() += 1;
                Cipher::new()
            });
            Loan(Some(object), self)
        }
    }

    #[test]
    fn an_object_that_was_used_before_gives_what_a_new_one_gives() {
        let keys: Vec<u64> = (0..100).map(|key| key * 0x0123_4567_89AB_CDEF).collect();
        let kept = Kept::default();
        assert_eq!(lap(&&kept, &keys, &mut Touch), lap(&Made(System), &keys, &mut Touch));
        assert_eq!((*kept.made.borrow(), kept.idle.borrow().len()), (HELD, HELD));
    }

    #[test]
    fn another_key_and_another_table_give_another_sum() {
        let keys = [1, 2, 3];
        assert_ne!(lap(&Made(System), &keys, &mut Touch), lap(&Made(System), &[1, 2, 4], &mut Touch));
        let (mut object, mut other) = (Cipher::new(), Cipher::new());
        other.table.iter_mut().for_each(|word| *word ^= 1);
        object.begin(1);
        other.begin(1);
        assert_ne!(object.mix(), other.mix());
    }

    #[test]
    fn an_object_has_one_kib() {
        assert_eq!(Layout::new::<Cipher>(), Layout::from_size_align(1024, 8).unwrap());
    }
}
