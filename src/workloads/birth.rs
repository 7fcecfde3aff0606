//! Threads that are born and die inside the clock, for workloads whose threads are the work.
//!
//! They are the platform's bare threads. `std::thread` allocates a name, a packet for the result and a handle for each of
//! its threads, from the allocator under test: those would be counted among the workload's own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `work(index)` on `N` threads that are born for it, all at once, and waits until the last has gone.
///
/// The threads may run on the CPUs on which the caller may.
///
/// # Panics
/// With what one of them panicked with, after all have gone.
pub fn together<const N: usize>(work: impl Fn(usize) + Sync) {
    let mut tasks: [Task<'_>; N] = std::array::from_fn(|index| Task { work: &work, index, panic: None });
    let tasks_start = tasks.as_mut_ptr();
    // Each thread is given its own element; nobody touches the array until all have been joined.
    let threads: [platform::Thread; N] = std::array::from_fn(|index| {
        // SAFETY: the element is inside the array and is this thread's alone; `tasks` and what it borrows outlive the
        // thread, which is joined below before either goes. Between here and there nothing unwinds: a thread that cannot be
        // made ends the process.
        unsafe { platform::Thread::spawn(tasks_start.add(index)) }
    });
    for thread in threads {
        thread.join();
    }
    for task in tasks {
        if let Some(payload) = task.panic {
            resume_unwind(payload);
        }
    }
}

/// Runs `work` on one thread that is born for it, and waits until it has gone.
///
/// # Panics
/// With what it panicked with.
pub fn alone(work: impl Fn() + Sync) {
    together::<1>(|_| work());
}

/// What a thread is to do, and what became of it.
struct Task<'w> {
    work: &'w (dyn Fn(usize) + Sync),
    index: usize,
    panic: Option<Box<dyn Any + Send>>,
}

impl Task<'_> {
    fn run(&mut self) {
        let (work, index) = (self.work, self.index);
        self.panic = catch_unwind(AssertUnwindSafe(|| work(index))).err();
    }
}

#[cfg(unix)]
mod platform {
    use std::ffi::c_void;
    use std::mem::MaybeUninit;
    use std::process::abort;
    use std::ptr;

    use super::Task;

    pub(super) struct Thread(libc::pthread_t);

    impl Thread {
        /// # Safety
        /// `task` is valid, and nobody else's, until the thread was joined.
        pub(super) unsafe fn spawn(task: *mut Task<'_>) -> Self {
            let mut thread = MaybeUninit::uninit();
            // SAFETY: `thread` takes the identifier; null means the default attributes; `run` takes the task, which the
            // caller keeps valid.
            let refused = unsafe { libc::pthread_create(thread.as_mut_ptr(), ptr::null(), run, task.cast()) };
            if refused != 0 {
                eprintln!("a thread could not be made: error {refused}");
                abort();
            }
            // SAFETY: `pthread_create` succeeded and wrote it.
            Self(unsafe { thread.assume_init() })
        }

        pub(super) fn join(self) {
            // SAFETY: the thread was made joinable and is joined once (`self`); its result is not asked for.
            let refused = unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
            assert_eq!(refused, 0, "a thread that was made can be joined");
        }
    }

    extern "C" fn run(task: *mut c_void) -> *mut c_void {
        // SAFETY: it is the task that `spawn` was given, which is this thread's until it is joined.
        unsafe { (*task.cast::<Task<'_>>()).run() };
        ptr::null_mut()
    }
}

/// Elsewhere the standard library's threads, with what they allocate.
#[cfg(not(unix))]
mod platform {
    use std::thread::{Builder, JoinHandle};

    use super::Task;

    pub(super) struct Thread(JoinHandle<()>);

    struct Sent(*mut Task<'static>);

    // SAFETY: a task is used by its thread alone until it is joined, and all in it may be used from there: the work is
    // `Sync`, the panic's payload `Send`.
    unsafe impl Send for Sent {}

    impl Thread {
        /// # Safety
        /// `task` is valid, and nobody else's, until the thread was joined.
        pub(super) unsafe fn spawn(task: *mut Task<'_>) -> Self {
            let sent = Sent(task.cast());
            let work = move || {
                let Sent(task) = { sent };
                // SAFETY: valid and ours until we are joined (the caller's promise).
                unsafe { (*task).run() };
            };
            Self(Builder::new().spawn(work).unwrap_or_else(|error| {
                eprintln!("a thread could not be made: {error}");
                std::process::abort();
            }))
        }

        pub(super) fn join(self) {
            self.0.join().expect("a task catches its panics");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    #[test]
    fn each_thread_runs_once_and_is_another_one() {
        let seen = Mutex::new(BTreeSet::new());
        let caller = thread::current().id();
        together::<10>(|index| {
            assert_ne!(thread::current().id(), caller);
            assert!(seen.lock().unwrap().insert(index));
        });
        assert_eq!(seen.into_inner().unwrap(), (0..10).collect());
    }

    #[test]
    #[should_panic(expected = "the seventh gives up")]
    fn a_panic_reaches_the_caller_after_all_have_gone() {
        together::<10>(|index| assert_ne!(index, 6, "the seventh gives up"));
    }
}
