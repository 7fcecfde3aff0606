//! Layer 1: our allocators, and everybody's contracts.

pub mod arena;
mod arithmetic;
pub mod bump;
pub mod contract;
pub mod global;
pub mod jemalloc;
pub mod list;
pub mod mimalloc;
pub mod null;
pub mod pages;
pub mod pool;
pub mod rpmalloc;
pub mod snmalloc;
pub mod system;
pub mod tcmalloc;
