//! `long-run`: a server's day, in which the mix of sizes drifts.

use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::program::{Draft, room};
use super::shape::{Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Scope, Shape};
use super::sizes::Sizes;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// About `live` bytes live through a day whose blocks become larger hour by hour.
#[derive(Clone, Copy, Debug)]
pub struct LongRun {
    live: usize,
}

/// Hours: generations of blocks. A look at memory after each.
const HOURS: usize = 24;

/// One block in so many is replaced in an hour. After ten hours one in thirty-four of the first is left (some of
/// those that are drawn are this hour's own): a page of 4 KiB with its forty blocks of 100 bytes still has one, which is what keeps it.
const TURNOVER: usize = 3;

/// Hours in which sizes double: six times a day, from records of tens of bytes to buffers. Slow enough that neighbouring
/// hours share most of their size classes.
const DOUBLING: f64 = 4.0;

/// Sizes of the first hour, each as likely as its double; sixteen to one, so that at every hour several classes are in use.
const FIRST: (f64, f64) = (32.0, 512.0);

fn sizes(hour: usize) -> Sizes {
    let by = (hour as f64 / DOUBLING).exp2();
    Sizes::LogUniform((FIRST.0 * by) as usize, (FIRST.1 * by) as usize)
}

impl LongRun {
    /// Blocks taken in a day: those of the start, and for each hour as many bytes as are freed in it, which is at most what a
    /// third of the blocks could be; the sizes that are freed lag behind those that are taken, so it is less.
    fn takes(self) -> usize {
        let hour = |hour| room(sizes(hour), self.live as u64) / TURNOVER + 1_000;
        room(sizes(0), self.live as u64) + (0..HOURS).map(hour).sum::<usize>() * 3 / 2
    }
}

impl Shape for LongRun {
    const FACTS: Facts = Facts {
        id: "long-run",
        title: "a server's day: constant load, drifting sizes",
        family: Family::Memory,
        why: "A server that runs for weeks does not keep the mix of sizes with which it began: caches fill with other \
              things, requests change by the hour. As many bytes are live as before, but in other sizes. In each of 24 \
              hours a third as many blocks as there are, drawn at random, is replaced by blocks of that hour's sizes, which double every \
              four hours: from 32–512 bytes in the morning to 1.7–27 KiB at night.\n\n\
              Live bytes are constant, so what the process occupies should be. But the blocks that are freed lie scattered \
              among others, and the new ones do not fit their holes. A page that an allocator keeps for one size is of \
              use to nobody else until its last block has gone, and among so many one mostly lives on; whoever joins \
              neighbouring holes waits until neighbours die. The curve over the hours tells whether the heap settles or \
              grows, blow-up how far. It is `fragment` in small steps, as it happens to those who do not change everything \
              at once.",
        effect: "Resident memory rises with every change of the mix. Blow-up stays lowest for an allocator that merges \
              free neighbours and splits them anew (the system's malloc, about 1.5); those that keep a page for the \
              size it was made for until it is empty need two to three times what is live.",
        origin: "A shape of our own, after what operators of servers report as growth over days; ACDC's generations of \
                 objects with lifetimes and sizes (scalloc's artifact) come closest.",
        operation: "alloc or free",
        step: "",
        probes: &[Probe::Memory],
        parameters: &[Parameter { name: "live", title: "bytes live all day", axis: Axis::Bytes }],
    };

    fn cases(_scope: Scope) -> Vec<Self> {
        vec![Self { live: 64 << 20 }]
    }

    fn params(&self) -> Params {
        Params::default().with("live", self.live)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    /// How many blocks it takes depends on the sizes drawn.
    fn declared(&self) -> Option<Declared> {
        None
    }

    fn demand(&self) -> Demand {
        let blocks = |hour| room(sizes(hour), self.live as u64);
        // The first hour's are the smallest, so the most; and in an hour no more bytes are replaced than are live.
        let pass_bytes = (0..=HOURS).map(|hour| sizes(hour).budget(blocks(hour))).sum();
        Demand { block: None, live_blocks: blocks(0), pass_bytes, threads: 1 }
    }
}

impl OneThread for LongRun {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        draft(*self, seed).run(heap, mode, drive);
    }
}

fn draft(day: LongRun, seed: u64) -> Draft {
    let (mut random, live) = (Random::new(seed), day.live as u64);
    let mut draft = Draft::new(day.takes());
    draft.rise("morning", live, sizes(0), &mut random, 1);
    for hour in 0..HOURS {
        let blocks = draft.live().len() / TURNOVER;
        draft.replace("day", blocks, live, sizes(hour), &mut random);
    }
    random.shuffle(draft.live());
    draft.drain("close", 0, 1);
    draft
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Touch;
    use crate::workloads::shape::Clock;

    /// Live bytes at the checkpoints, as said and as counted, and the blocks that were asked for until then.
    struct Notes<'c>(&'c Counting<GlobalSubject>, Mutex<Vec<(u64, u64, u64)>>);

    impl Clock for Notes<'_> {
        fn now_ns(&self) -> u64 {
            0
        }

        fn checkpoint(&self, _phase: &'static str, live_bytes: u64) {
            let tally = self.0.tally();
            self.1.lock().unwrap().push((live_bytes, tally.live_bytes(), tally.snapshot().allocations));
        }
    }

    #[test]
    fn live_bytes_stay_while_blocks_become_larger_and_fewer() {
        let day = LongRun { live: 8 << 20 };
        let heap = Individually(Counting::new(GlobalSubject));
        let notes = Notes(&heap.0, Mutex::new(Vec::new()));
        draft(day, 1).finish().play(heap.handle(), &mut Touch, &notes);
        let seen = notes.1.into_inner().unwrap();
        assert_eq!(seen.len(), HOURS + 2);
        assert!(seen.iter().all(|&(said, counted, _)| said == counted));
        let constant = (day.live as u64)..(day.live as u64 + 32_768);
        assert!(seen[..=HOURS].iter().all(|(live, ..)| constant.contains(live)), "{seen:?}");
        let taken = |hour: usize| seen[hour + 1].2 - seen[hour].2;
        assert!(
            taken(0) > 3 * taken(12) && taken(12) > 3 * taken(23),
            "{} {} {}",
            taken(0),
            taken(12),
            taken(23)
        );
        assert_eq!(seen[HOURS + 1].0, 0);
        assert!(seen[HOURS].2 < day.takes() as u64 * 9 / 10, "{} of {}", seen[HOURS].2, day.takes());
    }

    #[test]
    fn sizes_double_every_four_hours() {
        assert_eq!(sizes(0), Sizes::LogUniform(32, 512));
        assert_eq!(sizes(4), Sizes::LogUniform(64, 1_024));
        assert_eq!(sizes(20), Sizes::LogUniform(1_024, 16_384));
    }
}
