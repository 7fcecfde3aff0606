//! `trace`: replays the calls that a program made.
//!
//! | file | what |
//! |---|---|
//! | [`operation`] | a row of the table, and the rules that rows keep |
//! | [`format`](mod@format) | the file, byte by byte |
//! | [`reader`], [`writer`] | row by row, in bounded memory |
//! | [`record`](mod@record) | a trace of a workload for one thread |
//! | [`generate`](mod@generate) | a trace that no program made |
//!
//! # Several threads
//! The rows of a table stand in the order in which they were recorded, and each names its thread. To replay several: each
//! thread runs its own rows in their order, and a row waits until the row before it with the same slot is done, whoever
//! runs that one. Nothing else is ordered. A table of several threads can be written and read, but is not replayed yet:
//! [`Program::load`] refuses it.
//!
//! # The shipped traces
//! `cargo run --release --example record_trace -- --workload strings --passes 10 --out strings.trace` made `strings.trace`,
//! and with `--generate --out births.trace` it made the other. A test holds that one to its seed; the recorded one stays as it
//! was, whatever becomes of `strings`: it is to be the same in all records.

pub mod format;
pub mod generate;
pub mod operation;
pub mod reader;
pub mod record;
pub mod writer;

#[cfg(test)]
mod forge;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use self::operation::{Align, Call, Operation};
use self::reader::{ReadError, Reader};
use super::heap::{Heap, refused, take};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::table::Table;
use crate::allocators::contract::Demand;

/// A shipped trace.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    program: &'static str,
    file: &'static [u8],
    /// What a replay needs and does. Stated, because a process asks it of every case that it could measure: to read the file
    /// for that would leave traces in the heap that is measured. A test compares.
    live_blocks: usize,
    pass_bytes: usize,
    declared: Declared,
}

/// Tens of thousands of calls each: a pass is to take a millisecond or so.
const SHIPPED: [Trace; 2] = [
    Trace {
        program: "strings",
        file: include_bytes!("strings.trace"),
        live_blocks: 259,
        pass_bytes: 928_936,
        declared: Declared { reallocations: 10_397, ..Declared::pairs(7_700) },
    },
    Trace {
        program: "births",
        file: include_bytes!("births.trace"),
        live_blocks: 2_000,
        pass_bytes: 8_718_840,
        declared: Declared { reallocations: 905, ..Declared::pairs(14_000) },
    },
];

impl Shape for Trace {
    const FACTS: Facts = Facts {
        id: "trace",
        title: "replay the calls of a recorded program",
        family: Family::Applications,
        why: "A program's own sequence of calls, without the program: sizes, lifetimes and their order are what they \
              were, and nothing lies between two calls but a touch of the block. So an allocator's share is seen whole, \
              where in the program it may be a tenth of the time. What is lost is what the program did with its memory: \
              placement that makes a program faster does not show here.\n\n\
              `strings` is the workload of that name, recorded over ten reports: small texts that grow by reallocation, \
              most of them gone soon after. `births` is generated: two thousand live blocks of a server's sizes, replaced \
              twelve thousand times, most of them young; some zeroed, some aligned to a cache line, some grown.\n\n\
              A trace begins and ends with nothing live, so each pass starts on what the one before left behind. Freed \
              memory is expected back: allocators that release everything together do not run it.",
        effect: "Allocators differ more here in `strings` than in the workload of that name, for the formatting between the \
                 calls is gone; whoever reallocates small blocks in place leads there. In `births`, where the next to die \
                 is mostly one of the last few born, those with a cache of recently freed blocks lead.",
        origin: "DJ Delorie's traces of glibc's malloc, which allocbench replays as `dj_trace`. Theirs are files of hundreds \
                 of MiB with many threads; these are short enough to be shipped and repeated, in a format of our own.",
        operation: "call",
        step: "call",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "program", title: "what was recorded", axis: Axis::Category }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(Vec::new(), SHIPPED.to_vec())
    }

    fn params(&self) -> Params {
        Params::default().with("program", self.program)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand { block: None, live_blocks: self.live_blocks, pass_bytes: self.pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        Some(self.declared)
    }
}

impl Trace {
    fn load(&self) -> Program {
        Program::load(Reader::new(self.file)).expect("a test reads every shipped trace")
    }
}

