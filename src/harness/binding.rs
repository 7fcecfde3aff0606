//! Binds an allocator to every workload that fits it: typed code on one side, erased cells on the other.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use allocator_api2::alloc::{AllocError, Allocator};

use super::counts::{self, CountingClock};
use super::findings::Findings;
use super::matrix::{self, Case};
use super::provenance;
use crate::allocators::contract::{Bulk, Contract, Demand, Subject};
use crate::instruments::checked::Checked;
use crate::instruments::counting::{Counting, Tally, Usable};
use crate::workloads::heap::{Heap, Individually, Refused, Together};
use crate::workloads::mode::{Pattern, Touch, WrongResult};
use crate::workloads::shape::{Drive, ManyThreads, OneThread, Scope, Shape};
use crate::workloads::{self, Visitor};

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

/// One allocator bound to every workload.
pub struct Bound {
    /// What can run.
    pub cells: Vec<BoundCell>,
    /// What cannot, and why.
    pub absent: Vec<(Case, String)>,
}

/// Runs one cell: the seed, who drives the passes; gives back how it was seen who served.
type Measure = Box<dyn Fn(u64, Drive<'_>, Option<Proof>) -> Result<Option<String>, Fault>>;

/// Runs one cell with every byte checked: the seed, and how to ask for a block's usable size.
type Verify = Box<dyn Fn(u64, Option<Usable>) -> Result<Findings, Fault>>;

/// One cell, ready to run. The allocator's type is inside the closures.
pub struct BoundCell {
    /// Which case.
    pub case: Case,
    measure: Measure,
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
        (self.measure)(seed, drive, proof)
    }

    /// Runs the cell twice over with every byte checked; gives back what the second pass asked of the allocator. `usable`
    /// says how many bytes a live block of the allocator can hold.
    ///
    /// The handle is a reference here, whatever the allocator's own is. Where blocks hold handles (`tree`, the list of lines
    /// of `strings`) the bytes are those of a scoped allocator: 40 a node, where a global one is asked for 24.
    ///
    /// # Errors
    /// The first fault.
    pub fn verify(&self, seed: u64, usable: Option<Usable>) -> Result<Findings, Fault> {
        (self.verify)(seed, usable)
    }
}

/// What a cell is verified on. The tally is read while the workload has the rest.
type Watched<S> = Checked<Counting<S, Arc<Tally>>>;

/// How an allocator releases: which heap it is measured on, and which one it is verified on.
trait Form: 'static {
    type Subject: Subject;
    type Plain: Heap;
    type Watched: Heap;

    fn plain(subject: Self::Subject) -> Self::Plain;
    fn watched(subject: Watched<Self::Subject>) -> Self::Watched;
    fn subject(plain: &Self::Plain) -> &Self::Subject;
    fn checker(watched: &Self::Watched) -> &Watched<Self::Subject>;
}

struct OneByOne<S>(PhantomData<S>);
struct AllTogether<S>(PhantomData<S>);

impl<S: Subject + 'static> Form for OneByOne<S> {
    type Subject = S;
    type Plain = Individually<S>;
    type Watched = Individually<Watched<S>>;

    fn plain(subject: S) -> Self::Plain {
        Individually(subject)
    }

    fn watched(subject: Watched<S>) -> Self::Watched {
        Individually(subject)
    }

    fn subject(plain: &Self::Plain) -> &S {
        &plain.0
    }

    fn checker(watched: &Self::Watched) -> &Watched<S> {
        &watched.0
    }
}

impl<S: Bulk + 'static> Form for AllTogether<S> {
    type Subject = S;
    type Plain = Together<S>;
    type Watched = Together<Watched<S>>;

    fn plain(subject: S) -> Self::Plain {
        Together(subject)
    }

    fn watched(subject: Watched<S>) -> Self::Watched {
        Together(subject)
    }

    fn subject(plain: &Self::Plain) -> &S {
        &plain.0
    }

    fn checker(watched: &Self::Watched) -> &Watched<S> {
        &watched.0
    }
}

