//! Mappings of huge blocks that were freed, for the next huge block: a page that the kernel has to clear and map anew costs
//! several times what a program does with it.
//!
//! ```text
//!  addresses   │ live │      spare run       │ live │   │ spare run │
//!  allocate            ◀─ taken ─▶ the rest stays           (the shortest run that is long enough)
//!  grow         ───────▶ into the run right behind the block
//!  free        neighbouring runs become one
//! ```
//!
//! # How much is kept
//! Live and spare memory together stay within a quarter more than was live at once in the last one to two [`PERIOD`]s.
//! So the footprint follows what the program itself needed lately: the quarter is the bound on waste that the size classes
//! have too, and lets runs be found although freed blocks differ in length. (In a simulation of 17 blocks of 3.5 to 16 MiB,
//! of which a random one is replaced each time, a block met on average 1 MiB of new pages with no such slack, 0.3 MiB with
//! a tenth, and 0.03 MiB with a quarter.) [`FLOOR`] may always be kept.

use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use super::geometry::SEGMENT;
use crate::allocators::sync::{AtomicBool, AtomicUsize, Ordering};

/// How long it takes until a peak is forgotten, at most twice that. Demand that comes back within a second is common (a
/// batch, a frame, a request); jemalloc keeps freed pages for 10 s, mimalloc for 0.1 s by default.
const PERIOD: Duration = Duration::from_secs(1);

/// Kept whatever the peak was: what the process keeps of empty segments as well.
const FLOOR: usize = 32 << 20;

/// The most runs. Looked through one by one, which is nothing beside touching megabytes; a program has more holes than
/// this between its huge blocks only if it has more than 64 of them.
const MOST: usize = 64;

/// A mapping of whole regions that nobody uses; its content is undefined.
#[derive(Clone, Copy)]
pub(super) struct Mapping {
    pub(super) start: NonNull<u8>,
    pub(super) bytes: usize,
}

impl Mapping {
    fn end(self) -> usize {
        self.start.addr().get() + self.bytes
    }

    /// Cuts the first `bytes` off; what is left, if anything.
    fn split(self, bytes: usize) -> (Self, Option<Self>) {
        let rest = NonNull::new(ptr::with_exposed_provenance_mut(self.start.addr().get() + bytes))
            .filter(|_| bytes < self.bytes)
            .map(|start| Self { start, bytes: self.bytes - bytes });
        (Self { bytes, ..self }, rest)
    }
}

/// Bytes of the mappings of live huge blocks.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The most that [`LIVE`] was in this period.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts a mapping that came into use.
pub(super) fn count_live(bytes: usize) {
    // Relaxed, here and below: figures for a budget.
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

/// Counts a mapping that went out of use.
pub(super) fn count_dead(bytes: usize) {
    LIVE.fetch_sub(bytes, Ordering::Relaxed);
}

/// The spare runs.
struct Spares {
    /// The first `count` are runs in rising order of address, no two of which touch.
    runs: [Option<Mapping>; MOST],
    count: usize,
    /// Bytes of all runs.
    held: usize,
    /// The peak of the period before this one.
    peak_before: usize,
    /// When this period began.
    since: Option<Instant>,
}

/// One thread at a time; who finds it in use does without, so that nobody ever waits, also not in the child of a fork.
struct Guarded {
    busy: AtomicBool,
    spares: UnsafeCell<Spares>,
}

// SAFETY: the spares are accessed between acquiring and releasing `busy` alone; mappings may be used by any thread.
unsafe impl Sync for Guarded {}

static SPARES: Guarded = Guarded {
    busy: AtomicBool::new(false),
    spares: UnsafeCell::new(Spares { runs: [None; MOST], count: 0, held: 0, peak_before: 0, since: None }),
};

/// Works with the spares, unless another thread does.
fn with_spares<T>(work: impl FnOnce(&mut Spares) -> T) -> Option<T> {
    // Acquire: pairs with the release below; what the last thread did with the spares comes before. Relaxed on failure:
    // nothing is read.
    if SPARES.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return None;
    }
    // SAFETY: `busy` was false and we have set it, so nobody else has a reference; it ends before the store. `work` does not
    // come back here: it is one of the closures below, which call nothing but `Spares`.
    let result = work(unsafe { &mut *SPARES.spares.get() });
    // Release: pairs with the acquire above.
    SPARES.busy.store(false, Ordering::Release);
    Some(result)
}

