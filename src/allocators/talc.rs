//! `talc`: a general allocator of one thread, by other people.
//!
//! ```text
//!   bins    [ sizes ]  [ sizes ]  ...          a bit for each bin with a gap in it
//!              |          |
//!   heap    +-gap-+-block-tag-+-gap-+-block-tag-+-----------+    1 MiB from the system; more are taken when it is full
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | a search in a bit map for a bin whose gaps are large enough; cutting the gap |
//! | free | merging with the gaps on both sides |
//! | grow, shrink | where it is if a gap follows; else allocate, copy, free |
//! | memory | 8 bytes a block; a heap of which everything was freed goes back to the system |
//!
//! # What stands in between
//! talc implements the `Allocator` of allocator-api2 0.4, the suite is written to that of 0.2. Its `Handle` passes each
//! call on, at no cost, and refuses sizes and alignments from a quarter of the address space on, whose sums would overflow
//! where talc asks the system for a heap: one comparison where they are not constants.
//!
//! # Why not rlsf
//! rlsf is the other well-known allocator of this kind (two-level segregated fit). It has no `Allocator` and no cell: an
//! adaptor would have to write the sharing, zero sizes, and growing to another alignment itself, and its cost would be that
//! of the adaptor.
//!
//! # When not to use it
//! - When threads share it: talc has a lock for that, and the general allocators, such as [`mimalloc`](super::mimalloc) and
//!   [`slab`](super::slab), are made for it.
//! - For one size whose number is known: [`pool_local`](super::pool_local) searches no bins.
//! - When everything dies together: [`arena`](super::arena), or [bumpalo](super::bump).
//!
//! See also talc's own documentation.

use super::contract::Facts;

/// Facts about talc.
pub const FACTS: Facts = Facts {
    id: "talc",
    ours: false,
    configuration_of: None,
    title: "talc",
    description: "An allocator for one thread in memory of its own: gaps in bins by size, found through a bit map; a block \
                  that is freed merges with the gaps beside it. Heaps of 1 MiB or more come from the system and go back \
                  to it when they are empty.",
    configuration: "default settings: `TalcCell` with `GlobalAllocSource` over the system's allocator and the default \
                    binning; behind a handle that passes calls on",
    package: Some("talc"),
    missing_entry_points: &["allocate_zeroed: clears the block after allocating it"],
    links: &["https://github.com/SFBdragon/talc"],
    goals: &[],
};

#[cfg(feature = "talc")]
pub use subject::{Handle, TalcRegion};

#[cfg(feature = "talc")]
mod subject {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::RefCell;
    use std::fmt;
    use std::ptr::{self, NonNull};
    use std::rc::Rc;

    use allocator_api2::alloc::{AllocError, Allocator};
    use allocator_api2_04::alloc::Allocator as Allocator04;
    use talc_crate::TalcCell;
    use talc_crate::source::GlobalAllocSource;

    use crate::allocators::contract::{Demand, Facts, Known, Subject};

    /// The heaps that talc holds: where each begins, and the layout it was allocated with.
    type Heaps = Rc<RefCell<Vec<(NonNull<u8>, Layout)>>>;

    /// The system's allocator, with a list of what is out. Called once for each heap.
    #[derive(Debug)]
    struct Listed(Heaps);

    // SAFETY: every block is the system's, freed with the layout that it was allocated with.
    unsafe impl GlobalAlloc for Listed {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // Before allocating, as nothing must be lost. The list is not borrowed: no call in here comes back to it.
            if self.0.borrow_mut().try_reserve(1).is_err() {
                return ptr::null_mut();
            }
            // SAFETY: passed on as it came.
            let heap = unsafe { System.alloc(layout) };
            self.0.borrow_mut().extend(NonNull::new(heap).map(|heap| (heap, layout)));
            heap
        }

