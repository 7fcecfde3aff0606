//! A [`BumpSlice`] with memory of its own: what the benchmarks measure.

use std::ptr::NonNull;
use std::slice;

use allocator_api2::alloc::AllocError;

use super::BumpSlice;
use crate::allocators::arithmetic::round_up;
use crate::allocators::contract::{Bulk, Demand, Facts, Known, Subject};
use crate::allocators::goal::{Against, Cells, Goal};
use crate::allocators::{bump, pages};

/// Facts about the allocator over a slice.
pub const FACTS: Facts = Facts {
    id: "bump-slice",
    ours: true,
    configuration_of: None,
    title: "BumpSlice",
    description: "A pointer moves upwards through a slice that the caller gave: no chunks, no headers, no rounding of \
                  sizes. Nothing is freed one at a time but the newest block, which also grows in place; a reset begins \
                  the slice again. Needs no standard library.",
    configuration: "a mapping as large as one pass of the workload requests, and at least 1 MiB; not touched beforehand",
    package: None,
    missing_entry_points: &["allocate_zeroed: the trait's default clears the block after allocating it"],
    links: &[],
    goals: &[
        Goal { against: Against::Allocator(bump::FACTS.id), ..Goal::of_time(Cells::of("bulk", &[]), 1.00) },
        Goal { against: Against::Allocator(bump::FACTS.id), ..Goal::of_time(Cells::of("tree", &[]), 1.00) },
    ],
};

/// The smallest mapping: untouched pages cost nothing, and nobody maps less for a region.
const LEAST_BYTES: usize = 1 << 20;

/// A mapping, and the [`BumpSlice`] over it.
///
/// # Examples
/// ```
/// use allocator_api2::boxed::Box;
/// use allocmark::allocators::bump_slice::MappedSlice;
/// use allocmark::allocators::contract::{Bulk, Subject};
///
/// let mut mapped = MappedSlice::with_bytes(4096).unwrap();
/// let number = Box::new_in(7, mapped.handle());
/// assert_eq!(*number, 7);
/// drop(number);
/// mapped.reset();
/// ```
#[derive(Debug)]
pub struct MappedSlice {
    /// Over the whole mapping. Its lifetime is not the true one, which is that of this struct; it is lent out by
    /// reference alone, and gives out nothing that outlives the reference.
    bump: BumpSlice<'static>,
    /// The mapping.
    start: NonNull<u8>,
    /// Its length, in whole pages.
    bytes: usize,
}

impl MappedSlice {
    /// Maps room for blocks of `bytes` in total, alignment padding included.
    ///
    /// # Errors
    /// [`AllocError`] when the kernel refuses.
    pub fn with_bytes(bytes: usize) -> Result<Self, AllocError> {
        let bytes = round_up(bytes.max(1), pages::page_size()).ok_or(AllocError)?;
        let start = pages::map(bytes).map_err(|_| AllocError)?;
        // SAFETY: the mapping is ours alone, of this length, and stays until the drop, before which the slice is given up:
        // it goes into `bump`, which the same struct owns.
        let memory = unsafe { slice::from_raw_parts_mut(start.cast().as_ptr(), bytes) };
        Ok(Self { bump: BumpSlice::new(memory), start, bytes })
    }
}

impl Drop for MappedSlice {
    fn drop(&mut self) {
        // SAFETY: the mapping came from `pages::map` with this length and is given back once, here; `&mut self` shows
        // that no handle, and so no block, is out, and dropping `bump` touches no byte.
        unsafe { pages::unmap(self.start, self.bytes) };
    }
}

impl Subject for MappedSlice {
    type Handle<'a> = &'a BumpSlice<'static>;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        // `pass_bytes` contains the padding between blocks; a page more covers the padding before the first.
        let bytes = demand.pass_bytes.checked_add(pages::PAGE).ok_or(AllocError)?;
        Self::with_bytes(bytes.max(LEAST_BYTES))
    }

    #[inline(always)]
    fn handle(&self) -> &BumpSlice<'static> {
        &self.bump
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        self.bump.owns(block)
    }
}

impl Known for MappedSlice {
    const FACTS: &'static Facts = &FACTS;
}

impl Bulk for MappedSlice {
    #[inline]
    fn reset(&mut self) {
        self.bump.reset();
    }
}
