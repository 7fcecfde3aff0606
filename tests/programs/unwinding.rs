//! Panics on their way through values that own memory.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::thread;

use super::{alone, is_ours, scaled};

const DEPTH: usize = 60;
/// How the panics begin that are meant.
const BOTTOM: &str = "at the bottom";

/// Owns memory, and allocates when it is dropped.
struct Witness<'log> {
    name: Box<str>,
    own: Vec<String>,
    log: &'log Mutex<Vec<String>>,
}

impl<'log> Witness<'log> {
    fn new(depth: usize, log: &'log Mutex<Vec<String>>) -> Self {
        Self {
            name: format!("depth {depth}").into(),
            own: (0..depth).map(|number| number.to_string()).collect(),
            log,
        }
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        assert!(
            self.own
                .iter()
                .enumerate()
                .all(|(number, text)| *text == number.to_string() && is_ours(text.as_str()))
        );
        let line = format!("{} left while panicking: {}", self.name, thread::panicking());
        self.log.lock().expect("no panic under the lock").push(line);
    }
}

/// Keeps the hook from printing the panics that are meant: with a backtrace asked for it would read the debug information,
/// and what it keeps of that for the next time fills a pool.
fn expect_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.payload_as_str().is_some_and(|text| text.starts_with(BOTTOM)) {
                usual(info);
            }
        }));
    });
}

/// Recurses, and panics at the bottom.
fn descend(depth: usize, log: &Mutex<Vec<String>>) {
    let witness = Witness::new(depth, log);
    if depth == DEPTH {
        panic!("{BOTTOM}: {} of {DEPTH}", witness.own.len());
    }
    descend(depth + 1, log);
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().expect("it was formatted");
    assert!(is_ours(text.as_str()));
    text
}

#[test]
fn a_panic_runs_every_destructor_on_its_way_on_several_threads_at_once() {
    let _alone = alone();
    expect_panics();
    let bottom = format!("{BOTTOM}: {DEPTH} of {DEPTH}");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..scaled(20) {
                    let log = Mutex::new(Vec::new());
                    let caught = panic::catch_unwind(AssertUnwindSafe(|| descend(0, &log)));
                    assert_eq!(text_of(&*caught.expect_err("it panicked")), bottom);
                    // From the inside out, each once.
                    let left = log.into_inner().expect("no panic under the lock");
                    let expected = |depth| format!("depth {depth} left while panicking: true");
                    assert!(left.iter().eq((0..=DEPTH).rev().map(expected).collect::<Vec<_>>().iter()));
                }
            });
        }
    });
}

#[test]
fn a_thread_ends_by_a_panic_and_its_payload_is_freed_by_another() {
    let _alone = alone();
    expect_panics();
    for _ in 0..scaled(50) {
        let log = Mutex::new(Vec::new());
        let payload =
            thread::scope(|scope| scope.spawn(|| descend(DEPTH - 3, &log)).join().expect_err("it panicked"));
        assert_eq!(log.into_inner().expect("no panic under the lock").len(), 4);
        let text = text_of(&*payload).to_owned();
        assert!(text.starts_with(BOTTOM));
    }
}

#[test]
fn a_collection_that_is_half_built_is_freed_to_the_last_element() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counted(#[allow(dead_code, reason = "owned, to be freed")] Box<usize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    let _alone = alone();
    let rounds = scaled(50);
    for round in 0..rounds {
        let element = |number: usize| {
            if number == 100 {
                panic::resume_unwind(Box::new(format!("{round}")));
            }
            Counted(Box::new(number))
        };
        let caught = panic::catch_unwind(AssertUnwindSafe(|| (0..200).map(element).collect::<Vec<_>>()));
        let Err(payload) = caught else { panic!("it panicked") };
        assert_eq!(text_of(&*payload), round.to_string());
    }
    assert_eq!(DROPPED.load(Ordering::Relaxed), 100 * rounds);
}