/// A spare mapping of exactly `bytes`, a multiple of regions.
pub(super) fn take(bytes: usize) -> Option<Mapping> {
    with_spares(|spares| {
        let index = spares.shortest_of(bytes)?;
        spares.take_front(index, bytes)
    })?
}

/// Takes the `bytes` that follow `end`, if they are spare.
pub(super) fn take_behind(end: usize, bytes: usize) -> bool {
    let taken = with_spares(|spares| {
        let index = spares.runs().position(|run| run.start.addr().get() == end && run.bytes >= bytes)?;
        spares.take_front(index, bytes)
    });
    taken.flatten().is_some()
}

/// Keeps a mapping that was counted as dead; what is too much then goes through `give_back`.
///
/// # Safety
/// A registered mapping of `huge` that nobody uses; after this nobody but the spares does.
pub(super) unsafe fn keep(mapping: Mapping, mut give_back: impl FnMut(Mapping)) {
    if with_spares(|spares| spares.insert(mapping)) != Some(true) {
        give_back(mapping);
    }
    shed(give_back);
}

/// Gives back what is more than should be kept now.
pub(super) fn shed(mut give_back: impl FnMut(Mapping)) {
    // Outside of the guard, so that others are not kept away while the kernel works.
    while let Some(excess) = with_spares(Spares::take_excess).flatten() {
        give_back(excess);
    }
}

/// Gives all of it back.
pub(super) fn release(mut give_back: impl FnMut(Mapping)) {
    while let Some(run) = with_spares(|spares| spares.take_whole(0)).flatten() {
        give_back(run);
    }
}

impl Spares {
    fn runs(&self) -> impl Iterator<Item = Mapping> {
        self.runs[..self.count].iter().flatten().copied()
    }

    /// The index of the shortest run of at least `bytes`.
    fn shortest_of(&self, bytes: usize) -> Option<usize> {
        let fitting = self.runs().enumerate().filter(|(_, run)| run.bytes >= bytes);
        fitting.min_by_key(|(_, run)| run.bytes).map(|(index, _)| index)
    }

    fn take_whole(&mut self, index: usize) -> Option<Mapping> {
        let run = self.runs().nth(index)?;
        self.runs.copy_within(index + 1..self.count, index);
        self.count -= 1;
        self.held -= run.bytes;
        Some(run)
    }

    fn take_front(&mut self, index: usize, bytes: usize) -> Option<Mapping> {
        let run = self.runs().nth(index)?;
        let (front, rest) = run.split(bytes);
        if rest.is_none() {
            return self.take_whole(index);
        }
        self.runs[index] = rest;
        self.held -= bytes;
        Some(front)
    }

    /// Puts a run in its place and joins it with those that it touches. False if there is no room for it.
    fn insert(&mut self, mut run: Mapping) -> bool {
        let (start, end) = (run.start.addr().get(), run.end());
        let mut index = self.runs().take_while(|other| other.start.addr().get() < start).count();
        let after = self.runs().nth(index).filter(|after| after.start.addr().get() == end);
        if let Some(after) = after {
            self.take_whole(index);
            run.bytes += after.bytes;
        }
        let before = index.checked_sub(1).and_then(|before| self.runs().nth(before));
        if let Some(before) = before.filter(|before| before.end() == start) {
            index -= 1;
            self.take_whole(index);
            run = Mapping { start: before.start, bytes: before.bytes + run.bytes };
        }
        if self.count == MOST {
            return false;
        }
        self.runs.copy_within(index..self.count, index + 1);
        self.runs[index] = Some(run);
        self.count += 1;
        self.held += run.bytes;
        true
    }

    /// A part of the shortest run that is more than should be kept: long runs serve more requests.
    fn take_excess(&mut self) -> Option<Mapping> {
        let live = LIVE.load(Ordering::Relaxed);
        let recent = self.recent_peak(live, Instant::now());
        let allowed = (recent + recent / 4).saturating_sub(live).max(FLOOR);
        let excess = self.held.checked_sub(allowed).filter(|&excess| excess > 0)?.next_multiple_of(SEGMENT);
        let index = self.shortest_of(0)?;
        let bytes = self.runs().nth(index)?.bytes.min(excess);
        self.take_front(index, bytes)
    }

