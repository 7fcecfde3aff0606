//! The latency probe: each step of a workload timed by itself.
//!
//! | file | what |
//! |---|---|
//! | [`counter`] | what is read before and after a step, and what it can tell apart |
//! | [`steps`] | the mode that reads it, and what it records |
//! | `summary` | percentiles, stalls and the distribution |
//!
//! A case runs twice: first with the counter read around every step, on a fresh heap; then as in the time probe, for the
//! control. What the first run takes longer is the probe's cost, and both stand in the findings. The distribution is that
//! of the first.
//!
//! A step's time holds one reading of the counter. It is not subtracted: out-of-order execution hides a part of it that
//! nobody knows.

pub mod counter;
pub mod steps;
mod summary;

use std::time::Duration;

use self::counter::{Counter, Resolution, Ticks};
use self::steps::Stepwise;
use self::summary::PerStep;
use super::super::findings::Findings;
use crate::workloads::shape::{Body, Clock, Drive, Pass, WallClock};

/// Passes before either run is looked at: caches, branch predictors and free lists are then as they stay, and a live set
/// of 100 000 blocks has been replaced about once. As long as the time probe's.
const WARM_UP: Duration = Duration::from_millis(50);

/// Passes of the control: it yields one mean, for which this is a million steps of 50 ns.
const PLAIN: Duration = Duration::from_millis(50);

/// Passes that are recorded: a million steps of 150 ns, so that a hundred of them lie above the 99.99th percentile, where
/// ten must. Longer would meet more of the machine's interruptions, not more of the allocator's: it does its rare work
/// every so many steps.
const PROBED: Duration = Duration::from_millis(150);

