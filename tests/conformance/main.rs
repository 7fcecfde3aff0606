//! What every allocator must hold to, tried on each of ours, on the system's and on `Global`.
//!
//! - `blocks`, `machine`: blocks that know their content, and what runs a program on them; the soak and the fuzzer have them
//!   too
//! - `specimens`: the allocators under test, behind one type
//! - `checks`: the promises of `Allocator`, one test each, for all specimens
//! - `programs`: random programs against a model, for all specimens
//! - `scoped`: reset, ownership and exhaustion of those that are built for a demand
//! - `pools`: what our pools promise beyond that, and what they do when misused
//! - `pool`, `arena`, `arena_thread`, `bump_shared`, `bump_slice`: what only they promise

mod arena;
mod arena_thread;
#[path = "../support/blocks.rs"]
mod blocks;
mod bump_shared;
mod bump_slice;
mod checks;
#[path = "../support/machine.rs"]
mod machine;
mod pool;
mod pools;
mod programs;
mod scoped;
mod specimens;
