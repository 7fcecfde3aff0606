//! Layer 3: the matrix of cases and allocators, the bench executables' entry point, and the driver that measures them.
//!
//! | file | what |
//! |---|---|
//! | [`metric`] | the metrics with unit, direction and noise class |
//! | [`findings`] | what one process of a probe found |
//! | [`counts`] | what a pass asks of an allocator, counted inside its clock |
//! | [`matrix`] | which case fits which allocator, and why not |
//! | [`binding`] | an allocator's type bound to every workload's code |
//! | [`mod@bench`] | the entry point of a bench executable |
//! | [`probes`] | memory, latency and instructions, measured inside the executable |
//! | [`provenance`] | proof of who served |
//! | [`protocol`] | what executables and the driver tell each other |
//! | [`run`] | the driver: one process for each (round, case, allocator) |
//! | [`criterion_files`] | criterion's output directory, read one benchmark at a time |
//! | [`machine`] | what machine this is, and what is wrong with measuring on it now |
//! | [`files`] | files that appear whole |

pub mod bench;
pub mod binding;
pub mod counts;
pub mod criterion_files;
pub mod files;
pub mod findings;
pub mod machine;
pub mod matrix;
pub mod metric;
pub mod probes;
pub mod protocol;
pub mod provenance;
pub mod run;
