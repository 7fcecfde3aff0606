//! `hot-cold`: toggle slots, a few of them most of the time; write and read whole blocks.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::ops::Range;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

use super::heap::{Heap, take};
use super::mode::Mode;
use super::params::Params;
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::{Slot, opaque};
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Slots that are filled when they are empty and emptied when they are full.
#[derive(Clone, Copy, Debug)]
pub struct HotCold;

/// Slots of the published shape. Half of them are full: with blocks of 28 bytes on average and a header each, several
/// megabytes, more than second-level caches hold.
const SLOTS: usize = 1 << 18;

/// How often a range is split into a hot fifth and a cold rest. Six splits make seven degrees of heat: at the hottest, 16
/// slots take 26 % of the toggles (0.8^6).
const SPLITS: usize = 6;

/// Sizes of the published shape, 5 to 1024 bytes. Blocks that are written whole must be small, or the time is `memset`'s.
const SIZES: Sizes = Sizes::Halving(4, 1024);

/// Toggles in a pass: 64 KiB of table, long against a clock reading.
const PASS: usize = 8_192;

/// Passes until the table begins anew: half a million toggles, of which no two runs through the table begin on the same
/// set of full slots.
const PASSES: usize = 64;

/// What blocks are written with. Not zero: a page of zeroes is what fresh memory is anyway.
const CONTENT: u8 = 0x5A;

impl Shape for HotCold {
    const FACTS: Facts = Facts {
        id: "hot-cold",
        title: "toggle slots, a few of them most of the time",
        family: Family::Basic,
        why: "Few programs use all of their memory alike: an index has hot keys, a server busy sessions. Of 262 144 \
              slots, sixteen take a quarter of the operations, and four hundred more another 39 %; the rest are seldom \
              met. A toggle fills an empty slot with a block or frees the block of a full one. So a hot block lives a \
              few hundred operations and its place is in the caches, while cold blocks between them stay and hold their \
              pages; and since any slot may be full or empty, the number of live blocks wanders.\n\n\
              A block is written whole when it is taken and read whole before it is freed, as programs do with what \
              they allocate. That is part of the time, also on the control, which is therefore not held to its share of \
              the fastest allocator's time here. What an allocator can do about it is to hand out blocks whose lines \
              are in the caches still, and to put them close together.",
        effect: "Allocators differ less than in `churn`, for the memory traffic is the same for all; whoever hands out the \
              block that was freed last, and adds no header to blocks of 5 to 16 bytes, leads.",
        origin: "alloc-test by Ignatchenko (OLogN), as mimalloc-bench carries it: 2^18 slots, each full at first with one \
              half probability; slots chosen by an 80/20 rule that is applied six times; the same sizes. There the random \
              numbers are drawn inside the clock; here they are tables, of half a million toggles.",
        operation: "toggle",
        step: "toggle",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(Vec::new(), vec![Self])
    }

    fn params(&self) -> Params {
        Params::default()
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        // Every slot full: the number of live blocks wanders, and this is what it cannot exceed.
        Demand { block: None, live_blocks: SLOTS, pass_bytes: SIZES.budget(SLOTS + PASS), threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // Whether a toggle takes or frees depends on the slots drawn.
        None
    }
}

impl OneThread for HotCold {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let first = Table::new(SLOTS, |_| {
            let size = SIZES.draw(&mut random);
            (random.below(2) == 0).then_some(size)
        });
        let toggles = Table::new(PASSES * PASS, |_| Toggle {
            slot: choose(SLOTS, &mut random) as u32,
            size: SIZES.draw(&mut random),
        });
        let slots = Table::new(SLOTS, |_| None);
        let mut body = Slots { first, toggles, next: 0, slots, begun: false, heap, mode };
        drive(&mut body);
        body.drain();
    }
}

/// One of `slots` by the 80/20 rule: four times in five the first fifth of a range, else the rest of it, six times over; then
/// evenly.
fn choose(slots: usize, random: &mut Random) -> usize {
    let mut range = Range { start: 0, end: slots };
    for _ in 0..SPLITS {
        let split = range.start + range.len() / 5;
        match random.below(5) {
            0 => range.start = split,
            _ => range.end = split,
        }
    }
    range.start + random.below(range.len() as u64) as usize
}

/// Which slot, and how large its block is if it is empty.
#[derive(Clone, Copy)]
struct Toggle {
    slot: u32,
    size: NonZeroU32,
}

struct Slots<'h, H: Heap, M: Mode> {
    /// Sizes of the blocks that are there at the start.
    first: Table<Option<NonZeroU32>>,
    /// Whole passes.
    toggles: Table<Toggle>,
    /// The pass that comes next.
    next: usize,
    slots: Table<Option<Slot>>,
    /// Whether the first blocks were taken.
    begun: bool,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Slots<'_, H, M> {
    fn begin(&mut self) {
        let handle = self.heap.handle();
        for (slot, &size) in self.slots.iter_mut().zip(self.first.iter()) {
            *slot = size.map(|size| written(handle, size, self.mode));
        }
        self.begun = true;
    }

    fn drain(&mut self) {
        let handle = self.heap.handle();
        for slot in self.slots.iter_mut() {
            if let Some(slot) = slot.take() {
                // SAFETY: a slot that is full holds a live block of the heap; it is empty now.
                unsafe { slot.free(handle, self.mode) };
            }
        }
    }
}

