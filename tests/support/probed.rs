//! What the probes other than time would add to a record, made up: memory, latency, instructions and counts, among
//! them the awkward kinds.

use std::collections::BTreeMap;

use allocmark::results::metric::Metric;
use allocmark::results::record::{
    Absent, Axis, Cell, Checkpoint, Latency, Measured, MemorySeries, Parameter, Params, Place, Record,
    ServedBy, Statistic, Unprobed, Value, Workload,
};
use allocmark::stats::{Random, median};

const MIB: f64 = 1_048_576.0;
/// What the made-up counter shows, nanoseconds.
const QUANTUM_NS: f64 = 10.0;

/// Adds to `record` what the other probes find in the cells that it has, and the memory family.
pub(crate) fn add(record: &mut Record) {
    let mut random = Random::new(11);
    for (probe, rounds) in [("memory", 3), ("latency", 3), ("instructions", 1), ("counts", 1)] {
        record.profile.rounds.insert(probe.to_owned(), rounds);
    }
    for workload in &mut record.workloads {
        "free + alloc".clone_into(&mut workload.step);
    }
    let control: Vec<String> = record
        .allocators
        .iter()
        .filter(|allocator| allocator.class == "control")
        .map(|allocator| allocator.id.clone())
        .collect();
    let basic: Vec<String> = record
        .workloads
        .iter()
        .filter(|workload| workload.family == "basic")
        .map(|workload| workload.id.clone())
        .collect();
    for cell in &mut record.cells {
        count(cell, &mut random);
        // A control runs these where it can: in the basic family.
        if control.contains(&cell.place.allocator) && !basic.contains(&cell.place.workload) {
            continue;
        }
        if cell.place.workload != "pair" {
            time_steps(cell, &mut random);
        }
        if cell.place.workload != "local"
            && cell.place.workload != "handoff"
            && cell.place.allocator != "snmalloc"
        {
            let per_operation = (cell.metrics[&Metric::Time].value * 4.1 * 100.0).round() / 100.0;
            cell.metrics.insert(Metric::Instructions, of(vec![per_operation]));
        }
    }
    add_memory_family(record, &mut random);
    record.checks.unprobed = vec![
        unprobed("instructions", Some("snmalloc"), None, "snmalloc does not start under valgrind 3.19"),
        unprobed(
            "instructions",
            None,
            Some("local/threads=1"),
            "several threads: instructions would hide contention",
        ),
        unprobed(
            "instructions",
            None,
            Some("local/threads=2"),
            "several threads: instructions would hide contention",
        ),
    ];
}

fn unprobed(probe: &str, allocator: Option<&str>, case: Option<&str>, reason: &str) -> Unprobed {
    Unprobed {
        probe: probe.to_owned(),
        allocator: allocator.map(str::to_owned),
        case: case.map(str::to_owned),
        reason: reason.to_owned(),
    }
}

fn of(replicates: Vec<f64>) -> Measured {
    let value = median(&replicates).expect("there are replicates");
    Measured { value, interval: None, replicates }
}

/// Three rounds within a hundredth of `value`.
fn rounds(random: &mut Random, value: f64) -> Measured {
    of((0..3).map(|_| (value * (0.99 + 0.02 * random.unit_f64())).round()).collect())
}

/// Most allocators of a case count the same; scoped ones are asked otherwise.
fn count(cell: &mut Cell, random: &mut Random) {
    let size = match cell.place.params.get("size") {
        Some(Value::Number(size)) => *size as f64,
        _ => 173.25,
    };
    let frees = if ["arena", "bump", "pool"].contains(&cell.place.allocator.as_str()) { 0.0 } else { 1.0 };
    let resized = if cell.place.workload == "grow" { 4.5 } else { 0.0 };
    let counts = [
        (Metric::Allocations, 1.0),
        (Metric::Frees, frees),
        (Metric::Reallocations, resized),
        (Metric::AllocatedBytes, size),
        (Metric::PeakLive, size * 1000.0),
    ];
    cell.metrics.extend(counts.map(|(metric, value)| (metric, of(vec![value]))));
    if ["mimalloc", "jemalloc", "system"].contains(&cell.place.allocator.as_str()) {
        cell.metrics.insert(Metric::UsableRatio, of(vec![1.0 + 0.2 * random.unit_f64()]));
    }
}

