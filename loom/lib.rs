//! Every order of the accesses of our lock-free parts, tried by a model checker.
//!
//! The modules are those of the package beside, compiled from its files, at the paths that they know each other by. Models
//! stand beside them. Loom runs a model once for each order in which its threads' accesses to atomics can take effect, with
//! each value that a load may then return; what is not atomic is watched by [`loom::cell::UnsafeCell`]s, which fail where
//! two accesses are not ordered by what the atomics promise.
//!
//! # Where a model is less than what it stands for
//! - Two slots for threads, magazines of two blocks, pools of a few blocks: see `cfg!(loom)` in the files.
//! - At most so many [preemptions](explore) in one run.
//! - Loom passes over some orders of accesses that are not equal; [`held`](allocators::held) says which, and what the models
//!   do about it.
//! - A `SeqCst` load does not miss a newer `SeqCst` store under loom, which is what our code needs of it, but only if what it
//!   reads instead was stored with `SeqCst` too. The language asks less. So all stores of such an atomic are `SeqCst`, and
//!   models first replace the value that it began with.
//! - Loom's compare-exchange never fails without a reason, as a weak one may: what follows then is one more round.

#![cfg(all(loom, test))]
#![allow(clippy::duplicate_mod, reason = "the free list is looked at alone, and as a part of the pool")]

mod allocators;

/// Runs a model with every order that needs at most `preemptions` switches away from a thread that could have gone on.
/// Two find nearly all faults that are known from lock-free algorithms; each one more makes a run several times as long.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