impl OneThread for Trace {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        let Program { steps, slots, .. } = self.load();
        drive(&mut Replay { steps, slots, heap, mode });
    }
}

/// A trace, ready to be replayed.
#[derive(Debug)]
pub struct Program {
    steps: Table<Step>,
    slots: Table<Block>,
    /// The most blocks that are live at one time.
    pub live_blocks: usize,
    /// All bytes that it asks for, alignment padding included.
    pub pass_bytes: usize,
    /// Its calls.
    pub declared: Declared,
}

/// A row without its thread. Twelve bytes: the table streams past the caches that the blocks want.
#[derive(Clone, Copy, Debug)]
struct Step {
    slot: u32,
    /// In bytes; nothing in a free.
    size: u32,
    kind: Kind,
    /// What the slot's block has, whichever row asked for it.
    align: Align,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Alloc,
    AllocZeroed,
    Realloc,
    Free,
}

/// What a slot holds. Its size stands beside it: a free does not know it.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: NonNull<u8>,
    size: u32,
}

/// Why a trace cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has several threads.
    #[error("row {row} is of another thread: traces of several threads are not replayed yet")]
    Threads {
        /// Counted from 0.
        row: usize,
    },
    /// It is longer than what can be repeated.
    #[error("there are more than {most} rows: a replay has them all in memory")]
    Long {
        /// The limit.
        most: usize,
    },
    /// A block as large as this machine, or the table of a replay, cannot have.
    #[error("row {row} asks for {bytes} bytes: blocks of 4 GiB and more are not replayed")]
    Large {
        /// Counted from 0.
        row: usize,
        /// What it asks for.
        bytes: u64,
    },
}

/// Rows of a replay, at most: 192 MiB of table, and a pass of a second. A packed file can be a thousand times as long as it
/// looks.
const MOST_STEPS: usize = 1 << 24;

impl Program {
    /// Reads a trace to its end. Takes some 24 bytes for each row that there really is, and twelve are kept.
    ///
    /// # Errors
    /// What is wrong with the file, or why it is not replayed.
    pub fn load<R: std::io::Read>(reader: Result<Reader<R>, ReadError>) -> Result<Self, LoadError> {
        Self::load_up_to(MOST_STEPS, reader)
    }

    fn load_up_to<R: std::io::Read>(
        most: usize,
        reader: Result<Reader<R>, ReadError>,
    ) -> Result<Self, LoadError> {
        let (mut reader, mut steps) = (reader?, Vec::new());
        // By slot: size and alignment of its block.
        let mut blocks: Vec<(u32, Align)> = Vec::new();
        let mut declared = Declared { allocations: 0, frees: 0, reallocations: 0 };
        let (mut live_blocks, mut pass_bytes) = (0, 0);
        for (row, operation) in reader.by_ref().enumerate() {
            let Operation { thread, slot, call } = operation?;
            if thread > 0 {
                return Err(LoadError::Threads { row });
            }
            if row == most {
                return Err(LoadError::Long { most });
            }
            let (kind, bytes, asked) = match call {
                Call::Alloc { size, align } => (Kind::Alloc, size, Some(align)),
                Call::AllocZeroed { size, align } => (Kind::AllocZeroed, size, Some(align)),
                Call::Realloc { size } => (Kind::Realloc, size, None),
                Call::Free => (Kind::Free, 0, None),
            };
            let size = u32::try_from(bytes).map_err(|_| LoadError::Large { row, bytes })?;
            let slot_at = slot as usize;
            if let Some(align) = asked {
                declared.allocations += 1;
                if slot_at == blocks.len() {
                    blocks.push((size, align));
                }
                blocks[slot_at] = (size, align);
            }
            match kind {
                Kind::Realloc => declared.reallocations += 1,
                Kind::Free => declared.frees += 1,
                Kind::Alloc | Kind::AllocZeroed => {}
            }
            live_blocks = live_blocks.max((declared.allocations - declared.frees) as usize);
            let align = blocks[slot_at].1;
            // Whoever frees nothing holds the old block of a resized one too.
            pass_bytes += (bytes as usize).next_multiple_of(align.bytes().max(8) as usize);
            steps.push(Step { slot, size, kind, align });
        }
        let empty = Block { start: NonNull::dangling(), size: 0 };
        Ok(Self {
            steps: Table::new(steps.len(), |row| steps[row]),
            slots: Table::new(blocks.len(), |_| empty),
            live_blocks,
            pass_bytes,
            declared,
        })
    }
}

