//! Records made up for tests: plausible, seeded, and nothing in them was measured.

#![allow(dead_code)] // Each test file uses its own part of it.

mod probed;

use std::collections::BTreeMap;

use allocmark::results::metric::Metric;
use allocmark::results::record::{
    Absent, Allocator, Axis, Cell, Checks, Failed, FailureKind, Machine, Measured, Overhead, Parameter,
    Params, Place, Profile, Record, ServedBy, Tool, Value, Workload,
};
use allocmark::stats::{Random, median, sign_test_interval};

/// Id, title, class, package, library, speed (1 is the best general allocator), one-thread only.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>, f64, bool);

const ALLOCATORS: [Row; 12] = [
    ("null", "null (control)", "control", None, None, 0.12, true),
    ("system", "System allocator", "general", None, Some("glibc 2.36"), 1.55, false),
    ("jemalloc", "jemalloc", "general", Some("tikv-jemallocator 0.7.0"), Some("jemalloc 5.3.0"), 1.35, false),
    ("mimalloc", "mimalloc", "general", Some("mimalloc 0.1.52"), Some("mimalloc 3.1.5"), 1.04, false),
    ("snmalloc", "snmalloc", "general", Some("snmalloc-rs 0.7.4"), Some("snmalloc 0.7.1"), 1.05, false),
    ("rpmalloc", "rpmalloc", "general", Some("rpmalloc 0.2.2"), Some("rpmalloc 1.4.1"), 1.30, false),
    ("slab", "slab", "general", None, None, 1.12, false),
    ("pool", "Fixed-size pool", "fixed-size", None, None, 0.62, false),
    ("pool-local", "One-thread pool", "fixed-size", None, None, 0.31, true),
    ("pool-mutex", "Mutex pool", "fixed-size", None, None, 1.45, false),
    ("arena", "Arena", "bulk", None, None, 0.36, true),
    ("bump", "bumpalo", "bulk", Some("bumpalo 3.19.0"), None, 0.30, true),
];

/// What a workload demands beyond plain allocation.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Nothing,
    OneSize,
    Bulk,
    General,
    Threads,
}

struct Shape {
    id: &'static str,
    title: &'static str,
    family: &'static str,
    why: &'static str,
    operation: &'static str,
    needs: Needs,
    base_ns: f64,
    parameters: Vec<(&'static str, &'static str, Axis, Vec<Value>)>,
}

fn numbers(values: &[u64]) -> Vec<Value> {
    values.iter().map(|value| Value::Number(*value)).collect()
}

fn words(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| Value::Word((*value).to_owned())).collect()
}

fn shapes() -> Vec<Shape> {
    let shape = |id, title, family, why, operation, needs, base_ns, parameters| Shape {
        id,
        title,
        family,
        why,
        operation,
        needs,
        base_ns,
        parameters,
    };
    vec![
        shape(
            "pair",
            "Allocate a block, free it at once",
            "basic",
            "The shortest path through an allocator: the block just freed is the block handed out next, so every structure it touches is in the first-level cache.\n\nWhat it costs here is the least that any allocation can cost. Programs rarely look like this, but temporaries in hot loops do.",
            "alloc + free",
            Needs::General,
            3.1,
            vec![("size", "bytes in each block", Axis::Bytes, numbers(&[16, 64, 256, 1024, 4096, 65536]))],
        ),
        shape(
            "batch",
            "Allocate n blocks, then free all",
            "basic",
            "A request handler that builds a structure and drops it. The order of the frees decides how well a free list is laid out for the next round.",
            "alloc + free",
            Needs::General,
            6.8,
            vec![
                ("n", "blocks in a batch", Axis::Count, numbers(&[100, 1600])),
                ("order", "order of the frees", Axis::Category, words(&["lifo", "fifo", "random"])),
            ],
        ),
        shape(
            "churn",
            "Replace a random member of a live set",
            "basic",
            "A cache or a session table: old blocks die at random among many that live.",
            "free + alloc",
            Needs::General,
            14.0,
            vec![
                ("live", "blocks alive", Axis::Count, numbers(&[1000, 10_000, 100_000])),
                ("sizes", "how sizes are drawn", Axis::Category, words(&["fixed-64", "log-uniform"])),
            ],
        ),
        shape(
            "grow",
            "A vector that grows by reallocation",
            "basic",
            "`realloc` in place is worth more than any fast path: an allocator without it copies.",
            "realloc",
            Needs::General,
            38.0,
            vec![("pattern", "how it grows", Axis::Category, words(&["geometric", "step"]))],
        ),
        shape(
            "bulk",
            "Allocate n objects, release all together",
            "basic",
            "Phases and frames: nothing dies alone. General allocators free one by one.",
            "object",
            Needs::Bulk,
            8.1,
            vec![("n", "objects", Axis::Count, numbers(&[1000, 10_000, 100_000]))],
        ),
        shape(
            "fixed-size",
            "Batches of one size only",
            "basic",
            "The pool's home: one type, many objects, no fragmentation by construction.",
            "alloc + free",
            Needs::OneSize,
            5.9,
            vec![
                ("size", "bytes in each block", Axis::Bytes, numbers(&[64, 128])),
                ("order", "order of the frees", Axis::Category, words(&["lifo", "random"])),
            ],
        ),
        shape(
            "local",
            "Every thread churns blocks of its own",
            "threads",
            "Threads that share nothing should not slow each other down. What does not scale here contends inside the allocator.",
            "free + alloc",
            Needs::Threads,
            12.0,
            vec![("threads", "threads", Axis::Threads, numbers(&[1, 2, 4]))],
        ),
        shape(
            "handoff",
            "Blocks freed by another thread",
            "threads",
            "Producers allocate, consumers free: every free is remote.",
            "alloc + free",
            Needs::Threads,
            31.0,
            vec![("threads", "producers and consumers", Axis::Threads, numbers(&[2, 4]))],
        ),
        shape(
            "strings",
            "Format, push and join text",
            "applications",
            "Short strings of unpredictable length: what most Rust programs allocate most.",
            "string",
            Needs::General,
            74.0,
            vec![],
        ),
        shape(
            "tree",
            "Build and drop binary trees",
            "applications",
            "Many small nodes that die in the order of their depth.",
            "node",
            Needs::Nothing,
            11.5,
            vec![("depth", "levels", Axis::Count, numbers(&[8, 16]))],
        ),
    ]
}

