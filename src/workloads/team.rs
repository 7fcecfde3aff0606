//! A team of threads that is made before the clock starts, works lap by lap, and blocks in between.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use super::shape::{Body, Clock, Drive, Pass, WallClock};

/// What the members and the caller meet over.
struct Meeting {
    /// Opens when all members and the caller have come: the lap starts, or all go home.
    start: Barrier,
    /// Opens when all members are done and the caller has come.
    end: Barrier,
    /// Set before the last `start`: there is no further lap.
    over: AtomicBool,
    /// When the first member started this lap; `u64::MAX` before.
    first_start_ns: AtomicU64,
    /// When the last member ended this lap; 0 before.
    last_end_ns: AtomicU64,
    clock: WallClock,
    /// What a member panicked with, first come.
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

/// A member's view: the laps it is to run.
pub struct Laps<'m> {
    meeting: &'m Meeting,
    /// Between `next` and the end of `time`: the others will wait for this member at the end of the lap.
    running: Cell<bool>,
    /// `next` said that there is no further lap: nobody waits for this member any more.
    home: Cell<bool>,
}

impl Laps<'_> {
    /// Waits for the next lap; false when there is none.
    pub fn next(&self) -> bool {
        self.meeting.start.wait();
        // Relaxed: the barrier orders this after the caller's store.
        if self.meeting.over.load(Ordering::Relaxed) {
            self.home.set(true);
            return false;
        }
        self.running.set(true);
        true
    }

    /// Does this lap's work on the clock, and waits for the others.
    pub fn time(&self, work: impl FnOnce()) {
        // Relaxed in both: the barriers order these against the caller, who alone reads them.
        self.meeting.first_start_ns.fetch_min(self.meeting.clock.now_ns(), Ordering::Relaxed);
        work();
        self.meeting.last_end_ns.fetch_max(self.meeting.clock.now_ns(), Ordering::Relaxed);
        self.running.set(false);
        self.meeting.end.wait();
    }

    /// Stands in at the barriers for a member that panicked, so that the others do not wait for ever.
    fn stand_in(&self) {
        if self.running.replace(false) {
            self.meeting.end.wait();
        }
        while !self.home.get() && self.next() {
            self.running.set(false);
            self.meeting.end.wait();
        }
    }
}

/// Runs `member(index, laps)` on `threads` threads while `drive` runs the passes; gives back what the members returned.
///
/// Thread `index` is pinned to CPU `index` modulo their number, where the platform allows. `operations` is what all of
/// them do together in one lap. A pass lasts from the first member's start to the last one's end. Threads wait on
/// barriers, which block: a spinning one would take the CPU from the others where there are more threads than CPUs.
///
/// # Panics
/// With the payload of a member that panicked, after all have gone home.
pub fn run<R: Send>(
    threads: usize,
    operations: usize,
    member: impl Fn(usize, &Laps<'_>) -> R + Sync,
    drive: Drive<'_>,
) -> Vec<R> {
    let meeting = Meeting {
        start: Barrier::new(threads + 1),
        end: Barrier::new(threads + 1),
        over: AtomicBool::new(false),
        first_start_ns: AtomicU64::new(u64::MAX),
        last_end_ns: AtomicU64::new(0),
        clock: WallClock::new(),
        panic: Mutex::new(None),
    };
    let results = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let (meeting, member) = (&meeting, &member);
                let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                    pin(index);
                    let laps = Laps { meeting, running: Cell::new(false), home: Cell::new(false) };
                    match catch_unwind(AssertUnwindSafe(|| member(index, &laps))) {
                        Ok(result) => Some(result),
                        Err(payload) => {
                            let mut first = meeting.panic.lock().unwrap_or_else(PoisonError::into_inner);
                            first.get_or_insert(payload);
                            drop(first);
                            laps.stand_in();
                            None
                        }
                    }
                });
                spawned.unwrap_or_else(|error| {
                    // The members that were made already wait for all to come; nothing can send them home.
                    eprintln!("thread {index} of {threads} could not be made: {error}");
                    std::process::abort();
                })
            })
            .collect();
        // Should `drive` panic, the members must still be sent home before the scope joins them.
        let driven = catch_unwind(AssertUnwindSafe(|| drive(&mut Team { meeting: &meeting, operations })));
        meeting.over.store(true, Ordering::Relaxed);
        meeting.start.wait();
        let results = handles.into_iter().filter_map(|handle| handle.join().ok().flatten()).collect();
        if let Err(payload) = driven {
            resume_unwind(payload);
        }
        results
    });
    if let Some(payload) = meeting.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(payload);
    }
    results
}