impl<H: Heap, M: Mode> Body for Slots<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        // A heap that frees goes on from where the pass before left it. One that does not starts afresh, off the clock.
        if !H::FREES {
            self.drain();
            self.heap.reset();
            self.begun = false;
        }
        if !self.begun {
            self.begin();
        }
        let handle = self.heap.handle();
        let toggles = self.toggles.chunks_exact(PASS).nth(self.next).expect("the table is not empty");
        self.next = (self.next + 1) % PASSES;
        timed(clock, PASS, || {
            let mut sum = 0;
            self.mode.begin();
            for toggle in toggles {
                let slot = &mut self.slots[toggle.slot as usize];
                match slot.take() {
                    None => *slot = Some(written(handle, toggle.size, self.mode)),
                    Some(full) => {
                        // SAFETY: a slot that is full holds a live block that was written whole.
                        sum ^= unsafe { read(full) };
                        // SAFETY: the block is live, of this handle, and its slot is empty now.
                        unsafe { full.free(handle, self.mode) };
                    }
                }
                self.mode.step();
            }
            black_box(sum);
        })
    }
}

/// As [`Slot::take`], with every byte written.
#[inline(always)]
fn written<A: Allocator, M: Mode>(allocator: A, size: NonZeroU32, mode: &mut M) -> Slot {
    let bytes = size.get() as usize;
    let block: NonNull<u8> = opaque(take(allocator, Sizes::layout(bytes)));
    // SAFETY: the block has `bytes` bytes and is ours alone.
    unsafe {
        block.as_ptr().write_bytes(CONTENT, bytes);
        mode.fill(block, bytes);
    }
    Slot { block, size }
}

/// Reads every byte of a block, word by word.
///
/// # Safety
/// The block is live and was written whole.
#[inline(always)]
unsafe fn read(slot: Slot) -> u64 {
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(slot.block.as_ptr(), slot.size.get() as usize) };
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0, |sum, word| sum ^ u64::from_le_bytes(*word));
    rest.iter().fold(sum, |sum, &byte| sum ^ u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Touch;
    use crate::workloads::shape::WallClock;

    #[test]
    fn sixteen_slots_take_a_quarter_of_the_toggles_and_every_fifth_of_the_range_its_share() {
        let mut random = Random::new(1);
        let mut counts = vec![0_u32; SLOTS];
        for _ in 0..100_000 {
            counts[choose(SLOTS, &mut random)] += 1;
        }
        let first = |slots: usize| f64::from(counts[..slots].iter().sum::<u32>()) / 100_000.0;
        assert!((0.79..0.81).contains(&first(SLOTS / 5)));
        assert!((0.63..0.65).contains(&first(SLOTS / 25)));
        assert!((0.25..0.27).contains(&first(16)));
        // The cold part is split in the same way: a fifth of it takes four fifths of what it gets.
        let cold = SLOTS / 5..SLOTS / 5 + SLOTS * 4 / 25;
        let cold = f64::from(counts[cold].iter().sum::<u32>()) / 100_000.0;
        assert!((0.15..0.17).contains(&cold));
    }

    #[test]
    fn reading_a_block_looks_at_every_byte() {
        for bytes in [5, 8, 23] {
            let mut block = vec![CONTENT; bytes];
            let sum = |block: &mut Vec<u8>| {
                let start = NonNull::new(block.as_mut_ptr()).unwrap();
                // SAFETY: the vector has that many bytes, all written.
                unsafe { read(Slot { block: start, size: Sizes::size(bytes) }) }
            };
            let before = sum(&mut block);
            for byte in 0..bytes {
                block[byte] ^= 1;
                assert_ne!(sum(&mut block), before, "byte {byte} of {bytes}");
                block[byte] ^= 1;
            }
        }
    }

    #[test]
    fn about_half_of_the_slots_are_full_at_the_start_and_stay_so() {
        let mut heap = Individually(Counting::new(GlobalSubject));
        let mut random = Random::new(1);
        let mut slots = Slots {
            first: Table::new(SLOTS, |_| (random.below(2) == 0).then_some(SIZES.draw(&mut random))),
            toggles: Table::new(PASSES * PASS, |index| Toggle { slot: index as u32, size: Sizes::size(5) }),
            next: 0,
            slots: Table::new(SLOTS, |_| None),
            begun: false,
            heap: &mut heap,
            mode: &mut Touch,
        };
        let full = |slots: &Slots<'_, _, _>| slots.slots.iter().flatten().count();
        slots.pass(&WallClock::new());
        assert!(full(&slots).abs_diff(SLOTS / 2) < SLOTS / 100, "{}", full(&slots));
        slots.drain();
        assert_eq!(full(&slots), 0);
        let counts = heap.0.tally().snapshot();
        assert_eq!(counts.allocations, counts.frees);
    }
}
