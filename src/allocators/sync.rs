//! The atomics of our allocators, named in one place: the standard library's, or, under `cfg(loom)`, those of the model
//! checker that tries every order of their accesses. The package in `loom/` is built so.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
#[cfg(not(loom))]
pub(super) use std::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    thread_local as const_thread_local,
};

/// A constructor that is `const`, so that its values can be statics. Not under loom, whose atomics are made anew in each
/// run of a model.
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$attribute])*
        $visibility fn $($rest)*
    };
}
pub(super) use const_unless_loom;

/// `thread_local!` for values that are made at compile time; with loom, for the threads of a model, when first used.
#[cfg(loom)]
macro_rules! const_thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const { $value:expr };)*) => {
        loom::thread_local! { $($(#[$attribute])* static $name: $type = $value;)* }
    };
}
#[cfg(loom)]
pub(super) use const_thread_local;
