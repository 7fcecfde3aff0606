//! Binds an allocator to every workload of a list that fits it: typed code on one side, erased cells on the other.

use std::alloc::Layout;
use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;

use allocator_api2::alloc::{AllocError, Allocator};

use super::counts::{self, slim::Slim};
use super::findings::Findings;
use super::matrix::{self, Case};
use super::probes::latency::steps::Stepwise;
use super::provenance;
use crate::allocators::contract::{Bulk, Contract, Demand, Subject};
use crate::instruments::checked::Checked;
use crate::instruments::counting::Usable;
use crate::workloads::heap::{Heap, Individually, Refused, Together, take};
use crate::workloads::mode::{Mode, Pattern, Touch, WrongResult};
use crate::workloads::shape::{Drive, ManyThreads, OneThread, Scope, Shape, WallClock};
use crate::workloads::sizes::Sizes;
use crate::workloads::{Suite, Visitor};

/// How a cell went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A content check failed.
    WrongAnswer(String),
    /// Another allocator served the cell than the one it claims.
    WrongAllocator(String),
    /// The allocator refused a request that its contract covers.
    OutOfMemory(String),
    /// The code panicked.
    Crash(String),
}

/// How it is shown which allocator served.
#[derive(Clone, Copy)]
pub enum Proof {
    /// blocks freed through `Global` must come back from this allocator: see [`provenance`].
    Reallocation {
        /// The allocator that is claimed to be the global one.
        claimed: &'static (dyn std::alloc::GlobalAlloc + Sync),
        /// Whether a block is its own, where it can be asked.
        owns: Option<fn(NonNull<u8>) -> bool>,
    },
    /// The blocks lie in memory that the instance owns.
    Ownership,
}

impl Proof {
    /// The proof for a whole process whose global allocator is claimed; nothing to show for a scoped one.
    ///
    /// # Errors
    /// What was seen instead.
    pub fn of_global(self) -> Result<String, String> {
        let Self::Reallocation { claimed, owns } = self else { return Ok(String::new()) };
        let method = provenance::reallocation(claimed)?;
        match owns {
            Some(owns) => provenance::asked(owns).map(|()| format!("{method}; asked, it knows its block")),
            None => Ok(method),
        }
    }
}

/// One allocator bound to every workload of a list.
pub struct Bound {
    /// What can run.
    pub cells: Vec<BoundCell>,
    /// What cannot, and why.
    pub absent: Vec<(Case, String)>,
}

/// Called when a workload has drained while its heap is still there. What it gets takes a few blocks and frees them.
pub type AtRest<'a> = &'a mut dyn FnMut(&mut dyn FnMut());

/// Runs one cell: the seed, who drives the passes, who looks when it is drained; gives back how it was seen who served.
type Measure = Box<dyn Fn(u64, Drive<'_>, AtRest<'_>, Option<Proof>) -> Result<Option<String>, Fault>>;

