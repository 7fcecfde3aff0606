//! What one pass of a workload asks of an allocator, counted inside its clock.

pub mod slim;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::findings::Findings;
use super::metric::Metric;
use crate::instruments::counting::{Counts, Tally, Usable};
use crate::workloads::shape::{Body, Clock, Drive, Pass, WallClock};

/// A clock that reads `N` tallies whenever it is read, and adds up what they counted between the first reading of a section
/// and the second.
///
/// A threaded workload reads a clock of its own; there it counts over the whole of the pass. From the second pass on that is
/// the same: its threads wait at a barrier before and after their work. The first one has their preparations in it.
pub struct CountingClock<'t, const N: usize> {
    tallies: [&'t Tally; N],
    wall: WallClock,
    readings: Mutex<Readings<N>>,
}

/// What was counted in each tally.
type Counted<const N: usize> = [Counts; N];

#[derive(Default)]
struct Readings<const N: usize> {
    /// At the first reading of a section that has no second one yet.
    begun: Option<Counted<N>>,
    /// In the sections that have ended.
    within: Option<Counted<N>>,
}

impl<'t, const N: usize> CountingClock<'t, N> {
    /// A clock that reads these.
    pub fn new(tallies: [&'t Tally; N]) -> Self {
        Self { tallies, wall: WallClock::new(), readings: Mutex::default() }
    }

    /// Runs a pass; gives back what each tally counted meanwhile. The tallies' peaks are those since the pass began, what
    /// was alive then included.
    pub fn pass(&self, body: &mut dyn Body) -> (Pass, [Counts; N]) {
        *self.readings() = Readings::default();
        let before = self.begin();
        let pass = body.pass(self);
        let around = since(self.now(), before);
        (pass, self.readings().within.unwrap_or(around))
    }

    fn readings(&self) -> MutexGuard<'_, Readings<N>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Counted<N> {
        self.tallies.map(Tally::snapshot)
    }

    fn begin(&self) -> Counted<N> {
        self.tallies.iter().for_each(|tally| tally.restart_peak());
        self.now()
    }
}

fn since<const N: usize>(now: Counted<N>, before: Counted<N>) -> Counted<N> {
    std::array::from_fn(|index| now[index] - before[index])
}

impl<const N: usize> Clock for CountingClock<'_, N> {
    fn now_ns(&self) -> u64 {
        // The lock's memory, where a platform takes some, was taken before the pass.
        let now = self.now();
        let mut readings = self.readings();
        match (readings.begun.take(), readings.within) {
            (Some(begun), within) => {
                let section = since(now, begun);
                let within = within.unwrap_or([Counts::default(); N]);
                readings.within = Some(std::array::from_fn(|index| within[index] + section[index]));
            }
            (None, Some(_)) => readings.begun = Some(self.now()),
            (None, None) => readings.begun = Some(self.begin()),
        }
        self.wall.now_ns()
    }
}

/// Passes of a count: the last is counted, on what the others left behind. A threaded workload's first pass has its
/// threads' preparations in it.
const PASSES: usize = 2;

/// Counts what `open` asks of a heap over a [`slim::Slim`] subject in the last of its passes. `usable` says how many bytes a
/// live block of the allocator can hold.
pub fn of_last_pass(usable: Option<Usable>, open: impl FnOnce(Drive<'_>)) -> Findings {
    let _guard = slim::begin(usable);
    let mut found = Findings::default();
    open(&mut |body| {
        slim::tallied(|tally| {
            let clock = CountingClock::new([tally]);
            for _ in 0..PASSES {
                let (pass, [counts]) = clock.pass(body);
                found = findings(pass, counts, tally.peak_live_bytes());
            }
        });
    });
    if !slim::live_is_known() {
        found.metrics.remove(&Metric::PeakLive);
    }
    found
}

/// The metrics of a pass: counts per operation, and the most bytes alive.
pub fn findings(pass: Pass, counts: Counts, peak_live_bytes: u64) -> Findings {
    let per_operation = |count: u64| count as f64 / pass.operations as f64;
    let mut metrics = BTreeMap::from([
        (Metric::Allocations, per_operation(counts.allocations)),
        (Metric::Frees, per_operation(counts.frees)),
        (Metric::Reallocations, per_operation(counts.reallocations)),
        (Metric::AllocatedBytes, per_operation(counts.requested_bytes)),
        (Metric::PeakLive, peak_live_bytes as f64),
    ]);
    metrics.extend(counts.usable_ratio().map(|ratio| (Metric::UsableRatio, ratio)));
    Findings { metrics, ..Findings::default() }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Allocator;
    use allocator_api2::boxed::Box;

    use super::*;
    use crate::allocators::contract::Subject;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;
    use crate::workloads::shape::timed;

    /// For each section a block of 1 000 bytes off the clock, and four of 8 bytes on it; without sections one of 8 bytes.
    struct Boxes<A> {
        allocator: A,
        sections: usize,
    }

    impl<A: Allocator + Copy> Body for Boxes<A> {
        fn pass(&mut self, clock: &dyn Clock) -> Pass {
            let mut pass = Pass { elapsed_ns: 0, operations: 0 };
            for _ in 0..self.sections {
                drop(Box::new_in([0_u8; 1_000], self.allocator));
                let section =
                    timed(clock, 4, || (0..4).for_each(|_| drop(Box::new_in(0_u64, self.allocator))));
                pass.operations += section.operations;
            }
            if self.sections == 0 {
                drop(Box::new_in(0_u64, self.allocator));
            }
            pass
        }
    }

    fn counted(sections: usize) -> (Pass, Counts, u64) {
        let counting = Counting::new(GlobalSubject);
        let allocator = counting.handle();
        let alive = [0; 10].map(|_| Box::new_in(0_u64, allocator));
        let clock = CountingClock::new([counting.tally()]);
        let (pass, [counts]) = clock.pass(&mut Boxes { allocator, sections });
        drop(alive);
        (pass, counts, counting.tally().peak_live_bytes())
    }

    #[test]
    fn what_happens_off_the_clock_is_not_counted() {
        let (pass, counts, peak) = counted(1);
        assert_eq!((pass.operations, counts.allocations, counts.frees), (4, 4, 4));
        assert_eq!((counts.requested_bytes, peak), (32, 88));
    }

    #[test]
    fn sections_add_up() {
        assert_eq!(counted(3).1.allocations, 12);
    }

    #[test]
    fn a_pass_that_does_not_read_the_clock_is_counted_as_a_whole() {
        let (_, counts, peak) = counted(0);
        assert_eq!((counts.allocations, peak), (1, 88));
    }

    #[test]
    fn counts_are_told_per_operation() {
        let counts = Counts { allocations: 8, requested_bytes: 100, ..Counts::default() };
        let found = findings(Pass { elapsed_ns: 1, operations: 4 }, counts, 50).metrics;
        assert_eq!((found[&Metric::Allocations], found[&Metric::AllocatedBytes]), (2.0, 25.0));
        assert_eq!((found[&Metric::PeakLive], found.get(&Metric::UsableRatio)), (50.0, None));
        let counts = Counts { measured_bytes: 10, usable_bytes: 16, ..counts };
        let found = findings(Pass { elapsed_ns: 1, operations: 4 }, counts, 50).metrics;
        assert_eq!(found[&Metric::UsableRatio], 1.6);
    }
}
