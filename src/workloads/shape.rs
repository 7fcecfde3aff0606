//! What a workload is: its facts, its cases, and the code that runs one.

use std::time::Instant;

use super::heap::Heap;
use super::litter::HeapState;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use crate::allocators::contract::Demand;

/// A group of workloads that ask the same kind of question. Scores are averaged inside a family first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// One thread, one operation in a loop.
    Basic,
    /// Several threads.
    Threads,
    /// Ordinary Rust code.
    Applications,
    /// Lifetimes of a known order, written to a typed interface: who is no `Allocator` can serve them.
    Typed,
    /// Fixed work whose resident memory is what counts.
    Memory,
}

impl Family {
    /// The word for it in records.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Threads => "threads",
            Self::Applications => "applications",
            Self::Typed => "typed",
            Self::Memory => "memory",
        }
    }
}

/// How much to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Seconds: does everything run at all?
    Smoke,
    /// Minutes: every kind of plot has data.
    Quick,
    /// An hour: what to publish.
    Standard,
    /// All of it.
    Full,
}

impl Profile {
    /// Every profile, smallest first.
    pub const ALL: [Self; 4] = [Self::Smoke, Self::Quick, Self::Standard, Self::Full];

    /// Its name on the command line and in records.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.id() == name)
    }
}

/// What the cases of a workload depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// How much to measure.
    pub profile: Profile,
    /// Logical CPUs of the machine.
    pub cpus: usize,
}

impl Scope {
    /// `quick` for the profiles up to `quick`, else `standard`.
    pub fn pick<T>(&self, quick: Vec<T>, standard: Vec<T>) -> Vec<T> {
        if self.profile <= Profile::Quick { quick } else { standard }
    }

    /// Numbers of threads of a scaling curve that begins at `least`: 1, 2, as many as there are CPUs, and twice as many,
    /// which is where threads take turns: a lap shorter than the system's time slice (milliseconds) mostly runs to its end
    /// before the next thread begins.
    pub fn threads(&self, least: usize) -> Vec<usize> {
        let mut threads = vec![1, 2, self.cpus, 2 * self.cpus];
        threads.retain(|&threads| threads >= least);
        threads.sort_unstable();
        threads.dedup();
        threads
    }
}

/// Everything about a workload that does not depend on its parameters. One constant in each workload's file.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Short, lower-case ASCII.
    pub id: &'static str,
    /// One line: what it does.
    pub title: &'static str,
    /// The question it belongs to.
    pub family: Family,
    /// Why it is measured: the introduction of its page. Paragraphs are separated by a blank line.
    pub why: &'static str,
    /// What should be seen if the workload does what it claims: which allocators or cases differ, and why. Recorded runs are
    /// held against it.
    pub effect: &'static str,
    /// Which public benchmark it descends from and how it differs; a shape of our own says so.
    pub origin: &'static str,
    /// What one operation is.
    pub operation: &'static str,
    /// What the latency probe times as one step; empty if it does not run. See [`Mode::step`].
    pub step: &'static str,
    /// What is measured of it. A case may leave some out: see [`Shape::probes`].
    pub probes: &'static [Probe],
    /// Its parameters, in the order in which a case names them.
    pub parameters: &'static [Parameter],
}

/// A parameter of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its key.
    pub name: &'static str,
    /// What it means.
    pub title: &'static str,
    /// How its values are drawn.
    pub axis: Axis,
}

/// What a case needs from an allocator's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Blocks of more than one layout.
    pub mixed_sizes: bool,
    /// Freed memory must be had again, or the case would grow for ever.
    pub frees: bool,
    /// Use from several threads, and freeing on another thread.
    pub threads: bool,
    /// The process's global allocator: it uses code that takes no allocator as a parameter.
    pub global: bool,
}

/// A case of a workload: its parameters as a type.
pub trait Shape: Sized + 'static {
    /// Everything that does not depend on the parameters.
    const FACTS: Facts;

    /// The cases of a profile, in the order in which to show them.
    fn cases(scope: Scope) -> Vec<Self>;

    /// The parameters of this case, in the order of `FACTS.parameters`.
    fn params(&self) -> Params;

    /// What it needs from an allocator's contract.
    fn needs(&self) -> Needs;

    /// What is measured of this case, of what is measured of the workload.
    fn probes(&self) -> &'static [Probe] {
        Self::FACTS.probes
    }

    /// The state of the heap that it begins on.
    fn heap_state(&self) -> HeapState {
        HeapState::Clean
    }

    /// What it will ask of an allocator.
    fn demand(&self) -> Demand;

    /// What one pass does inside the clock on a heap that frees one block at a time; `None` where it depends on what is
    /// drawn from the seed. A test holds the workload to it.
    fn declared(&self) -> Option<Declared>;
}

/// The calls of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Blocks taken.
    pub allocations: u64,
    /// Blocks given back one at a time.
    pub frees: u64,
    /// Blocks resized.
    pub reallocations: u64,
}

impl Declared {
    /// So many blocks taken and given back.
    pub const fn pairs(blocks: usize) -> Self {
        Self { allocations: blocks as u64, frees: blocks as u64, reallocations: 0 }
    }
}

/// A shape for one thread.
pub trait OneThread: Shape {
    /// Prepares tables and state, hands the body to `drive`, and gives everything back.
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>);
}

/// A shape for several threads.
pub trait ManyThreads: Shape {
    /// As [`OneThread::open`]; the threads live as long as `drive` runs.
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>);
}

/// Who runs the passes: the measuring harness or the verifier.
pub type Drive<'a> = &'a mut dyn FnMut(&mut dyn Body);

/// A prepared case on an allocator.
pub trait Body {
    /// Runs the case's table of operations once. One indirect call runs thousands of operations.
    fn pass(&mut self, clock: &dyn Clock) -> Pass;
}

/// A closure that runs a pass is a body: enough for a workload that keeps nothing from pass to pass but what it captures.
impl<F: FnMut(&dyn Clock) -> Pass> Body for F {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        self(clock)
    }
}

/// What one pass took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Wall time between the clock's readings, nanoseconds.
    pub elapsed_ns: u64,
    /// Operations done in that time.
    pub operations: u64,
}

/// A source of time, and whatever else somebody wants to read off at the same moments.
///
/// A pass reads it twice: when its work begins and when it ends.
pub trait Clock: Sync {
    /// Nanoseconds since some moment that does not change.
    fn now_ns(&self) -> u64;

    /// A workload of the memory family has reached a moment at which memory is worth looking at: what it is doing, and the
    /// bytes that it has requested and not given back.
    fn checkpoint(&self, _phase: &'static str, _live_bytes: u64) {}
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(Instant);

impl WallClock {
    /// Starts at zero.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for WallClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        // 2^64 ns are 584 years.
        self.0.elapsed().as_nanos() as u64
    }
}

/// Times `work`, which does `operations` operations.
#[inline(always)]
pub fn timed(clock: &dyn Clock, operations: usize, work: impl FnOnce()) -> Pass {
    let start = clock.now_ns();
    work();
    let elapsed_ns = clock.now_ns() - start;
    Pass { elapsed_ns, operations: operations as u64 }
}
