//! The atomics of our allocators, named in one place: the standard library's, or, under `cfg(loom)`, those of the model
//! checker that tries every order of their accesses.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