/// A record like one of profile `quick`: 12 allocators, 10 workloads, 6 rounds.
pub(crate) fn realistic() -> Record {
    generate(&ALLOCATORS, &shapes(), 6)
}

/// As [`realistic`], with what the other probes find and the memory family: like one of profile `standard`.
pub(crate) fn complete() -> Record {
    let mut record = realistic();
    probed::add(&mut record);
    "standard".clone_into(&mut record.profile.name);
    record
}

/// Few allocators and workloads, but each kind of thing that a page can show: for golden pages.
pub(crate) fn small() -> Record {
    let allocators: Vec<Row> = ALLOCATORS
        .into_iter()
        .filter(|row| ["null", "system", "mimalloc", "pool"].contains(&row.0))
        .collect();
    let mut shapes = shapes();
    shapes.retain(|shape| ["pair", "fixed-size", "local"].contains(&shape.id));
    for shape in &mut shapes {
        for (_, _, _, values) in &mut shape.parameters {
            values.truncate(2);
        }
    }
    let mut record = generate(&allocators, &shapes, 6);
    let at =
        record.cells.iter().position(|cell| cell.place.allocator == "mimalloc").expect("mimalloc has cells");
    let cell = record.cells.remove(at);
    record.failed.push(Failed {
        place: cell.place,
        kind: FailureKind::Crash,
        detail: "signal 11 (SIGSEGV) after 0.2 s".to_owned(),
    });
    record
}

/// As [`small`], with what the other probes find and the memory family.
pub(crate) fn probed() -> Record {
    let mut record = small();
    probed::add(&mut record);
    record.workloads.retain(|workload| workload.id != "pair");
    record.cells.retain(|cell| cell.place.workload != "pair");
    record.absent.retain(|absent| absent.place.workload != "pair");
    record.failed.retain(|failed| failed.place.workload != "pair");
    record
}

/// `allocators` × `workloads` × `cases`, all general, all measured.
pub(crate) fn grid(allocators: usize, workloads: usize, cases: u64, rounds: usize) -> Record {
    let mut record = empty();
    record.allocators = (0..allocators)
        .map(|index| Allocator {
            id: format!("alloc-{index:03}"),
            ..allocator(("", "made up", "general", None, None, 1.0, false))
        })
        .collect();
    let mut random = Random::new(7);
    for workload in 0..workloads {
        let id = format!("work-{workload:03}");
        record.workloads.push(Workload {
            id: id.clone(),
            title: "made up".to_owned(),
            family: "basic".to_owned(),
            why: "Made up.".to_owned(),
            effect: String::new(),
            origin: String::new(),
            operation: "operation".to_owned(),
            step: String::new(),
            needs: Vec::new(),
            parameters: vec![Parameter {
                name: "size".to_owned(),
                title: "bytes".to_owned(),
                axis: Axis::Bytes,
            }],
        });
        for case in 0..cases {
            for (index, allocator) in record.allocators.iter().enumerate() {
                let params = Params(vec![("size".to_owned(), Value::Number(16 << case))]);
                let place = Place { workload: id.clone(), params, allocator: allocator.id.clone() };
                let base = 10.0 * (1.0 + index as f64 / 50.0);
                record.cells.push(cell(place, replicates(&mut random, base, 0.02, rounds)));
            }
        }
    }
    record
}

