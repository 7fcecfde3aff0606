//! Before `main`, and after it.

#[cfg(unix)]
mod after_main {
    use std::process::Command;
    use std::sync::Mutex;

    use crate::programs::{alone, is_ours};

    /// Set in a process that shall end with the handler.
    const VARIABLE: &str = "ALLOCMARK_TEST_EXIT_HANDLER";
    /// What that process then ends with: not success, with which it would end without the handler.
    const PASSED: i32 = 77;

    /// Made while `main` ran.
    static LEFT: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// Runs after the destructors of the main thread's thread-locals: the allocator must do without its own.
    extern "C" fn at_exit() {
        let mut words: Vec<String> = (0..100).map(|number| format!("at exit {number}")).collect();
        words.retain(|word| word.ends_with('7'));
        let left = LEFT.lock().map(|mut left| std::mem::take(&mut *left)).unwrap_or_default();
        let good = words.len() == 10
            && left.len() == 100
            && words.iter().chain(&left).all(|word| is_ours(word.as_str()))
            && left.iter().enumerate().all(|(number, word)| word.ends_with(&format!(" {number}")));
        drop((words, left));
        // SAFETY: ends the process at once, and no other handler of this one matters.
        unsafe { libc::_exit(if good { PASSED } else { 1 }) };
    }

    #[cfg_attr(miri, ignore = "it has no processes")]
    #[test]
    fn exit_handlers_may_allocate_and_free() {
        let _alone = alone();
        if std::env::var_os(VARIABLE).is_some() {
            *LEFT.lock().expect("not poisoned") =
                (0..100).map(|number| format!("from main {number}")).collect();
            // SAFETY: the handler does not unwind, and may run at any time from now on.
            assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
            return;
        }
        let itself = std::env::current_exe().expect("it was started from a file");
        // With one thread the test runs on the main thread.
        let output = Command::new(itself)
            .args(["--test-threads=1", "exit_handlers_may_allocate_and_free"])
            .env(VARIABLE, "1")
            .output()
            .expect("it can be run");
        assert_eq!(output.status.code(), Some(PASSED), "{output:?}");
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod before_main {
    use std::sync::atomic::{AtomicPtr, Ordering};
    use std::thread;

    use crate::programs::{alone, is_ours};

    static EARLY: AtomicPtr<Vec<String>> = AtomicPtr::new(std::ptr::null_mut());

    extern "C" fn allocate_early() {
        let words: Vec<String> = (0..100).map(|number| format!("before main {number}")).collect();
        EARLY.store(Box::into_raw(Box::new(words)), Ordering::Relaxed);
    }

    // SAFETY: the C runtime calls each pointer in this section once before main, with arguments that are ignored.
    #[unsafe(link_section = ".init_array")]
    #[used]
    static CALLED_BEFORE_MAIN: extern "C" fn() = allocate_early;

    #[test]
    fn what_was_allocated_before_main_is_there_and_can_be_freed() {
        let _alone = alone();
        // SAFETY: stored once by `allocate_early` from `Box::into_raw`, and taken once.
        let early = unsafe { Box::from_raw(EARLY.swap(std::ptr::null_mut(), Ordering::Relaxed)) };
        assert!(is_ours(&*early) && early.iter().all(|word| is_ours(word.as_str())));
        let free = move || {
            assert!(early.iter().enumerate().all(|(number, word)| *word == format!("before main {number}")));
        };
        thread::spawn(free).join().expect("no panic");
    }
}
