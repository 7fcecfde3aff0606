//! Layer 3: what turns workloads and allocators into numbers.
//!
//! | file | what |
//! |---|---|
//! | [`machine`] | what machine this is, and what is wrong with measuring on it now |

pub mod machine;
