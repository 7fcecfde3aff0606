//! What every allocator must hold to, tried on each of ours, on the system's and on `Global`.
//!
//! - `specimens`: the allocators under test, behind one type
//! - `checks`: the promises of `Allocator`, one test each, for all specimens
//! - `programs`: random programs against a model, for all specimens
//! - `scoped`: reset, ownership and exhaustion of those that are built for a demand
//! - `pool`, `arena`, `bump_slice`: what only they promise

mod arena;
mod blocks;
mod bump_slice;
mod checks;
mod pool;
mod programs;
mod scoped;
mod specimens;