/// Runs one cell with each step timed: the seed, the mode that times, who drives the passes; gives back as [`Measure`].
type Step = Box<dyn Fn(u64, &mut Stepwise, Drive<'_>, Option<Proof>) -> Result<Option<String>, Fault>>;

/// Runs one cell with every byte checked: the seed, and how to ask for a block's usable size.
type Verify = Box<dyn Fn(u64, Option<Usable>) -> Result<Findings, Fault>>;

/// One cell, ready to run. The allocator's type is inside the closures.
pub struct BoundCell {
    /// Which case.
    pub case: Case,
    /// Threads that work at once in it.
    pub threads: usize,
    measure: Measure,
    step: Step,
    verify: Verify,
}

impl BoundCell {
    /// Prepares the cell and lets `drive` run its passes; then asks for the proof of who served, if one is wanted.
    ///
    /// # Errors
    /// What went wrong, a panic of the workload included.
    pub fn measure(
        &self,
        seed: u64,
        proof: Option<Proof>,
        drive: Drive<'_>,
    ) -> Result<Option<String>, Fault> {
        (self.measure)(seed, drive, &mut |_| (), proof)
    }

    /// As [`measure`](Self::measure); `at_rest` is called between the drained workload and the proof.
    ///
    /// # Errors
    /// What went wrong, a panic of the workload included.
    pub fn measure_and_rest(
        &self,
        seed: u64,
        proof: Option<Proof>,
        drive: Drive<'_>,
        at_rest: AtRest<'_>,
    ) -> Result<Option<String>, Fault> {
        (self.measure)(seed, drive, at_rest, proof)
    }

    /// As [`measure`](Self::measure), with each step timed by `mode`.
    ///
    /// # Errors
    /// What went wrong, a panic of the workload included.
    pub fn step(
        &self,
        seed: u64,
        mode: &mut Stepwise,
        proof: Option<Proof>,
        drive: Drive<'_>,
    ) -> Result<Option<String>, Fault> {
        (self.step)(seed, mode, drive, proof)
    }

    /// Runs the cell twice over with every byte checked, then twice over with every call counted; gives back what the last
    /// pass asked of the allocator: nothing for code that takes no allocator, whose calls cannot be seen from here. `usable`
    /// says how many bytes a live block of the allocator can hold.
    ///
    /// # Errors
    /// The first fault.
    pub fn verify(&self, seed: u64, usable: Option<Usable>) -> Result<Findings, Fault> {
        (self.verify)(seed, usable)
    }
}

/// How an allocator releases: which heap it is measured on, and which one it is verified on.
trait Form: 'static {
    type Subject: Subject;
    type Plain: Heap;
    type Watched: Heap;
    type Counted: Heap;

    fn plain(subject: Self::Subject) -> Self::Plain;
    fn watched(subject: Checked<Self::Subject>) -> Self::Watched;
    fn subject(plain: &Self::Plain) -> &Self::Subject;
    fn counted(subject: Slim<Self::Subject>) -> Self::Counted;
    fn checker(watched: &Self::Watched) -> &Checked<Self::Subject>;
}

struct OneByOne<S>(PhantomData<S>);
struct AllTogether<S>(PhantomData<S>);

impl<S: Subject + 'static> Form for OneByOne<S> {
    type Subject = S;
    type Plain = Individually<S>;
    type Watched = Individually<Checked<S>>;
    type Counted = Individually<Slim<S>>;

    fn plain(subject: S) -> Self::Plain {
        Individually(subject)
    }

    fn watched(subject: Checked<S>) -> Self::Watched {
        Individually(subject)
    }

    fn counted(subject: Slim<S>) -> Self::Counted {
        Individually(subject)
    }

    fn subject(plain: &Self::Plain) -> &S {
        &plain.0
    }

    fn checker(watched: &Self::Watched) -> &Checked<S> {
        &watched.0
    }
}

impl<S: Bulk + 'static> Form for AllTogether<S> {
    type Subject = S;
    type Plain = Together<S>;
    type Watched = Together<Checked<S>>;
    type Counted = Together<Slim<S>>;

    fn plain(subject: S) -> Self::Plain {
        Together(subject)
    }

    fn watched(subject: Checked<S>) -> Self::Watched {
        Together(subject)
    }

    fn counted(subject: Slim<S>) -> Self::Counted {
        Together(subject)
    }

    fn subject(plain: &Self::Plain) -> &S {
        &plain.0
    }

    fn checker(watched: &Self::Watched) -> &Checked<S> {
        &watched.0
    }
}

/// Binds a subject whose blocks are freed one at a time to the workloads of `W`, on one thread.
pub fn one_by_one<S: Subject + 'static, W: Suite>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Serial::<OneByOne<S>>::new(contract, scope);
    W::each(&mut binder);
    binder.bound
}

/// Binds a subject whose blocks are freed one at a time to the workloads of `W`, on any thread.
pub fn one_by_one_shared<S: Subject + Sync + 'static, W: Suite>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Parallel(Serial::<OneByOne<S>>::new(contract, scope));
    W::each(&mut binder);
    binder.0.bound
}

/// Binds a subject that releases everything at once to the workloads of `W`, on one thread.
pub fn all_together<S: Bulk + 'static, W: Suite>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Serial::<AllTogether<S>>::new(contract, scope);
    W::each(&mut binder);
    binder.bound
}

/// Binds a subject that releases everything at once to the workloads of `W`, on any thread.
pub fn all_together_shared<S: Bulk + Sync + 'static, W: Suite>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Parallel(Serial::<AllTogether<S>>::new(contract, scope));
    W::each(&mut binder);
    binder.0.bound
}

struct Serial<F> {
    contract: Contract,
    scope: Scope,
    bound: Bound,
    form: PhantomData<F>,
}

struct Parallel<F>(Serial<F>);

