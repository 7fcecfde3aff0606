//! What fixed work costs in resident memory, page faults and CPU time, and what is retained when it is done.
//!
//! One pass in a process of its own. All bytes are net of the process as it was before the allocator's subject was built:
//! code, stacks, and what the allocator keeps for itself from its start on are not counted; nor are the harness's tables.
//! So work of less than a few MiB may show nothing on an allocator whose first pages came in one stroke, as a huge page of
//! 2 MiB: they were there before.
//!
//! | file | what |
//! |---|---|
//! | [`kernel`] | what the kernel says: parsers, and calls that do not allocate |
//! | [`observer`] | a clock that looks at every checkpoint |
//!
//! Memory is looked at again when the workload has drained, with its heap still there: at once; in the profiles that
//! [wait](Rest::of) after idleness and after light use; after a purge, where the allocator has one.

pub mod kernel;
pub mod observer;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use self::kernel::Usage;
use self::observer::{Observer, Row};
use crate::harness::binding::{BoundCell, Fault, Proof};
use crate::harness::findings::Findings;
use crate::harness::hooks::Hooks;
use crate::harness::metric::Metric;
use crate::workloads::shape::{Family, Profile};

/// Live bytes from which blow-up is a number: below, what every allocator takes at once for a start outweighs the work.
const BLOW_UP_FROM: u64 = 8 << 20;

/// How long the heap rests before it is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Not at all.
    None,
    /// So long without a call, and as long again in light use.
    For(Duration),
}

/// Longer than the ten seconds in which jemalloc lets unused pages decay, its default.
const REST: Duration = Duration::from_secs(12);

/// What a process may spend on resting: idle and in light use.
pub const LONGEST_REST: Duration = Duration::from_secs(2 * REST.as_secs());

impl Rest {
    /// What a cell of this family gets in this profile. Half a minute for each process is worth it where retained memory is
    /// the question.
    pub fn of(family: Family, profile: Profile) -> Self {
        match (family, profile) {
            (Family::Memory, Profile::Standard | Profile::Full) => Self::For(REST),
            _ => Self::None,
        }
    }
}

/// Whether this system can be asked at all.
///
/// # Errors
/// The reason, for a reader of the site.
pub fn available() -> Result<(), String> {
    match kernel::resident() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "resident memory is read from Linux's /proc/self/smaps_rollup, which this system does not show: {error}"
        )),
    }
}

/// Runs one pass of the cell and looks at the memory of the process meanwhile and afterwards; then asks for the proof of
/// who served, if one is wanted. For a process that has done nothing else.
///
/// # Errors
/// What went wrong; a crash where the system cannot be asked, with the reason.
pub fn measure(
    cell: &BoundCell,
    seed: u64,
    proof: Option<Proof>,
    profile: Profile,
    hooks: &Hooks,
) -> Result<(Findings, Option<String>), Fault> {
    measure_with(cell, seed, proof, Rest::of(cell.case.workload.family, profile), hooks)
}

/// As [`measure`], with a rest of any length, for tests: the phases are named after the usual one.
///
/// # Errors
/// As [`measure`].
pub fn measure_with(
    cell: &BoundCell,
    seed: u64,
    proof: Option<Proof>,
    rest: Rest,
    hooks: &Hooks,
) -> Result<(Findings, Option<String>), Fault> {
    available().map_err(Fault::Crash)?;
    let unreadable = |error: io::Error| Fault::Crash(format!("memory could not be read: {error}"));
    let observer = Observer::begin(hooks.statistics).map_err(unreadable)?;
    let (mut work, mut retained) = (None, None);
    let proof = cell.measure_and_rest(
        seed,
        proof,
        &mut |body| {
            work = Some(observer.watch(|| {
                body.pass(&observer);
            }));
        },
        &mut |use_lightly| retained = Some(look_at_rest(&observer, rest, hooks, use_lightly)),
    )?;
    let (peak, used) = work.expect("every workload drives its body").map_err(unreadable)?;
    let retained = retained.expect("every workload comes to rest").map_err(unreadable)?;
    Ok((findings(&observer, peak, used, &retained), proof))
}

/// What is resident when nothing is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retained {
    at_once: Row,
    idle: Option<Row>,
    light: Option<Row>,
    purged: Option<Row>,
}

fn look_at_rest(
    observer: &Observer,
    rest: Rest,
    hooks: &Hooks,
    use_lightly: &mut dyn FnMut(),
) -> io::Result<Retained> {
    let at_once = observer.rest("drained")?;
    let (mut idle, mut light, mut purged) = (None, None, None);
    if let Rest::For(time) = rest {
        thread::sleep(time);
        idle = Some(observer.rest("idle 12 s")?);
        let start = Instant::now();
        loop {
            use_lightly();
            if start.elapsed() >= time {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        light = Some(observer.rest("light use 12 s")?);
    }
    if let Some(purge) = hooks.purge {
        purge();
        purged = Some(observer.rest("purged")?);
    }
    Ok(Retained { at_once, idle, light, purged })
}

fn findings(observer: &Observer, peak: Option<u64>, used: Usage, retained: &Retained) -> Findings {
    let bytes = |row: Option<Row>| row.map(|row| row.resident_bytes as f64);
    let peak = peak.map(|bytes| bytes as f64);
    let peak_live = observer.peak_live().filter(|&bytes| bytes >= BLOW_UP_FROM);
    let said = [
        (Metric::PeakRss, peak),
        (Metric::RetainedRss, bytes(Some(retained.at_once))),
        (Metric::RetainedLazyFree, retained.at_once.lazy_free_bytes.map(|bytes| bytes as f64)),
        (Metric::RetainedRssIdle, bytes(retained.idle)),
        (Metric::RetainedRssLight, bytes(retained.light)),
        (Metric::RetainedRssPurged, bytes(retained.purged)),
        (Metric::BlowUp, peak.zip(peak_live).map(|(resident, live)| resident / live as f64)),
        (Metric::PageFaults, Some(used.faults as f64)),
        (Metric::ContextSwitches, Some(used.switches as f64)),
        (Metric::CpuUser, Some(used.user_ns as f64)),
        (Metric::CpuSystem, Some(used.system_ns as f64)),
    ];
    let metrics = said.into_iter().filter_map(|(metric, number)| Some((metric, number?))).collect();
    Findings { metrics, memory: observer.series(), latency: None }
}
