//! The subject that stands for whichever allocator is the executable's `#[global_allocator]`.

use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Global};

use super::contract::{Demand, Subject};

/// Drives the executable's global allocator. It has no facts of its own: the bench executable knows which it installed.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalSubject;

impl Subject for GlobalSubject {
    type Handle<'a> = Global;

    fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
        Ok(Self)
    }

    #[inline]
    fn handle(&self) -> Global {
        Global
    }

    /// Always true: a global allocator cannot in general be asked, and all memory of the process that does not come
    /// from a scoped allocator is its own.
    fn owns(&self, _block: NonNull<u8>) -> bool {
        true
    }
}
