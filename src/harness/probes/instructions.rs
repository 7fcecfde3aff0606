//! The instruction probe: a clock that switches callgrind's collection on when a pass's work begins, and off when it ends.
//!
//! It needs no function of its own around the work, so the code that is counted is the code that is timed.
//!
//! Some allocators look at the time and do a little more work when a moment has passed (jemalloc every 10 ms). Under
//! callgrind, which is fifty times slower, that would happen fifty times as often, and at other places in every process. So
//! the process's clock stands still there: see `frozen`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::binding::{BoundCell, Fault, Proof};
use crate::workloads::shape::Clock;

/// Callgrind's request to switch collection on or off: tool `CT`, number 2 (`callgrind.h`).
const TOGGLE_COLLECT: usize = ((b'C' as usize) << 24) | ((b'T' as usize) << 16) | 2;

/// Valgrind's request that tells how deep in valgrind the process is: 0 for not at all (`valgrind.h`).
const RUNNING_ON_VALGRIND: usize = 0x1001;

/// Passes before the one that is counted: the first meets an empty heap, in which every page is new.
const WARM_UP_PASSES: usize = 1;

/// Passes that are counted: each is thousands of operations, the same ones in every process. More than one, so that work
/// which an allocator puts off is counted as well.
const COUNTED_PASSES: usize = 4;

/// Whether somebody is there who counts.
///
/// # Errors
/// The reason why not, for a reader of the site.
pub fn available() -> Result<(), String> {
    match request(RUNNING_ON_VALGRIND) {
        0 => Err(
            "the process does not run under valgrind, or not on a processor whose requests are known here"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// Counts one pass on the outside: gives back the operations that were done in it, and how it was seen who served.
///
/// # Errors
/// What went wrong in the workload.
pub fn measure(cell: &BoundCell, seed: u64, proof: Proof) -> Result<(u64, Option<String>), Fault> {
    // The linker drops what nobody names.
    #[cfg(target_os = "linux")]
    std::hint::black_box(frozen as *const ());
    let mut operations = 0;
    let served = cell.measure(seed, Some(proof), &mut |body| {
        let clock = Toggle { counts: AtomicBool::new(false) };
        for _ in 0..WARM_UP_PASSES {
            body.pass(&clock);
        }
        clock.counts.store(true, Ordering::Relaxed);
        operations = (0..COUNTED_PASSES).map(|_| body.pass(&clock).operations).sum();
    })?;
    Ok((operations, served))
}

/// A clock that stands still. Each of a pass's two readings turns collection over: on, then off.
struct Toggle {
    counts: AtomicBool,
}

impl Clock for Toggle {
    fn now_ns(&self) -> u64 {
        // Relaxed: one thread reads and writes it.
        if self.counts.load(Ordering::Relaxed) {
            request(TOGGLE_COLLECT);
        }
        0
    }
}

/// What valgrind, and nobody else, runs in place of the C library's `clock_gettime`: a clock that stands still.
///
/// By its name: valgrind looks through the symbols of a process for `_vgr` names, which say what to replace (here
/// `clock_gettime` of `libc.so*`; "Function wrapping" in valgrind's manual). Outside of valgrind it is a function that
/// nobody calls.
///
/// # Safety
/// `time` is null or points to a writable `timespec`, as for `clock_gettime`.
#[cfg(target_os = "linux")]
#[unsafe(export_name = "_vgr00000ZU_libcZdsoZa_clock_gettime")]
unsafe extern "C" fn frozen(_clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // A day after the start, for whoever subtracts from it.
    let stands_still = libc::timespec { tv_sec: 86_400, tv_nsec: 0 };
    if !time.is_null() {
        // SAFETY: the caller's promise.
        unsafe { time.write(stands_still) };
    }
    0
}

/// Asks valgrind; 0 outside of it, where the instructions do nothing.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn request(number: usize) -> usize {
    let arguments = [number, 0, 0, 0, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: outside of valgrind the four rotations turn `rdi` by 128 bits, which is not at all, and `xchg` does nothing
    // to a register and itself; flags are clobbered, as is the default. Under valgrind the pattern is a request that reads
    // six words at `rax` and answers in `rdx`.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

/// Asks valgrind; 0 outside of it, where the instructions do nothing.
#[cfg(all(target_arch = "aarch64", not(miri)))]
fn request(number: usize) -> usize {
    let arguments = [number, 0, 0, 0, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: outside of valgrind the four rotations turn `x12` by 128 bits, which is not at all, and `orr` of a register
    // and itself does nothing. Under valgrind the pattern is a request that reads six words at `x4` and answers in `x3`.
    unsafe {
        std::arch::asm!(
            "ror x12, x12, 3",
            "ror x12, x12, 13",
            "ror x12, x12, 51",
            "ror x12, x12, 61",
            "orr x10, x10, x10",
            in("x4") arguments.as_ptr(),
            inout("x3") answer,
            options(nostack),
        );
    }
    answer
}

/// No valgrind that we know the requests of.
#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
fn request(_number: usize) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_valgrind_nobody_answers() {
        // Under valgrind the test would be of something else.
        if std::env::var_os("VALGRIND_LIB").is_none() {
            assert_eq!(request(RUNNING_ON_VALGRIND), 0);
            assert_eq!(request(TOGGLE_COLLECT), 0);
        }
    }
}
