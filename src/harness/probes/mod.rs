//! What is measured inside a bench executable beside criterion's time: one file for each probe.
//!
//! | file | what |
//! |---|---|
//! | [`latency`] | how long single steps take |
//! | [`instructions`] | instructions of fixed work, counted by callgrind |

pub mod instructions;
pub mod latency;
