//! The atomics of the pool, named in one place, so that a model checker's can take their place.

pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
