//! Layer 1: our allocators, and everybody's contracts.

pub mod arena;
mod arithmetic;
pub mod bump;
mod canary;
pub mod contract;
pub mod global;
pub mod jemalloc;
pub mod jemalloc_bg;
pub mod jemalloc_eager;
pub mod list;
pub mod mimalloc;
pub mod mimalloc_eager;
pub mod null;
pub mod pages;
mod poison;
pub mod pool;
pub mod rpmalloc;
pub mod slab;
mod slots;
pub mod snmalloc;
mod sync;
pub mod system;
pub mod system_one_arena;
pub mod tcmalloc;
