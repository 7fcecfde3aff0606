//! What is measured inside a bench executable beside criterion's time: one file for each probe.

pub mod instructions;
pub mod memory;
