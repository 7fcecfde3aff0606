//! Records what a workload asks of its heap, as a trace.
//!
//! Any workload for one thread can be recorded: it runs on a heap of the system's whose every call is written down. What
//! it takes while it prepares is not, only what it does inside its passes, and the frees of blocks from there whenever they
//! come.

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::ptr::NonNull;
use std::rc::Rc;

use allocator_api2::alloc::{AllocError, Allocator, System};

use super::operation::{Align, Call, Counts, Operation};
use super::writer::{WriteError, Writer};
use crate::allocators::contract::Demand;
use crate::stats::random::seed_from;
use crate::workloads::heap::Heap;
use crate::workloads::mode::Touch;
use crate::workloads::shape::{Facts, ManyThreads, OneThread, Profile, Scope, Shape, WallClock};
use crate::workloads::{self, Visitor};

/// What to record.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A workload's id.
    pub workload: String,
    /// The case as its parameters print; the first one of the workload if there is none.
    pub case: Option<String>,
    /// Passes, each with tables of its own.
    pub passes: u64,
    /// From which the seeds of the passes are made.
    pub seed: u64,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No such workload for one thread: `allocmark list` shows them all.
    #[error("there is no workload {0} for one thread")]
    Workload(String),
    /// No such case.
    #[error("{workload} has no case {case}; it has {known}")]
    Case {
        /// The workload.
        workload: String,
        /// What was asked for.
        case: String,
        /// What there is.
        known: String,
    },
    /// The trace could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Runs the workload and writes its trace.
///
/// # Errors
/// If there is no such case, or what the output says.
pub fn record<W: Write + 'static>(wanted: &Wanted, output: W) -> Result<(W, Counts), RecordError> {
    struct Search<'w, W: Write> {
        wanted: &'w Wanted,
        output: Option<W>,
        found: Option<Result<(W, Counts), RecordError>>,
    }
    impl<W: Write + 'static> Visitor for Search<'_, W> {
        fn one_thread<S: OneThread>(&mut self) {
            let Facts { id, .. } = S::FACTS;
            if id == self.wanted.workload {
                self.found = self.output.take().map(|output| record_one::<S, W>(self.wanted, output));
            }
        }

        fn many_threads<S: ManyThreads>(&mut self) {}
    }
    let mut search = Search { wanted, output: Some(output), found: None };
    workloads::each(&mut search);
    search.found.unwrap_or_else(|| Err(RecordError::Workload(wanted.workload.clone())))
}

fn record_one<S: OneThread, W: Write + 'static>(
    wanted: &Wanted,
    output: W,
) -> Result<(W, Counts), RecordError> {
    // The number of CPUs is nothing to a workload of one thread.
    let cases = S::cases(Scope { profile: Profile::Full, cpus: 1 });
    let names: Vec<String> = cases.iter().map(|case| Shape::params(case).to_string()).collect();
    let name = wanted.case.clone().or_else(|| names.first().cloned()).unwrap_or_default();
    let Some(case) = names.iter().position(|known| *known == name).map(|index| &cases[index]) else {
        let (workload, known) = (wanted.workload.clone(), names.join(" "));
        return Err(RecordError::Case { workload, case: name, known });
    };
    let Wanted { workload, passes, seed, .. } = wanted;
    let title = format!("{workload}/{name}: {passes} passes, seed {seed}");
    let mut heap = Recorder(Rc::new(RefCell::new(Script::new(Writer::new(output, &title)?))));
    for pass in 0..*passes {
        let script = Rc::clone(&heap.0);
        case.open(&mut heap, &mut Touch, seed_from(&[*seed, pass]), &mut |body| {
            script.borrow_mut().inside = true;
            body.pass(&WallClock::new());
            script.borrow_mut().inside = false;
        });
    }
    let script = Rc::into_inner(heap.0).expect("a workload keeps no heap").into_inner();
    match script.failed {
        Some(error) => Err(error.into()),
        None => Ok(script.writer.finish()?),
    }
}

/// The system's heap, with a script of all calls. Another one of its kind writes the same script.
struct Recorder<W: Write>(Rc<RefCell<Script<W>>>);

impl<W: Write + 'static> Heap for Recorder<W> {
    type Handle<'a> = &'a Self;

    const FREES: bool = true;

    fn handle(&self) -> &Self {
        self
    }

    fn reset(&mut self) {}

    fn sibling(&self, _demand: &Demand) -> Self {
        Self(Rc::clone(&self.0))
    }
}

/// The rows until now, and which slots the blocks have.
struct Script<W: Write> {
    writer: Writer<W>,
    /// Inside a pass: blocks that are taken are recorded.
    inside: bool,
    /// Slots of the recorded live blocks, by address.
    slots: HashMap<usize, u32>,
    /// Slots whose blocks have gone; the last one is used next, as free lists do: so numbers stay small.
    vacant: Vec<u32>,
    /// Slots that were ever used.
    known: u32,
    failed: Option<WriteError>,
}

impl<W: Write> Script<W> {
    fn new(writer: Writer<W>) -> Self {
        let (slots, vacant) = (HashMap::new(), Vec::new());
        Self { writer, inside: false, slots, vacant, known: 0, failed: None }
    }

    fn push(&mut self, slot: u32, call: Call) {
        if self.failed.is_none() {
            self.failed = self.writer.push(Operation { thread: 0, slot, call }).err();
        }
    }

    fn taken(&mut self, block: NonNull<u8>, layout: Layout, zeroed: bool) {
        if !self.inside || layout.size() == 0 {
            return;
        }
        let slot = self.vacant.pop().unwrap_or(self.known);
        self.known = self.known.max(slot + 1);
        self.slots.insert(block.addr().get(), slot);
        let size = layout.size() as u64;
        let align = Align::of(layout.align() as u64).expect("workloads align to less than a GiB");
        self.push(slot, if zeroed { Call::AllocZeroed { size, align } } else { Call::Alloc { size, align } });
    }

