//! Between two readings of the clock nothing happens but the workload: every workload of the list is held to it, and to
//! the calls and steps that it declares.
//!
//! It has a `main` of its own: what is counted is the whole process, and the threads of a test harness would allocate while
//! a clock runs.

use std::alloc::{Layout, System};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::sync::Arc;

use allocator_api2::alloc::{AllocError, Allocator};
use allocmark::allocators::arena::Arena;
use allocmark::allocators::contract::{Bulk, Contract, Demand, Subject};
use allocmark::allocators::global::GlobalSubject;
use allocmark::harness::counts::CountingClock;
use allocmark::harness::matrix::{self, Case};
use allocmark::instruments::counting::{Counting, Counts, Tally};
use allocmark::workloads::heap::{Heap, Individually, Together, take};
use allocmark::workloads::mode::{Mode, Touch};
use allocmark::workloads::shape::{
    Body, Clock, Declared, Drive, ManyThreads, OneThread, Pass, Profile, Scope, Shape, timed,
};
use allocmark::workloads::{self, Visitor, startup};

#[global_allocator]
static GLOBAL: Counting<System> = Counting::new(System);

/// What the arena takes its chunks from.
static CHUNKS: Counting<GlobalSubject> = Counting::new(GlobalSubject);

/// Passes over each case: the first on a fresh heap, the others on what the one before left behind.
const PASSES: usize = 4;

fn main() -> ExitCode {
    if let Some(code) = startup::child() {
        return code;
    }
    let tests: [(&str, fn()); 4] = [
        ("nothing_but_the_workload_allocates_inside_the_clock", || audit(&mut Requests)),
        ("each_pass_has_as_many_steps_as_the_workload_says", || audit(&mut Steps)),
        ("an_arena_asks_for_chunks_alone_and_from_the_fourth_pass_on_for_none", || audit(&mut Chunks)),
        ("a_stray_allocation_inside_the_clock_is_found", a_stray_allocation_inside_the_clock_is_found),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// What is looked at in each case.
trait Audit {
    fn one_thread<W: OneThread>(&mut self, name: &str, shape: &W);

    /// Nothing, where the heap belongs to one thread.
    fn many_threads<W: ManyThreads>(&mut self, _name: &str, _shape: &W) {}
}

/// Audits every case of the profiles up to `standard`, each once.
fn audit(audit: &mut impl Audit) {
    struct Cases<'a, A> {
        audit: &'a mut A,
        done: BTreeSet<String>,
    }
    impl<A: Audit> Cases<'_, A> {
        fn each<W: Shape>(&mut self, look: impl Fn(&mut A, &str, &W)) {
            for profile in [Profile::Smoke, Profile::Quick, Profile::Standard] {
                for shape in W::cases(Scope { profile, cpus: 2 }) {
                    let name = format!("{}/{}", W::FACTS.id, shape.params());
                    if self.done.insert(name.clone()) {
                        look(self.audit, &name, &shape);
                    }
                }
            }
        }
    }
    impl<A: Audit> Visitor for Cases<'_, A> {
        fn one_thread<W: OneThread>(&mut self) {
            self.each(A::one_thread::<W>);
        }

        fn many_threads<W: ManyThreads>(&mut self) {
            self.each(A::many_threads::<W>);
        }
    }
    let mut cases = Cases { audit, done: BTreeSet::new() };
    workloads::each(&mut cases);
    assert!(!cases.done.is_empty());
}

/// The general heap, with every request counted on its way to the global allocator, where it is counted again.
type Requested = Individually<Counting<GlobalSubject, Arc<Tally>>>;

