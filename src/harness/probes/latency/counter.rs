//! The counter that steps are timed with: the cheapest one that waits for the work before it.
//!
//! | machine | counter | cost of a reading |
//! |---|---|---|
//! | x86-64 with `rdtscp` and an invariant time stamp counter | `rdtscp` | 10 to 20 ns |
//! | AArch64 | `cntvct_el0` after `isb` | 10 to 20 ns |
//! | any other, and where the two clocks disagree | [`Instant`] | 20 to 60 ns |
//!
//! What a reading takes and what it can tell apart differs from machine to machine, so both are measured in every process
//! and stand beside its numbers: see [`Resolution`].

use std::time::{Duration, Instant};

use crate::stats::median;

/// Something that counts upwards with time.
pub trait Counter: Clone + Send + Sync {
    /// How far it has come, once all work before this call is done.
    ///
    /// Work after the call may begin before the reading is taken: processors look a few hundred instructions ahead. Two
    /// readings with a step between them can so miss its first few nanoseconds, never a stall.
    fn read(&self) -> u64;

    /// How long its ticks are.
    fn scale(&self) -> Scale;
}

/// The length of a tick: in units of 2^-32 ns, so that a difference becomes nanoseconds by one multiplication.
///
/// A counter of 1 GHz has a tick of 2^32 such units: the rounding of the factor is 10^-10 of any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(u64);

impl Scale {
    /// Ticks that are nanoseconds.
    pub const NANOSECONDS: Self = Self(1 << 32);

    /// So many nanoseconds took so many ticks; `None` if a tick would be none or 2^32 ns long.
    pub fn of(elapsed_ns: u64, ticks: u64) -> Option<Self> {
        let units = (u128::from(elapsed_ns) << 32).checked_div(u128::from(ticks))?;
        u64::try_from(units).ok().filter(|&units| units > 0).map(Self)
    }

    /// Ticks as whole nanoseconds, rounded to the nearest.
    #[inline]
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        let units = u128::from(ticks) * u128::from(self.0) + (1 << 31);
        u64::try_from(units >> 32).unwrap_or(u64::MAX)
    }

    /// Ticks, or a fraction of one, as nanoseconds.
    pub fn fraction(self, ticks: f64) -> f64 {
        ticks * self.0 as f64 / Self::NANOSECONDS.0 as f64
    }

    /// The mean of two scales, if they agree to [`DISAGREEMENT`].
    fn agreed(self, other: Self) -> Option<Self> {
        let (first, second) = (self.0 as f64, other.0 as f64);
        ((first / second - 1.0).abs() <= DISAGREEMENT).then(|| Self(self.0.midpoint(other.0)))
    }
}

/// By how much two calibrations may differ. A hundred times what the pairing of the two clocks leaves open (some 50 ns in
/// 5 ms), and still far below what a counter differs by that changes its rate with the processor's, or stops.
const DISAGREEMENT: f64 = 1e-3;

/// How long a calibration lasts; there are two.
const CALIBRATION: Duration = Duration::from_millis(5);

/// How often the two clocks are paired: the closest pair counts, so that an interruption between the two readings does no
/// harm unless it meets all of them.
const PAIRINGS: usize = 16;

/// The machine's counter.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    source: Source,
    scale: Scale,
}

/// Where the ticks come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The processor's own counter, which is known to be there.
    Processor,
    /// The monotonic clock, since a moment.
    Monotonic(Instant),
}

impl Ticks {
    /// The cheapest counter that keeps time: it is compared with the monotonic clock twice, for some milliseconds.
    pub fn calibrated() -> Self {
        let scale = || {
            processor::is_steady().then_some(())?;
            calibration()?.agreed(calibration()?)
        };
        match scale() {
            Some(scale) => Self { source: Source::Processor, scale },
            None => Self::monotonic(),
        }
    }

    /// The monotonic clock, wherever this runs.
    pub fn monotonic() -> Self {
        Self { source: Source::Monotonic(Instant::now()), scale: Scale::NANOSECONDS }
    }
}