    fn freed(&mut self, block: NonNull<u8>) {
        if let Some(slot) = self.slots.remove(&block.addr().get()) {
            self.vacant.push(slot);
            self.push(slot, Call::Free);
        }
    }

    /// Zeros that a block grows by are not recorded: few ask for them, and no table has a call for it.
    fn resized(&mut self, old: (NonNull<u8>, Layout), new: (NonNull<u8>, Layout)) {
        let slot = self.slots.get(&old.0.addr().get()).copied();
        match slot {
            // What a table resizes is a block, before and after, and keeps its alignment.
            Some(slot) if new.1.size() > 0 && old.1.align() == new.1.align() => {
                self.slots.remove(&old.0.addr().get());
                self.slots.insert(new.0.addr().get(), slot);
                self.push(slot, Call::Realloc { size: new.1.size() as u64 });
            }
            Some(_) => {
                self.freed(old.0);
                self.taken(new.0, new.1, false);
            }
            None if old.1.size() == 0 => self.taken(new.0, new.1, false),
            // From before the pass.
            None => {}
        }
    }
}

// SAFETY: every call is the system's allocator's, arguments and answer unchanged; taking it down neither touches the block
// nor unwinds for what a caller does.
unsafe impl<W: Write> Allocator for &Recorder<W> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = System.allocate(layout)?;
        self.0.borrow_mut().taken(block.cast(), layout, false);
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = System.allocate_zeroed(layout)?;
        self.0.borrow_mut().taken(block.cast(), layout, true);
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.0.borrow_mut().freed(block);
        // SAFETY: a live block of the system's with this layout (the caller's promise).
        unsafe { System.deallocate(block, layout) };
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: a live block of the system's with the old layout, and the new one is no smaller (the caller's promises).
        let grown = unsafe { System.grow(block, old, new) }?;
        self.0.borrow_mut().resized((block, old), (grown.cast(), new));
        Ok(grown)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as for `grow`.
        let grown = unsafe { System.grow_zeroed(block, old, new) }?;
        self.0.borrow_mut().resized((block, old), (grown.cast(), new));
        Ok(grown)
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: a live block of the system's with the old layout, and the new one is no larger (the caller's promises).
        let shrunk = unsafe { System.shrink(block, old, new) }?;
        self.0.borrow_mut().resized((block, old), (shrunk.cast(), new));
        Ok(shrunk)
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::*;
    use crate::instruments::counting::Counting;

    fn wanted(workload: &str, case: Option<&str>) -> Wanted {
        Wanted { workload: workload.to_owned(), case: case.map(str::to_owned), passes: 2, seed: 1 }
    }

    fn recorded(workload: &str, case: Option<&str>) -> (String, Vec<Operation>) {
        let (file, counts) = record(&wanted(workload, case), Vec::new()).unwrap();
        let mut reader = Reader::new(file.as_slice()).unwrap();
        let rows: Vec<Operation> = reader.by_ref().collect::<Result<_, _>>().unwrap();
        assert_eq!((reader.counts(), rows.len() as u64), (counts, counts.operations));
        (reader.title().to_owned(), rows)
    }

    #[test]
    fn what_is_recorded_is_what_a_counting_heap_counts() {
        use crate::workloads::heap::Individually;
        use crate::workloads::strings::Strings;

        let counting = Counting::new(crate::allocators::global::GlobalSubject);
        let mut heap = Individually(counting);
        let cases = Strings::cases(Scope { profile: Profile::Full, cpus: 1 });
        for pass in 0..2 {
            cases[0].open(&mut heap, &mut Touch, seed_from(&[1, pass]), &mut |body| {
                body.pass(&WallClock::new());
            });
        }
        let counts = heap.0.tally().snapshot();
        let (title, rows) = recorded("strings", None);
        assert_eq!(title, "strings/capacity=grown: 2 passes, seed 1");
        let count = |call: fn(&Call) -> bool| rows.iter().filter(|row| call(&row.call)).count() as u64;
        assert_eq!(count(|call| matches!(call, Call::Alloc { .. })), counts.allocations);
        assert_eq!(count(|call| matches!(call, Call::Realloc { .. })), counts.reallocations);
        assert_eq!(count(|call| matches!(call, Call::Free)), counts.frees);
    }

    #[test]
    fn blocks_from_before_a_pass_are_left_out_and_those_that_outlive_it_are_freed() {
        // A live set is filled in the first pass and drained after the last.
        let (_, rows) = recorded("churn", Some("live=1000,size=64,heap=clean"));
        let allocs = rows.iter().filter(|row| matches!(row.call, Call::Alloc { .. })).count();
        assert_eq!(rows.len(), 2 * allocs);
        // Litter is scattered before.
        let (_, littered) = recorded("tree", Some("heap=littered"));
        let (_, clean) = recorded("tree", Some("heap=clean"));
        assert_eq!(littered.len(), clean.len());
    }

    #[test]
    fn every_workload_for_one_thread_can_be_recorded() {
        for workload in ["pair", "batch", "grow", "bulk", "fixed-size", "tree", "strings"] {
            assert!(!recorded(workload, None).1.is_empty(), "{workload}");
        }
    }

    #[test]
    fn what_there_is_not_is_said() {
        let error = |workload, case| record(&wanted(workload, case), Vec::new()).unwrap_err().to_string();
        assert_eq!(error("local", None), "there is no workload local for one thread");
        let said = error("strings", Some("capacity=none"));
        assert_eq!(said, "strings has no case capacity=none; it has capacity=grown capacity=reserved");
    }
}
