//! `sawtooth`: rise to a peak, drain to a tenth, again.

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::program::{Draft, room};
use super::shape::{Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Scope, Shape};
use super::sizes::Sizes;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Three times up to `live` bytes and down to a tenth of the blocks, at last to none.
#[derive(Clone, Copy, Debug)]
pub struct Sawtooth {
    live: usize,
}

/// Rises. The second tells whether what the first left is used again, the third whether that goes on.
const TEETH: usize = 3;

/// One in so many blocks lives on from tooth to tooth. Many enough that few pages of small blocks become empty: with
/// forty 100-byte blocks to a page, one page in seventy.
const SURVIVORS: usize = 10;

/// The small blocks of a server, and some to 32 KiB. The same in every tooth: that holes do not fit is `fragment`'s question.
const SIZES: Sizes = Sizes::ThreeHalves(8, 32_768);

impl Shape for Sawtooth {
    const FACTS: Facts = Facts {
        id: "sawtooth",
        title: "rise to a peak, drain to a tenth, again and again",
        family: Family::Memory,
        why: "Load comes in waves: by day a server holds a hundred thousand sessions, by night a tenth of them. What it \
              gives back between the waves its neighbours can use; what it keeps it need not ask for again. The blocks \
              that live on are scattered over all pages, so that an allocator that returns whole pages finds few to \
              return, and those that it keeps must serve the next wave.\n\n\
              Peak memory shows whether waves add up: an allocator that reuses what the drained blocks left has the \
              same peak in every wave. Retained memory is what the process occupies when nothing is live any more: at \
              once, after idleness, after a little activity, and when asked to give back. An allocator that keeps \
              everything saves page faults in the next wave, so faults and retained memory are to be read together.",
        effect: "Retained memory falls after a purge for every allocator that has one; at once after the drain it stays \
              high for those that keep pages for the next wave.",
        origin: "Servers' waves of load; no public suite measures what is left behind at several moments. \
              zackees/mimalloc-pprof's report of memory after idleness comes closest.",
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
        let blocks = room(SIZES, self.live as u64);
        Demand { block: None, live_blocks: blocks, pass_bytes: SIZES.budget(TEETH * blocks), threads: 1 }
    }
}

impl OneThread for Sawtooth {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (mut random, peak) = (Random::new(seed), self.live as u64);
        let mut draft = Draft::new(TEETH * room(SIZES, peak));
        for tooth in 1..=TEETH {
            draft.rise("rise", peak, SIZES, &mut random, 4);
            random.shuffle(draft.live());
            let keep = if tooth < TEETH { draft.live().len() / SURVIVORS } else { 0 };
            draft.drain("drain", keep, 3);
        }
        draft.run(heap, mode, drive);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Mutex;

    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::{Clock, Pass};

    /// Writes the checkpoints down.
    #[derive(Default)]
    struct Notes(Mutex<Vec<(&'static str, u64)>>);

    impl Clock for Notes {
        fn now_ns(&self) -> u64 {
            0
        }

        fn checkpoint(&self, phase: &'static str, live_bytes: u64) {
            self.0.lock().unwrap().push((phase, live_bytes));
        }
    }

    #[test]
    fn three_teeth_reach_the_peak_and_drain_to_a_tenth_and_then_to_nothing() {
        let (notes, pass) = (Notes::default(), RefCell::new(None));
        let shape = Sawtooth { live: 2 << 20 };
        let (mut heap, mut mode) = (Individually(Checked::new(GlobalSubject)), Pattern::new());
        shape.open(&mut heap, &mut mode, 1, &mut |body| {
            pass.replace(Some(body.pass(&notes)));
        });
        assert_eq!((heap.0.fault(), mode.fault(), heap.0.live_blocks()), (None, None, 0));
        let seen = notes.0.into_inner().unwrap();
        let near = |bytes: u64, part: f64| (bytes as f64 / shape.live as f64 - part).abs() < 0.08;
        assert_eq!(seen.len(), 21);
        for tooth in seen.chunks(7) {
            assert!(tooth[3].0 == "rise" && near(tooth[3].1, 1.0), "{tooth:?}");
        }
        assert!(near(seen[6].1, 0.1) && near(seen[13].1, 0.1), "{seen:?}");
        assert_eq!(seen[20], ("drain", 0));
        let Pass { operations, .. } = pass.into_inner().unwrap();
        assert!(operations > 3 * 2 * 3_000, "{operations} blocks of 512 bytes on average, taken and freed");
    }
}