impl Counter for Ticks {
    #[inline(always)]
    fn read(&self) -> u64 {
        match self.source {
            Source::Processor => processor::read(),
            // 2^64 ns are 584 years.
            Source::Monotonic(start) => start.elapsed().as_nanos() as u64,
        }
    }

    #[inline(always)]
    fn scale(&self) -> Scale {
        self.scale
    }
}

/// What the processor's ticks last, seen once.
fn calibration() -> Option<Scale> {
    let (start, first) = paired();
    while start.elapsed() < CALIBRATION {
        std::hint::spin_loop();
    }
    let (end, last) = paired();
    Scale::of(end.duration_since(start).as_nanos() as u64, last.checked_sub(first)?)
}

/// A moment on both clocks.
fn paired() -> (Instant, u64) {
    let pair = |_| {
        let before = Instant::now();
        let ticks = processor::read();
        (before.elapsed(), before, ticks)
    };
    let (width, before, ticks) =
        (0..PAIRINGS).map(pair).min_by_key(|(width, ..)| *width).expect("there is more than one pairing");
    (before + width / 2, ticks)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod processor {
    use std::arch::x86_64::__cpuid;

    /// Whether it has the instruction, and a counter that ticks at one rate in all its states of frequency and sleep.
    pub(super) fn is_steady() -> bool {
        // Numbers of leaves and bits: AMD64 Architecture Programmer's Manual, volume 3, appendix E.4.
        const RDTSCP: u32 = 1 << 27;
        const INVARIANT: u32 = 1 << 8;
        // SAFETY: every 64-bit processor has the instruction; a leaf it does not know reads as something, not as a fault.
        #[allow(unused_unsafe, reason = "the function is unsafe in the oldest compiler that we support")]
        let leaf = |leaf| unsafe { __cpuid(leaf) };
        leaf(0x8000_0000).eax >= 0x8000_0007
            && leaf(0x8000_0001).edx & RDTSCP != 0
            && leaf(0x8000_0007).edx & INVARIANT != 0
    }

    /// The time stamp counter, read when all instructions before have been carried out.
    #[inline(always)]
    pub(super) fn read() -> u64 {
        let (low, high): (u64, u64);
        // SAFETY: it writes three registers and neither memory nor stack. `is_steady` saw that the instruction exists
        // before anything was timed. Memory counts as touched, so that the compiler moves no access across a reading.
        unsafe {
            std::arch::asm!(
                "rdtscp",
                out("rax") low,
                out("rdx") high,
                out("rcx") _,
                options(nostack, preserves_flags)
            );
        }
        high << 32 | low
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod processor {
    /// The architecture promises one rate in all states, and access from user mode is what every system grants.
    pub(super) fn is_steady() -> bool {
        true
    }

    /// The virtual counter, read when all instructions before have been carried out.
    #[inline(always)]
    pub(super) fn read() -> u64 {
        let ticks: u64;
        // SAFETY: it writes one register and neither memory nor stack; the counter exists on every processor of this
        // architecture. Memory counts as touched, so that the compiler moves no access across a reading.
        unsafe {
            std::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags));
        }
        ticks
    }
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod processor {
    /// None that is known here.
    pub(super) fn is_steady() -> bool {
        false
    }

    pub(super) fn read() -> u64 {
        unreachable!("nobody reads a counter that is not steady")
    }
}

/// What a counter can tell apart, and what asking it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolution {
    /// The smallest difference above zero between two successive readings, nanoseconds.
    pub quantum_ns: f64,
    /// What a reading takes, nanoseconds.
    pub cost_ns: f64,
}

/// Readings in a series. A series of 1 024 takes some ten microseconds, so that most see no interruption.
const SERIES_READINGS: u32 = 1_024;

/// Series: their median forgets those that were interrupted, unless it is more than half.
const SERIES: u32 = 64;

impl Resolution {
    /// Measures a counter: the quantum over all pairs of successive readings; the cost as a series' length over its
    /// readings, which the quantum divided by their number rounds, and of that the median over the series.
    ///
    /// # Panics
    /// If the counter stands still for 65 536 readings, about a millisecond: then it is none.
    pub fn of(counter: &impl Counter) -> Self {
        let mut quantum = u64::MAX;
        let mut costs = [0.0; SERIES as usize];
        for cost in &mut costs {
            let first = counter.read();
            let mut last = first;
            for _ in 0..SERIES_READINGS {
                let now = counter.read();
                let difference = now.saturating_sub(last);
                if difference > 0 {
                    quantum = quantum.min(difference);
                }
                last = now;
            }
            *cost = last.saturating_sub(first) as f64 / f64::from(SERIES_READINGS);
        }
        assert!(quantum < u64::MAX, "the counter stands still");
        let cost = median(&costs).expect("a quotient of two whole numbers is finite");
        let scale = counter.scale();
        Self { quantum_ns: scale.fraction(quantum as f64), cost_ns: scale.fraction(cost) }
    }
}

/// A counter that gives the readings it was told to give, for tests with exact numbers.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(super) struct Scripted {
    readings: std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<u64>>>,
    pub(super) scale: Scale,
}

