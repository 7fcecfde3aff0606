//! The allocators under test.

use std::alloc::Layout;

use allocator_api2::alloc::{Allocator, Global, System};
use allocmark::allocators::arena::Arena;
use allocmark::allocators::arena_thread::ArenaThread;
#[cfg(feature = "bumpalo")]
use allocmark::allocators::bump::Bump;
#[cfg(feature = "bump-scope")]
use allocmark::allocators::bump_scope::ScopedBump;
use allocmark::allocators::bump_shared::BumpShared;
use allocmark::allocators::bump_slice::MappedSlice;
use allocmark::allocators::contract::{Class, Subject};
use allocmark::allocators::list;
use allocmark::allocators::null::Null;
use allocmark::allocators::pool::Pool;
use allocmark::allocators::pool_local::PoolLocal;
use allocmark::allocators::pool_mutex::PoolMutex;
#[cfg(not(miri))]
use allocmark::allocators::slab::Slab;
#[cfg(feature = "talc")]
use allocmark::allocators::talc::TalcRegion;

/// What is done with an allocator.
type Body<'a> = dyn FnMut(&dyn Allocator) + 'a;

/// One allocator, made anew for each use.
pub(crate) struct Specimen {
    /// The id of its row, and after a slash what is special about it.
    pub(crate) name: &'static str,
    /// The largest layout it serves; `None`: any.
    pub(crate) block: Option<Layout>,
    /// Makes one and hands it over.
    with: fn(&mut Body),
}

impl Specimen {
    /// Makes one and hands it to `body`.
    pub(crate) fn with(&self, mut body: impl FnMut(&dyn Allocator)) {
        (self.with)(&mut body);
    }

    /// Whether it serves `layout` at all.
    pub(crate) fn fits(&self, layout: Layout) -> bool {
        self.block.is_none_or(|block| layout.size() <= block.size() && layout.align() <= block.align())
    }
}

const fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("a valid layout"),
    }
}

const SMALL: Layout = layout(72, 8);
const LARGE: Layout = layout(8192, 4096);
/// So large that threads keep none in a magazine.
const HUGE: Layout = layout(128 << 10, 4096);

pub(crate) const ALL: &[Specimen] = &[
    Specimen { name: "global", block: None, with: |body| body(&Global) },
    Specimen { name: "system", block: None, with: |body| body(&System) },
    Specimen { name: "null", block: None, with: |body| body(&&Null::with_bytes(64 << 20).unwrap()) },
    Specimen { name: "pool", block: Some(SMALL), with: |body| body(&&Pool::new(SMALL, 10_000).unwrap()) },
    Specimen {
        name: "pool/large",
        block: Some(LARGE),
        with: |body| body(&&Pool::new(LARGE, 10_000).unwrap()),
    },
    Specimen {
        name: "pool/without-magazines",
        block: Some(HUGE),
        with: |body| body(&&Pool::new(HUGE, 10_000).unwrap()),
    },
    Specimen {
        name: "pool/backed",
        block: None,
        with: |body| body(&&Pool::new(SMALL, 20).unwrap().with_backing(System)),
    },
    Specimen {
        name: "pool-local",
        block: Some(SMALL),
        with: |body| body(&&PoolLocal::new(SMALL, 10_000).unwrap()),
    },
    Specimen {
        name: "pool-local/large",
        block: Some(LARGE),
        with: |body| body(&&PoolLocal::new(LARGE, 10_000).unwrap()),
    },
    Specimen {
        name: "pool-local/backed",
        block: None,
        with: |body| body(&&PoolLocal::new(SMALL, 20).unwrap().with_backing(System)),
    },
    Specimen {
        name: "pool-mutex",
        block: Some(SMALL),
        with: |body| body(&&PoolMutex::new(SMALL, 10_000).unwrap()),
    },
    Specimen {
        name: "pool-mutex/large",
        block: Some(LARGE),
        with: |body| body(&&PoolMutex::new(LARGE, 10_000).unwrap()),
    },
    Specimen {
        name: "pool-mutex/backed",
        block: None,
        with: |body| body(&&PoolMutex::new(SMALL, 20).unwrap().with_backing(System)),
    },
    // Its segments are parts of mappings, of which Miri cannot give the rest back.
    #[cfg(not(miri))]
    Specimen { name: "slab", block: None, with: |body| body(&Slab::new()) },
    Specimen { name: "arena", block: None, with: |body| body(&&Arena::new()) },
    Specimen { name: "arena-thread", block: None, with: |body| body(&&ArenaThread::new().unwrap()) },
    Specimen {
        name: "bump-slice",
        block: None,
        with: |body| body(&MappedSlice::with_bytes(64 << 20).unwrap().handle()),
    },
    #[cfg(feature = "bump-scope")]
    Specimen { name: "bump-scope", block: None, with: |body| body(&ScopedBump::default().handle()) },
    #[cfg(feature = "talc")]
    Specimen { name: "talc", block: None, with: |body| body(&TalcRegion::default().handle()) },
    #[cfg(feature = "bumpalo")]
    Specimen { name: "bump", block: None, with: |body| body(&Bump::default().handle()) },
    Specimen { name: "bump-shared", block: None, with: |body| body(&&BumpShared::new(64 << 20).unwrap()) },
];

#[test]
fn every_allocator_of_the_list_that_is_not_a_foreign_general_one_has_a_specimen() {
    for row in list::all() {
        // The specimen of the row that it is a configuration of stands for a configuration.
        let foreign = row.facts.package.is_some() || row.facts.configuration_of.is_some();
        if row.compiled.is_ok() && !(foreign && row.contract.class == Class::General) {
            assert!(ALL.iter().any(|specimen| specimen.name == row.facts.id), "{}", row.facts.id);
        }
    }
}
