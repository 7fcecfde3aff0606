//! Layer 1: wrappers around any allocator.
//!
//! | wrapper | what it gives |
//! |---|---|
//! | [`checked`] | finds overlap, misalignment, lost content and foreign frees |

pub mod checked;