        unsafe fn dealloc(&self, heap: *mut u8, layout: Layout) {
            let mut heaps = self.0.borrow_mut();
            let at = heaps.iter().position(|(start, _)| start.as_ptr() == heap);
            // The layout that it came with: talc 5.1 gives its last heaps back with another alignment.
            let (heap, layout) = at.map_or((heap, layout), |at| {
                let (start, layout) = heaps.swap_remove(at);
                (start.as_ptr(), layout)
            });
            // SAFETY: a block of the system's with its layout, given up by the caller.
            unsafe { System.dealloc(heap, layout) };
        }
    }

    /// A `TalcCell` under test, which takes its memory from the system.
    ///
    /// # Examples
    /// ```
    /// use allocator_api2::vec::Vec;
    /// use allocmark::allocators::contract::Subject;
    /// use allocmark::allocators::talc::TalcRegion;
    ///
    /// let talc = TalcRegion::default();
    /// let mut numbers = Vec::new_in(talc.handle());
    /// numbers.extend(0..100);
    /// assert_eq!(numbers.iter().sum::<i32>(), 4950);
    /// ```
    pub struct TalcRegion {
        talc: TalcCell<GlobalAllocSource<Listed>>,
        heaps: Heaps,
    }

    impl fmt::Debug for TalcRegion {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("TalcRegion").field("heaps", &self.heaps).finish_non_exhaustive()
        }
    }

    impl fmt::Debug for Handle<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Handle").finish_non_exhaustive()
        }
    }

    impl Default for TalcRegion {
        fn default() -> Self {
            let heaps = Heaps::default();
            Self { talc: TalcCell::new(GlobalAllocSource::new(Listed(Rc::clone(&heaps)))), heaps }
        }
    }

    /// A `&TalcCell` as an allocator of the version that the suite is written to.
    #[derive(Clone, Copy)]
    pub struct Handle<'a>(&'a TalcCell<GlobalAllocSource<Listed>>);

    /// Whether talc's sum of size, alignment and its own needs might not be a size any more.
    #[inline(always)]
    fn is_beyond(layout: Layout) -> bool {
        (layout.size() | layout.align()) > isize::MAX as usize / 2
    }

    // SAFETY: every call goes to the one allocator behind the handle as it came, or is refused; its promises are the same
    // in both versions of the trait.
    unsafe impl Allocator for Handle<'_> {
        #[inline(always)]
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            if is_beyond(layout) {
                return Err(AllocError);
            }
            Allocator04::allocate(self.0, layout).map_err(|_| AllocError)
        }

        #[inline(always)]
        fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            if is_beyond(layout) {
                return Err(AllocError);
            }
            Allocator04::allocate_zeroed(self.0, layout).map_err(|_| AllocError)
        }

        #[inline(always)]
        unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promises are those of the call below.
            unsafe { Allocator04::deallocate(self.0, block, layout) };
        }

        #[inline(always)]
        unsafe fn grow(
            &self,
            block: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            if is_beyond(new) {
                return Err(AllocError);
            }
            // SAFETY: the caller's promises are those of the call below.
            unsafe { Allocator04::grow(self.0, block, old, new) }.map_err(|_| AllocError)
        }

        #[inline(always)]
        unsafe fn grow_zeroed(
            &self,
            block: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            if is_beyond(new) {
                return Err(AllocError);
            }
            // SAFETY: the caller's promises are those of the call below.
            unsafe { Allocator04::grow_zeroed(self.0, block, old, new) }.map_err(|_| AllocError)
        }

        #[inline(always)]
        unsafe fn shrink(
            &self,
            block: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            if is_beyond(new) {
                return Err(AllocError);
            }
            // SAFETY: the caller's promises are those of the call below.
            unsafe { Allocator04::shrink(self.0, block, old, new) }.map_err(|_| AllocError)
        }
    }

    impl Subject for TalcRegion {
        type Handle<'a> = Handle<'a>;

        /// Starts empty: the heaps it takes while it grows belong to its cost.
        fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
            Ok(Self::default())
        }

        #[inline(always)]
        fn handle(&self) -> Handle<'_> {
            Handle(&self.talc)
        }

        fn owns(&self, block: NonNull<u8>) -> bool {
            let address = block.as_ptr().addr();
            let within = |&(start, layout): &(NonNull<u8>, Layout)| {
                let start = start.as_ptr().addr();
                (start..start + layout.size()).contains(&address)
            };
            self.heaps.borrow().iter().any(within)
        }
    }

    impl Known for TalcRegion {
        const FACTS: &'static Facts = &super::FACTS;
    }

    #[cfg(test)]
    mod tests {
        use allocator_api2::boxed::Box;
        use allocator_api2::vec::Vec;

        use super::*;

        #[test]
        fn it_owns_its_blocks_and_no_others() {
            let talc = TalcRegion::default();
            let ours = Box::new_in(7_u64, talc.handle());
            let mut large: Vec<u64, _> = Vec::with_capacity_in(300_000, talc.handle());
            let other = Box::new(7_u64);
            assert!(talc.owns(NonNull::from(&*ours).cast()));
            assert!(talc.owns(NonNull::from(large.spare_capacity_mut()).cast()));
            assert!(!talc.owns(NonNull::from(&*other).cast()));
        }

        #[test]
        fn heaps_go_back_to_the_system() {
            let talc = TalcRegion::default();
            drop(Box::new_in([7_u64; 10], talc.handle()));
            let few = talc.heaps.borrow().len();
            drop([(); 4].map(|()| Vec::<u64, _>::with_capacity_in(100_000, talc.handle())));
            assert_eq!(talc.heaps.borrow().len(), few);
            let heaps = Rc::clone(&talc.heaps);
            drop(talc);
            assert!(heaps.borrow().is_empty());
        }
    }
}
