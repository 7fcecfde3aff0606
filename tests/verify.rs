//! Verification finds an allocator that is broken, and passes one that is not.

#![cfg(feature = "harness")]

use std::alloc::{Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use allocmark::allocators::contract::{Contract, Demand, Subject};
use allocmark::allocators::global::GlobalSubject;
use allocmark::harness::binding::{self, Fault};
use allocmark::harness::findings::Findings;
use allocmark::harness::metric::Metric;
use allocmark::workloads::Catalogue;
use allocmark::workloads::shape::{Family, Profile, Scope};

/// What a broken allocator does wrong.
trait Defect: 'static {
    /// The block that is handed out in place of `block`.
    fn hand_out(
        last: &Cell<Option<(NonNull<u8>, Layout)>>,
        block: NonNull<u8>,
        layout: Layout,
    ) -> NonNull<u8>;
}

/// The system's allocator with a defect. It frees nothing: a block that was handed out wrongly must not come back to
/// the system.
struct Broken<D> {
    last: Cell<Option<(NonNull<u8>, Layout)>>,
    defect: std::marker::PhantomData<D>,
}

impl<D: Defect> Subject for Broken<D> {
    type Handle<'a> = &'a Self;

    fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self { last: Cell::new(None), defect: std::marker::PhantomData })
    }

    fn handle(&self) -> &Self {
        self
    }

    fn owns(&self, _block: NonNull<u8>) -> bool {
        true
    }
}

// SAFETY: it is not an allocator, which is what the tests are about. Every block has at least the asked-for bytes of the
// system's memory behind it and is never freed, so that the harness touches valid memory until it finds the defect.
unsafe impl<D: Defect> Allocator for &Broken<D> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let roomy =
            Layout::from_size_align(layout.size() + 64, 64.max(layout.align())).map_err(|_| AllocError)?;
        let block = System.allocate(roomy)?.cast::<u8>();
        let given = D::hand_out(&self.last, block, layout);
        self.last.set(Some((given, layout)));
        Ok(NonNull::slice_from_raw_parts(given, layout.size()))
    }

    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}
}

/// Hands out its last block again if it is large enough.
struct Overlap;

impl Defect for Overlap {
    fn hand_out(
        last: &Cell<Option<(NonNull<u8>, Layout)>>,
        block: NonNull<u8>,
        layout: Layout,
    ) -> NonNull<u8> {
        match last.get() {
            Some((before, old)) if old.size() >= layout.size() => before,
            _ => block,
        }
    }
}

/// Hands out addresses one byte off.
struct Misalign;

impl Defect for Misalign {
    fn hand_out(_: &Cell<Option<(NonNull<u8>, Layout)>>, block: NonNull<u8>, _: Layout) -> NonNull<u8> {
        // SAFETY: the block has 64 bytes more than were asked for.
        unsafe { block.add(1) }
    }
}

/// Writes its bookkeeping into the last byte of the block before.
struct Scribble;

impl Defect for Scribble {
    fn hand_out(last: &Cell<Option<(NonNull<u8>, Layout)>>, block: NonNull<u8>, _: Layout) -> NonNull<u8> {
        if let Some((before, old)) = last.get().filter(|(_, old)| old.size() > 0) {
            // SAFETY: the block before has `old.size()` bytes and is never given back to the system.
            unsafe { before.add(old.size() - 1).write(0xEE) };
        }
        block
    }
}

/// Does nothing wrong.
struct Sound;

impl Defect for Sound {
    fn hand_out(_: &Cell<Option<(NonNull<u8>, Layout)>>, block: NonNull<u8>, _: Layout) -> NonNull<u8> {
        block
    }
}

/// What verification finds in each case of `workload`: the first fault, or the counts.
fn faults<D: Defect>(workload: &str) -> Vec<Result<Findings, Fault>> {
    let contract = Contract { threads: false, ..Contract::GENERAL };
    let bound =
        binding::one_by_one::<Broken<D>, Catalogue>(contract, Scope { profile: Profile::Smoke, cpus: 2 });
    let cells: Vec<_> = bound.cells.iter().filter(|cell| cell.case.workload.id == workload).collect();
    assert!(!cells.is_empty(), "{workload} has cells");
    cells.iter().map(|cell| cell.verify(1, None)).collect()
}

fn assert_found<D: Defect>(workload: &str, words: &str) {
    for fault in faults::<D>(workload) {
        match fault {
            Err(Fault::WrongAnswer(detail)) => assert!(detail.contains(words), "{workload}: {detail}"),
            other => panic!("{workload}: {other:?} instead of {words:?}"),
        }
    }
}

#[test]
fn an_allocator_that_hands_out_a_live_block_is_caught() {
    for workload in ["batch", "churn", "zeroed", "aligned", "bulk", "fixed-size", "strings", "tree"] {
        assert_found::<Overlap>(workload, "overlaps");
    }
}

#[test]
fn an_allocator_that_misaligns_is_caught() {
    for workload in ["pair", "batch", "churn", "grow", "zeroed", "aligned", "bulk", "fixed-size", "tree"] {
        assert_found::<Misalign>(workload, "misaligned");
    }
}

#[test]
fn an_allocator_that_writes_into_live_blocks_is_caught() {
    for workload in ["batch", "churn", "zeroed", "aligned", "bulk", "fixed-size"] {
        assert_found::<Scribble>(workload, "lost its content");
    }
}

