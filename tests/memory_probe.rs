//! The memory probe against a pattern whose resident memory is known. In a process of its own: the figures are
//! process-wide.

#![cfg(all(feature = "harness", target_os = "linux"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::time::Duration;

use allocmark::allocators::arena::Arena;
use allocmark::allocators::contract::Contract;
use allocmark::allocators::global::GlobalSubject;
use allocmark::harness::binding;
use allocmark::harness::hooks::Hooks;
use allocmark::harness::metric::Metric;
use allocmark::harness::probes::memory::{self, Rest, observer::Observer};
use allocmark::workloads::Catalogue;
use allocmark::workloads::shape::{Clock, Profile, Scope};
use allocmark::workloads::table::Table;

#[global_allocator]
static GLOBAL: System = System;

const MIB: u64 = 1 << 20;

/// What is touched: many times what the process moves besides.
const TOUCHED: u64 = 256 * MIB;

/// Bytes of a block: above every threshold from which a malloc maps blocks one by one and unmaps them when freed.
const BLOCK: usize = 64 << 20;

fn within(found: u64, expected: u64, slack: u64) -> bool {
    found.abs_diff(expected) <= slack
}

/// Takes and touches [`TOUCHED`] bytes through the observer, and frees them.
fn a_known_pattern_is_seen_as_it_is() {
    let layout = Layout::from_size_align(BLOCK, 8).unwrap();
    let blocks = TOUCHED as usize / BLOCK;
    let observer = Observer::begin(None).unwrap();
    // The harness's tables are resident too, and no memory of the work.
    let mut table = Table::new(8 << 20, |_| 0_u8);
    let (peak, used) = observer
        .watch(|| {
            // SAFETY: the layout has bytes.
            let taken: Vec<*mut u8> = (0..blocks).map(|_| unsafe { GLOBAL.alloc(layout) }).collect();
            for &block in &taken {
                assert!(!block.is_null());
                for at in (0..BLOCK).step_by(4096) {
                    // SAFETY: the block is `BLOCK` bytes long and ours.
                    unsafe { block.add(at).write_volatile(1) };
                }
            }
            observer.checkpoint("fill", TOUCHED);
            for &block in &taken {
                // SAFETY: allocated above with this layout, freed once.
                unsafe { GLOBAL.dealloc(block, layout) };
            }
            observer.checkpoint("drain", 0);
            table[0] = 1;
        })
        .unwrap();
    let slack = TOUCHED / 50;
    assert!(within(peak.unwrap(), TOUCHED, slack), "{peak:?} at the peak");
    assert!(used.faults > 0);
    drop(table);
    let retained = observer.rest("drained").unwrap();
    assert!(retained.resident_bytes <= slack, "{retained:?}");
    assert_eq!(retained.lazy_free_bytes, Some(0));

    let series = observer.series().unwrap();
    let phases: Vec<&str> = series.checkpoints.iter().map(|at| at.phase.as_str()).collect();
    assert_eq!(phases, ["fill", "drain", "drained"]);
    assert!(within(series.checkpoints[0].resident_bytes, TOUCHED, slack), "{series:?}");
    assert!(series.checkpoints[1].resident_bytes <= slack, "{series:?}");
}

/// Small cells through the public entry, as an executable calls it.
fn a_cell_yields_the_numbers_that_can_be_said_and_no_others() {
    let bound = binding::one_by_one_shared::<GlobalSubject, Catalogue>(
        Contract::GENERAL,
        Scope { profile: Profile::Smoke, cpus: 2 },
    );
    let cell = bound.cells.iter().find(|cell| cell.case.workload.id == "bulk").unwrap();
    let hooks = Hooks { purge: Some(|| ()), statistics: Some(|| vec![("held", 3)]), usable: None };
    let (found, proof) = memory::measure(cell, 1, None, Profile::Smoke, &hooks).unwrap();
    assert_eq!(proof, None);
    for metric in [Metric::PeakRss, Metric::RetainedRss, Metric::RetainedRssPurged, Metric::PageFaults] {
        assert!(found.metrics.contains_key(&metric), "{metric:?}");
    }
    for metric in [Metric::RetainedRssIdle, Metric::RetainedRssLight, Metric::BlowUp, Metric::Time] {
        assert!(!found.metrics.contains_key(&metric), "{metric:?}");
    }
    assert!(
        found.metrics.keys().all(|metric| metric.probe() == Some(allocmark::workloads::probe::Probe::Memory))
    );
    let series = found.memory.unwrap();
    let phases: Vec<&str> = series.checkpoints.iter().map(|at| at.phase.as_str()).collect();
    assert_eq!(phases, ["drained", "purged"]);
    assert_eq!(series.statistics[0].phase, "purged");

    let without = memory::measure(cell, 1, None, Profile::Smoke, &Hooks::default()).unwrap().0;
    assert!(!without.metrics.contains_key(&Metric::RetainedRssPurged), "nothing was purged");
}

