//! `startup`: a fresh process, from its start to its end.
//!
//! The processes are the executable that measures, started anew. It knows by a variable of its environment that it is to
//! live such a life: [`child`] looks, which a `main` calls before everything else.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use allocator_api2::alloc::{Allocator, Global, System};

use super::heap::Heap;
use super::mode::{Mode, Touch};
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::slot::Slot;
use crate::allocators::contract::Demand;

/// A process that lives a short life.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    life: Life,
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Allocates one block and exits.
    First,
    /// A small program: see [`STEPS`].
    Small,
}

/// The process's main has said that it lives such a life when it is asked to: it may start itself anew. Whoever has not
/// would run all over again, and start itself anew.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Lives the life that the environment asks for and gives back what to exit with; nothing if none is asked for. To be called
/// at the very start of `main`, before there are other threads.
///
/// Only a process that has called this can run the workload.
pub fn child() -> Option<ExitCode> {
    let life =
        platform::asked(|asked| Life::ALL.into_iter().find(|life| life.id().as_bytes() == asked).ok_or(()));
    match life {
        None => {
            // Relaxed, here and below: nothing else is read on the strength of it.
            SERVES.store(true, Ordering::Relaxed);
            None
        }
        Some(Ok(life)) => Some(ExitCode::from(exit_code(life.live(Global).0))),
        // Nothing to go on with: it would start processes itself.
        Some(Err(())) => {
            eprintln!("{}: there is no such life", platform::VARIABLE);
            Some(ExitCode::from(2))
        }
    }
}

/// Allocations of a small program: `ls` or `echo` in a script have some hundreds.
const BLOCKS: usize = 1_000;

/// Blocks of it that are alive at once, and are left to the end of the process.
const LIVE: usize = 128;

/// One block of a small program: which block goes before it, and how many bytes it has.
#[derive(Clone, Copy)]
struct Step {
    slot: u8,
    size: NonZeroU32,
}

/// What a small program does: it puts each block into one of 128 slots, and frees what was there. Sizes from 8 bytes to 2 KiB,
/// each doubling with half as many blocks as the one before.
///
/// It is part of the executable and the same for every seed: a process that has to draw it, or to be told, would take that
/// time too.
static STEPS: [Step; BLOCKS] = steps();

const fn steps() -> [Step; BLOCKS] {
    let mut steps = [Step { slot: 0, size: NonZeroU32::MIN }; BLOCKS];
    // G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003; any seed but 0.
    let mut state = 1_u64;
    let mut index = 0;
    while index < BLOCKS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let doubling = (state >> 40).trailing_zeros();
        let base = 8 << if doubling < 7 { doubling } else { 7 };
        let size = base + (state >> 16) as u32 % base;
        // The last two steps of the generator leave the top bits the best mixed.
        let slot = (state >> 57) as u8;
        steps[index] = Step { slot, size: NonZeroU32::new(size).expect("8 bytes at least") };
        index += 1;
    }
    steps
}

/// The blocks that a life leaves behind.
type Left = [Option<Slot>; LIVE];

impl Life {
    const ALL: [Self; 2] = [Self::First, Self::Small];

    const fn id(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Small => "small",
        }
    }

    fn steps(self) -> &'static [Step] {
        match self {
            Self::First => &STEPS[..1],
            Self::Small => &STEPS,
        }
    }

    /// What came out of it, and what is left.
    fn live<A: Allocator + Copy>(self, allocator: A) -> (u64, Left) {
        let (mut sum, mut slots) = (0, [None; LIVE]);
        for (step, name) in self.steps().iter().zip(1_u64..) {
            let slot = &mut slots[usize::from(step.slot)];
            if let Some(old) = slot.take() {
                // SAFETY: a slot that is full holds a live block that was named; it is empty now.
                unsafe {
                    sum = checksum(sum, read_name(old));
                    old.free(allocator, &mut Touch);
                }
            }
            let block = Slot::take(allocator, step.size, &mut Touch);
            // SAFETY: the block is ours, aligned to 8 bytes and has 8 at least.
            unsafe { block.block.cast::<u64>().write(name) };
            *slot = Some(block);
        }
        for &left in slots.iter().flatten() {
            // SAFETY: as above; it stays alive.
            sum = checksum(sum, unsafe { read_name(left) });
        }
        (sum, slots)
    }
}

/// # Safety
/// The block is live, aligned to 8 bytes, and its first 8 were written.
unsafe fn read_name(slot: Slot) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { slot.block.cast::<u64>().read() }
}

const fn checksum(sum: u64, value: u64) -> u64 {
    // The 64-bit multiplier of FNV-1a.
    (sum ^ value).wrapping_mul(0x0000_0100_0000_01B3)
}

