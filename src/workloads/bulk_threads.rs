//! `bulk-threads`: threads allocate n objects each, read them all, and all are released together.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use super::bulk::{Objects, SIZES};
use super::heap::Heap;
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, ManyThreads, Needs, Parameter, Pass, Scope, Shape, timed,
};
use super::slot::Slot;
use super::team;
use crate::allocators::contract::Demand;

/// `threads` threads whose objects live and die together.
#[derive(Clone, Copy, Debug)]
pub struct BulkThreads {
    threads: usize,
}

/// Objects of a thread in a pass: 2.7 MB, a request's or a frame's; and a tenth of a millisecond of work even at 5 ns, so
/// that threads which wake up tens of microseconds apart overlap most of the time.
const N: usize = 20_000;

/// The block that a thread takes and gives back before its work. As small as the smallest object.
const FIRST: NonZeroU32 = NonZeroU32::new(16).expect("16 is not 0");

impl Shape for BulkThreads {
    const FACTS: Facts = Facts {
        id: "bulk-threads",
        title: "threads allocate n objects each, read them all, release all together",
        family: Family::Threads,
        why: "A frame that workers build together, a query whose parts run side by side: what `bulk` does, by several \
              threads at once, and at the end all of it goes. What the threads share is the allocator. One with a single \
              offset that all of them move makes them wait for each other at every object; one that hands each thread a \
              piece of its own does so once in many.\n\n\
              General allocators free each object on the thread that took it, inside the threads' time. Those that \
              release in bulk are reset once, by the caller, when all threads are done; the reset's time is added. A \
              reset needs the allocator to itself, so the threads of each pass are born for it and end before it. Birth \
              and end are outside of the clock, and so is a first block that each thread takes and gives back: whatever \
              an allocator sets up for a new thread is there when the clock starts. What it then has to take from a \
              common store, because the thread is new, is not.\n\n\
              Time is wall time divided by the objects of all threads, so perfect scaling halves it with every doubling \
              of threads, up to the number of CPUs.",
        effect: "Allocators that release in bulk take a fraction of a general allocator's time, as in `bulk`, with one \
              thread and with two; the distance to one thread's arena is the price of finding the thread's share.",
        origin: "`bulk` of this suite, on several threads: a shape of our own. The sizes are the same.",
        operation: "object",
        step: "alloc or free",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter { name: "threads", title: "threads", axis: Axis::Threads }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![], scope.threads(1)).into_iter().map(|threads| Self { threads }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("threads", self.threads)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: true, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: None,
            live_blocks: self.threads * N,
            // One more for the first block.
            pass_bytes: self.threads * SIZES.budget(N + 1),
            threads: self.threads,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.threads * N))
    }
}

impl ManyThreads for BulkThreads {
    fn open<H: Heap + Sync, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        // Threads draw different tables, so that they do not walk the size classes in step.
        let member = |index| (Objects::new(N, seed.wrapping_add(index as u64)), mode.fork());
        let members: Vec<_> = (0..self.threads).map(|index| Mutex::new(member(index))).collect();
        drive(&mut Generations { members: &members, heap });
        for member in members {
            mode.join(member.into_inner().unwrap_or_else(PoisonError::into_inner).1);
        }
    }
}

struct Generations<'h, H, M> {
    /// What the threads of each pass work on, one for each. Nobody ever waits for one.
    members: &'h [Mutex<(Objects, M)>],
    heap: &'h mut H,
}

impl<H: Heap + Sync, M: Mode> Generations<'_, H, M> {
    /// What a thread does: its objects in the second lap of two.
    fn live(&self, index: usize, laps: &team::Laps<'_>) {
        let mut member = self.members[index].lock().unwrap_or_else(PoisonError::into_inner);
        let ((objects, mode), handle) = (&mut *member, self.heap.handle());
        let mut first = true;
        while laps.next() {
            laps.time(|| {
                if first {
                    let block = Slot::take(handle, FIRST, mode);
                    // SAFETY: taken from this handle just now, freed once.
                    unsafe { block.free(handle, mode) };
                } else {
                    objects.take_and_read(handle, mode);
                    if H::FREES {
                        // SAFETY: taken from this handle above, freed once.
                        unsafe { objects.free(handle, mode) };
                    }
                }
            });
            first = false;
        }
    }
}

impl<H: Heap + Sync, M: Mode> Body for Generations<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let threads = self.members.len();
        let mut pass = Pass { elapsed_ns: 0, operations: (threads * N) as u64 };
        team::run(threads, threads * N, |index, laps| self.live(index, laps), &mut |team| {
            // Until all have been born and have set up what they need.
            team.pass(clock);
            // Read for whoever counts in between; the team has a clock of its own.
            clock.now_ns();
            pass.elapsed_ns = team.pass(clock).elapsed_ns;
            clock.now_ns();
        });
        if !H::FREES {
            pass.elapsed_ns += timed(clock, 0, || self.heap.reset()).elapsed_ns;
        }
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::arena_thread::ArenaThread;
    use crate::allocators::bump_shared::BumpShared;
    use crate::allocators::contract::Bulk;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::Together;
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    fn three_passes_of_what_is_demanded<S: Bulk + Sync>() {
        let shape = BulkThreads { threads: 3 };
        let mut heap = Together(Checked::new(S::for_demand(&shape.demand()).unwrap()));
        let mut mode = Pattern::new();
        shape.open(&mut heap, &mut mode, 1, &mut |body| {
            for _ in 0..3 {
                assert_eq!(body.pass(&WallClock::new()).operations, 3 * N as u64);
            }
        });
        assert_eq!((heap.0.fault(), mode.fault(), heap.0.live_blocks()), (None, None, 0));
    }

    #[test]
    fn a_region_of_the_demanded_size_has_room_for_every_pass() {
        three_passes_of_what_is_demanded::<BumpShared>();
    }

    #[test]
    fn arenas_of_threads_are_reset_when_the_threads_of_a_pass_have_ended() {
        three_passes_of_what_is_demanded::<ArenaThread>();
    }
}