/// No time passes in between: what is retained then depends on nothing but the calls.
fn every_state_of_rest_is_looked_at_in_its_turn() {
    let bound = binding::one_by_one_shared::<GlobalSubject, Catalogue>(
        Contract::GENERAL,
        Scope { profile: Profile::Smoke, cpus: 2 },
    );
    let cell = bound.cells.iter().find(|cell| cell.case.workload.id == "sawtooth").unwrap();
    let hooks = Hooks { purge: Some(|| ()), ..Hooks::default() };
    let (found, _) = memory::measure_with(cell, 1, None, Rest::For(Duration::ZERO), &hooks).unwrap();
    let series = found.memory.unwrap();
    let rest: Vec<&str> = series.checkpoints.iter().skip(21).map(|at| at.phase.as_str()).collect();
    assert_eq!(rest, ["drained", "idle 12 s", "light use 12 s", "purged"]);
    let peak_live = series.checkpoints.iter().map(|at| at.live_bytes).max().unwrap();
    let peak = found.metrics[&Metric::PeakRss];
    assert!(peak >= peak_live as f64, "{peak} resident for {peak_live} live");
    assert!((1.0..2.0).contains(&found.metrics[&Metric::BlowUp]), "{:?}", found.metrics);
}

/// Phases that each have an arena, with light use of one that gets nothing back but by resets.
fn heaps_that_release_all_together_are_looked_at_too() {
    let scope = Scope { profile: Profile::Quick, cpus: 2 };
    let bound = binding::all_together::<Arena, Catalogue>(Contract::BULK, scope);
    let measured_for_memory = |cell: &&binding::BoundCell| {
        cell.case.workload.id == "pipeline"
            && cell.case.probes == [allocmark::workloads::probe::Probe::Memory]
    };
    let cell = bound.cells.iter().find(measured_for_memory).unwrap();
    let rest = Rest::For(Duration::ZERO);
    let (found, proof) =
        memory::measure_with(cell, 1, Some(binding::Proof::Ownership), rest, &Hooks::default()).unwrap();
    assert!(proof.unwrap().contains("its own memory"));
    let series = found.memory.unwrap();
    let phases: Vec<&str> = series.checkpoints.iter().map(|at| at.phase.as_str()).collect();
    assert_eq!(phases[..5], ["parse", "transform", "lines released", "output", "events released"]);
    assert_eq!(phases[5..], ["drained", "idle 12 s", "light use 12 s"]);
    let work = &series.checkpoints[..5];
    let parsed = work[0].live_bytes;
    assert!(work[1].live_bytes > 16 * MIB && work[2].live_bytes == work[1].live_bytes - parsed);
    // Each arena keeps what its phase had.
    assert!(work.windows(2).all(|pair| pair[0].resident_bytes <= pair[1].resident_bytes + MIB), "{work:?}");
    assert!(found.metrics[&Metric::RetainedRss] >= parsed as f64, "{:?}", found.metrics);
}

#[test]
fn memory_is_seen_as_it_is() {
    a_known_pattern_is_seen_as_it_is();
    heaps_that_release_all_together_are_looked_at_too();
    a_cell_yields_the_numbers_that_can_be_said_and_no_others();
    every_state_of_rest_is_looked_at_in_its_turn();
}

#[test]
fn who_waits_is_the_memory_family_in_the_long_profiles() {
    use allocmark::workloads::shape::Family;
    for profile in Profile::ALL {
        assert_eq!(Rest::of(Family::Basic, profile), Rest::None);
        let waits = Rest::of(Family::Memory, profile) != Rest::None;
        assert_eq!(waits, profile >= Profile::Standard, "{profile:?}");
    }
}
