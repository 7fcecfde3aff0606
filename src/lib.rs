//! allocmark: the allocator barometer for Rust.
//!
//! Two things in one package: **allocators** that a program can use, and the **harness** that measures them beside everybody
//! else's and makes a comparison site of it.
//!
//! | allocators of ours | what for |
//! |---|---|
//! | [`allocators::slab`] | any size, any thread; can be the global allocator |
//! | [`allocators::pool`] | blocks of one size, any thread |
//! | [`allocators::pool_local`] | the same on one thread |
//! | [`allocators::pool_mutex`] | the same behind a mutex: a baseline |
//! | [`allocators::arena`] | any size, released all together, one thread, chunks that grow |
//! | [`allocators::arena_thread`] | the same for many threads: an arena for each |
//! | [`allocators::bump_slice`] | any size, released all together, one thread, over bytes that the caller has |
//! | [`allocators::bump_shared`] | any size, released all together, many threads, out of one mapping |
//!
//! Each one's page says what it costs, and which other, ours or not, is the better choice when. `docs/soundness.md` says what
//! shows that they are sound.
//!
//! # The allocators alone
//! With `default-features = false` the crate is [`allocators`] and depends on `allocator-api2` and `libc`, nothing else.
//!
//! ```
//! use allocator_api2::vec::Vec;
//! use allocmark::allocators::arena::Arena;
//!
//! let arena = Arena::new();
//! let mut squares = Vec::new_in(&arena);
//! squares.extend((0..10).map(|number| number * number));
//! assert_eq!(squares[9], 81);
//! ```
//!
//! # The layers
//! Imports go one way, downwards in this table; a test sees to it.
//!
//! | layer | module | what |
//! |--:|---|---|
//! | 0 | `units`, `stats` | quantities that print themselves; pure mathematics with its sources |
//! | 1 | [`allocators`], `instruments` | our allocators with their goals, and everybody's contracts; wrappers that look at every call |
//! | 2 | `workloads` | one file for each shape of allocation activity; knows contracts, no allocator |
//! | 3 | `harness` | pairs the two, runs bench executables, drives a run |
//! | 4 | `results` | records: their form, their files, what is computed from them: ranks, verdicts, goals reached and missed |
//! | 5 | `report` | the site, from records alone |
//! | 6 | `cli` | one file for each subcommand, and `Barometer`, the command line of an executable that measures itself |
//!
//! A reader's way in: `allocmark list`, then any file of `workloads` (all its siblings read alike), then
//! `harness::binding`, where an allocator's type meets a workload's code.
//!
//! # Your own
//! Another crate measures its own allocator, its own workload, or both, with the harness: one file and `cargo run
//! --release` give a site. `Barometer` is where it begins, `docs/own.md` goes through it step by step, and
//! `examples/own_allocator.rs` and `examples/own_workload.rs` are two that run.
//!
//! # Features
//! | feature | what it adds | default |
//! |---|---|---|
//! | `harness` | everything that measures and reports, with its dependencies | on |
//! | `bumpalo` | the row `bump` | on |
//! | `bump-scope`, `talc` | the row of that name | on |
//! | `jemalloc`, `mimalloc`, `rpmalloc`, `snmalloc` | the row of that name; builds a C or C++ library | on |
//! | `tcmalloc` | the row `tcmalloc`; its library takes a minute and a half to build | off |

pub mod allocators;
#[cfg(feature = "harness")]
pub mod cli;
#[cfg(feature = "harness")]
pub mod harness;
#[cfg(feature = "harness")]
pub mod instruments;
#[cfg(feature = "harness")]
pub mod report;
#[cfg(feature = "harness")]
pub mod results;
#[cfg(feature = "harness")]
pub mod stats;
#[cfg(feature = "harness")]
pub mod units;
#[cfg(feature = "harness")]
pub mod workloads;

/// What custom allocators and workloads are written to, for who has no other dependency.
pub use allocator_api2;
#[cfg(feature = "harness")]
pub use cli::barometer::Barometer;
