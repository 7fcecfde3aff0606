//! The latency probe finds the stalls of an allocator that has some.

#![cfg(feature = "harness")]

use std::alloc::{Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::{Duration, Instant};

use allocator_api2::alloc::{AllocError, Allocator};
use allocmark::allocators::contract::{Demand, Subject};
use allocmark::allocators::global::GlobalSubject;
use allocmark::harness::findings::Findings;
use allocmark::harness::metric::Metric;
use allocmark::harness::probes::latency;
use allocmark::workloads::churn::Churn;
use allocmark::workloads::heap::Individually;
use allocmark::workloads::local::Local;
use allocmark::workloads::mode::Touch;
use allocmark::workloads::shape::{Body, Clock, Drive, ManyThreads, OneThread, Pass, Profile, Scope, Shape};

/// One allocation in so many stalls: more than one in ten thousand, so that the 99.99th percentile is a stall.
const ONE_IN: u64 = 5_000;

/// For how long.
const STALL: Duration = Duration::from_micros(50);

/// The system's allocator, which stalls if it was built to.
struct Stalling {
    stalls: bool,
    allocations: Cell<u64>,
    stalled: Rc<Cell<u64>>,
}

impl Subject for Stalling {
    type Handle<'a> = &'a Self;

    fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self { stalls: true, allocations: Cell::new(0), stalled: Rc::default() })
    }

    fn handle(&self) -> &Self {
        self
    }

    fn owns(&self, _block: NonNull<u8>) -> bool {
        true
    }
}

// SAFETY: blocks are the system's, which meets the contract; all copies of a handle are the same allocator.
unsafe impl Allocator for &Stalling {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.allocations.set(self.allocations.get() + 1);
        if self.stalls && self.allocations.get().is_multiple_of(ONE_IN) {
            self.stalled.set(self.stalled.get() + 1);
            let start = Instant::now();
            while start.elapsed() < STALL {
                std::hint::spin_loop();
            }
        }
        System.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: it came from the system with this layout, and is not used again (the caller's promise).
        unsafe { System.deallocate(block, layout) };
    }
}

/// A body that notes how many stalls each of its passes met.
struct Noting<'b> {
    body: &'b mut dyn Body,
    stalled: &'b Cell<u64>,
    /// Operations and stalls.
    passes: Vec<(u64, u64)>,
}

impl Body for Noting<'_> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let before = self.stalled.get();
        let pass = self.body.pass(clock);
        self.passes.push((pass.operations, self.stalled.get() - before));
        pass
    }
}

/// Of the passes of a workload in which a step is an operation, those that were recorded: the last ones.
fn recorded(mut passes: Vec<(u64, u64)>, findings: &Findings) -> Vec<(u64, u64)> {
    let (mut steps, mut first) = (findings.latency.as_ref().unwrap().steps, passes.len());
    while steps > 0 {
        first -= 1;
        steps = steps.checked_sub(passes[first].0).expect("whole passes are recorded");
    }
    passes.split_off(first)
}

/// Churns with one size; gives back what the probe found, and how often the allocator stalled in recorded passes.
fn churned(stalls: bool) -> (Findings, u64) {
    let churn = &Churn::cases(Scope { profile: Profile::Quick, cpus: 2 })[0];
    let heap = || {
        let subject = Stalling::for_demand(&churn.demand()).unwrap();
        Individually(Stalling { stalls, ..subject })
    };
    let plain = |drive: Drive<'_>| {
        churn.open(&mut heap(), &mut Touch, 1, drive);
        Ok::<_, Infallible>(())
    };
    let (passes, findings) = latency::measure(1, plain, |mode, drive| {
        let mut heap = heap();
        let stalled = Rc::clone(&heap.0.stalled);
        let mut passes = Vec::new();
        churn.open(&mut heap, mode, 1, &mut |body| {
            let mut noting = Noting { body, stalled: &stalled, passes: Vec::new() };
            drive(&mut noting);
            passes = noting.passes;
        });
        Ok(passes)
    })
    .unwrap();
    let recorded = recorded(passes, &findings);
    let stalled = recorded.iter().map(|(_, stalls)| stalls).sum();
    (findings, stalled)
}