#[cfg(test)]
impl Scripted {
    /// These readings, in nanoseconds.
    pub(super) fn new(readings: impl IntoIterator<Item = u64>) -> Self {
        let readings = std::sync::Arc::new(std::sync::Mutex::new(readings.into_iter().collect()));
        Self { readings, scale: Scale::NANOSECONDS }
    }
}

#[cfg(test)]
impl Counter for Scripted {
    fn read(&self) -> u64 {
        self.readings.lock().unwrap().pop_front().expect("a scripted reading")
    }

    fn scale(&self) -> Scale {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_the_nearest_nanosecond() {
        // 2.5 GHz: a tick is 0.4 ns.
        let scale = Scale::of(400, 1_000).unwrap();
        assert_eq!(
            [0, 1, 2, 5, 1_000, 2_500_000_000].map(|ticks| scale.nanoseconds(ticks)),
            [0, 0, 1, 2, 400, 1_000_000_000]
        );
        assert_eq!(Scale::of(1_000_000, 1).unwrap().nanoseconds(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_counter_that_does_not_advance_has_no_scale() {
        assert_eq!(Scale::of(5_000_000, 0), None);
        assert_eq!(Scale::of(0, 5_000_000), None);
        assert_eq!(Scale::of(u64::MAX, 1), None);
    }

    #[test]
    fn calibrations_that_differ_by_more_than_a_thousandth_are_not_believed() {
        let scale = |ticks| Scale::of(5_000_000, ticks).unwrap();
        let (first, close, far) = (scale(10_000_000), scale(10_009_000), scale(10_011_000));
        let agreed = first.agreed(close).unwrap();
        assert!(close.0 < agreed.0 && agreed.0 < first.0);
        assert_eq!(first.agreed(far), None);
    }

    #[test]
    fn the_cost_is_finer_than_the_quantum() {
        // A reading takes 2.5 ns, and the counter shows it in steps of 10 ns, with a hiccup in one series.
        let readings = u64::from(SERIES * (SERIES_READINGS + 1));
        let hiccup = |at: u64| if at < 500 { 0 } else { 1_000_000 };
        let counter = Scripted::new((0..readings).map(|at| at * 10 / 4 / 10 * 10 + hiccup(at)));
        assert_eq!(Resolution::of(&counter), Resolution { quantum_ns: 10.0, cost_ns: 2.5 });
    }

    #[test]
    #[should_panic(expected = "stands still")]
    fn a_counter_that_stands_still_is_none() {
        Resolution::of(&Scripted::new((0..SERIES * (SERIES_READINGS + 1)).map(|_| 7)));
    }

    #[test]
    fn the_machines_counter_goes_on() {
        for counter in [Ticks::calibrated(), Ticks::monotonic()] {
            let resolution = Resolution::of(&counter);
            assert!(resolution.quantum_ns > 0.0 && resolution.cost_ns > 0.0, "{counter:?}: {resolution:?}");
        }
    }
}