/// A million steps with a tail, except for the awkward ones.
fn time_steps(cell: &mut Cell, random: &mut Random) {
    let time = cell.metrics[&Metric::Time].value;
    let base = time + 14.0;
    let tail = 0.18 + 0.12 * random.unit_f64();
    let awkward = cell.place.params.to_string();
    let mut buckets: Vec<(u64, u64)> = Vec::new();
    let steps: u64 = if awkward.contains("64,order=random") { 3_000 } else { 1_000_000 };
    let mut left = steps;
    for step in 0..56 {
        let beyond = 0.5 * 10f64.powf(-f64::from(step) / 8.0);
        let bound = (base * (1.0 + beyond.powf(-tail) * 0.4 + (5e-5 / beyond).powi(2))).ceil() as u64;
        let rest = (steps as f64 * beyond) as u64;
        if left > rest {
            match buckets.last_mut() {
                Some((last, steps)) if *last == bound => *steps += left - rest,
                _ => buckets.push((bound, left - rest)),
            }
            left = rest;
        }
    }
    // Above resolution in some rounds only: the percentiles are left out below.
    let mixed = awkward.contains("128,order=lifo") && cell.place.allocator == "system";
    if awkward.contains("64,order=lifo") && cell.place.allocator == "mimalloc" {
        buckets = vec![(30, steps)];
    }
    let latency = Latency {
        quantum_ns: QUANTUM_NS,
        cost_ns: 12.4,
        plain_ns: time,
        probed_ns: time + 21.0,
        steps,
        max_ns: buckets.last().map_or(0, |(bound, _)| bound * 40),
        buckets,
    };
    let shares = [
        (0.5, Metric::LatencyP50),
        (0.9, Metric::LatencyP90),
        (0.99, Metric::LatencyP99),
        (0.999, Metric::LatencyP999),
        (0.9999, Metric::LatencyP9999),
    ];
    for (share, metric) in shares {
        let mut seen = 0;
        let found = latency.buckets.iter().find(|(_, steps)| {
            seen += steps;
            seen as f64 >= share * latency.steps as f64
        });
        let enough = (1.0 - share) * latency.steps as f64 / 3.0 >= 10.0;
        let told = |bound: u64| enough && bound as f64 >= 5.0 * QUANTUM_NS && !(mixed && share < 0.9995);
        if let Some((bound, _)) = found.filter(|(bound, _)| told(*bound)) {
            cell.metrics.insert(metric, rounds(random, *bound as f64));
        }
    }
    let over = |limit: u64| {
        let slow: u64 =
            latency.buckets.iter().filter(|(bound, _)| *bound > limit).map(|(_, steps)| steps).sum();
        slow as f64 * 1e6 / latency.steps as f64
    };
    cell.metrics.insert(Metric::Stalls1us, of(vec![over(1_000)]));
    cell.metrics.insert(Metric::Stalls10us, of(vec![over(10_000)]));
    cell.latency = Some(latency);
}

/// How much an allocator takes: peak over live, and the shares of the peak that stay: at once, lazily freed, idle,
/// in light use, purged.
fn habits(allocator: &str) -> (f64, [f64; 5]) {
    match allocator {
        "system" => (1.09, [0.02, 0.0, 0.02, 0.02, 0.0]),
        "jemalloc" => (1.17, [0.62, 0.4, 0.6, 0.05, 0.01]),
        "mimalloc" => (1.23, [0.31, 0.0, 0.31, 0.08, 0.02]),
        "snmalloc" => (1.41, [0.93, 0.0, 0.93, 0.93, 0.93]),
        "rpmalloc" => (1.36, [0.44, 0.0, 0.44, 0.44, 0.44]),
        _ => (1.12, [0.1, 0.05, 0.05, 0.02, 0.0]),
    }
}

const SAWTOOTH: [(&str, f64); 12] = [
    ("rise", 0.5),
    ("rise", 1.0),
    ("drain", 0.5),
    ("drain", 0.1),
    ("rise", 1.0),
    ("drain", 0.1),
    ("rise", 1.0),
    ("drain", 0.1),
    ("drained", 0.0),
    ("idle 12 s", 0.0),
    ("light use 12 s", 0.001),
    ("purged", 0.0),
];

const FRAGMENT: [(&str, f64); 6] =
    [("fill", 0.5), ("fill", 1.0), ("thin out", 0.5), ("refill", 1.0), ("drain", 0.3), ("drained", 0.0)];

/// One checkpoint alone, and less than 8 MiB live.
const TRICKLE: [(&str, f64); 1] = [("steady", 1.0)];

