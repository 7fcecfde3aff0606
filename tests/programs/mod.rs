//! Programs of the kind that people write, each with a result that is known beforehand, to run with one of our
//! allocators as that of the whole process.
//!
//! - `exchange`: collections, and threads that free what others made
//! - `json`, `search`, `sort`, `server`: serde_json, regex, rayon and tokio at work on several threads
//! - `locals`: thread-locals whose destructors allocate
//! - `unwinding`: panics on their way through values that own memory
//! - `processes`: fork, with and without exec, while other threads allocate
//! - `edges`: before `main`, and after it
//! - `waves`: ten thousand threads that live for a moment
//!
//! A process has one global allocator, so each has a test file of its own, which includes this folder, calls its allocator
//! `GLOBAL` and implements [`Host`] for it.

mod edges;
mod exchange;
mod json;
mod locals;
mod processes;
mod search;
mod server;
mod sort;
mod unwinding;
mod waves;

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::GLOBAL;

/// What the programs ask of the allocator under them.
pub(crate) trait Host {
    /// What it holds, as its own statistics tell.
    type Level;

    /// Whether it made the block.
    fn made(&self, block: NonNull<u8>) -> bool;

    /// Panics unless it made as many of `all` small blocks as it should have; they are live at once, and more than a
    /// pool holds.
    fn assert_share(&self, made: usize, all: usize);

    /// What it holds now. No other thread is at work.
    fn level(&self) -> Self::Level;

    /// Panics unless what it holds is the same after many threads as after some, as far as that can be told.
    /// `at_once` of them ran at the same time.
    fn assert_flat(&self, after_some: Self::Level, after_many: Self::Level, at_once: usize);
}

/// Whether the allocator under test made what `value` points to: something small, of which there are few.
fn is_ours<T: ?Sized>(value: &T) -> bool {
    GLOBAL.made(NonNull::from(value).cast())
}

/// As [`is_ours`], for strings of which there are many at once.
fn assert_share<'a>(texts: impl IntoIterator<Item = &'a str>) {
    let (mut made, mut all) = (0, 0);
    for text in texts {
        made += usize::from(is_ours(text));
        all += 1;
    }
    GLOBAL.assert_share(made, all);
}

/// Holds the other programs back: each has the allocator to itself, so that what is left in a pool, and what statistics
/// tell, is its own doing.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A program that failed leaves nothing behind that the next depends on.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `full`, or a fiftieth of it where an interpreter watches each access.
pub(crate) const fn scaled(full: usize) -> usize {
    if cfg!(miri) { full.div_ceil(50) } else { full }
}

/// A generator of numbers, so that a program's data follow from a seed.
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (seed as u64 + 1))
    }

    /// Xorshift, after Marsaglia 2003, with the shifts 13, 7 and 17.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    /// A word of `a` to `z`.
    fn word(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }
}