/// Steps over 10 µs, as a number.
fn long_stalls(findings: &Findings) -> f64 {
    let steps = findings.latency.as_ref().unwrap().steps;
    findings.metrics[&Metric::Stalls10us] * steps as f64 / 1e6
}

#[test]
fn stalls_of_the_allocator_are_found_and_counted() {
    let (quiet_before, _) = churned(false);
    let (findings, stalled) = churned(true);
    let (quiet_after, none) = churned(false);
    let latency = findings.latency.as_ref().unwrap();

    assert_eq!(none, 0);
    assert!(stalled.abs_diff(latency.steps / ONE_IN) <= 1, "{stalled} stalls in {} steps", latency.steps);
    // A machine that lets others run in the meantime may leave too few steps for this percentile.
    let p99_99 = findings.metrics.get(&Metric::LatencyP9999);
    assert_eq!(p99_99.is_some(), latency.steps >= 100_000);
    assert!(p99_99.is_none_or(|&ns| ns >= STALL.as_nanos() as f64), "{:?}", findings.metrics);

    // Each stall of the allocator is there. What is there beside them is the machine's: its timer alone may interrupt
    // hundreds of times a second, which runs of the same length without stalls show.
    let machine = long_stalls(&quiet_before).max(long_stalls(&quiet_after));
    let (counted, true_number) = (long_stalls(&findings), stalled as f64);
    assert!(counted >= true_number * 0.95, "{counted} counted of {true_number}");
    assert!(
        counted <= true_number * 1.05 + 2.0 * machine,
        "{counted} counted of {true_number}, {machine} without"
    );

    // The median is an ordinary step, and may be too short for the counter to tell.
    let ordinary: u64 = latency.buckets.iter().filter(|(ns, _)| *ns < 5_000).map(|(_, count)| count).sum();
    assert!(ordinary > latency.steps / 2);
    assert!(
        findings.metrics.get(&Metric::LatencyP50).is_none_or(|&ns| ns < 5_000.0),
        "{:?}",
        findings.metrics
    );
}

#[test]
fn the_findings_say_what_the_probe_can_tell_and_what_it_costs() {
    let (findings, _) = churned(false);
    let latency = findings.latency.unwrap();
    assert!(latency.quantum_ns > 0.0 && latency.cost_ns > 0.0);
    assert!(latency.plain_ns > 0.0 && latency.probed_ns > 0.0);
    assert_eq!(latency.buckets.iter().map(|(_, count)| count).sum::<u64>(), latency.steps);
    assert!(latency.buckets.iter().all(|(ns, _)| *ns <= latency.max_ns * 101 / 100));
    for (metric, ns) in findings.metrics {
        let stalls = [Metric::Stalls1us, Metric::Stalls10us].contains(&metric);
        assert!(stalls || ns >= 5.0 * latency.quantum_ns, "{metric:?}: {ns}");
    }
}

#[test]
fn threads_record_whole_passes_after_the_warm_up() {
    let two_threads = &Local::cases(Scope { profile: Profile::Quick, cpus: 2 })[1];
    assert_eq!(two_threads.params().to_string(), "threads=2");
    let plain = |drive: Drive<'_>| {
        two_threads.open(&mut Individually(GlobalSubject), &mut Touch, 1, drive);
        Ok::<_, Infallible>(())
    };
    let (passes, findings) = latency::measure(2, plain, |mode, drive| {
        let mut passes = Vec::new();
        two_threads.open(&mut Individually(GlobalSubject), mode, 1, &mut |body| {
            let mut noting = Noting { body, stalled: &Cell::new(0), passes: Vec::new() };
            drive(&mut noting);
            passes = noting.passes;
        });
        Ok(passes)
    })
    .unwrap();
    let all = passes.len();
    let recorded = recorded(passes, &findings).len();
    assert!(0 < recorded && recorded < all, "{recorded} of {all} passes");
}
