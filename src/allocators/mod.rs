//! Layer 1: our allocators, and everybody's contracts.

pub mod contract;
pub mod pages;
pub mod slab;