#[test]
fn an_allocator_that_hands_one_block_to_two_threads_is_caught() {
    /// Hands out every block twice.
    struct Twice(std::sync::Mutex<Option<(usize, Layout)>>);
    impl Subject for Twice {
        type Handle<'a> = &'a Self;

        fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
            Ok(Self(std::sync::Mutex::new(None)))
        }

        fn handle(&self) -> &Self {
            self
        }

        fn owns(&self, _block: NonNull<u8>) -> bool {
            true
        }
    }
    // SAFETY: as for `Broken`.
    unsafe impl Allocator for &Twice {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            let mut last = self.0.lock().unwrap();
            if let Some((address, old)) = last.take()
                && old == layout
            {
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
                return Ok(NonNull::slice_from_raw_parts(block, layout.size()));
            }
            let block = System.allocate(layout)?;
            *last = Some((block.cast::<u8>().as_ptr().expose_provenance(), layout));
            Ok(block)
        }

        unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}
    }
    let bound = binding::one_by_one_shared::<Twice, Catalogue>(
        Contract::GENERAL,
        Scope { profile: Profile::Smoke, cpus: 2 },
    );
    for cell in
        bound.cells.iter().filter(|cell| ["local", "larson", "handoff"].contains(&cell.case.workload.id))
    {
        match cell.verify(1, None) {
            Err(Fault::WrongAnswer(detail)) => assert!(detail.contains("overlaps"), "{detail}"),
            other => panic!("{}: {other:?}", cell.case.workload.id),
        }
    }
}

#[test]
fn a_sound_allocator_passes() {
    for workload in [
        "pair",
        "batch",
        "churn",
        "grow",
        "zeroed",
        "aligned",
        "bulk",
        "fixed-size",
        "strings",
        "maps",
        "tree",
        "order-book",
    ] {
        assert!(faults::<Sound>(workload).iter().all(Result::is_ok), "{workload}");
    }
}

#[test]
fn threads_that_hand_blocks_on_find_nothing_wrong_with_a_sound_allocator() {
    let scope = Scope { profile: Profile::Standard, cpus: 2 };
    let bound = binding::one_by_one_shared::<GlobalSubject, Catalogue>(Contract::GENERAL, scope);
    // Where blocks change hands. One thread has nobody to be at odds with, and many take minutes unoptimised.
    let threaded = |cell: &&binding::BoundCell| {
        let workload = cell.case.workload;
        workload.family == Family::Threads && workload.id != "local" && [2, 3, 10].contains(&cell.threads)
    };
    let cells: Vec<_> = bound.cells.iter().filter(threaded).collect();
    assert!(!cells.is_empty());
    for cell in cells {
        if let Err(fault) = cell.verify(1, None) {
            panic!("{} {}: {fault}", cell.case.workload.id, cell.case.params);
        }
    }
}

#[test]
fn a_verified_cell_tells_what_it_asks_of_the_allocator() {
    let scope = Scope { profile: Profile::Smoke, cpus: 2 };
    let bound = binding::one_by_one_shared::<GlobalSubject, Catalogue>(Contract::GENERAL, scope);
    let found = |workload: &str, params: &str| {
        let named = |cell: &&binding::BoundCell| {
            cell.case.workload.id == workload && cell.case.params.to_string() == params
        };
        let cell = bound.cells.iter().find(named).expect("the smoke profile has the case");
        // As of an allocator that rounds everything up to 1 MiB.
        cell.verify(1, Some(|_| 1 << 20)).expect("the system's allocator is sound").metrics
    };

    let pair = found("pair", "size=64");
    let of = |metric| pair[&metric];
    assert_eq!((of(Metric::Allocations), of(Metric::Frees), of(Metric::Reallocations)), (1.0, 1.0, 0.0));
    assert_eq!((of(Metric::AllocatedBytes), of(Metric::PeakLive)), (64.0, 64.0));
    assert_eq!(of(Metric::UsableRatio), (1 << 20) as f64 / 64.0);

    // The live set is in the peak: a block is freed before the next one is taken.
    let churn = found("churn", "live=10000,size=64,heap=clean");
    assert_eq!((churn[&Metric::Allocations], churn[&Metric::PeakLive]), (1.0, 640_000.0));

    // Twelve doublings from 16 bytes to 64 KiB: a twelfth of an allocation and of all bytes for each.
    let grow = found("grow", "steps=geometric");
    assert_eq!((grow[&Metric::Reallocations], grow[&Metric::Allocations]), (1.0, 1.0 / 12.0));
    assert_eq!((grow[&Metric::AllocatedBytes], grow[&Metric::PeakLive]), (65_536.0 / 12.0, 65_536.0));

    let handoff = found("handoff", "threads=2");
    assert_eq!((handoff[&Metric::Allocations], handoff[&Metric::Frees]), (1.0, 1.0));
}

#[test]
fn what_takes_no_allocator_is_verified_and_not_counted() {
    let scope = Scope { profile: Profile::Standard, cpus: 2 };
    let bound = binding::one_by_one_shared::<GlobalSubject, Catalogue>(Contract::GENERAL, scope);
    // But for the one that starts its executable anew: this one would run its tests again, and refuses.
    let global = |cell: &&binding::BoundCell| cell.case.needs.global && cell.case.workload.id != "startup";
    let mut global = bound.cells.iter().filter(global).peekable();
    assert!(global.peek().is_some(), "some case needs to be the global allocator");
    for cell in global {
        let found = cell.verify(1, None).expect("the system's allocator is sound");
        assert_eq!(found.metrics, Default::default(), "{}", cell.case.workload.id);
    }
}
