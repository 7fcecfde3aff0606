//! allocmark: the allocator barometer for Rust.

pub mod allocators;
#[cfg(feature = "harness")]
pub mod cli;
#[cfg(feature = "harness")]
pub mod harness;
#[cfg(feature = "harness")]
pub mod instruments;
#[cfg(feature = "harness")]
pub mod report;
#[cfg(feature = "harness")]
pub mod results;
#[cfg(feature = "harness")]
pub mod stats;
#[cfg(feature = "harness")]
pub mod units;
#[cfg(feature = "harness")]
pub mod workloads;