/// Runs the passes of `open` on a general heap; what the global allocator saw of each, and what was asked of the heap.
fn run(open: impl FnOnce(&mut Requested, Drive<'_>)) -> Vec<(Pass, [Counts; 2])> {
    let tally = Arc::new(Tally::new());
    let clock = CountingClock::new([GLOBAL.tally(), &tally]);
    let mut heap = Individually(Counting::with(GlobalSubject, Arc::clone(&tally), None));
    let mut seen = Vec::new();
    open(&mut heap, &mut |body| seen.extend((0..PASSES).map(|_| clock.pass(body))));
    assert_eq!(tally.live_bytes(), 0, "a workload gives back what it takes");
    assert_eq!(seen.len(), PASSES);
    seen
}

/// Whether the global allocator saw what was asked of the heap and nothing else, and that is what was declared.
fn agree(global: Counts, requests: Counts, declared: Option<Declared>) -> Result<(), String> {
    if global != requests {
        return Err(format!("{requests:?} was asked of the heap, the global allocator saw {global:?}"));
    }
    let Counts { allocations, frees, reallocations, .. } = requests;
    match declared {
        Some(declared) if declared != (Declared { allocations, frees, reallocations }) => {
            Err(format!("{requests:?} was asked of the heap, {declared:?} is declared"))
        }
        _ => Ok(()),
    }
}

/// As [`agree`] for code that takes no allocator: what it asks for itself goes past the heap, so a stray request cannot be
/// told from it. What can be said: the global allocator saw all that was asked of the heap, and has everything back.
fn agree_in_part(global: Counts, requests: Counts, declared: Option<Declared>) -> Result<(), String> {
    let Counts { allocations, frees, reallocations, requested_bytes, .. } = requests;
    if global.allocations < allocations
        || global.frees < frees
        || global.reallocations < reallocations
        || global.requested_bytes < requested_bytes
    {
        return Err(format!("{requests:?} was asked of the heap, the global allocator saw {global:?}"));
    }
    if global.allocations != global.frees {
        return Err(format!("a pass leaves something behind: {global:?}"));
    }
    match declared {
        Some(declared) => Err(format!("{declared:?} is declared, and cannot be counted")),
        None => Ok(()),
    }
}

/// Everything that happens inside the clock went through the workload's handle, and is what the workload declares.
struct Requests;

impl Requests {
    fn judge<W: Shape>(name: &str, shape: &W, first: usize, open: impl FnOnce(&mut Requested, Drive<'_>)) {
        let allocates = shape.declared() != Some(Declared::pairs(0));
        // What allocates nothing asks for nothing past the heap either.
        let judge = if shape.needs().global && allocates { agree_in_part } else { agree };
        let seen = run(open);
        for &(_, [global, requests]) in seen.iter().skip(first) {
            judge(global, requests, shape.declared()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            assert_eq!(
                global.allocations > 0,
                allocates,
                "{name}: a pass allocates if it does not say otherwise"
            );
        }
        if shape.needs().global {
            let of_global = |index: usize| seen[index].1[0];
            assert_eq!(of_global(PASSES - 2), of_global(PASSES - 1), "{name}: the last two passes");
        }
    }
}

impl Audit for Requests {
    fn one_thread<W: OneThread>(&mut self, name: &str, shape: &W) {
        Self::judge(name, shape, 0, |heap, drive| shape.open(heap, &mut Touch, 1, drive));
    }

    fn many_threads<W: ManyThreads>(&mut self, name: &str, shape: &W) {
        // While the first pass begins, the threads are still being made and fill their slots.
        Self::judge(name, shape, 1, |heap, drive| shape.open(heap, &mut Touch, 1, drive));
    }
}

/// The steps of a pass are the ones that the workload's facts speak of.
struct Steps;

/// Counts steps, and touches as a measured run does.
#[derive(Default)]
struct Stepping {
    begun: bool,
    steps: u64,
}

impl Mode for Stepping {
    unsafe fn fill(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise, passed on.
        unsafe { Touch.fill(block, size) };
    }

    unsafe fn inspect(&mut self, _block: NonNull<u8>, _size: usize) {}

    fn begin(&mut self) {
        self.begun = true;
    }

    fn step(&mut self) {
        assert!(self.begun, "a step ends that never began");
        self.steps += 1;
    }

    fn result(&mut self, found: u64, expected: u64) {
        assert_eq!(found, expected);
    }

    fn fork(&self) -> Self {
        Self::default()
    }

    fn join(&mut self, other: Self) {
        self.steps += other.steps;
    }
}

impl Steps {
    fn judge<W: Shape>(name: &str, open: impl FnOnce(&mut Requested, &mut Stepping, Drive<'_>)) {
        let mut mode = Stepping::default();
        let passes = run(|heap, drive| open(heap, &mut mode, drive));
        let (pass, [_, requests]) = passes.last().expect("there are passes");
        let expected = match W::FACTS.step {
            "" => 0,
            "alloc or free" => requests.allocations + requests.frees,
            _ => pass.operations,
        };
        assert_eq!(mode.steps, expected * PASSES as u64, "{name}: steps of {PASSES} passes");
    }
}

impl Audit for Steps {
    fn one_thread<W: OneThread>(&mut self, name: &str, shape: &W) {
        Self::judge::<W>(name, |heap, mode, drive| shape.open(heap, mode, 1, drive));
    }

    fn many_threads<W: ManyThreads>(&mut self, name: &str, shape: &W) {
        Self::judge::<W>(name, |heap, mode, drive| shape.open(heap, mode, 1, drive));
    }
}

/// On an arena the global allocator sees the arena's chunks, none of which is freed or resized. The second pass may still
/// take one: it begins in the largest of the first's chunks, so other blocks fall on the ends of chunks. And where a block
/// is larger than the chunks are by themselves, as the last table of a large map, small blocks may then have taken the one
/// chunk that was made for it, and the third pass the one of the second.
struct Chunks;

/// An arena whose chunks are counted.
/// Where the arena's chunks come from.
type ChunkSource = <Counting<GlobalSubject> as Subject>::Handle<'static>;

struct CountedArena(Arena<ChunkSource>);

impl Subject for CountedArena {
    type Handle<'a> = &'a Arena<ChunkSource>;

    fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self(Arena::new_in(CHUNKS.handle())))
    }

    fn handle(&self) -> Self::Handle<'_> {
        &self.0
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        self.0.owns(block)
    }
}

impl Bulk for CountedArena {
    fn reset(&mut self) {
        self.0.reset();
    }
}

impl Audit for Chunks {
    fn one_thread<W: OneThread>(&mut self, name: &str, shape: &W) {
        if matrix::fits(&Contract::BULK, &Case::of(shape)).is_err() {
            return;
        }
        let arena = CountedArena::for_demand(&shape.demand()).expect("an empty arena");
        let tally = Arc::new(Tally::new());
        let clock = CountingClock::new([GLOBAL.tally(), CHUNKS.tally(), &tally]);
        let mut heap = Together(Counting::with(arena, Arc::clone(&tally), None));
        let mut seen = Vec::new();
        shape.open(&mut heap, &mut Touch, 1, &mut |body| {
            seen.extend((0..PASSES).map(|_| clock.pass(body).1));
        });
        for (pass, [global, chunks, requests]) in seen.into_iter().enumerate() {
            assert_eq!(global, chunks, "{name}, pass {pass}: the global allocator sees chunks alone");
            assert_eq!((chunks.frees, chunks.reallocations), (0, 0), "{name}, pass {pass}: {chunks:?}");
            match pass {
                0 if requests.allocations > 0 => {
                    assert!(chunks.allocations > 0, "{name}: an empty arena takes a chunk");
                }
                0..=2 => {}
                _ => assert_eq!(chunks.allocations, 0, "{name}, pass {pass}: there is room for it"),
            }
            if let Some(declared) = shape.declared() {
                let asked = (requests.allocations, requests.reallocations);
                assert_eq!(asked, (declared.allocations, declared.reallocations), "{name}, pass {pass}");
            }
        }
    }
}

/// A workload that allocates behind the back of its heap.
struct Stray<'h> {
    heap: &'h Requested,
    inside: bool,
}

impl Body for Stray<'_> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let stray = || drop(black_box(Box::new(1_u64)));
        stray();
        timed(clock, 1, || {
            let layout = Layout::new::<[u64; 8]>();
            let block = black_box(take(self.heap.handle(), layout));
            // SAFETY: taken from this handle just now with this layout, freed once.
            unsafe { self.heap.handle().deallocate(block, layout) };
            if self.inside {
                stray();
            }
        })
    }
}

fn a_stray_allocation_inside_the_clock_is_found() {
    let seen = |inside| run(|heap, drive| drive(&mut Stray { heap, inside }));
    for (_, [global, requests]) in seen(false) {
        assert_eq!(agree(global, requests, Some(Declared::pairs(1))), Ok(()));
        assert!(agree(global, requests, Some(Declared::pairs(2))).unwrap_err().contains("is declared"));
    }
    for (_, [global, requests]) in seen(true) {
        let stray = Counts { allocations: 1, frees: 1, requested_bytes: 8, ..Counts::default() };
        assert_eq!(global - requests, stray);
        let fault = agree(global, requests, Some(Declared::pairs(1))).unwrap_err();
        assert!(fault.contains("the global allocator saw"), "{fault}");
    }
}
