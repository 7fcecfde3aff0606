//! `bump-scope`: a bump allocator with scopes, by other people.
//!
//! ```text
//!   newest chunk                                    older chunks (about twice as small each)
//!   +------+--------+----------------------------+  +------+-------------+
//!   | head | blocks | finger ->             free |->| head | blocks      |-> ...
//!   +------+--------+----------------------------+  +------+-------------+
//! ```
//!
//! | operation | cost |
//! |---|---|
//! | allocate | an addition, a mask and a comparison behind one pointer; a new chunk now and then |
//! | free | nothing, unless it is the newest block |
//! | grow, shrink | of the newest block: where it is, without copying; grow of others: allocate and copy |
//! | reset | frees all chunks but the largest |
//!
//! It moves upwards by default and can be set to move downwards. Its scopes and checkpoints, which release a part of what
//! was allocated, are not measured here: nothing else has them.
//!
//! # When not to use it
//! - When blocks must be freed one at a time: [`talc`](super::talc) on one thread, [`pool_local`](super::pool_local) for one
//!   size, a general allocator such as [`mimalloc`](super::mimalloc) else.
//! - From several threads: [`arena_thread`](super::arena_thread) or [`bump_shared`](super::bump_shared).
//! - When passes repeat: [`arena`](super::arena) keeps all chunks at a reset, not the largest alone.
//! - Over bytes that the caller has: [`bump_slice`](super::bump_slice).
//!
//! See also bump-scope's own documentation.

use super::contract::Facts;

/// Facts about bump-scope.
pub const FACTS: Facts = Facts {
    id: "bump-scope",
    ours: false,
    configuration_of: None,
    title: "bump-scope",
    description: "A bump allocator with scopes: a finger moves upwards through a chunk, and a new chunk, twice as large, is \
                  taken when the old one is full. Nothing is freed one at a time except the newest block, which also grows \
                  in place; a reset keeps the largest chunk and gives the others back.",
    configuration: "default settings: upwards, minimum alignment 1, chunks from the global allocator; feature \
                    `allocator-api2-02`",
    package: Some("bump-scope"),
    missing_entry_points: &[],
    links: &["https://github.com/bluurryy/bump-scope"],
    goals: &[],
};

#[cfg(feature = "bump-scope")]
pub use subject::ScopedBump;

#[cfg(feature = "bump-scope")]
mod subject {
    use std::ptr::NonNull;

    use allocator_api2::alloc::AllocError;

    use crate::allocators::contract::{Bulk, Demand, Facts, Known, Subject};

    /// A `bump_scope::Bump` under test.
    ///
    /// # Examples
    /// ```
    /// use allocator_api2::vec::Vec;
    /// use allocmark::allocators::bump_scope::ScopedBump;
    /// use allocmark::allocators::contract::{Bulk, Subject};
    ///
    /// let mut bump = ScopedBump::default();
    /// let mut numbers = Vec::new_in(bump.handle());
    /// numbers.extend(0..100);
    /// assert_eq!(numbers.iter().sum::<i32>(), 4950);
    /// drop(numbers);
    /// bump.reset();
    /// ```
    #[derive(Debug, Default)]
    pub struct ScopedBump {
        bump: bump_scope_crate::Bump,
    }

    impl Subject for ScopedBump {
        type Handle<'a> = &'a bump_scope_crate::Bump;

        /// Starts with its smallest chunk, as its users do: the chunks it takes while it grows belong to its cost.
        fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
            let bump = bump_scope_crate::Bump::try_new().map_err(|_| AllocError)?;
            Ok(Self { bump })
        }

        #[inline]
        fn handle(&self) -> &bump_scope_crate::Bump {
            &self.bump
        }

        fn owns(&self, block: NonNull<u8>) -> bool {
            let mut chunks = self.bump.stats().small_to_big();
            chunks.any(|chunk| (chunk.content_start()..chunk.content_end()).contains(&block))
        }
    }

    impl Known for ScopedBump {
        const FACTS: &'static Facts = &super::FACTS;
    }

    impl Bulk for ScopedBump {
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
            let bump = ScopedBump::default();
            let ours = Box::new_in(7_u64, bump.handle());
            let many = Box::new_in([7_u64; 10_000], bump.handle());
            let other = Box::new(7_u64);
            assert!(bump.owns(NonNull::from(&*ours).cast()));
            assert!(bump.owns(NonNull::from(&*many).cast()));
            assert!(!bump.owns(NonNull::from(&*other).cast()));
        }
    }
}
