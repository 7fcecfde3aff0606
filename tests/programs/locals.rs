//! Thread-locals whose destructors allocate and free while their thread ends.

use std::cell::RefCell;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::{alone, is_ours, scaled};

/// Frees, grows and allocates when the thread ends, then hands what it kept to whoever waits.
struct Keeper {
    kept: Vec<String>,
    heir: Option<Sender<Vec<String>>>,
}

impl Keeper {
    const fn new() -> Self {
        Self { kept: Vec::new(), heir: None }
    }

    /// Holds memory from the beginning.
    fn reserved() -> Self {
        Self { kept: Vec::with_capacity(5), heir: None }
    }

    fn fill(&mut self, heir: Sender<Vec<String>>) {
        self.kept = (0..50).map(|number| number.to_string()).collect();
        self.heir = Some(heir);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.kept.truncate(25);
        self.kept.extend((0..25).map(|number| format!("written at the end, after {number}")));
        self.kept.shrink_to_fit();
        if let Some(heir) = self.heir.take() {
            heir.send(std::mem::take(&mut self.kept)).expect("the heir waits");
        }
    }
}

/// Uses a thread-local for the first time when the thread is about to end.
struct Starter(Option<Sender<Vec<String>>>);

impl Drop for Starter {
    fn drop(&mut self) {
        if let Some(heir) = self.0.take() {
            LATE.with_borrow_mut(|keeper| keeper.fill(heir));
        }
    }
}

thread_local! {
    static FIRST: RefCell<Keeper> = const { RefCell::new(Keeper::new()) };
    static BOXES: RefCell<Vec<Box<[u64]>>> = const { RefCell::new(Vec::new()) };
    static SECOND: RefCell<Keeper> = RefCell::new(Keeper::reserved());
    static STARTER: RefCell<Starter> = const { RefCell::new(Starter(None)) };
    static LATE: RefCell<Keeper> = RefCell::new(Keeper::reserved());
}

/// What each keeper leaves.
fn assert_legacy(strings: &[String]) {
    assert_eq!(strings.len(), 50);
    assert_eq!((strings[24].as_str(), strings[49].as_str()), ("24", "written at the end, after 24"));
    assert!(strings.iter().all(|text| is_ours(text.as_str())));
}

#[test]
fn destructors_of_thread_locals_may_allocate_and_free_at_the_threads_end() {
    let _alone = alone();
    for round in 0..scaled(300) {
        let (heir, inherited) = mpsc::channel();
        let thread = thread::spawn(move || {
            // The last that was touched first is destroyed first. So the allocator's own thread-local, which its first
            // slow path touches, is gone before the destructors of some of these, and there for those of others.
            let touch_first = || FIRST.with_borrow_mut(|keeper| keeper.fill(heir.clone()));
            let touch_second = || SECOND.with_borrow_mut(|keeper| keeper.fill(heir.clone()));
            match round % 3 {
                0 => (touch_first(), touch_second()),
                1 => (touch_second(), touch_first()),
                _ => {
                    FIRST.with_borrow(|_| ());
                    drop((0..100).map(|number| vec![number; 9]).collect::<Vec<_>>());
                    (touch_second(), touch_first())
                }
            };
            BOXES.with_borrow_mut(|boxes| boxes.extend((0..100).map(|number| vec![number; 3].into())));
        });
        let legacies: Vec<_> = inherited.iter().collect();
        thread.join().expect("no panic");
        assert_eq!(legacies.len(), 2);
        legacies.iter().for_each(|strings| assert_legacy(strings));
    }
}

#[test]
fn a_destructor_may_make_a_thread_local_whose_destructor_allocates() {
    let _alone = alone();
    for _ in 0..scaled(100) {
        let (heir, inherited) = mpsc::channel();
        let thread = thread::spawn(move || STARTER.with_borrow_mut(|starter| starter.0 = Some(heir)));
        let legacies: Vec<_> = inherited.iter().collect();
        thread.join().expect("no panic");
        assert_eq!(legacies.len(), 1);
        assert_legacy(&legacies[0]);
    }
}

#[test]
fn what_a_thread_local_held_is_freed_by_a_thread_that_comes_later() {
    let _alone = alone();
    let mut inherited_before = Vec::new();
    for _ in 0..scaled(100) {
        let (heir, inherited) = mpsc::channel();
        let inherits = std::mem::take(&mut inherited_before);
        thread::spawn(move || {
            FIRST.with_borrow_mut(|keeper| keeper.fill(heir));
            drop::<Vec<String>>(inherits);
        })
        .join()
        .expect("no panic");
        inherited_before = inherited.recv().expect("the destructor sent");
        assert_legacy(&inherited_before);
    }
}