/// Nothing but a frame: no allocator, no workload, no cell.
pub(crate) fn empty() -> Record {
    Record {
        id: "20261121T113300Z-3e10e7b-quick-0a1b2c3d".to_owned(),
        tool: Tool {
            name: "allocmark".to_owned(),
            version: "0.1.0".to_owned(),
            revision: Some("3e10e7b".to_owned()),
            dirty: false,
        },
        command: "allocmark run --profile quick --seed 42".to_owned(),
        profile: Profile {
            name: "quick".to_owned(),
            rounds: BTreeMap::from([("time".to_owned(), 6)]),
            warm_up_ms: Some(50),
            measuring_ms: Some(150),
            samples: Some(20),
            seed: Some(42),
            build: BTreeMap::from([
                ("codegen-units".to_owned(), "1".to_owned()),
                ("lto".to_owned(), "off".to_owned()),
                ("opt-level".to_owned(), "3".to_owned()),
            ]),
        },
        machine: Machine {
            key: "0a1b2c3d".to_owned(),
            cpu: Some("AMD EPYC 9454".to_owned()),
            cpu_model: Some("25/17/1".to_owned()),
            logical_cpus: Some(2),
            physical_cores: Some(1),
            caches: vec!["L1d 32 KiB".to_owned(), "L2 1 MiB".to_owned(), "L3 32 MiB".to_owned()],
            memory_bytes: Some(8 << 30),
            kernel: Some("Linux 6.1.0".to_owned()),
            libc: Some("glibc 2.36".to_owned()),
            transparent_huge_pages: Some("madvise".to_owned()),
            governor: None,
            virtualisation: Some("kvm".to_owned()),
            rustc: Some("rustc 1.95.0 (5980761 2026-04-14)".to_owned()),
            target: Some("x86_64-unknown-linux-gnu".to_owned()),
        },
        allocators: Vec::new(),
        workloads: Vec::new(),
        cells: Vec::new(),
        absent: Vec::new(),
        failed: Vec::new(),
        checks: Checks::default(),
    }
}

/// What `import` makes of somebody else's criterion directory: no machine, no rounds, no classes.
pub(crate) fn imported() -> Record {
    let mut record = grid(3, 2, 2, 1);
    record.id = "20261121T120000Z-unknown-imported-unknown".to_owned();
    record.tool =
        Tool { name: "criterion".to_owned(), version: "0.8".to_owned(), revision: None, dirty: false };
    record.command = "allocmark import target/criterion".to_owned();
    record.profile = Profile {
        name: "imported".to_owned(),
        rounds: BTreeMap::new(),
        warm_up_ms: None,
        measuring_ms: None,
        samples: None,
        seed: None,
        build: BTreeMap::new(),
    };
    record.machine = Machine { key: "unknown".to_owned(), ..Machine::default() };
    for allocator in &mut record.allocators {
        "unstated".clone_into(&mut allocator.class);
    }
    for cell in &mut record.cells {
        cell.served_by = None;
    }
    record
}

fn generate(allocators: &[Row], shapes: &[Shape], rounds: usize) -> Record {
    let mut record = empty();
    let mut random = Random::new(42);
    record.allocators = allocators.iter().map(|row| allocator(*row)).collect();
    for shape in shapes {
        record.workloads.push(workload(shape));
        let cases = cases(&shape.parameters);
        for params in &cases {
            for row in allocators {
                let place = Place {
                    workload: shape.id.to_owned(),
                    params: params.clone(),
                    allocator: row.0.to_owned(),
                };
                if let Some(reason) = unfit(row, shape.needs, params) {
                    record.absent.push(Absent { place, reason: reason.to_owned() });
                    continue;
                }
                if row.0 == "rpmalloc" && params.to_string().contains("100000") {
                    let detail = "stopped after 10 s; its limit is 10 s".to_owned();
                    record.failed.push(Failed { place, kind: FailureKind::TimeLimit, detail });
                    continue;
                }
                let taste = 0.75 + 0.6 * random.unit_f64();
                let noise = if shape.base_ns < 5.0 { 0.05 } else { 0.015 };
                let time = shape.base_ns * row.5 * taste * growth(params, row.0);
                record.cells.push(cell(place, replicates(&mut random, time, noise, rounds)));
            }
        }
        if let (Some(params), true) = (cases.last(), shape.needs != Needs::Threads) {
            record.checks.overhead.push(Overhead {
                workload: shape.id.to_owned(),
                params: params.clone(),
                null_ns: shape.base_ns * 0.12,
                fastest: "mimalloc".to_owned(),
                fastest_ns: shape.base_ns,
            });
        }
    }
    record.checks.warnings = vec![
        "The frequency governor could not be read: frequencies may have changed during the run.".to_owned(),
        "Load average was 1.3 on 2 CPUs when the run began.".to_owned(),
    ];
    record
}