/// Binds a subject whose blocks are freed one at a time, on one thread.
pub fn one_by_one<S: Subject + 'static>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Serial::<OneByOne<S>>::new(contract, scope);
    workloads::each(&mut binder);
    binder.bound
}

/// Binds a subject whose blocks are freed one at a time, on any thread.
pub fn one_by_one_shared<S: Subject + Sync + 'static>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Parallel(Serial::<OneByOne<S>>::new(contract, scope));
    workloads::each(&mut binder);
    binder.0.bound
}

/// Binds a subject that releases everything at once, on one thread.
pub fn all_together<S: Bulk + 'static>(contract: Contract, scope: Scope) -> Bound {
    let mut binder = Serial::<AllTogether<S>>::new(contract, scope);
    workloads::each(&mut binder);
    binder.bound
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
        verified_on: Open<W, F::Watched, Pattern>,
    ) {
        for shape in W::cases(self.scope) {
            let case = Case::of(&shape);
            if let Err(reason) = matrix::fits(&self.contract, &case) {
                self.bound.absent.push((case, reason));
                continue;
            }
            let (demand, shape) = (shape.demand(), Rc::new(shape));
            let verified = Rc::clone(&shape);
            self.bound.cells.push(BoundCell {
                case,
                measure: Box::new(move |seed, drive, proof| {
                    measured::<F>(&demand, proof, |heap| measured_on(&shape, heap, &mut Touch, seed, drive))
                }),
                verify: Box::new(move |seed, usable| {
                    verified_run::<F>(&demand, usable, |heap, mode, drive| {
                        verified_on(&verified, heap, mode, seed, drive);
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
        self.add::<W>(W::open, W::open);
    }

    fn many_threads<W: ManyThreads>(&mut self) {
        self.add::<W>(unfit, unfit);
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
{
    fn one_thread<W: OneThread>(&mut self) {
        self.0.one_thread::<W>();
    }

    fn many_threads<W: ManyThreads>(&mut self) {
        self.0.add::<W>(W::open, W::open);
    }
}

/// Builds the heap, runs `open` on it, and proves who served.
fn measured<F: Form>(
    demand: &Demand,
    proof: Option<Proof>,
    open: impl FnOnce(&mut F::Plain),
) -> Result<Option<String>, Fault> {
    guarded(|| {
        let mut heap = F::plain(F::Subject::for_demand(demand).map_err(|error| unbuilt(demand, error))?);
        open(&mut heap);
        heap.reset();
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

/// Builds a watched heap, runs `open` on it with every byte checked and every call counted, and looks at what was found.
fn verified_run<F: Form>(
    demand: &Demand,
    usable: Option<Usable>,
    open: impl FnOnce(&mut F::Watched, &mut Pattern, Drive<'_>),
) -> Result<Findings, Fault> {
    let subject = guarded(|| F::Subject::for_demand(demand).map_err(|error| unbuilt(demand, error)))?;
    let tally = Arc::new(Tally::new());
    let mut heap = F::watched(Checked::new(Counting::with(subject, Arc::clone(&tally), usable)));
    let mut mode = Pattern::new();
    let outcome = guarded(|| {
        let clock = CountingClock::new([&tally]);
        let mut found = Findings::default();
        open(&mut heap, &mut mode, &mut |body| {
            for _ in 0..VERIFIED_PASSES {
                let (pass, [counts]) = clock.pass(body);
                found = counts::findings(pass, counts, tally.peak_live_bytes());
            }
        });
        Ok(found)
    });
    // A fault of the allocator comes first: whatever the workload did afterwards follows from it.
    if let Some(fault) = F::checker(&heap).fault().or_else(|| mode.fault().map(str::to_owned)) {
        return Err(Fault::WrongAnswer(fault));
    }
    let found = outcome?;
    heap.reset();
    match F::checker(&heap).live_blocks() {
        0 => Ok(found),
        left => Err(Fault::WrongAnswer(format!("{left} blocks were never freed"))),
    }
}

/// Runs `work`; a panic becomes a fault.
fn guarded<R>(work: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Fault::of_panic(payload.as_ref())))
}

fn refused(layout: std::alloc::Layout) -> Fault {
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
