//! `blow-up`: ten threads one after another, each with as much memory as the one before it gave back.

use std::sync::{Mutex, PoisonError};

use super::birth;
use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::program::{Draft, Program, room};
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Each thread takes `live` bytes and frees them all before the next is born.
#[derive(Clone, Copy, Debug)]
pub struct BlowUp {
    live: usize,
}

/// Threads, one at a time. If nothing that one leaves can be used by the next, ten times the memory is needed.
const THREADS: usize = 10;

/// Up to 16 KiB, which every allocator keeps in caches and pages of its own, and each size as likely as its double: so no
/// size class is spared. (A block that comes straight from the system goes straight back, and shows nothing.)
const SIZES: Sizes = Sizes::LogUniform(16, 16_384);

impl Shape for BlowUp {
    const FACTS: Facts = Facts {
        id: "blow-up",
        title: "ten threads one after another, each frees all before the next is born",
        family: Family::Memory,
        why: "Servers start threads for a task and let them go; pools of threads shrink and grow. Each thread here takes \
              mixed blocks up to 16 KiB until `live` bytes are live, frees them all, in the order in which they were taken, \
              and ends. Only then is the next one born. At no time is more live than one thread's share.\n\n\
              An allocator that gives each thread a heap of its own must hand a dead thread's heap on, or give its pages \
              back: otherwise each thread adds its share to what the process occupies, as Hoard's authors described. 1 is \
              the ideal blow-up, 10 means that nothing was used again. The looks at memory after each thread's peak and \
              after its end tell which: a staircase, or ten equal teeth, or a level that is kept.",
        effect: "Blow-up near 1 for those whose next thread takes over what the last one left (the system's malloc, \
              jemalloc, `slab`, rpmalloc), half as much again and more where pages of a dead thread come back late \
              (snmalloc, mimalloc); the staircase to 10 that old allocators showed is not seen with any of these. After \
              each thread's end those that keep pages stay near the peak, those that return them fall.",
        origin: "allocbench's `blowup`: ten chained threads with 100 MiB in a linked list each, and random replacement \
                 before and after it is freed. Here there is no replacement, and the main thread takes nothing.",
        operation: "alloc or free",
        step: "",
        probes: &[Probe::Memory],
        parameters: &[Parameter { name: "live", title: "bytes live in each thread", axis: Axis::Bytes }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![32 << 20], vec![32 << 20, 100 << 20]).into_iter().map(|live| Self { live }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("live", self.live)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: true, global: false }
    }

    /// How many blocks it takes to the peak depends on the sizes drawn.
    fn declared(&self) -> Option<Declared> {
        None
    }

    fn demand(&self) -> Demand {
        let blocks = room(SIZES, self.live as u64);
        // One thread at a time; but an allocator may keep for each what it had.
        Demand {
            block: None,
            live_blocks: blocks,
            pass_bytes: THREADS * SIZES.budget(blocks),
            threads: THREADS,
        }
    }
}

impl ManyThreads for BlowUp {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let (mut random, live) = (Random::new(seed), self.live as u64);
        let mut draft = Draft::new(room(SIZES, live));
        draft.rise("peak", live, SIZES, &mut random, 1);
        // The last of the live is the first to go.
        draft.live().reverse();
        draft.drain("freed", 0, 1);
        let life = Mutex::new((draft.finish(), mode.fork()));
        drive(&mut Generations { life: &life, heap });
        mode.join(life.into_inner().unwrap_or_else(PoisonError::into_inner).1);
    }
}

struct Generations<'h, H, M> {
    /// What every thread does; the lock is free whenever one is born.
    life: &'h Mutex<(Program, M)>,
    heap: &'h H,
}

impl<H: Heap + Sync, M: Mode> Body for Generations<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let (life, heap) = (self.life, self.heap);
        let steps = life.lock().unwrap_or_else(PoisonError::into_inner).0.steps();
        timed(clock, THREADS * steps, || {
            for _ in 0..THREADS {
                birth::alone(|| {
                    let mut life = life.lock().unwrap_or_else(PoisonError::into_inner);
                    let (program, mode) = &mut *life;
                    program.play(heap.handle(), mode, clock);
                });
                // What the thread's end gave back, or did not.
                clock.checkpoint("ended", 0);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread::{self, ThreadId};

    use super::*;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Pattern;

    /// Who came by which checkpoint.
    #[derive(Default)]
    struct Notes(Mutex<Vec<(&'static str, u64, ThreadId)>>);

    impl Clock for Notes {
        fn now_ns(&self) -> u64 {
            0
        }

        fn checkpoint(&self, phase: &'static str, live_bytes: u64) {
            self.0.lock().unwrap().push((phase, live_bytes, thread::current().id()));
        }
    }

    #[test]
    fn each_of_ten_threads_reaches_the_peak_and_ends_with_nothing() {
        let (notes, shape) = (Notes::default(), BlowUp { live: 1 << 20 });
        let (mut heap, mut mode) = (Individually(Checked::new(GlobalSubject)), Pattern::new());
        shape.open(&mut heap, &mut mode, 1, &mut |body| {
            assert!(body.pass(&notes).operations > 10 * 2 * 300, "blocks of 2.4 KB on average");
        });
        assert_eq!((heap.0.fault(), mode.fault(), heap.0.live_blocks()), (None, None, 0));
        let seen = notes.0.into_inner().unwrap();
        assert_eq!(seen.len(), 30);
        for life in seen.chunks(3) {
            let [(peak, bytes, born), (freed, 0, same), (ended, 0, main)] = life else { panic!("{life:?}") };
            assert_eq!([*peak, *freed, *ended], ["peak", "freed", "ended"]);
            assert!(
                (1 << 20..(1 << 20) + 16_384).contains(bytes)
                    && born == same
                    && *main == thread::current().id()
            );
        }
        assert_eq!(seen.iter().map(|(.., thread)| format!("{thread:?}")).collect::<BTreeSet<_>>().len(), 11);
    }
}