    /// The most that was live in this period and the one before.
    fn recent_peak(&mut self, live: usize, now: Instant) -> usize {
        let age = self.since.map_or(Duration::MAX, |since| now.duration_since(since));
        if age >= PERIOD {
            let peak = PEAK.swap(live, Ordering::Relaxed);
            // Of a period that ended long ago nothing is known but what is live still.
            self.peak_before = if age < 2 * PERIOD { peak } else { live };
            self.since = Some(now);
        }
        PEAK.load(Ordering::Relaxed).max(self.peak_before).max(live)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spares() -> Spares {
        Spares { runs: [None; MOST], count: 0, held: 0, peak_before: 0, since: None }
    }

    /// A run of regions of an address space that is not there: nothing here looks into mappings.
    fn run(first: usize, regions: usize) -> Mapping {
        let start = NonNull::new(ptr::without_provenance_mut((first + 1) * SEGMENT)).unwrap();
        Mapping { start, bytes: regions * SEGMENT }
    }

    fn check(spares: &Spares) {
        let runs: Vec<_> = spares.runs().collect();
        assert_eq!(runs.len(), spares.count);
        assert_eq!(runs.iter().map(|run| run.bytes).sum::<usize>(), spares.held);
        assert!(runs.windows(2).all(|pair| pair[0].end() < pair[1].start.addr().get()));
    }

    #[test]
    fn neighbours_become_one_run_in_any_order() {
        for order in [[0, 1, 2], [2, 0, 1], [0, 2, 1], [1, 0, 2]] {
            let mut spares = spares();
            for index in order {
                assert!(spares.insert(run(index * 3, 3)));
                check(&spares);
            }
            assert_eq!((spares.count, spares.held), (1, 9 * SEGMENT));
        }
    }

    #[test]
    fn the_shortest_run_that_is_long_enough_is_cut() {
        let mut spares = spares();
        for (first, regions) in [(0, 8), (10, 3), (20, 5)] {
            assert!(spares.insert(run(first, regions)));
        }
        let index = spares.shortest_of(4 * SEGMENT).unwrap();
        let taken = spares.take_front(index, 4 * SEGMENT).unwrap();
        assert_eq!((taken.start, taken.bytes), (run(20, 4).start, 4 * SEGMENT));
        check(&spares);
        assert!(spares.shortest_of(9 * SEGMENT).is_none());
    }

    #[test]
    fn a_peak_is_forgotten_after_two_periods_and_a_long_pause_forgets_it_at_once() {
        let start = Instant::now();
        let mut spares = spares();
        PEAK.store(0, Ordering::Relaxed);
        spares.recent_peak(0, start);
        PEAK.fetch_max(1000, Ordering::Relaxed);
        assert_eq!(spares.recent_peak(10, start), 1000);
        assert_eq!(spares.recent_peak(10, start + PERIOD), 1000, "the period before counts");
        assert_eq!(spares.recent_peak(10, start + 2 * PERIOD), 10);
        PEAK.fetch_max(500, Ordering::Relaxed);
        assert_eq!(spares.recent_peak(20, start + 9 * PERIOD), 20);
    }

    proptest! {
        #[test]
        fn regions_are_spare_exactly_when_they_were_put_and_not_taken(
            steps in prop::collection::vec((any::<bool>(), 0..40_usize, 1..5_usize), 1..200),
        ) {
            let (mut spares, mut model) = (spares(), [false; 48]);
            for (put, first, regions) in steps {
                if put {
                    if model[first..first + regions].iter().any(|&spare| spare) {
                        continue;
                    }
                    prop_assert!(spares.insert(run(first, regions)));
                    model[first..first + regions].fill(true);
                } else if let Some(index) = spares.shortest_of(regions * SEGMENT) {
                    let taken = spares.take_front(index, regions * SEGMENT).unwrap();
                    let first = taken.start.addr().get() / SEGMENT - 1;
                    prop_assert!(model[first..first + regions].iter().all(|&spare| spare));
                    model[first..first + regions].fill(false);
                }
                check(&spares);
                prop_assert_eq!(spares.held / SEGMENT, model.iter().filter(|&&spare| spare).count());
            }
        }
    }
}