struct Replay<'h, H, M> {
    /// Whole: they begin and end with nothing live.
    steps: Table<Step>,
    slots: Table<Block>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Replay<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let handle = self.heap.handle();
        timed(clock, self.steps.len(), || {
            self.mode.begin();
            for step in self.steps.iter() {
                let slot = &mut self.slots[step.slot as usize];
                match step.kind {
                    Kind::Alloc => *slot = Block::take(step, take(handle, step.layout()), self.mode),
                    Kind::AllocZeroed => {
                        let start = take_zeroed(handle, step.layout());
                        // SAFETY: the block has as many bytes, all of which its allocator must have cleared.
                        unsafe { self.mode.expect_zeroes(start, step.size as usize) };
                        *slot = Block::take(step, start, self.mode);
                    }
                    // SAFETY: the reader saw to it that the slot holds a live block where it is resized or freed; all
                    // are of this heap, and the alignment is that of the block. The old copy is overwritten at once.
                    Kind::Realloc => *slot = unsafe { slot.resize(step, handle, self.mode) },
                    // SAFETY: as above; the next that the table does with the slot is to take another block.
                    Kind::Free => unsafe { slot.free(step, handle, self.mode) },
                }
                self.mode.step();
            }
        })
    }
}

impl Step {
    #[inline(always)]
    fn layout(&self) -> Layout {
        layout(self.size, self.align)
    }
}

#[inline(always)]
fn layout(size: u32, align: Align) -> Layout {
    Layout::from_size_align(size as usize, align.bytes() as usize)
        .expect("4 GiB and 1 GiB are far below the limit")
}

impl Block {
    /// Fills a block that was just taken for `step`.
    #[inline(always)]
    fn take<M: Mode>(step: &Step, start: NonNull<u8>, mode: &mut M) -> Self {
        // SAFETY: the block has as many bytes, and is ours alone.
        unsafe { mode.fill(start, step.size as usize) };
        Self { start, size: step.size }
    }

    /// # Safety
    /// It is a live block of `allocator` with the step's alignment, which `mode` filled; the copy that is left is not used.
    #[inline(always)]
    unsafe fn resize<A: Allocator, M: Mode>(self, step: &Step, allocator: A, mode: &mut M) -> Self {
        let (old, new) = (layout(self.size, step.align), step.layout());
        let start = if new.size() >= old.size() {
            // SAFETY: live, of this allocator, with the old layout (the caller's promise); the new one is no smaller.
            let Ok(grown) = (unsafe { allocator.grow(self.start, old, new) }) else { refused(new) };
            // SAFETY: growing keeps the old bytes, which `mode` filled with that size.
            unsafe { mode.inspect(grown.cast(), old.size()) };
            grown
        } else {
            // SAFETY: live and filled with this size (the caller's promise). Afterwards a part of it is left, which is no
            // pattern of its own.
            unsafe { mode.inspect(self.start, old.size()) };
            // SAFETY: live, of this allocator, with the old layout (the caller's promise); the new one is smaller.
            let Ok(shrunk) = (unsafe { allocator.shrink(self.start, old, new) }) else { refused(new) };
            shrunk
        };
        Self::take(step, start.cast(), mode)
    }

    /// # Safety
    /// It is a live block of `allocator` with the step's alignment, which `mode` filled, and is not used again.
    #[inline(always)]
    unsafe fn free<A: Allocator, M: Mode>(self, step: &Step, allocator: A, mode: &mut M) {
        // SAFETY: live and filled with this size (the caller's promise).
        unsafe { mode.inspect(self.start, self.size as usize) };
        // SAFETY: live, of this allocator, with this layout, and not used again (the caller's promises).
        unsafe { allocator.deallocate(self.start, layout(self.size, step.align)) };
    }
}

#[inline(always)]
fn take_zeroed<A: Allocator>(allocator: A, layout: Layout) -> NonNull<u8> {
    match allocator.allocate_zeroed(layout) {
        Ok(block) => block.cast(),
        Err(_) => refused(layout),
    }
}

