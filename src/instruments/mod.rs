//! Layer 1: wrappers around any allocator.
//!
//! | wrapper | what it gives |
//! |---|---|
//! | [`checked`] | finds overlap, misalignment, lost content and foreign frees |
//! | [`counting`] | counts calls, bytes, and the most bytes alive |

pub mod checked;
pub mod counting;
