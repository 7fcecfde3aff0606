//! The mode that times each step of a workload.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hdrhistogram::Histogram;

use super::counter::{Counter, Ticks};
use crate::workloads::mode::{Mode, Touch};

/// Touches blocks as [`Touch`] does, and times each step.
///
/// A step is what lies between two readings of the counter; the next one begins with a reading of its own, so that
/// recording is in nobody's time. Each thread has one of these, and a histogram of its own in it. That histogram's memory
/// comes from the global allocator, which may be the one under test: once, when the mode is made, before the clock starts;
/// recording never allocates.
#[derive(Debug)]
pub struct Stepwise<C = Ticks> {
    counter: C,
    touch: Touch,
    switch: Switch,
    /// What the switch said when the steps began.
    on: bool,
    /// When this step began.
    start: u64,
    recording: Recording,
}

/// Whether steps are recorded. Every mode that was forked from one another has the same.
///
/// Modes look at it in [`Mode::begin`], so it is to be turned between two passes. That is how warming up is left out in
/// workloads whose threads keep their modes to themselves until the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(super) fn turn(&self, on: bool) {
        // Relaxed, as in `is_on`: a pass on other threads starts with a barrier, which orders the two.
        self.0.store(on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<C: Counter> Stepwise<C> {
    /// Reads `counter`, and records nothing until its switch is turned on.
    pub(super) fn new(counter: C) -> Self {
        Self::with_switch(counter, Switch::default())
    }

    fn with_switch(counter: C, switch: Switch) -> Self {
        Self { counter, touch: Touch, switch, on: false, start: 0, recording: Recording::new() }
    }

    /// Turns recording on and off.
    pub(super) fn switch(&self) -> Switch {
        self.switch.clone()
    }

    /// What was recorded here and in the forks that were joined.
    pub(super) fn into_recording(self) -> Recording {
        self.recording
    }
}

impl<C: Counter> Mode for Stepwise<C> {
    #[inline(always)]
    unsafe fn fill(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise is the one that `Touch` asks for.
        unsafe { self.touch.fill(block, size) };
    }

    #[inline(always)]
    unsafe fn inspect(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise is the one that `Touch` asks for.
        unsafe { self.touch.inspect(block, size) };
    }

    #[inline(always)]
    fn begin(&mut self) {
        self.on = self.switch.is_on();
        self.start = self.counter.read();
    }

    #[inline(always)]
    fn step(&mut self) {
        let end = self.counter.read();
        if self.on {
            // Counters of two processors may differ by some ticks; a step that ends before it began took none.
            let ticks = end.saturating_sub(self.start);
            self.recording.add(self.counter.scale().nanoseconds(ticks));
        }
        self.start = self.counter.read();
    }

    #[inline(always)]
    fn result(&mut self, found: u64, expected: u64) {
        self.touch.result(found, expected);
    }

    fn fork(&self) -> Self {
        Self::with_switch(self.counter.clone(), self.switch.clone())
    }

    fn join(&mut self, other: Self) {
        self.recording.merge(&other.recording);
    }
}

/// The longest time with a bucket of its own, nanoseconds. No step of a workload takes a second unless the machine stood
/// still; longer ones count among the steps of the last bucket, and the longest is known exactly all the same.
pub(super) const LONGEST_NS: u64 = 1_000_000_000;

/// Significant digits of a bucket: its bounds are at most 1 % apart (and 1 ns below 256 ns), where percentiles that differ
/// by less than 3 % are not told apart. The counts take 24 KiB; with three digits it would be 180 KiB, and the buckets of
/// an ordinary run would compete with the blocks for the first-level cache.
const DIGITS: u8 = 2;

/// Steps above this are the first kind of stall: something other than the fast path has been at work.
const STALL_NS: u64 = 1_000;

/// Steps above this are the second kind: a system call, a fault, another thread.
const LONG_STALL_NS: u64 = 10_000;

/// How long the steps of a run took.
#[derive(Debug)]
pub(super) struct Recording {
    /// Nanoseconds.
    buckets: Histogram<u64>,
    max_ns: u64,
    stalls_1us: u64,
    stalls_10us: u64,
}

impl Recording {
    pub(super) fn new() -> Self {
        let buckets = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are in order");
        Self { buckets, max_ns: 0, stalls_1us: 0, stalls_10us: 0 }
    }

    /// One more step. Out of line, so that the code of a step stays as it is without the probe.
    #[inline(never)]
    pub(super) fn add(&mut self, ns: u64) {
        self.buckets.saturating_record(ns);
        self.max_ns = self.max_ns.max(ns);
        self.stalls_1us += u64::from(ns > STALL_NS);
        self.stalls_10us += u64::from(ns > LONG_STALL_NS);
    }

    fn merge(&mut self, other: &Self) {
        self.buckets.add(&other.buckets).expect("all recordings have the same bounds");
        self.max_ns = self.max_ns.max(other.max_ns);
        self.stalls_1us += other.stalls_1us;
        self.stalls_10us += other.stalls_10us;
    }

    /// Steps in all.
    pub(super) fn steps(&self) -> u64 {
        self.buckets.len()
    }

    /// The longest one, nanoseconds.
    pub(super) fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// Steps that took longer than 1 µs.
    pub(super) fn stalls_1us(&self) -> u64 {
        self.stalls_1us
    }

    /// Steps that took longer than 10 µs.
    pub(super) fn stalls_10us(&self) -> u64 {
        self.stalls_10us
    }

    /// Upper bound of a bucket in nanoseconds, that bound included, and steps in it; ascending, empty ones left out.
    pub(super) fn buckets(&self) -> Vec<(u64, u64)> {
        let bound = |value| self.buckets.highest_equivalent(value);
        let filled = self.buckets.iter_recorded();
        filled.map(|bucket| (bound(bucket.value_iterated_to()), bucket.count_at_value())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::counter::{Scale, Scripted};
    use super::*;

    #[test]
    fn a_step_lasts_from_its_own_reading_to_the_next() {
        // Begin, then three pairs of an end and a new start; what lies between those two belongs to no step.
        let mut mode = Stepwise::new(Scripted::new([100, 120, 500, 530, 1_000, 2_001, 9_000]));
        mode.switch().turn(true);
        mode.begin();
        for _ in 0..3 {
            mode.step();
        }
        let recording = mode.into_recording();
        assert_eq!(recording.buckets(), [(20, 1), (30, 1), (1_003, 1)]);
        assert_eq!((recording.steps(), recording.max_ns()), (3, 1_001));
        assert_eq!((recording.stalls_1us(), recording.stalls_10us()), (1, 0));
    }

    #[test]
    fn ticks_are_recorded_as_nanoseconds() {
        let mut counter = Scripted::new([0, 1_000, 1_000]);
        counter.scale = Scale::of(400, 1_000).unwrap();
        let mut mode = Stepwise::new(counter);
        mode.switch().turn(true);
        mode.begin();
        mode.step();
        assert_eq!(mode.into_recording().max_ns(), 400);
    }

    #[test]
    fn what_was_done_to_warm_up_is_not_recorded() {
        let mut mode = Stepwise::new(Scripted::new([0, 50_000, 50_000, 60_000, 60_010, 60_010]));
        let switch = mode.switch();
        mode.begin();
        mode.step();
        switch.turn(true);
        mode.begin();
        mode.step();
        assert_eq!(mode.into_recording().buckets(), [(10, 1)]);
    }

    #[test]
    fn forks_obey_the_same_switch_and_are_counted_when_they_join() {
        let mut mode = Stepwise::new(Scripted::new([0, 7, 7, 100, 20_100, 20_100]));
        let mut fork = mode.fork();
        mode.switch().turn(true);
        mode.begin();
        mode.step();
        fork.begin();
        fork.step();
        mode.join(fork);
        let recording = mode.into_recording();
        assert_eq!((recording.steps(), recording.max_ns()), (2, 20_000));
        assert_eq!((recording.stalls_1us(), recording.stalls_10us()), (1, 1));
        assert_eq!(recording.buckets()[0], (7, 1));
    }

    #[test]
    fn a_counter_that_went_backwards_yields_a_step_of_nothing() {
        let mut mode = Stepwise::new(Scripted::new([100, 90, 90]));
        mode.switch().turn(true);
        mode.begin();
        mode.step();
        assert_eq!(mode.into_recording().buckets(), [(0, 1)]);
    }

    #[test]
    fn a_step_beyond_the_last_bucket_is_in_it_and_its_length_is_kept() {
        let mut recording = Recording::new();
        recording.add(LONGEST_NS);
        recording.add(90 * LONGEST_NS);
        let buckets = recording.buckets();
        assert_eq!(buckets.len(), 1);
        assert_eq!(buckets[0].1, 2);
        assert!((LONGEST_NS..LONGEST_NS / 100 * 101).contains(&buckets[0].0));
        assert_eq!(recording.max_ns(), 90 * LONGEST_NS);
    }

    #[test]
    fn a_stall_is_longer_than_its_bound() {
        let mut recording = Recording::new();
        for ns in [STALL_NS, STALL_NS + 1, LONG_STALL_NS, LONG_STALL_NS + 1] {
            recording.add(ns);
        }
        assert_eq!((recording.stalls_1us(), recording.stalls_10us()), (3, 1));
    }

    #[test]
    fn a_bucket_is_at_most_a_hundredth_of_its_value_wide() {
        let recording = Recording::new();
        for ns in (0..30).map(|power| 3_u64.pow(power)).filter(|&ns| ns < LONGEST_NS) {
            let width = recording.buckets.equivalent_range(ns);
            assert!(width == 1 || width * 100 <= ns, "{ns} ns: {width}");
        }
    }
}
