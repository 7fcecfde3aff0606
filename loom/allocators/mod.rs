//! What is looked at, at the paths that it has in the package.

#![allow(dead_code, unused_imports, reason = "what no model uses, the package does")]

#[path = "../../src/allocators/arithmetic.rs"]
mod arithmetic;
mod bump_shared;
#[path = "../../src/allocators/canary.rs"]
mod canary;
#[path = "../../src/allocators/contract.rs"]
pub mod contract;
mod free_list;
#[path = "../../src/allocators/goal.rs"]
pub mod goal;
mod held;
#[path = "../../src/allocators/jemalloc.rs"]
pub mod jemalloc;
#[path = "../../src/allocators/mimalloc.rs"]
pub mod mimalloc;
#[path = "../../src/allocators/pages.rs"]
pub mod pages;
#[path = "../../src/allocators/poison.rs"]
mod poison;
#[path = "../../src/allocators/pool/mod.rs"]
pub mod pool;
mod pool_models;
#[path = "../../src/allocators/rpmalloc.rs"]
pub mod rpmalloc;
mod slab;
#[path = "../../src/allocators/slots.rs"]
mod slots;
#[path = "../../src/allocators/snmalloc.rs"]
pub mod snmalloc;
#[path = "../../src/allocators/sync.rs"]
mod sync;
#[path = "../../src/allocators/system.rs"]
pub mod system;