/// What a parameter does to the time per operation.
fn growth(params: &Params, allocator: &str) -> f64 {
    let number = |name: &str| match params.get(name) {
        Some(Value::Number(number)) => Some(*number as f64),
        _ => None,
    };
    let mut growth = 1.0;
    if let Some(size) = number("size") {
        growth *= 1.0 + (size / 4096.0).powf(0.7);
    }
    if let Some(live) = number("live").or(number("n")) {
        growth *= 1.0 + (live / 1000.0).max(1.0).log10() * 0.35;
    }
    if let Some(threads) = number("threads") {
        let cpus = threads.min(2.0);
        let contention = if allocator == "pool-mutex" || allocator == "system" { 0.55 } else { 0.9 };
        growth /= 1.0 + (cpus - 1.0) * contention;
    }
    growth
}

fn unfit(row: &Row, needs: Needs, params: &Params) -> Option<&'static str> {
    let (class, one_thread) = (row.2, row.6);
    match needs {
        Needs::General if class == "fixed-size" => Some("needs blocks of more than one size"),
        Needs::General | Needs::OneSize | Needs::Threads if class == "bulk" => {
            Some("needs blocks freed one at a time; a bulk allocator only grows")
        }
        Needs::Bulk if class == "fixed-size" => Some("needs blocks of mixed sizes"),
        Needs::Threads if one_thread => Some("needs a handle that other threads may use"),
        Needs::Threads if class == "fixed-size" && params.get("threads") == Some(&Value::Number(1)) => None,
        _ => None,
    }
}

fn cases(parameters: &[(&'static str, &'static str, Axis, Vec<Value>)]) -> Vec<Params> {
    let mut cases = vec![Params::default()];
    for (name, _, _, values) in parameters {
        let extend = |case: &Params, value: &Value| {
            let mut params = case.0.clone();
            params.push(((*name).to_owned(), value.clone()));
            Params(params)
        };
        cases = cases.iter().flat_map(|case| values.iter().map(|value| extend(case, value))).collect();
    }
    cases
}

fn replicates(random: &mut Random, base: f64, noise: f64, rounds: usize) -> Vec<f64> {
    (0..rounds).map(|_| base * (1.0 + noise * (random.unit_f64() + random.unit_f64() - 1.0))).collect()
}

/// A measured cell with the value and interval that its replicates give.
pub(crate) fn cell(place: Place, replicates: Vec<f64>) -> Cell {
    let value = median(&replicates).expect("there are replicates");
    let interval = sign_test_interval(&replicates, 0.95).map(|found| (found.low, found.high));
    let served_by =
        Some(ServedBy { allocator: place.allocator.clone(), method: "freed block came back".to_owned() });
    Cell {
        place,
        served_by,
        metrics: BTreeMap::from([(Metric::Time, Measured { value, interval, replicates })]),
        memory: None,
        latency: None,
    }
}

fn allocator((id, title, class, package, library, ..): Row) -> Allocator {
    Allocator {
        id: id.to_owned(),
        ours: ["null", "slab", "pool", "arena"].contains(&id),
        title: title.to_owned(),
        class: class.to_owned(),
        package: package.map(str::to_owned),
        library: library.map(str::to_owned),
        missing_entry_points: if id == "rpmalloc" {
            vec!["realloc: allocates, copies and frees instead".to_owned()]
        } else {
            Vec::new()
        },
        configuration: "default settings".to_owned(),
        description: format!(
            "{title}: size classes in front of spans of pages, a cache for each thread, and remote frees that go home in batches.\n\nThis text is made up for a test."
        ),
        links: vec![format!("https://docs.rs/{id}")],
    }
}

fn workload(shape: &Shape) -> Workload {
    let needs = match shape.needs {
        Needs::Nothing => vec![],
        Needs::OneSize => vec!["blocks of one size"],
        Needs::Bulk => vec!["any size", "release of everything at once"],
        Needs::General => vec!["any size", "individual free"],
        Needs::Threads => vec!["any thread", "individual free"],
    };
    Workload {
        id: shape.id.to_owned(),
        title: shape.title.to_owned(),
        family: shape.family.to_owned(),
        why: shape.why.to_owned(),
        effect: "No difference: the numbers are made up.".to_owned(),
        origin: "Nothing that was measured.".to_owned(),
        operation: shape.operation.to_owned(),
        step: String::new(),
        needs: needs.into_iter().map(str::to_owned).collect(),
        parameters: shape
            .parameters
            .iter()
            .map(|(name, title, axis, _)| Parameter {
                name: (*name).to_owned(),
                title: (*title).to_owned(),
                axis: *axis,
            })
            .collect(),
    }
}
