//! What is measured inside a bench executable beside criterion's time: one file for each probe.
//!
//! | file | what |
//! |---|---|
//! | [`memory`] | what fixed work costs in resident memory, page faults and CPU time |
//! | [`latency`] | how long single steps take |
//! | [`instructions`] | instructions of fixed work, counted by callgrind |

pub mod instructions;
pub mod latency;
pub mod memory;