/// A checksum as an exit code from 16 to 79: none that means something else (success, failure, a panic's 101, the shell's from
/// 126 on).
const fn exit_code(sum: u64) -> u8 {
    // 2^64 divided by the golden ratio: the top six bits of the product depend on all of the sum's.
    16 + (sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as u8
}

impl Shape for Startup {
    const FACTS: Facts = Facts {
        id: "startup",
        title: "a fresh process, from its start to its end",
        family: Family::Basic,
        why: "Commands in scripts, compilers in builds, functions in clouds: processes that live for milliseconds. An \
              allocator sets itself up at the first request: it maps and touches memory of its own, asks how many CPUs \
              there are, reads its options. What it gains per allocation it must first earn back.\n\n\
              First: the process makes one allocation and exits. Small: it makes a thousand, of 8 bytes to 2 KiB, frees \
              all but the last hundred or so, as programs do, and exits; the difference between the two is a small \
              program's work on a heap where everything is touched for the first time.\n\n\
              The process is this executable, started anew by its parent, which waits for its end. So the time has the \
              loading of the executable in it, which is more than the allocator's part and nearly the same for all; an \
              allocator's own library adds to it. The parent's heap is not copied, and plays no role. Whatever the \
              runtime allocates before `main` is in the time too.",
        effect: "Small differences beside the process's own start, which takes about a millisecond. Who reserves and \
              touches memory at the start is slower in `first`; the system's malloc, which the loader has set up \
              already, should be the fastest there. In `small` page faults decide: who spreads sizes over pages of \
              their own takes more of them than who puts all into one heap.",
        origin: "A shape of our own. snmalloc's startup test times the first allocation of each thread inside one process; \
              suites that run real programs have it in their times without telling it apart.",
        operation: "process",
        step: "",
        probes: &[Probe::Time],
        parameters: &[Parameter { name: "life", title: "what the process does", axis: Axis::Category }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(Vec::new(), Life::ALL.map(|life| Self { life }).to_vec())
    }

    fn params(&self) -> Params {
        Params::default().with("life", self.life.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: true }
    }

    fn demand(&self) -> Demand {
        let steps = self.life.steps();
        let pass_bytes = steps.iter().map(|step| step.size.get().next_multiple_of(8) as usize).sum();
        Demand { block: None, live_blocks: LIVE.min(steps.len()), pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // Those of this process: it allocates nothing. What the other one does is not counted here.
        Some(Declared::pairs(0))
    }
}

impl OneThread for Startup {
    fn open<H: Heap, M: Mode>(&self, _heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        assert!(
            SERVES.load(Ordering::Relaxed),
            "this executable cannot be started anew as a short-lived process: its main does not begin with \
             workloads::startup::child"
        );
        let (sum, left) = self.life.live(System);
        for slot in left.into_iter().flatten() {
            // SAFETY: taken from this allocator in this mode, and freed once.
            unsafe { slot.free(System, &mut Touch) };
        }
        let expected = u64::from(exit_code(sum));
        drive(&mut Processes { command: platform::Command::new(self.life), expected, mode });
    }
}

struct Processes<'m, M> {
    command: platform::Command,
    /// What a process exits with that got the right answer.
    expected: u64,
    mode: &'m mut M,
}

impl<M: Mode> Body for Processes<'_, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut found = 0;
        // One process is a millisecond: long against a clock reading.
        let pass = timed(clock, 1, || found = self.command.run());
        self.mode.result(found, self.expected);
        pass
    }
}

#[cfg(unix)]
mod platform {
    use std::env;
    use std::ffi::{CStr, CString, c_char};
    use std::io::{Error, ErrorKind};
    use std::os::unix::ffi::OsStringExt;
    use std::ptr;

    use super::Life;

    /// Says which life to live.
    pub(super) const VARIABLE: &str = "ALLOCMARK_LIFE";

    /// What the environment asks for. `env::var` would allocate: in the process whose first allocation is to be timed.
    pub(super) fn asked<R>(understand: impl FnOnce(&[u8]) -> R) -> Option<R> {
        const NAME: &CStr = c"ALLOCMARK_LIFE";
        // SAFETY: the name ends in 0, and nobody changes the environment: this is the start of `main`.
        let value = unsafe { libc::getenv(NAME.as_ptr()) };
        // SAFETY: not null, so it is a string of the environment, which lives as long as nobody changes that.
        (!value.is_null()).then(|| understand(unsafe { CStr::from_ptr(value) }.to_bytes()))
    }

    /// This executable with a life to live. All that starting it needs is made beforehand.
    ///
    /// `posix_spawn`, because it leaves the parent's memory alone: with `fork` the time would depend on how much of it there
    /// is. The standard library's command allocates.
    pub(super) struct Command {
        path: CString,
        /// What the pointers below point into.
        _variables: Vec<CString>,
        /// Ends in null.
        arguments: [*mut c_char; 2],
        /// Ends in null.
        environment: Vec<*mut c_char>,
    }

    impl Command {
        pub(super) fn new(life: Life) -> Self {
            let string = |bytes: Vec<u8>| CString::new(bytes).expect("the system's strings have no 0 inside");
            let path = env::current_exe().expect("the path of a running executable is known");
            let path = string(path.into_os_string().into_vec());
            let mut variables: Vec<CString> = env::vars_os()
                .map(|(name, value)| string([name.into_vec(), value.into_vec()].join(&b'=')))
                .collect();
            variables.push(string(format!("{VARIABLE}={}", life.id()).into_bytes()));
            let pointer = |string: &CString| string.as_ptr().cast_mut();
            Self {
                arguments: [pointer(&path), ptr::null_mut()],
                environment: variables.iter().map(pointer).chain([ptr::null_mut()]).collect(),
                path,
                _variables: variables,
            }
        }

