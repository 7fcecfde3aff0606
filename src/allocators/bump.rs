//! `bump`: bumpalo, the reference among the bulk allocators.
//!
//! ```text
//!   newest chunk                                   older chunks (twice as small each)
//!   +-------------------------------------------+  +--------------------+
//!   | free            <- finger | blocks | foot |->| blocks      | foot |-> ...
//!   +-------------------------------------------+  +--------------------+
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | a subtraction, a mask and a comparison behind one pointer; a new chunk now and then |
//! | free | nothing, unless it is the newest block |
//! | grow | in place for the newest block, with the content moved down; else allocate and copy |
//! | reset | frees all chunks but the newest |
//!
//! # When not to use it
//! - When blocks must be freed one at a time: [`talc`](super::talc) on one thread, [`pool_local`](super::pool_local) for one
//!   size, a general allocator such as [`mimalloc`](super::mimalloc) else.
//! - From several threads: [`arena_thread`](super::arena_thread) or [`bump_shared`](super::bump_shared).
//! - When the newest block grows, as a `Vec` that is being filled does: [`bump_scope`](super::bump_scope),
//!   [`arena`](super::arena) and [`bump_slice`](super::bump_slice) move upwards and leave its content where it is.
//! - When passes repeat: [`arena`](super::arena) keeps all chunks at a reset, not the newest alone.
//! - Over bytes that the caller has: [`bump_slice`](super::bump_slice).
//!
//! See also bumpalo's own documentation.

use super::contract::Facts;

/// Facts about bumpalo.
pub const FACTS: Facts = Facts {
    id: "bump",
    ours: false,
    configuration_of: None,
    title: "bumpalo",
    description: "A bump allocator: a finger moves downwards through a chunk, and a new chunk, twice as large, is taken \
                  when the old one is full. Nothing is freed one at a time except the newest block; a reset keeps the \
                  newest chunk and gives the others back.",
    configuration: "default settings: minimum alignment 1, no limit, chunks from the global allocator; features \
                    `allocator-api2` and `collections`",
    package: Some("bumpalo"),
    missing_entry_points: &["allocate_zeroed: the trait's default clears the block after allocating it"],
    links: &["https://github.com/fitzgen/bumpalo"],
    goals: &[],
};

#[cfg(feature = "bumpalo")]
pub use subject::Bump;

#[cfg(feature = "bumpalo")]
mod subject {
    use std::ptr::NonNull;

    use allocator_api2::alloc::AllocError;

    use crate::allocators::contract::{Bulk, Demand, Facts, Known, Subject};

    /// A `bumpalo::Bump` under test.
    ///
    /// # Examples
    /// ```
    /// use allocator_api2::vec::Vec;
    /// use allocmark::allocators::bump::Bump;
    /// use allocmark::allocators::contract::{Bulk, Subject};
    ///
    /// let mut bump = Bump::default();
    /// let mut numbers = Vec::new_in(bump.handle());
    /// numbers.extend(0..100);
    /// assert_eq!(numbers.iter().sum::<i32>(), 4950);
    /// drop(numbers);
    /// bump.reset();
    /// ```
    #[derive(Debug, Default)]
    pub struct Bump {
        bump: bumpalo::Bump,
    }

    impl Subject for Bump {
        type Handle<'a> = &'a bumpalo::Bump;

        /// Starts empty, as its users do: the chunks it takes while it grows belong to its cost.
        fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
            Ok(Self::default())
        }

        #[inline]
        fn handle(&self) -> &bumpalo::Bump {
            &self.bump
        }

        fn owns(&self, block: NonNull<u8>) -> bool {
            // SAFETY: the iterator is used up before this function returns and only addresses are read from it; nothing
            // allocates meanwhile, because the bump is not `Sync` and this function does not.
            let chunks = unsafe { self.bump.iter_allocated_chunks_raw() };
            let address = block.as_ptr().addr();
            chunks.into_iter().any(|(start, bytes)| (start.addr()..start.addr() + bytes).contains(&address))
        }
    }

    impl Known for Bump {
        const FACTS: &'static Facts = &super::FACTS;
    }

    impl Bulk for Bump {
        fn reset(&mut self) {
            self.bump.reset();
        }
    }

    #[cfg(test)]
    mod tests {
        use allocator_api2::boxed::Box;

        use super::*;

        #[test]
        fn it_owns_its_blocks_and_no_others() {
            let bump = Bump::default();
            let ours = Box::new_in(7_u64, bump.handle());
            let other = Box::new(7_u64);
            assert!(bump.owns(NonNull::from(&*ours).cast()));
            assert!(!bump.owns(NonNull::from(&*other).cast()));
        }
    }
}
