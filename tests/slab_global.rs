//! `slab` as the global allocator of a whole process: everything a program does with threads, and its very end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::ptr::NonNull;
use std::sync::mpsc;

use allocmark::allocators::slab::Slab;

#[global_allocator]
static GLOBAL: Slab = Slab::new();

fn is_ours<T: ?Sized>(value: &T) -> bool {
    GLOBAL.owns(NonNull::from(value).cast())
}

#[test]
fn ordinary_collections_live_in_it() {
    let mut counts = HashMap::new();
    let mut text = String::new();
    for number in 0..20_000_u32 {
        write!(text, "{number},").expect("a string takes everything");
        *counts.entry(number % 777).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.values().sum::<u32>(), 20_000);
    assert_eq!(text.split(',').filter(|part| !part.is_empty()).count(), 20_000);
    assert!(is_ours(text.as_str()) && is_ours(&counts[&5]));
}

#[test]
fn threads_exchange_boxes_through_channels() {
    let (to_workers, from_main) = mpsc::channel::<Box<[u64]>>();
    let from_main = std::sync::Mutex::new(from_main);
    let (to_main, from_workers) = mpsc::channel::<Box<u64>>();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (to_main, from_main) = (to_main.clone(), &from_main);
            scope.spawn(move || {
                loop {
                    let next = from_main.lock().expect("no panic under the lock").recv();
                    let Ok(numbers) = next else { break };
                    to_main.send(Box::new(numbers.iter().sum())).expect("main waits");
                }
            });
        }
        drop(to_main);
        for length in 0..3000_usize {
            to_workers.send((0..length as u64 % 300).collect()).expect("workers wait");
        }
        drop(to_workers);
        let expected: u64 = (0..3000_u64).map(|length| (0..length % 300).sum::<u64>()).sum();
        assert_eq!(from_workers.iter().map(|sum| *sum).sum::<u64>(), expected);
    });
}

/// Allocates when the thread ends, and hands what it kept to whoever waits.
struct Keeper {
    kept: Vec<String>,
    heir: Option<mpsc::Sender<Vec<String>>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.kept.push(format!("written at the end, after {}", self.kept.len()));
        self.kept.shrink_to_fit();
        if let Some(heir) = self.heir.take() {
            heir.send(std::mem::take(&mut self.kept)).expect("the heir waits");
        }
    }
}

thread_local! {
    static FIRST: RefCell<Keeper> = const { RefCell::new(Keeper { kept: Vec::new(), heir: None }) };
    static SECOND: RefCell<Vec<Box<[u64]>>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn destructors_of_thread_locals_may_allocate_and_free_at_the_threads_end() {
    for _ in 0..200 {
        let (heir, inherited) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            FIRST.with_borrow_mut(|keeper| {
                keeper.kept = (0..50).map(|number| number.to_string()).collect();
                keeper.heir = Some(heir);
            });
            SECOND.with_borrow_mut(|boxes| boxes.extend((0..100).map(|number| vec![number; 3].into())));
        });
        let strings = inherited.recv().expect("the destructor sends");
        thread.join().expect("no panic");
        assert_eq!(strings.len(), 51);
        assert_eq!(strings[50], "written at the end, after 50");
    }
}

#[test]
fn a_panic_is_caught_and_its_payload_freed() {
    for number in 0..20 {
        let caught = std::panic::catch_unwind(|| {
            let held = vec![number; 1000];
            std::panic::resume_unwind(Box::new(format!("{} of {number}", held.len())));
        });
        let payload = caught.expect_err("it panicked");
        assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some(&*format!("1000 of {number}")));
    }
}

#[test]
fn a_child_process_is_spawned_while_threads_allocate() {
    std::thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        scope.spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                std::hint::black_box(vec![0_u8; 5000]);
            }
        });
        for _ in 0..5 {
            let output = std::process::Command::new("echo").arg("hello").output().expect("echo runs");
            assert_eq!(output.stdout, b"hello\n");
        }
        drop(stop);
    });
}

#[cfg(unix)]
#[test]
fn the_child_of_a_fork_may_allocate_and_free() {
    let kept: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    // SAFETY: the child only allocates and frees, and ends with _exit, which runs no handlers.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let doubled: Vec<String> = kept.iter().map(|text| text.repeat(2)).collect();
        let good = doubled[42] == "4242";
        drop((kept, doubled));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: waits for the child forked above; `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

#[cfg(unix)]
extern "C" fn at_exit() {
    // After the main thread's thread-locals: the allocator must do without its own.
    let mut words: Vec<String> = (0..100).map(|number| format!("at exit {number}")).collect();
    words.retain(|word| word.ends_with('7'));
    if words.len() != 10 || !is_ours(words[0].as_str()) {
        std::process::abort();
    }
}

#[cfg(unix)]
#[test]
fn exit_handlers_may_allocate() {
    // What the handler finds wrong ends the process with a signal, and so fails the run.
    // SAFETY: the handler does not unwind (it aborts), and may run at any time from now on.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
}

#[cfg(target_os = "linux")]
mod before_main {
    use std::sync::atomic::{AtomicPtr, Ordering};

    static EARLY: AtomicPtr<String> = AtomicPtr::new(std::ptr::null_mut());

    extern "C" fn allocate_early() {
        EARLY.store(Box::into_raw(Box::new(String::from("before main"))), Ordering::Relaxed);
    }

    // SAFETY: the C runtime calls each pointer in this section once before main, with arguments that are ignored.
    #[unsafe(link_section = ".init_array")]
    #[used]
    static CALLED_BEFORE_MAIN: extern "C" fn() = allocate_early;

    #[test]
    fn what_was_allocated_before_main_is_there_and_can_be_freed() {
        // SAFETY: stored once by `allocate_early` from `Box::into_raw`, and taken once.
        let early = unsafe { Box::from_raw(EARLY.swap(std::ptr::null_mut(), Ordering::Relaxed)) };
        assert_eq!(*early, "before main");
        assert!(super::is_ours(early.as_str()));
    }
}
