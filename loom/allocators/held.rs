//! Who has which block, for all models: the judge, which must not order the threads that it looks at.
//!
//! # Operations as steps
//! Loom skips orders that it takes for equal to one it has tried: two accesses to an atomic are tried both ways round only
//! if nothing else came to that atomic in between. So where a thread loads and then exchanges, another thread's load before
//! both is forgotten. Each operation of a model therefore begins with a [step](Held::step): an exchange of one word by all
//! threads, relaxed, so that it makes nothing visible, of which loom tries every order.

use std::sync::atomic::{AtomicBool, Ordering};

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;

/// For each block whether it is out, and its content.
pub(super) struct Held {
    /// Not one of loom's, so that it is always up to date and orders nothing.
    out: Vec<AtomicBool>,
    /// Loom fails when two accesses to one are not ordered, one of them being a write.
    content: Vec<UnsafeCell<u32>>,
    steps: AtomicUsize,
}

impl Held {
    pub(super) fn new(blocks: usize) -> Self {
        Self {
            out: (0..blocks).map(|_| AtomicBool::new(false)).collect(),
            content: (0..blocks).map(|_| UnsafeCell::new(0)).collect(),
            steps: AtomicUsize::new(0),
        }
    }

    /// The calling thread begins an operation: see the module.
    pub(super) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The calling thread was given the block: it reads what the last user has left there, and writes.
    pub(super) fn take(&self, block: usize) {
        let twice = self.out[block].swap(true, Ordering::Relaxed);
        assert!(!twice, "block {block} was handed out twice");
        self.write(block);
    }

    /// The calling thread writes to the block once more and is about to give it back.
    pub(super) fn give_back(&self, block: usize) {
        self.write(block);
        let out = self.out[block].swap(false, Ordering::Relaxed);
        assert!(out, "block {block} was given back twice");
    }

    /// How many blocks are out.
    pub(super) fn count(&self) -> usize {
        self.out.iter().filter(|out| out.load(Ordering::Relaxed)).count()
    }

    fn write(&self, block: usize) {
        // SAFETY: the pointer is good for as long as the closure runs. Whether anybody else is writing is what loom checks
        // before it calls the closure.
        self.content[block].with_mut(|content| unsafe { *content += 1 });
    }
}
