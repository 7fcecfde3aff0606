//! What an executable can ask of its allocator beyond allocating.

use std::ptr::NonNull;

/// What an allocator says of itself: names as its library spells them, in bytes.
pub type Statistics = fn() -> Vec<(&'static str, u64)>;

/// Entry points that some allocators have. What one has not stays `None`, and the numbers that need it are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks {
    /// Gives back to the operating system what it can, of the calling thread and of the process.
    pub purge: Option<fn()>,
    /// What it says of itself.
    pub statistics: Option<Statistics>,
    /// How many bytes a live block of its own can hold.
    pub usable: Option<fn(NonNull<u8>) -> usize>,
}