fn add_memory_family(record: &mut Record, random: &mut Random) {
    type Family = (&'static str, &'static str, &'static [u64], &'static [(&'static str, f64)]);
    let family: [Family; 3] = [
        (
            "fragment",
            "Fill, free every other block, refill with another mix",
            &[16 << 20, 256 << 20],
            &FRAGMENT,
        ),
        ("sawtooth", "Rise to a peak, drain, again", &[64 << 20], &SAWTOOTH),
        ("trickle", "A few blocks that stay", &[1 << 20], &TRICKLE),
    ];
    for (id, title, lives, phases) in family {
        record.workloads.push(workload(id, title));
        for live in lives {
            for allocator in &record.allocators {
                let params = Params(vec![("live".to_owned(), Value::Number(*live))]);
                let place = Place { workload: id.to_owned(), params, allocator: allocator.id.clone() };
                if allocator.class != "general" {
                    let reason = "its memory is that of the allocator behind it".to_owned();
                    record.absent.push(Absent { place, reason });
                    continue;
                }
                record.cells.push(resident(place, *live as f64, phases, random));
            }
        }
    }
}

fn workload(id: &str, title: &str) -> Workload {
    Workload {
        id: id.to_owned(),
        title: title.to_owned(),
        family: "memory".to_owned(),
        why: "What a program keeps from the rest of the machine, at its peak and afterwards.".to_owned(),
        effect: String::new(),
        origin: String::new(),
        operation: String::new(),
        step: String::new(),
        needs: vec!["any size".to_owned(), "individual free".to_owned()],
        parameters: vec![Parameter {
            name: "live".to_owned(),
            title: "bytes live at the peaks".to_owned(),
            axis: Axis::Bytes,
        }],
    }
}

fn resident(place: Place, live: f64, phases: &[(&str, f64)], random: &mut Random) -> Cell {
    let (blow_up, kept) = habits(&place.allocator);
    let peak = live * blow_up;
    let state = |phase: &str| match phase {
        "drained" => kept[0],
        "idle 12 s" => kept[2],
        "light use 12 s" => kept[3],
        "purged" => kept[4],
        _ => 0.0,
    };
    let mut metrics = BTreeMap::from([(Metric::PeakRss, rounds(random, peak))]);
    if live >= 8.0 * MIB {
        metrics.insert(Metric::BlowUp, of(vec![blow_up, blow_up * 1.01, blow_up * 0.99]));
    }
    metrics.insert(Metric::RetainedRss, rounds(random, peak * kept[0]));
    if kept[1] > 0.0 {
        metrics.insert(Metric::RetainedLazyFree, rounds(random, peak * kept[1]));
    }
    if place.workload == "sawtooth" {
        metrics.insert(Metric::RetainedRssIdle, rounds(random, peak * kept[2]));
        metrics.insert(Metric::RetainedRssLight, rounds(random, peak * kept[3]));
        // Not every allocator can be asked.
        if place.allocator != "rpmalloc" && place.allocator != "snmalloc" {
            metrics.insert(Metric::RetainedRssPurged, rounds(random, peak * kept[4]));
        }
    }
    metrics.insert(Metric::PageFaults, rounds(random, peak / 4096.0));
    metrics.insert(Metric::ContextSwitches, of(vec![2.0, 0.0, 3.0]));
    metrics.insert(Metric::CpuUser, rounds(random, peak * 2.3));
    metrics.insert(Metric::CpuSystem, rounds(random, peak * 0.4));
    let checkpoint = |(phase, share): &(&str, f64)| {
        let held = (share * peak).max(state(phase) * peak).max(share.min(0.6) * peak);
        Checkpoint {
            phase: (*phase).to_owned(),
            live_bytes: (share * live) as u64,
            resident_bytes: held as u64,
            lazy_free_bytes: if *share == 0.0 { (kept[1] * peak).min(held) as u64 } else { 0 },
        }
    };
    let statistic = |name: &str, share: f64| Statistic {
        phase: "drained".to_owned(),
        name: name.to_owned(),
        bytes: (peak * share) as u64,
    };
    let statistics = match place.allocator.as_str() {
        "jemalloc" => vec![statistic("stats.resident", 0.62), statistic("stats.retained", 0.3)],
        "mimalloc" => vec![statistic("committed", 0.4)],
        _ => Vec::new(),
    };
    let series = MemorySeries { checkpoints: phases.iter().map(checkpoint).collect(), statistics };
    // One that was measured before checkpoints could be read.
    let memory = (place.workload != "trickle" || place.allocator != "system").then_some(series);
    let served_by =
        Some(ServedBy { allocator: place.allocator.clone(), method: "freed block came back".to_owned() });
    Cell { place, served_by, metrics, memory, latency: None }
}
