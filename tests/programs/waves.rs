//! Ten thousand threads that live for a moment, hand a block on and leave nothing behind.

use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{Host, Random, alone, is_ours, scaled};
use crate::GLOBAL;

/// Threads at once: more than a pool has magazines for (128), so that in each wave some do without.
const AT_ONCE: usize = scaled(200);
/// Ten thousand threads in all.
const WAVES: usize = 50;
/// What is held is compared from this wave on: the first make what all later ones use again.
const SETTLED: usize = 20;

/// What one thread hands to the next.
struct Parcel {
    sender: usize,
    text: String,
    large: Vec<u32>,
}

impl Parcel {
    fn new(sender: usize) -> Self {
        Self {
            sender,
            text: format!("from {sender}"),
            large: (0..1000).map(|word| word + sender as u32).collect(),
        }
    }

    fn check(&self) {
        assert!(is_ours(self.text.as_str()) && self.text == format!("from {}", self.sender));
        assert!((self.sender as u32..).zip(&self.large).all(|(expected, word)| expected == *word));
    }
}

/// A thread's work: blocks of its own, of which the first half is freed before and the rest after it takes what the one
/// before sent. What it leaves is for the next.
fn live(number: usize, before: &Receiver<Parcel>) -> Parcel {
    let mut random = Random::new(number);
    let mut own: Vec<(usize, Vec<u8>)> =
        (0..40).map(|_| random.below(3000)).map(|length| (length, vec![length as u8; length])).collect();
    let rest = own.split_off(20);
    drop(own);
    let received = before.recv().expect("the one before sends");
    received.check();
    assert_eq!(received.sender + 1, number);
    // Now and then a byte: each would take longer than all the rest.
    assert!(rest.iter().all(|(length, bytes)| bytes.iter().step_by(61).all(|byte| *byte == *length as u8)));
    Parcel::new(number)
}

/// Runs the threads from `first` on. None ends before all are started: they stand in a row, and what the wave before
/// left goes to the first of them only then.
fn wave(first: usize, inherited: Parcel) -> Parcel {
    let (start, mut before) = mpsc::channel();
    let threads: Vec<_> = (first..first + AT_ONCE)
        .map(|number| {
            let (to_next, next) = mpsc::channel();
            let before = std::mem::replace(&mut before, next);
            thread::spawn(move || to_next.send(live(number, &before)).is_ok())
        })
        .collect();
    start.send(inherited).expect("the first waits");
    let last = before.recv().expect("the last sends");
    // A thread is joined at its very end, when the destructors of its thread-locals have run.
    assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
    last
}

#[test]
fn ten_thousand_threads_that_live_for_a_moment_do_not_grow_memory() {
    let _alone = alone();
    let mut parcel = Parcel::new(0);
    let mut after_some = None;
    for number in 0..WAVES {
        parcel = wave(1 + number * AT_ONCE, parcel);
        if number == SETTLED {
            after_some = Some(GLOBAL.level());
        }
    }
    assert_eq!(parcel.sender, WAVES * AT_ONCE);
    parcel.check();
    GLOBAL.assert_flat(after_some.expect("there are more waves than that"), GLOBAL.level(), AT_ONCE);
}