#[cfg(test)]
mod tests {
    use super::operation::{Counts, MOST_BYTES};
    use super::writer::Writer;
    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    /// Title, rows, counts.
    fn table(file: &[u8]) -> (String, Vec<Operation>, Counts) {
        let mut reader = Reader::new(file).unwrap();
        let rows = reader.by_ref().collect::<Result<_, _>>().unwrap();
        (reader.title().to_owned(), rows, reader.counts())
    }

    fn written(rows: &[Operation]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), "a test").unwrap();
        rows.iter().for_each(|&row| writer.push(row).unwrap());
        writer.finish().unwrap().0
    }

    fn alloc(slot: u32, size: u64, align: u64) -> Operation {
        Operation { thread: 0, slot, call: Call::Alloc { size, align: Align::of(align).unwrap() } }
    }

    #[test]
    fn what_a_shipped_trace_says_of_itself_is_what_is_in_it() {
        for trace in SHIPPED {
            let Program { live_blocks, pass_bytes, declared, .. } = trace.load();
            let stated = (trace.live_blocks, trace.pass_bytes, trace.declared);
            assert_eq!(stated, (live_blocks, pass_bytes, declared), "{}", trace.program);
        }
    }

    #[test]
    fn the_shipped_traces_are_short_and_of_one_thread() {
        for Trace { program, file, .. } in SHIPPED {
            let (_, rows, counts) = table(file);
            assert!(file.len() < 150 << 10, "{program}: {} bytes", file.len());
            assert!((20_000..=50_000).contains(&rows.len()) && counts.threads == 1, "{program}: {counts:?}");
        }
    }

    // A table has one content, bit for bit, and the counts are compared too. How DEFLATE packs it may change with the
    // packer's version, and is not what a trace says.
    #[test]
    fn the_shipped_births_are_what_the_generator_writes() {
        let (generated, _) = generate::generate(generate::SHIPPED, Vec::new()).unwrap();
        assert!(table(SHIPPED[1].file) == table(&generated), "{}", table(&generated).0);
    }

    #[test]
    fn another_seed_generates_another_trace() {
        let rows = |seed| {
            let births = generate::Births { live: 50, replacements: 100, seed };
            table(&generate::generate(births, Vec::new()).unwrap().0).1
        };
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }

    #[test]
    fn a_replay_resizes_aligns_and_checks() {
        let resize = |size| Operation { thread: 0, slot: 0, call: Call::Realloc { size } };
        let free = |slot| Operation { thread: 0, slot, call: Call::Free };
        let align = Align::of(64).unwrap();
        let zeroed = Operation { thread: 0, slot: 1, call: Call::AllocZeroed { size: 100, align } };
        let rows = [
            alloc(0, 3, 1),
            zeroed,
            resize(5_000),
            resize(7),
            free(0),
            alloc(0, 9, 4096),
            resize(9),
            resize(20),
        ];
        let file = written(&rows);
        let Program { steps, slots, declared, live_blocks, .. } =
            Program::load(Reader::new(file.as_slice())).unwrap();
        assert_eq!((declared.allocations, declared.frees, declared.reallocations), (3, 3, 4));
        assert_eq!((live_blocks, slots.len()), (2, 2));
        let (mut heap, mut mode) = (Individually(Checked::new(GlobalSubject)), Pattern::new());
        let mut replay = Replay { steps, slots, heap: &mut heap, mode: &mut mode };
        for _ in 0..3 {
            assert_eq!(replay.pass(&WallClock::new()).operations, 10);
        }
        assert_eq!((heap.0.fault(), mode.fault(), heap.0.live_blocks()), (None, None, 0));
    }

    #[test]
    fn what_cannot_be_replayed_is_refused_with_its_row() {
        let load = |rows: &[Operation]| {
            Program::load(Reader::new(written(rows).as_slice())).unwrap_err().to_string()
        };
        let other = Operation { thread: 1, slot: 0, call: Call::Free };
        assert!(load(&[alloc(0, 8, 8), other]).starts_with("row 1 is of another thread"));
        assert!(
            load(&[alloc(0, 8, 8), alloc(1, MOST_BYTES, 8)])
                .starts_with("row 1 asks for 140737488355328 bytes")
        );
        assert!(
            Program::load(Reader::new(b"GIF89a..".as_slice()))
                .unwrap_err()
                .to_string()
                .starts_with("byte 0: ")
        );
    }
}
