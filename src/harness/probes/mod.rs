//! What is measured inside a bench executable beside criterion's time: one file for each probe.
//!
//! | file | what |
//! |---|---|
//! | [`latency`] | how long single steps take |

pub mod latency;