impl<F: Form> Serial<F> {
    fn new(contract: Contract, scope: Scope) -> Self {
        let bound = Bound { cells: Vec::new(), absent: Vec::new() };
        Self { contract, scope, bound, form: PhantomData }
    }

    /// Adds every case of `W`: as a cell that runs it on either heap, or as absent.
    fn add<W: Shape>(
        &mut self,
        measured_on: Open<W, F::Plain, Touch>,
        stepped_on: Open<W, F::Plain, Stepwise>,
        verified_on: Open<W, F::Watched, Pattern>,
        counted_on: Open<W, F::Counted, Touch>,
    ) {
        for shape in W::cases(self.scope) {
            let case = Case::of(&shape);
            if let Err(reason) = matrix::fits(&self.contract, &case) {
                self.bound.absent.push((case, reason));
                continue;
            }
            let (demand, shape) = (shape.demand(), Rc::new(shape));
            let (stepped, verified) = (Rc::clone(&shape), Rc::clone(&shape));
            self.bound.cells.push(BoundCell {
                case,
                threads: demand.threads,
                measure: Box::new(move |seed, drive, at_rest, proof| {
                    measured::<F>(&demand, proof, at_rest, |heap| {
                        measured_on(&shape, heap, &mut Touch, seed, drive)
                    })
                }),
                step: Box::new(move |seed, mode, drive, proof| {
                    measured::<F>(&demand, proof, &mut |_| (), |heap| {
                        stepped_on(&stepped, heap, mode, seed, drive);
                    })
                }),
                verify: Box::new(move |seed, usable| {
                    verified_run::<F>(&demand, |heap, mode, drive| {
                        verified_on(&verified, heap, mode, seed, drive);
                    })?;
                    // What goes past the handle is not counted, and a part would pass for the whole.
                    if verified.needs().global {
                        return Ok(Findings::default());
                    }
                    counted_run::<F>(&demand, usable, |heap, drive| {
                        counted_on(&verified, heap, &mut Touch, seed, drive);
                    })
                }),
            });
        }
    }
}

