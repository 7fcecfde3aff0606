//! The one list of allocators. Benches, conformance tests, `list`, `run` and the site iterate it.
//!
//! A row is built by one of the typed builders, which take the contract from what the type can do: a type without
//! [`Bulk`] cannot be a bulk row, one that is not `Sync` cannot promise anything to several threads. A peer whose
//! feature is off stays in the list and says so; nothing is silently missing.

use super::arena::Arena;
use super::arena_thread::ArenaThread;
use super::bump_shared::BumpShared;
use super::bump_slice::MappedSlice;
use super::contract::{Bulk, Contract, Facts, Known};
use super::null::Null;
use super::pool::Pool;
use super::pool_local::PoolLocal;
use super::pool_mutex::PoolMutex;

/// One allocator as the rest of the program knows it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is known about it beforehand.
    pub facts: &'static Facts,
    /// What it promises.
    pub contract: Contract,
    /// Whether this build contains it; if not, why.
    pub compiled: Result<(), &'static str>,
}

impl Row {
    const fn of(facts: &'static Facts, contract: Contract) -> Self {
        Self { facts, contract, compiled: Ok(()) }
    }

    /// An allocator that is measured as the `#[global_allocator]` of its own executable.
    pub const fn general(facts: &'static Facts) -> Self {
        Self::of(facts, Contract::GENERAL)
    }

    /// Blocks of one size, on one thread.
    pub const fn fixed_size<S: Known>() -> Self {
        Self::of(S::FACTS, Contract::FIXED_SIZE)
    }

    /// Blocks of one size, from and to any thread.
    pub const fn fixed_size_shared<S: Known + Sync>() -> Self {
        Self::of(S::FACTS, Contract::FIXED_SIZE.for_all_threads())
    }

    /// Any size out of memory of its own, individual free, on one thread.
    pub const fn region<S: Known>() -> Self {
        Self::of(S::FACTS, Contract::REGION)
    }

    /// Any size, released all together, on one thread.
    pub const fn bulk<S: Known + Bulk>() -> Self {
        Self::of(S::FACTS, Contract::BULK)
    }

    /// Any size, released all together, allocated from any thread.
    pub const fn bulk_shared<S: Known + Bulk + Sync>() -> Self {
        Self::of(S::FACTS, Contract::BULK.for_all_threads())
    }

    /// The do-nothing allocator.
    pub const fn control<S: Known + Bulk>() -> Self {
        Self::of(S::FACTS, Contract::CONTROL)
    }

    /// An allocator that this build does not contain. Its type is not there to ask, so its contract is stated.
    const fn absent(facts: &'static Facts, contract: Contract, reason: &'static str) -> Self {
        Self { facts, contract, compiled: Err(reason) }
    }

    const fn general_if(compiled: bool, facts: &'static Facts, reason: &'static str) -> Self {
        if compiled { Self::general(facts) } else { Self::absent(facts, Contract::GENERAL, reason) }
    }
}

/// Every allocator, in display order: the control, the general ones, then the scoped ones.
pub fn all() -> Vec<Row> {
    vec![
        Row::control::<Null>(),
        Row::general(&super::system::FACTS),
        Row::general(&super::system_one_arena::FACTS),
        Row::general_if(cfg!(feature = "jemalloc"), &super::jemalloc::FACTS, "feature `jemalloc` is off"),
        Row::general_if(cfg!(feature = "jemalloc"), &super::jemalloc_bg::FACTS, "feature `jemalloc` is off"),
        Row::general_if(
            cfg!(feature = "jemalloc"),
            &super::jemalloc_eager::FACTS,
            "feature `jemalloc` is off",
        ),
        Row::general_if(cfg!(feature = "mimalloc"), &super::mimalloc::FACTS, "feature `mimalloc` is off"),
        Row::general_if(
            cfg!(feature = "mimalloc"),
            &super::mimalloc_eager::FACTS,
            "feature `mimalloc` is off",
        ),
        Row::general_if(cfg!(feature = "snmalloc"), &super::snmalloc::FACTS, "feature `snmalloc` is off"),
        Row::general_if(cfg!(feature = "rpmalloc"), &super::rpmalloc::FACTS, "feature `rpmalloc` is off"),
        Row::general_if(cfg!(feature = "tcmalloc"), &super::tcmalloc::FACTS, "feature `tcmalloc` is off"),
        Row::general(&super::slab::FACTS),
        Row::fixed_size_shared::<Pool>(),
        Row::fixed_size::<PoolLocal>(),
        Row::fixed_size_shared::<PoolMutex>(),
        talc_row(),
        Row::bulk::<Arena>(),
        Row::bulk_shared::<ArenaThread>(),
        Row::bulk::<MappedSlice>(),
        Row::bulk_shared::<BumpShared>(),
        bump_row(),
        bump_scope_row(),
    ]
}

