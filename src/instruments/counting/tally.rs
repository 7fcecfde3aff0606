//! The counts of [`Counting`](super::Counting), in one shard for each thread. No unsafe code, and no allocation.

use std::cell::Cell;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// What was counted up to some moment. The difference of two is what happened in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks taken.
    pub allocations: u64,
    /// Blocks given back one at a time.
    pub frees: u64,
    /// Blocks resized.
    pub reallocations: u64,
    /// Bytes asked for; a resized block counts by what it grew.
    pub requested_bytes: u64,
    /// Bytes asked for of the blocks whose usable size was looked at. A resized block counts anew, as a whole.
    pub measured_bytes: u64,
    /// Bytes that those blocks could hold.
    pub usable_bytes: u64,
}

impl Counts {
    /// Bytes that blocks could hold over the bytes asked for; `None` where no block was looked at.
    pub fn usable_ratio(&self) -> Option<f64> {
        (self.measured_bytes > 0).then(|| self.usable_bytes as f64 / self.measured_bytes as f64)
    }

    fn each(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            allocations: join(self.allocations, other.allocations),
            frees: join(self.frees, other.frees),
            reallocations: join(self.reallocations, other.reallocations),
            requested_bytes: join(self.requested_bytes, other.requested_bytes),
            measured_bytes: join(self.measured_bytes, other.measured_bytes),
            usable_bytes: join(self.usable_bytes, other.usable_bytes),
        }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.each(other, |one, other| one + other)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.each(earlier, |later, earlier| later - earlier)
    }
}

/// Shards: threads whose numbers differ by a multiple of it share one, which costs them time and no accuracy of counts.
const SHARDS: usize = 64;

/// Net bytes that a shard keeps to itself: small against any peak worth looking at, and 256 blocks of 64 bytes, so that the
/// shared line is touched once in hundreds of calls.
pub(super) const GRAIN_BYTES: i64 = 16 << 10;

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    allocations: AtomicU64,
    frees: AtomicU64,
    reallocations: AtomicU64,
    requested_bytes: AtomicU64,
    measured_bytes: AtomicU64,
    usable_bytes: AtomicU64,
    /// What live bytes moved since this was last added to the common number.
    moved_bytes: AtomicI64,
    /// The most that `moved_bytes` was since then; at least 0.
    highest_bytes: AtomicI64,
}

impl Shard {
    const fn new() -> Self {
        Self {
            allocations: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            reallocations: AtomicU64::new(0),
            requested_bytes: AtomicU64::new(0),
            measured_bytes: AtomicU64::new(0),
            usable_bytes: AtomicU64::new(0),
            moved_bytes: AtomicI64::new(0),
            highest_bytes: AtomicI64::new(0),
        }
    }
}

/// The counts themselves, apart from the allocator: they can be read while the allocator is lent to somebody.
///
/// All accesses are relaxed: nothing else is published through the numbers.
#[derive(Debug)]
pub struct Tally {
    shards: [Shard; SHARDS],
    live_bytes: AtomicI64,
    peak_bytes: AtomicI64,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self {
            shards: [const { Shard::new() }; SHARDS],
            live_bytes: AtomicI64::new(0),
            peak_bytes: AtomicI64::new(0),
        }
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> Counts {
        let of = |shard: &Shard| Counts {
            allocations: shard.allocations.load(Ordering::Relaxed),
            frees: shard.frees.load(Ordering::Relaxed),
            reallocations: shard.reallocations.load(Ordering::Relaxed),
            requested_bytes: shard.requested_bytes.load(Ordering::Relaxed),
            measured_bytes: shard.measured_bytes.load(Ordering::Relaxed),
            usable_bytes: shard.usable_bytes.load(Ordering::Relaxed),
        };
        self.shards.iter().map(of).fold(Counts::default(), Add::add)
    }

    /// Bytes asked for and not given back. 0 where more was given back than was asked for.
    pub fn live_bytes(&self) -> u64 {
        let moved: i64 = self.shards.iter().map(|shard| shard.moved_bytes.load(Ordering::Relaxed)).sum();
        (self.live_bytes.load(Ordering::Relaxed) + moved).max(0).cast_unsigned()
    }

    /// The most bytes that were alive at one time since the beginning, or since [`restart_peak`](Self::restart_peak); see
    /// the [module](super) for how exact it is.
    pub fn peak_live_bytes(&self) -> u64 {
        let highest: i64 = self.shards.iter().map(|shard| shard.highest_bytes.load(Ordering::Relaxed)).sum();
        let now = self.live_bytes.load(Ordering::Relaxed) + highest;
        self.peak_bytes.load(Ordering::Relaxed).max(now).max(0).cast_unsigned()
    }

    /// Forgets what the peak was: from now on it is what is alive now, until more is.
    pub fn restart_peak(&self) {
        self.settle();
        self.peak_bytes.store(self.live_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Everything was released at once.
    pub(super) fn release_all(&self) {
        self.settle();
        self.live_bytes.store(0, Ordering::Relaxed);
    }

    fn settle(&self) {
        for shard in &self.shards {
            self.report(shard, 0);
        }
    }

    fn shard(&self) -> &Shard {
        &self.shards[thread_number() % SHARDS]
    }

    pub(super) fn allocated(&self, bytes: usize) {
        let shard = self.shard();
        shard.allocations.fetch_add(1, Ordering::Relaxed);
        shard.requested_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.moved(shard, bytes as i64);
    }

    pub(super) fn freed(&self, bytes: usize) {
        let shard = self.shard();
        shard.frees.fetch_add(1, Ordering::Relaxed);
        self.moved(shard, -(bytes as i64));
    }

    pub(super) fn resized(&self, old: usize, new: usize) {
        let shard = self.shard();
        shard.reallocations.fetch_add(1, Ordering::Relaxed);
        shard.requested_bytes.fetch_add(new.saturating_sub(old) as u64, Ordering::Relaxed);
        self.moved(shard, new as i64 - old as i64);
    }

    pub(super) fn measured(&self, bytes: usize, usable: usize) {
        let shard = self.shard();
        shard.measured_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        shard.usable_bytes.fetch_add(usable as u64, Ordering::Relaxed);
    }

    fn moved(&self, shard: &Shard, bytes: i64) {
        if bytes.abs() >= GRAIN_BYTES {
            return self.report(shard, bytes);
        }
        let moved = shard.moved_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if moved.abs() >= GRAIN_BYTES {
            self.report(shard, 0);
        } else if moved > shard.highest_bytes.load(Ordering::Relaxed) {
            shard.highest_bytes.fetch_max(moved, Ordering::Relaxed);
        }
    }

    /// Adds what a shard kept to itself, and `bytes` more, to the common number.
    #[cold]
    fn report(&self, shard: &Shard, bytes: i64) {
        let moved = shard.moved_bytes.swap(0, Ordering::Relaxed) + bytes;
        let highest = shard.highest_bytes.swap(0, Ordering::Relaxed).max(moved);
        let before = self.live_bytes.fetch_add(moved, Ordering::Relaxed);
        self.peak_bytes.fetch_max(before + highest, Ordering::Relaxed);
    }
}

/// A number that the threads of the process take one after another, at their first call.
fn thread_number() -> usize {
    const NONE: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(NONE) };
    }
    let number = NUMBER.try_with(|number| {
        if number.get() == NONE {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    });
    // A thread whose locals are gone, on a platform that takes them away, shares the first shard.
    number.unwrap_or(0)
}
