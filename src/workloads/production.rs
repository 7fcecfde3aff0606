//! `production`: births and deaths as in a server, at a fixed number of live blocks.

use std::num::NonZeroU32;

use super::heap::Heap;
use super::lifetimes::Lifetimes;
use super::litter::{HeapState, Litter};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::Slot;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// `live` blocks of a server's sizes, each replaced when its life is over.
#[derive(Clone, Copy, Debug)]
pub struct Production {
    live: usize,
    heap: HeapState,
}

/// Live blocks: 8 MiB at the mean size, more than a core's own caches and less than most machines' shared one.
const LIVE: usize = 16_000;

/// Replacements in a pass: 64 KiB of table, long against a clock reading.
const PASS: usize = 8_192;

/// Passes until the table begins anew: a quarter of a million births. The births go round in about a thousand slots; the
/// other blocks outlive the table: they are those that live long. When it begins anew the same slots are replaced in the same
/// order: a block that was born last then has the life of the one before it, which changes one life in each slot.
const PASSES: usize = 32;

impl Shape for Production {
    const FACTS: Facts = Facts {
        id: "production",
        title: "births and deaths as in a server, at a fixed heap",
        family: Family::Applications,
        why: "What a server's allocator sees once it is warm: as many blocks die as are born, most of them young, and the \
              heap consists of the few that live long. Half of the blocks die within four births of others, nine in ten \
              within a hundred, one in a hundred outlives as many births as there are blocks. So the work goes round in about a \
              thousand of the sixteen thousand blocks, and the others are what lies between.\n\n\
              Sizes are as in the profiles of servers published with fleetbench: two thirds of the blocks have at most 64 \
              bytes, 96 % at most 1 KiB, three in a thousand over 32 KiB; half of all have one of a dozen sizes, as \
              a program's types have. The profiles say how large blocks are, not how long single ones live: the lifetimes \
              are a choice, and here they do not depend on size.\n\n\
              Unlike in `churn`, the block that is freed is mostly one that was just taken, warm and at hand. What tells \
              allocators apart is how short the way from such a free to the next request of its size is, and what the \
              rare large block costs, which may be a system call.\n\n\
              In a littered heap the long-lived lie between others that stay.",
        effect: "Allocators with a cache of recently freed blocks by size are ahead, by less than in `pair`: sizes vary. \
                 Those that give large blocks back to the system at once pay for it in the longest steps. Littered is \
                 slower than clean by less than in `churn`, for the young blocks go round in few places.",
        origin: "fleetbench's `empirical` benchmark replays births and deaths by size, with rates from production profiles; \
                 here sizes and lifetimes are distributions that keep to what those profiles have in common.",
        operation: "free + alloc",
        step: "free + alloc",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[
            Parameter { name: "live", title: "blocks alive", axis: Axis::Count },
            HeapState::PARAMETER,
        ],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        let clean = Self { live: LIVE, heap: HeapState::Clean };
        scope.pick(vec![clean], HeapState::ALL.map(|heap| Self { live: LIVE, heap }).to_vec())
    }

    fn params(&self) -> Params {
        Params::default().with("live", self.live).with("heap", self.heap.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn heap_state(&self) -> HeapState {
        self.heap
    }

    fn demand(&self) -> Demand {
        let litter = self.heap.blocks(self.live);
        Demand {
            block: None,
            live_blocks: self.live + litter,
            pass_bytes: Sizes::Server.budget(self.live + PASS + litter),
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(PASS))
    }
}

impl OneThread for Production {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let first = Sizes::Server.table(self.live, &mut random);
        let births = births(self.live, PASSES * PASS, &mut random);
        let litter = Litter::scatter(self.heap, heap, mode, self.live, Sizes::Server, seed);
        let handle = heap.handle();
        let slots = Table::new(self.live, |slot| Slot::take(handle, first[slot], mode));
        drop(first);
        let mut body = Server { births, next: 0, slots, heap, mode };
        drive(&mut body);
        let handle = body.heap.handle();
        for slot in body.slots.iter() {
            // SAFETY: every slot holds a live block of this heap, and the table is not used after this.
            unsafe { slot.free(handle, body.mode) };
        }
        // SAFETY: it was scattered on this heap with this mode.
        unsafe { litter.clear(body.heap, body.mode) };
    }
}

/// A block is born in the place of the one that dies.
#[derive(Clone, Copy)]
struct Birth {
    slot: u32,
    size: NonZeroU32,
}

/// Draws so many births.
fn births(live: usize, count: usize, random: &mut Random) -> Table<Birth> {
    let mut lives = Lifetimes::steady(live as u32, random);
    Table::new(count, |_| Birth { slot: lives.replace(random), size: Sizes::Server.draw(random) })
}

struct Server<'h, H, M> {
    /// Whole passes.
    births: Table<Birth>,
    /// The pass that comes next.
    next: usize,
    /// Each holds a live block.
    slots: Table<Slot>,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Server<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let handle = self.heap.handle();
        let births = self.births.chunks_exact(PASS).nth(self.next).expect("the table is not empty");
        self.next = (self.next + 1) % PASSES;
        timed(clock, PASS, || {
            self.mode.begin();
            for birth in births {
                let slot = &mut self.slots[birth.slot as usize];
                // SAFETY: every slot holds a live block; this one is overwritten in the next line.
                unsafe { slot.free(handle, self.mode) };
                *slot = Slot::take(handle, birth.size, self.mode);
                self.mode.step();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_of_a_table_are_as_those_of_servers() {
        let births = births(LIVE, PASSES * PASS, &mut Random::new(1));
        let share = |from: u32, to: u32| {
            let count = births.iter().filter(|birth| (from..=to).contains(&birth.size.get())).count();
            count as f64 / births.len() as f64
        };
        assert!((0.59..=0.72).contains(&share(1, 64)), "{} have at most 64 bytes", share(1, 64));
        assert!((0.88..=0.98).contains(&share(1, 1_024)), "{} have at most 1 KiB", share(1, 1_024));
        let large = share(32_769, u32::MAX);
        assert!((0.0004..=0.01).contains(&large), "{large} have over 32 KiB");
    }

    #[test]
    fn nine_in_ten_blocks_die_within_a_hundred_births() {
        let births = births(LIVE, PASSES * PASS, &mut Random::new(1));
        let (mut born, mut young, mut dead) = (vec![None; LIVE], 0, 0);
        for (now, birth) in births.iter().enumerate() {
            if let Some(then) = born[birth.slot as usize].replace(now) {
                dead += 1;
                young += usize::from(now - then <= 100);
            }
        }
        // Of those whose birth and death are both in the table, which leaves out some of the oldest.
        assert!((0.85..0.95).contains(&(f64::from(young as u32) / f64::from(dead))), "{young} of {dead}");
    }

    #[test]
    fn one_in_ten_of_the_first_blocks_dies_before_the_table_begins_anew() {
        let births = births(LIVE, PASSES * PASS, &mut Random::new(1));
        let mut replaced = vec![false; LIVE];
        births.iter().for_each(|birth| replaced[birth.slot as usize] = true);
        let share = replaced.iter().filter(|&&replaced| replaced).count() as f64 / LIVE as f64;
        assert!((0.05..0.15).contains(&share), "{share}");
    }

    #[test]
    fn the_live_blocks_are_some_eight_mebibytes() {
        let live = Sizes::Server.mean() * LIVE as f64 / f64::from(1 << 20);
        assert!((7.0..9.0).contains(&live), "{live} MiB");
    }
}