struct Team<'m> {
    meeting: &'m Meeting,
    operations: usize,
}

impl Body for Team<'_> {
    // The members read the team's own wall clock: a lap is timed by several threads.
    fn pass(&mut self, _clock: &dyn Clock) -> Pass {
        let meeting = self.meeting;
        meeting.first_start_ns.store(u64::MAX, Ordering::Relaxed);
        meeting.last_end_ns.store(0, Ordering::Relaxed);
        meeting.start.wait();
        meeting.end.wait();
        let panic = meeting.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        let start = meeting.first_start_ns.load(Ordering::Relaxed);
        let end = meeting.last_end_ns.load(Ordering::Relaxed);
        Pass { elapsed_ns: end.saturating_sub(start), operations: self.operations as u64 }
    }
}

/// Pins this thread to one of the CPUs that the process may use. What cannot be pinned runs where it is put.
#[cfg(target_os = "linux")]
fn pin(index: usize) {
    // SAFETY: an all-zero `cpu_set_t` is a valid, empty set.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `allowed` is a valid set of the size that is passed; 0 means this thread.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) } != 0 {
        return;
    }
    // SAFETY: every CPU number below CPU_SETSIZE lies inside the set.
    let cpus = (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &allowed) });
    let count = cpus.clone().count();
    let Some(cpu) = (count > 0).then(|| index % count).and_then(|nth| cpus.clone().nth(nth)) else { return };
    // SAFETY: an all-zero set is valid; `cpu` is below CPU_SETSIZE; the set outlives the call.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut one);
        libc::sched_setaffinity(0, size_of_val(&one), &raw const one);
    }
}

/// Other platforms place threads themselves.
#[cfg(not(target_os = "linux"))]
fn pin(_index: usize) {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn every_member_runs_every_lap_once() {
        let count = AtomicUsize::new(0);
        let members = run(
            3,
            30,
            |index, laps| {
                while laps.next() {
                    laps.time(|| {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                }
                index
            },
            &mut |body| {
                for _ in 0..5 {
                    assert_eq!(body.pass(&WallClock::new()).operations, 30);
                }
            },
        );
        assert_eq!(members, [0, 1, 2]);
        assert_eq!(count.into_inner(), 15);
    }

    #[test]
    #[should_panic(expected = "a member gives up")]
    fn a_panic_of_one_member_reaches_the_caller() {
        run(
            2,
            1,
            |index, laps| {
                while laps.next() {
                    laps.time(|| assert!(index == 0, "a member gives up"));
                }
            },
            &mut |body| {
                for _ in 0..3 {
                    body.pass(&WallClock::new());
                }
            },
        );
    }

    #[test]
    #[should_panic(expected = "gives up on the way home")]
    fn a_panic_after_the_last_lap_reaches_the_caller_too() {
        let member = |index: usize, laps: &Laps<'_>| {
            while laps.next() {
                laps.time(|| ());
            }
            assert!(index == 0, "a member gives up on the way home");
        };
        run(2, 1, member, &mut |body| {
            body.pass(&WallClock::new());
        });
    }

    #[test]
    #[should_panic(expected = "the driver gives up")]
    fn a_panic_of_the_driver_sends_the_members_home() {
        run(
            2,
            1,
            |_, laps| {
                while laps.next() {
                    laps.time(|| ())
                }
            },
            &mut |_| panic!("the driver gives up"),
        );
    }
}
