//! A program of takes and frees, drawn before the clock, with the moments at which memory is worth looking at.
//!
//! The workloads of the memory family draft one and run it: the work is the same for every allocator, and the bytes that
//! are live at each moment are known before it begins.

use std::num::NonZeroU32;

use allocator_api2::alloc::Allocator;

use super::heap::Heap;
use super::mode::Mode;
use super::shape::{Body, Clock, Drive, Pass, timed};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::stats::random::Random;

/// Takes a block into a slot, or frees the one that it holds.
#[derive(Clone, Copy, Debug)]
struct Step {
    slot: u32,
    /// What to take; `None` frees.
    size: Option<NonZeroU32>,
}

/// A moment: the steps before it are done.
#[derive(Clone, Copy, Debug)]
struct Moment {
    steps: usize,
    phase: &'static str,
    live_bytes: u64,
}

/// Moments of a program, at most: a reading of the process's memory takes a millisecond or more.
const MOMENTS: usize = 32;

/// A table that is filled from its start.
#[derive(Debug)]
struct Column<T: Copy> {
    room: Table<T>,
    length: usize,
}

impl<T: Copy> Column<T> {
    fn new(room: usize, empty: T) -> Self {
        Self { room: Table::new(room, |_| empty), length: 0 }
    }

    fn push(&mut self, element: T) {
        self.room[self.length] = element;
        self.length += 1;
    }

    fn pop(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        Some(self.room[self.length])
    }

    fn filled(&self) -> &[T] {
        &self.room[..self.length]
    }

    fn filled_mut(&mut self) -> &mut [T] {
        &mut self.room[..self.length]
    }
}

/// A program that is being written. Every block has a slot of its own, numbered in the order of taking.
#[derive(Debug)]
pub struct Draft {
    steps: Column<Step>,
    /// By slot.
    sizes: Column<NonZeroU32>,
    /// Slots of the live blocks; the last is the next to be freed.
    live: Column<u32>,
    live_bytes: u64,
    moments: Column<Moment>,
}

impl Draft {
    /// With room for `takes` blocks.
    pub fn new(takes: usize) -> Self {
        Self {
            steps: Column::new(2 * takes, Step { slot: 0, size: None }),
            sizes: Column::new(takes, NonZeroU32::MIN),
            live: Column::new(takes, 0),
            live_bytes: 0,
            moments: Column::new(MOMENTS, Moment { steps: 0, phase: "", live_bytes: 0 }),
        }
    }

    /// Takes blocks until `bytes` are live, with `moments` at even distances, the last at the end.
    pub fn rise(&mut self, phase: &'static str, bytes: u64, sizes: Sizes, random: &mut Random, moments: u64) {
        let start = self.live_bytes;
        for part in 1..=moments {
            while self.live_bytes < start + (bytes - start) * part / moments {
                self.take(sizes.draw(random));
            }
            self.moment(phase);
        }
    }

    /// Frees blocks from the end of [`live`](Self::live) on until `keep` are left, with `moments` at even distances.
    pub fn drain(&mut self, phase: &'static str, keep: usize, moments: usize) {
        let go = self.live.length - keep;
        for part in 1..=moments {
            while self.live.length > keep + go - go * part / moments {
                self.free_last();
            }
            self.moment(phase);
        }
    }

    /// Frees `blocks` live blocks drawn at random, and after each takes others until `bytes` are live: constant load,
    /// while its sizes change. One moment, at the end.
    pub fn replace(
        &mut self,
        phase: &'static str,
        blocks: usize,
        bytes: u64,
        sizes: Sizes,
        random: &mut Random,
    ) {
        for _ in 0..blocks.min(self.live.length) {
            let victim = random.below(self.live.length as u64) as usize;
            let last = self.live.length - 1;
            self.live.filled_mut().swap(victim, last);
            self.free_last();
            while self.live_bytes < bytes {
                self.take(sizes.draw(random));
            }
        }
        self.moment(phase);
    }

    /// The slots of the live blocks, in any order that a workload wants.
    pub fn live(&mut self) -> &mut [u32] {
        self.live.filled_mut()
    }

    fn take(&mut self, size: NonZeroU32) {
        let slot = self.sizes.length as u32;
        self.steps.push(Step { slot, size: Some(size) });
        self.sizes.push(size);
        self.live.push(slot);
        self.live_bytes += u64::from(size.get());
    }

    /// Frees the last of the live blocks, if there is one.
    fn free_last(&mut self) {
        let Some(slot) = self.live.pop() else { return };
        self.steps.push(Step { slot, size: None });
        self.live_bytes -= u64::from(self.sizes.filled()[slot as usize].get());
    }

    fn moment(&mut self, phase: &'static str) {
        self.moments.push(Moment { steps: self.steps.length, phase, live_bytes: self.live_bytes });
    }