#[cfg(feature = "talc")]
fn talc_row() -> Row {
    Row::region::<super::talc::TalcRegion>()
}

#[cfg(not(feature = "talc"))]
fn talc_row() -> Row {
    Row::absent(&super::talc::FACTS, Contract::REGION, "feature `talc` is off")
}

#[cfg(feature = "bumpalo")]
fn bump_row() -> Row {
    Row::bulk::<super::bump::Bump>()
}

#[cfg(not(feature = "bumpalo"))]
fn bump_row() -> Row {
    Row::absent(&super::bump::FACTS, Contract::BULK, "feature `bumpalo` is off")
}

#[cfg(feature = "bump-scope")]
fn bump_scope_row() -> Row {
    Row::bulk::<super::bump_scope::ScopedBump>()
}

#[cfg(not(feature = "bump-scope"))]
fn bump_scope_row() -> Row {
    Row::absent(&super::bump_scope::FACTS, Contract::BULK, "feature `bump-scope` is off")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::allocators::contract::Class;

    #[test]
    fn ids_are_distinct_short_lower_case_ascii() {
        let rows = all();
        let ids: BTreeSet<_> = rows.iter().map(|row| row.facts.id).collect();
        assert_eq!(ids.len(), rows.len());
        for id in ids {
            assert!(id.len() <= 16 && id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
        }
    }

    #[test]
    fn every_row_says_what_it_is_and_how_it_is_configured() {
        for row in all() {
            let facts = row.facts;
            assert!(!facts.title.is_empty(), "{}", facts.id);
            assert!(facts.description.len() > 80, "{}", facts.id);
            assert!(!facts.configuration.is_empty(), "{}", facts.id);
            assert!(!facts.links.is_empty() || facts.package.is_none(), "{}", facts.id);
        }
    }

    #[test]
    fn general_allocators_promise_everything_and_bulk_ones_do_not_free() {
        for Row { facts, contract, .. } in all() {
            match contract.class {
                Class::General => assert_eq!(contract, Contract::GENERAL, "{}", facts.id),
                Class::FixedSize => assert!(contract.frees && !contract.mixed_sizes, "{}", facts.id),
                Class::Region => assert!(contract.frees && contract.mixed_sizes, "{}", facts.id),
                Class::Bulk | Class::Control => assert!(!contract.frees, "{}", facts.id),
            }
        }
    }

    #[test]
    fn a_configuration_follows_the_row_that_it_is_one_of() {
        let rows = all();
        for (index, row) in rows.iter().enumerate() {
            let Some(base) = row.facts.configuration_of else { continue };
            let before = rows[..index].iter().rev().find(|row| row.facts.configuration_of.is_none());
            assert_eq!(before.map(|row| row.facts.id), Some(base), "{}", row.facts.id);
            assert_ne!(before.map(|row| row.facts.configuration), Some(row.facts.configuration));
        }
    }

    #[test]
    fn a_peer_that_is_not_compiled_stays_in_the_list_with_its_reason() {
        for row in all() {
            if let Err(reason) = row.compiled {
                assert!(reason.starts_with("feature `"), "{}: {reason}", row.facts.id);
            }
        }
        assert!(all().iter().any(|row| row.facts.id == "tcmalloc"));
    }
}
