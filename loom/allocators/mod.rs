//! What is looked at, at the paths that it has in the package.

#![allow(dead_code, reason = "what no model uses, the package does")]

#[path = "../../src/allocators/arithmetic.rs"]
mod arithmetic;
mod bump_shared;
#[path = "../../src/allocators/contract.rs"]
pub mod contract;
mod free_list;
#[path = "../../src/allocators/goal.rs"]
pub mod goal;
mod held;
#[path = "../../src/allocators/pages.rs"]
pub mod pages;
#[path = "../../src/allocators/poison.rs"]
mod poison;
#[path = "../../src/allocators/pool/mod.rs"]
pub mod pool;
mod pool_models;
mod slab;
#[path = "../../src/allocators/slots.rs"]
mod slots;
#[path = "../../src/allocators/sync.rs"]
mod sync;
