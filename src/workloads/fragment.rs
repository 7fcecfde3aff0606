//! `fragment`: fill, free every other block, refill with another mix of sizes.

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::program::{Draft, room};
use super::shape::{Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Scope, Shape};
use super::sizes::Sizes;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `live` bytes of small blocks, every other one replaced by larger ones.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    live: usize,
}

/// What the heap is filled with: the small blocks of a server, and some to 32 KiB.
const FIRST: Sizes = Sizes::ThreeHalves(8, 32_768);

/// What comes instead: blocks of 256 bytes and more, as when buffers take the place of records. Most of the holes are too
/// small for them, while the large holes could take several.
const SECOND: Sizes = Sizes::LogUniform(256, 32_768);

impl Shape for Fragment {
    const FACTS: Facts = Facts {
        id: "fragment",
        title: "fill, free every other block, refill with another mix of sizes",
        family: Family::Memory,
        why: "A program changes what it does: the records of one phase give way to the buffers of the next, but not all \
              of them go. Every other block is freed, in the order in which they were taken, so that nearly each hole \
              has a live block on both sides; then as many bytes are taken again in larger blocks, most of which fit \
              into no single hole.\n\n\
              The bytes that are live at the two peaks are the same. What the process occupies at the second one is not: \
              memory that is free but not usable stays. An allocator that keeps one size to a page needs new pages for \
              the new sizes and can give back only pages whose last block has gone; one that joins neighbouring holes \
              and splits them anew reuses more, and pays in headers. Blow-up is peak resident memory over peak live \
              bytes: 1 is out of reach, 1.5 means that no hole was used again.",
        effect: "Blow-up between 1 and 2: low for whoever reuses the holes for other sizes, high for whoever keeps a page \
              for the size that it was made for.",
        origin: "Shapes of Johnstone and Wilson's \"The Memory Fragmentation Problem: Solved?\" (1998), reduced to one \
              change of the size mix.",
        operation: "alloc or free",
        step: "",
        probes: &[Probe::Memory],
        parameters: &[Parameter { name: "live", title: "bytes live at the peaks", axis: Axis::Bytes }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![64 << 20], vec![64 << 20, 256 << 20]).into_iter().map(|live| Self { live }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("live", self.live)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    /// How many blocks it takes to the peak depends on the sizes drawn.
    fn declared(&self) -> Option<Declared> {
        None
    }

    fn demand(&self) -> Demand {
        let first = room(FIRST, self.live as u64);
        Demand {
            block: None,
            live_blocks: first,
            pass_bytes: FIRST.budget(first) + SECOND.budget(room(SECOND, self.live as u64)),
            threads: 1,
        }
    }
}

impl OneThread for Fragment {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (mut random, peak) = (Random::new(seed), self.live as u64);
        let mut draft = Draft::new(room(FIRST, peak) + room(SECOND, peak));
        draft.rise("fill", peak, FIRST, &mut random, 6);
        let keep = every_other_last(draft.live());
        draft.drain("thin out", keep, 4);
        draft.rise("refill", peak, SECOND, &mut random, 6);
        // The order in which things die has nothing to do with the order in which they were made.
        random.shuffle(draft.live());
        draft.drain("drain", 0, 4);
        draft.run(heap, mode, drive);
    }
}

/// Moves every other slot to the end, where the next to be freed stand: the first one last. Gives back how many stay.
fn every_other_last(slots: &mut [u32]) -> usize {
    slots.sort_unstable_by_key(|&slot| (slot % 2 == 0, if slot % 2 == 0 { u32::MAX - slot } else { slot }));
    slots.len() / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    #[test]
    fn every_block_is_whole_and_freed_once() {
        let mut heap = Individually(Checked::new(GlobalSubject));
        let mut mode = Pattern::new();
        Fragment { live: 1 << 20 }.open(&mut heap, &mut mode, 1, &mut |body| {
            body.pass(&WallClock::new());
        });
        assert_eq!((heap.0.fault(), mode.fault(), heap.0.live_blocks()), (None, None, 0));
    }

    #[test]
    fn every_other_block_goes_in_the_order_of_taking() {
        let mut slots = [0, 1, 2, 3, 4, 5, 6];
        let keep = every_other_last(&mut slots);
        assert_eq!((keep, slots), (3, [1, 3, 5, 6, 4, 2, 0]));
    }
}