        /// Starts it and waits for its end. Its exit code; 256 and the signal's number if a signal ended it.
        pub(super) fn run(&mut self) -> u64 {
            let mut process = 0;
            // SAFETY: `process` takes the number; path, arguments and environment are strings that end in 0, and the latter
            // two lists that end in null, all of which live in `self`; null means that nothing is to be done to files and
            // attributes.
            let refused = unsafe {
                libc::posix_spawn(
                    &mut process,
                    self.path.as_ptr(),
                    ptr::null(),
                    ptr::null(),
                    self.arguments.as_ptr(),
                    self.environment.as_ptr(),
                )
            };
            assert_eq!(refused, 0, "{:?} could not be started anew", self.path);
            let mut status = 0;
            loop {
                // SAFETY: `status` takes the status of the process, which is ours and was not waited for yet.
                if unsafe { libc::waitpid(process, &mut status, 0) } == process {
                    break;
                }
                let error = Error::last_os_error();
                assert_eq!(
                    error.kind(),
                    ErrorKind::Interrupted,
                    "a process could not be waited for: {error}"
                );
            }
            match libc::WIFEXITED(status) {
                true => libc::WEXITSTATUS(status) as u64,
                false => 256 + libc::WTERMSIG(status) as u64,
            }
        }
    }
}

/// Elsewhere the standard library's command, with what it allocates.
#[cfg(not(unix))]
mod platform {
    use std::{env, process};

    use super::Life;

    /// Says which life to live.
    pub(super) const VARIABLE: &str = "ALLOCMARK_LIFE";

    /// What the environment asks for.
    pub(super) fn asked<R>(understand: impl FnOnce(&[u8]) -> R) -> Option<R> {
        env::var_os(VARIABLE).map(|value| understand(value.as_encoded_bytes()))
    }

    /// This executable with a life to live.
    pub(super) struct Command(process::Command);

    impl Command {
        pub(super) fn new(life: Life) -> Self {
            let path = env::current_exe().expect("the path of a running executable is known");
            let mut command = process::Command::new(path);
            command.env(VARIABLE, life.id());
            Self(command)
        }

        /// Starts it and waits for its end. Its exit code; 256 if it has none.
        pub(super) fn run(&mut self) -> u64 {
            let status = self.0.status().expect("the executable can be started anew");
            status.code().map_or(256, |code| u64::from(code.cast_unsigned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::allocators::contract::Subject;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;
    use crate::workloads::heap::Individually;

    #[test]
    #[should_panic(expected = "cannot be started anew")]
    fn an_executable_that_would_run_all_over_again_does_not_start_itself() {
        let case = Startup { life: Life::First };
        case.open(&mut Individually(GlobalSubject), &mut Touch, 1, &mut |_| ());
    }

    #[test]
    fn a_life_allocates_what_its_page_says_and_leaves_a_tenth() {
        for (life, blocks, left_at_most) in [(Life::First, 1, 1), (Life::Small, 1_000, 128)] {
            let counting = Counting::new(GlobalSubject);
            let (_, left) = life.live(counting.handle());
            let counts = counting.tally().snapshot();
            let left_blocks = left.iter().flatten().count();
            assert_eq!((counts.allocations, counts.frees), (blocks, blocks - left_blocks as u64));
            assert!((left_at_most * 9 / 10..=left_at_most).contains(&left_blocks), "{left_blocks}");
            for slot in left.into_iter().flatten() {
                // SAFETY: taken from this allocator in this mode, and freed once.
                unsafe { slot.free(counting.handle(), &mut Touch) };
            }
        }
    }

    #[test]
    fn sizes_are_mixed_and_each_doubling_has_half_of_what_is_left() {
        let sizes: Vec<u32> = STEPS.iter().map(|step| step.size.get()).collect();
        assert!(sizes.iter().all(|size| (8..2_048).contains(size)));
        for (doubling, expected) in [500_usize, 250, 125, 62].into_iter().enumerate() {
            let within =
                sizes.iter().filter(|&&size| (8 << doubling..16 << doubling).contains(&size)).count();
            assert!(within.abs_diff(expected) < 60, "{within} instead of {expected}");
        }
        assert!(sizes.iter().collect::<BTreeSet<_>>().len() > 100);
    }

    #[test]
    fn no_result_exits_like_a_success_a_failure_or_a_panic() {
        let codes: BTreeSet<u8> = (0..10_000).map(exit_code).collect();
        assert_eq!((codes.first(), codes.last(), codes.len()), (Some(&16), Some(&79), 64));
        assert_ne!(checksum(checksum(0, 1), 2), checksum(checksum(0, 2), 1));
    }
}