    /// The program that was drafted.
    ///
    /// # Panics
    /// If a block would be left.
    pub fn finish(self) -> Program {
        let Self { steps, sizes, live, moments, .. } = self;
        assert_eq!(live.length, 0, "a program frees every block that it takes");
        let slots = Table::new(sizes.length, |_| Slot::EMPTY);
        // What only the drafting needed is not there while memory is looked at: it goes here.
        Program { steps, moments, slots }
    }

    /// Hands the program to `drive`, on a heap.
    ///
    /// # Panics
    /// If a block would be left.
    pub fn run<H: Heap, M: Mode>(self, heap: &mut H, mode: &mut M, drive: Drive<'_>) {
        drive(&mut Alone { program: self.finish(), heap, mode });
    }
}

/// Takes and frees, from nothing live to nothing live.
#[derive(Debug)]
pub struct Program {
    steps: Column<Step>,
    moments: Column<Moment>,
    slots: Table<Slot>,
}

impl Program {
    /// Takes and frees in it.
    pub fn steps(&self) -> usize {
        self.steps.length
    }

    /// Runs it once.
    pub fn play<A: Allocator + Copy, M: Mode>(&mut self, allocator: A, mode: &mut M, clock: &dyn Clock) {
        let (steps, mut done) = (self.steps.filled(), 0);
        for moment in self.moments.filled() {
            for step in &steps[done..moment.steps] {
                let slot = &mut self.slots[step.slot as usize];
                match step.size {
                    Some(size) => *slot = Slot::take(allocator, size, mode),
                    // SAFETY: a draft frees each slot once, after it was taken, which was from the same allocator with
                    // the same mode: a program is played from its start to its end.
                    None => unsafe { slot.free(allocator, mode) },
                }
            }
            done = moment.steps;
            clock.checkpoint(moment.phase, moment.live_bytes);
        }
    }
}

// SAFETY: its slots are empty but while it is played, which takes `&mut`: until then nobody looks at the pointers in them.
// What a play leaves in them is overwritten by the next before it is used. The tables themselves are memory of the process
// that any thread may use.
unsafe impl Send for Program {}

struct Alone<'h, H, M> {
    program: Program,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Alone<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let handle = self.heap.handle();
        timed(clock, self.program.steps(), || self.program.play(handle, self.mode, clock))
    }
}

/// Blocks that a draft needs room for to take `bytes`: a quarter more than the mean says, and a thousand for the spread of
/// short programs. At the sizes that are measured, a quarter is more than ten standard deviations.
pub fn room(sizes: Sizes, bytes: u64) -> usize {
    (1.25 * bytes as f64 / sizes.mean()) as usize + 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_what_a_replay_finds() {
        let sizes = Sizes::ThreeHalves(8, 4_096);
        let mut random = Random::new(7);
        let mut draft = Draft::new(2 * room(sizes, 100_000));
        draft.rise("up", 100_000, sizes, &mut random, 5);
        random.shuffle(draft.live());
        draft.drain("down", 50, 4);
        draft.rise("up", 80_000, sizes, &mut random, 3);
        let before = (draft.live.length, draft.live_bytes);
        draft.replace("turn", 200, 80_000, Sizes::Fixed(64), &mut random);
        assert!((80_000..84_096).contains(&draft.live_bytes) && draft.live.length > before.0, "{before:?}");
        draft.drain("down", 0, 2);

        let mut live = vec![None; draft.sizes.length];
        let mut steps = draft.steps.filled().iter();
        let mut done = 0;
        for moment in draft.moments.filled() {
            for step in steps.by_ref().take(moment.steps - done) {
                let before = std::mem::replace(&mut live[step.slot as usize], step.size);
                assert_ne!(before.is_some(), step.size.is_some(), "taken twice or freed twice");
            }
            done = moment.steps;
            let bytes: u64 = live.iter().flatten().map(|size| u64::from(size.get())).sum();
            assert_eq!(bytes, moment.live_bytes, "{}", moment.phase);
        }
        assert!(steps.next().is_none(), "the last moment comes after the last step");
        let peaks: Vec<u64> = draft.moments.filled().iter().map(|moment| moment.live_bytes).collect();
        assert!((100_000..104_096).contains(&peaks[4]) && (80_000..84_096).contains(&peaks[11]));
        assert_eq!((peaks.len(), peaks[14]), (15, 0));
    }

    #[test]
    #[should_panic(expected = "frees every block")]
    fn a_program_that_leaves_blocks_is_not_run() {
        use crate::allocators::global::GlobalSubject;
        use crate::workloads::heap::Individually;
        use crate::workloads::mode::Touch;

        let mut draft = Draft::new(2_000);
        draft.rise("up", 1_000, Sizes::Fixed(100), &mut Random::new(1), 1);
        draft.run(&mut Individually(GlobalSubject), &mut Touch, &mut |_| ());
    }
}