/// A workload's `open` for one heap and one mode: the shape, the two, the seed, who drives.
type Open<W, H, M> = fn(&W, &mut H, &mut M, u64, Drive<'_>);

impl<F: Form> Visitor for Serial<F> {
    fn one_thread<W: OneThread>(&mut self) {
        self.add::<W>(W::open, W::open, W::open, W::open);
    }

    fn many_threads<W: ManyThreads>(&mut self) {
        self.add::<W>(unfit, unfit, unfit, unfit);
    }
}

/// Stands for `open` where no case fits: the contract of a subject that is bound serially promises nothing to several
/// threads, and `fits` says so.
fn unfit<W, H, M>(_: &W, _: &mut H, _: &mut M, _: u64, _: Drive<'_>) {
    unreachable!("a threaded case does not fit a one-thread contract");
}

impl<F: Form> Visitor for Parallel<F>
where
    F::Plain: Sync,
    F::Watched: Sync,
    F::Counted: Sync,
{
    fn one_thread<W: OneThread>(&mut self) {
        self.0.one_thread::<W>();
    }

    fn many_threads<W: ManyThreads>(&mut self) {
        self.0.add::<W>(W::open, W::open, W::open, W::open);
    }
}

/// Sizes of the blocks of light use: a timer, a log line, a buffer to read into, as a program needs them that waits for
/// work. The buffer is larger than what threads' caches hold (jemalloc's up to 32 KiB): requests that all end there would
/// not reach the part of an allocator that gives memory back.
const LIGHT: [usize; 8] = [16, 24, 32, 64, 128, 256, 1024, 64 << 10];

/// Takes a few blocks and releases them: of the sizes of [`LIGHT`], or of the one layout that the heap is for. On a heap
/// that releases all together that is a reset, as the program's own would be: without it, light use would only ever grow.
fn use_lightly(heap: &mut impl Heap, one: Option<Layout>) {
    let taken = LIGHT.map(|size| {
        let layout = one.unwrap_or(Sizes::layout(size));
        let block = take(heap.handle(), layout);
        // SAFETY: the block has the layout's bytes and is ours.
        unsafe { Touch.fill(block, layout.size()) };
        (block, layout)
    });
    for (block, layout) in taken {
        // SAFETY: allocated just now through a handle of this heap with this layout, and freed once.
        unsafe { heap.handle().deallocate(block, layout) };
    }
    heap.reset();
}

/// Builds the heap, runs `open` on it, lets `at_rest` look, and proves who served.
fn measured<F: Form>(
    demand: &Demand,
    proof: Option<Proof>,
    at_rest: AtRest<'_>,
    open: impl FnOnce(&mut F::Plain),
) -> Result<Option<String>, Fault> {
    guarded(|| {
        let mut heap = F::plain(F::Subject::for_demand(demand).map_err(|error| unbuilt(demand, error))?);
        open(&mut heap);
        heap.reset();
        at_rest(&mut || use_lightly(&mut heap, demand.block));
        let Some(proof) = proof else { return Ok(None) };
        match proof {
            Proof::Reallocation { .. } => proof.of_global(),
            Proof::Ownership => {
                let layout = demand.block.unwrap_or(provenance::LAYOUT);
                let block = heap.handle().allocate(layout).map_err(|_| refused(layout))?.cast::<u8>();
                let owned = F::subject(&heap).owns(block);
                // SAFETY: allocated just now through a handle of this heap with this layout, and freed once.
                unsafe { heap.handle().deallocate(block, layout) };
                provenance::ownership(owned)
            }
        }
        .map(Some)
        .map_err(Fault::WrongAllocator)
    })
}

/// Passes of a verification: the second runs on what the first left behind.
const VERIFIED_PASSES: usize = 2;

/// Builds a watched heap, runs `open` on it with every byte checked, and looks at what was found.
fn verified_run<F: Form>(
    demand: &Demand,
    open: impl FnOnce(&mut F::Watched, &mut Pattern, Drive<'_>),
) -> Result<(), Fault> {
    let subject = guarded(|| F::Subject::for_demand(demand).map_err(|error| unbuilt(demand, error)))?;
    let mut heap = F::watched(Checked::new(subject));
    let mut mode = Pattern::new();
    let outcome = guarded(|| {
        open(&mut heap, &mut mode, &mut |body| {
            for _ in 0..VERIFIED_PASSES {
                body.pass(&WallClock::new());
            }
        });
        Ok(())
    });
    // A fault of the allocator comes first: whatever the workload did afterwards follows from it.
    if let Some(fault) = F::checker(&heap).fault().or_else(|| mode.fault().map(str::to_owned)) {
        return Err(Fault::WrongAnswer(fault));
    }
    outcome?;
    heap.reset();
    match F::checker(&heap).live_blocks() {
        0 => Ok(()),
        left => Err(Fault::WrongAnswer(format!("{left} blocks were never freed"))),
    }
}

/// Builds a counted heap and runs `open` on it.
fn counted_run<F: Form>(
    demand: &Demand,
    usable: Option<Usable>,
    open: impl FnOnce(&mut F::Counted, Drive<'_>),
) -> Result<Findings, Fault> {
    guarded(|| {
        let subject = Slim::for_demand(demand).map_err(|error| unbuilt(demand, error))?;
        let mut heap = F::counted(subject);
        Ok(counts::of_last_pass(usable, |drive| open(&mut heap, drive)))
    })
}

/// Runs `work`; a panic becomes a fault.
fn guarded<R>(work: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Fault::of_panic(payload.as_ref())))
}

fn refused(layout: Layout) -> Fault {
    Fault::OutOfMemory(format!("refused {} bytes aligned to {}", layout.size(), layout.align()))
}

fn unbuilt(demand: &Demand, _error: AllocError) -> Fault {
    Fault::OutOfMemory(format!("the allocator could not be built for {demand:?}"))
}

impl Fault {
    /// What a panic's payload says.
    pub fn of_panic(payload: &(dyn Any + Send)) -> Self {
        if let Some(Refused(layout)) = payload.downcast_ref() {
            return refused(*layout);
        }
        if let Some(WrongResult { found, expected }) = payload.downcast_ref() {
            return Self::WrongAnswer(format!("the result is {found:#x}, it must be {expected:#x}"));
        }
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Crash(text.unwrap_or_else(|| "a panic without a message".to_owned()))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WrongAnswer(detail) => write!(out, "wrong answer: {detail}"),
            Self::WrongAllocator(detail) => write!(out, "wrong allocator: {detail}"),
            Self::OutOfMemory(detail) => write!(out, "out of memory: {detail}"),
            Self::Crash(detail) => write!(out, "crash: {detail}"),
        }
    }
}