/// Measures a case. `plain` opens it in [`Touch`](crate::workloads::mode::Touch) mode, `probed` in the mode it is given;
/// each hands the body to the drive it is given, once.
///
/// `threads` work at once: time per step is a thread's, waiting included.
///
/// The findings are empty if the case has no steps: its workload never calls [`Mode::step`](crate::workloads::mode::Mode).
///
/// # Errors
/// Those of `plain` and `probed`.
pub fn measure<R, E>(
    threads: usize,
    plain: impl FnOnce(Drive<'_>) -> Result<(), E>,
    probed: impl FnOnce(&mut Stepwise, Drive<'_>) -> Result<R, E>,
) -> Result<(R, Findings), E> {
    let counter = Ticks::calibrated();
    let resolution = Resolution::of(&counter);
    measure_with(&WallClock::new(), counter, (resolution, threads), plain, probed)
}

fn measure_with<C: Counter, R, E>(
    clock: &dyn Clock,
    counter: C,
    (resolution, threads): (Resolution, usize),
    plain: impl FnOnce(Drive<'_>) -> Result<(), E>,
    probed: impl FnOnce(&mut Stepwise<C>, Drive<'_>) -> Result<R, E>,
) -> Result<(R, Findings), E> {
    let mut mode = Stepwise::new(counter);
    let (switch, mut timed) = (mode.switch(), Passes::default());
    let result = probed(&mut mode, &mut |body| {
        passes(body, clock, WARM_UP);
        switch.turn(true);
        timed = passes(body, clock, PROBED);
        switch.turn(false);
    })?;
    let mut control = Passes::default();
    plain(&mut |body| {
        passes(body, clock, WARM_UP);
        control = passes(body, clock, PLAIN);
    })?;
    let recording = mode.into_recording();
    if recording.steps() == 0 {
        return Ok((result, Findings::default()));
    }
    // An operation may be several steps, or the other way round: the recorded passes tell.
    let steps_per_operation = recording.steps() as f64 / timed.operations as f64 / threads as f64;
    let time = PerStep {
        plain_ns: control.ns_per_operation() / steps_per_operation,
        probed_ns: timed.ns_per_operation() / steps_per_operation,
    };
    Ok((result, summary::findings(&recording, resolution, time)))
}

/// Several passes together.
#[derive(Clone, Copy, Debug, Default)]
struct Passes {
    elapsed_ns: u64,
    operations: u64,
}

impl Passes {
    /// Wall time for each operation of all threads together.
    fn ns_per_operation(self) -> f64 {
        self.elapsed_ns as f64 / self.operations as f64
    }
}

/// Runs passes until so much time has gone by, what lies between them included; at least one.
fn passes(body: &mut dyn Body, clock: &dyn Clock, time: Duration) -> Passes {
    let start = clock.now_ns();
    let mut all = Passes::default();
    loop {
        let Pass { elapsed_ns, operations } = body.pass(clock);
        all.elapsed_ns += elapsed_ns;
        all.operations += operations;
        if u128::from(clock.now_ns() - start) >= time.as_nanos() {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::counter::Scale;
    use super::*;
    use crate::harness::metric::Metric;
    use crate::workloads::mode::{Mode, Touch};
    use crate::workloads::shape::timed;

    const FINE: Resolution = Resolution { quantum_ns: 1.0, cost_ns: 1.0 };

    /// A time that passes when somebody works, for both the clock and the counter.
    #[derive(Clone, Default)]
    struct Time(Arc<AtomicU64>);

    impl Time {
        fn pass(&self, ns: u64) {
            self.0.fetch_add(ns, Ordering::Relaxed);
        }
    }

    impl Clock for Time {
        fn now_ns(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A reading takes 2 ns.
    impl Counter for Time {
        fn read(&self) -> u64 {
            self.pass(2);
            self.now_ns()
        }

        fn scale(&self) -> Scale {
            Scale::NANOSECONDS
        }
    }

    /// A pass of 1 000 operations of two steps each: 100 ns and 300 ns. The first five, 10.4 ms each, are slow: just as
    /// many as there are to warm up.
    struct Pairs<'m, M> {
        time: Time,
        mode: &'m mut M,
        /// Whether it tells when they end.
        steps: bool,
        passes: u64,
    }

    impl<M: Mode> Body for Pairs<'_, M> {
        fn pass(&mut self, clock: &dyn Clock) -> Pass {
            self.passes += 1;
            let extra = if self.passes <= 5 { 5_000 } else { 0 };
            timed(clock, 1_000, || {
                self.mode.begin();
                for _ in 0..1_000 {
                    for ns in [100, 300] {
                        self.time.pass(ns + extra);
                        if self.steps {
                            self.mode.step();
                        }
                    }
                }
            })
        }
    }

    fn measured(steps: bool) -> Findings {
        let time = Time::default();
        let plain = |drive: Drive<'_>| {
            drive(&mut Pairs { time: time.clone(), mode: &mut Touch, steps, passes: 0 });
            Ok::<_, Infallible>(())
        };
        let probed = |mode: &mut Stepwise<Time>, drive: Drive<'_>| {
            drive(&mut Pairs { time: time.clone(), mode, steps, passes: 0 });
            Ok("served")
        };
        let (served, findings) = measure_with(&time, time.clone(), (FINE, 1), plain, probed).unwrap();
        assert_eq!(served, "served");
        findings
    }

    #[test]
    fn the_control_and_the_probed_run_are_both_told_per_step() {
        let findings = measured(true);
        let latency = findings.latency.unwrap();
        assert_eq!(latency.plain_ns, 200.0);
        // Two readings to a step, and one that begins a pass of 2 000 steps.
        assert_eq!(latency.probed_ns, 200.0 + 4.0 + 2.0 / 2_000.0);
        // One reading is in the step's own time.
        assert_eq!(latency.buckets.iter().map(|(bound, _)| *bound).collect::<Vec<_>>(), [102, 303]);
        assert_eq!(latency.buckets[0].1, latency.buckets[1].1);
        assert_eq!(latency.max_ns, 302);
    }

    #[test]
    fn only_passes_after_the_warm_up_are_recorded_and_there_are_enough_of_them() {
        let findings = measured(true);
        let latency = findings.latency.unwrap();
        // A pass takes 408 002 ns, so 368 of them are the first to reach 150 ms.
        assert_eq!(latency.steps, 368 * 2_000);
        assert_eq!(findings.metrics[&Metric::LatencyP50], 102.0);
        assert_eq!(findings.metrics[&Metric::Stalls1us], 0.0);
    }

    #[test]
    fn a_case_without_steps_has_nothing_to_say() {
        assert_eq!(measured(false), Findings::default());
    }
}
