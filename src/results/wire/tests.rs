use std::path::Path;

use super::*;
use crate::results::metric::Metric;
use crate::results::record::{
    Absent, Allocator, Axis, Cell, Checkpoint, Checks, Control, Failed, FailureKind, Latency, Machine,
    Measured, MemorySeries, Overhead, Parameter, Params, Place, Profile, ServedBy, Statistic, Tool, Unprobed,
    Value, Workload,
};

fn place(size: u64, allocator: &str) -> Place {
    let params = Params(vec![
        ("live".to_owned(), Value::Number(100)),
        ("size".to_owned(), Value::Number(size)),
        ("order".to_owned(), Value::Word("random".to_owned())),
    ]);
    Place { workload: "churn".to_owned(), params, allocator: allocator.to_owned() }
}

fn cell(size: u64, allocator: &str, value: f64) -> Cell {
    let measured = Measured { value, interval: Some((value - 0.5, value + 0.5)), replicates: vec![value; 3] };
    Cell {
        place: place(size, allocator),
        served_by: Some(ServedBy {
            allocator: allocator.to_owned(),
            method: "its own counter moved".to_owned(),
        }),
        metrics: [(Metric::Time, measured)].into(),
        memory: Some(MemorySeries {
            checkpoints: vec![Checkpoint {
                phase: "fill".to_owned(),
                live_bytes: 4096,
                resident_bytes: 8192,
                lazy_free_bytes: 0,
            }],
            statistics: vec![Statistic { phase: "fill".to_owned(), name: "active".to_owned(), bytes: 4096 }],
        }),
        latency: Some(Latency {
            quantum_ns: 10.0,
            cost_ns: 20.0,
            plain_ns: 12.0,
            probed_ns: 50.0,
            steps: 3,
            max_ns: 100,
            buckets: vec![(50, 2), (100, 1)],
        }),
    }
}

fn allocator(id: &str) -> Allocator {
    Allocator {
        id: id.to_owned(),
        ours: id.starts_with('s'),
        title: id.to_uppercase(),
        class: "general".to_owned(),
        package: Some("crate 1.0.0".to_owned()),
        library: None,
        missing_entry_points: vec!["realloc: copies instead".to_owned()],
        configuration: "as it comes".to_owned(),
        description: "An allocator.".to_owned(),
        links: Vec::new(),
    }
}

/// A record with one entry of everything.
fn sample() -> Record {
    let parameter = |name: &str, axis| Parameter { name: name.to_owned(), title: name.to_owned(), axis };
    Record {
        id: "20260102T030405Z-abcdef0-quick-epyc-01234567".to_owned(),
        tool: Tool { name: "allocmark".to_owned(), version: "0.1.0".to_owned(), revision: None, dirty: true },
        command: "allocmark run --profile quick".to_owned(),
        profile: Profile {
            name: "quick".to_owned(),
            rounds: [("time".to_owned(), 6)].into(),
            warm_up_ms: Some(30),
            measuring_ms: Some(100),
            samples: Some(10),
            seed: Some(u64::MAX),
            build: [("opt-level".to_owned(), "3".to_owned())].into(),
        },
        machine: Machine { key: "epyc-01234567".to_owned(), logical_cpus: Some(2), ..Machine::default() },
        allocators: vec![allocator("system"), allocator("<script>alert(1)</script>"), allocator("../../x")],
        workloads: vec![Workload {
            id: "churn".to_owned(),
            title: "Replace one of many".to_owned(),
            family: "basic".to_owned(),
            why: "Programs do it.\n\nOften.".to_owned(),
            effect: "Mixed sizes take longer.".to_owned(),
            origin: "Our own.".to_owned(),
            operation: "alloc + free".to_owned(),
            step: "alloc + free".to_owned(),
            needs: vec!["individual free".to_owned()],
            parameters: vec![
                parameter("live", Axis::Count),
                parameter("size", Axis::Bytes),
                parameter("order", Axis::Category),
            ],
        }],
        cells: vec![cell(64, "system", 12.345_678_901_234_5), cell(64, "../../x", 0.1 + 0.2 + 1.0)],
        absent: vec![Absent {
            place: place(64, "<script>alert(1)</script>"),
            reason: "one size only".to_owned(),
        }],
        failed: vec![Failed {
            place: place(128, "system"),
            kind: FailureKind::Crash,
            detail: "signal 11".to_owned(),
        }],
        checks: Checks {
            overhead: vec![Overhead {
                workload: "churn".to_owned(),
                params: place(64, "system").params,
                null_ns: 0.3,
                fastest: "system".to_owned(),
                fastest_ns: 12.0,
            }],
            control: vec![Control {
                place: place(64, "system"),
                ratio: 1.01,
                interval: Some((0.98, 1.02)),
                rounds: vec![(10.0, 10.1)],
            }],
            unprobed: vec![Unprobed {
                probe: "instructions".to_owned(),
                allocator: Some("system".to_owned()),
                case: None,
                reason: "it does not start under valgrind".to_owned(),
            }],
            warnings: vec!["The load average was 3.".to_owned()],
        },
    }
}

fn read(text: &str) -> Result<Record, RecordError> {
    from_json(text, Path::new("r.json"))
}

/// The sample's text with `old` replaced by `new`, where `old` is known to be in it.
fn altered(old: &str, new: &str) -> String {
    let text = to_json(&sample());
    assert!(text.contains(old), "the sample has no {old}: {text}");
    text.replacen(old, new, 1)
}

#[track_caller]
fn refused(text: &str, wanted: &[&str]) {
    let error = read(text).expect_err("this text must be refused").to_string();
    assert!(error.starts_with("r.json"), "{error}");
    assert!(!error.contains('\n'), "{error}");
    for part in wanted {
        assert!(error.contains(part), "no {part:?} in {error:?}");
    }
}

#[test]
fn a_record_survives_its_file_form() {
    let record = sample();
    assert_eq!(read(&to_json(&record)).unwrap(), record);
}

#[test]
fn the_same_record_gives_the_same_text_with_one_line_for_each_cell() {
    let text = to_json(&sample());
    assert_eq!(text, to_json(&read(&text).unwrap()));
    let cells =
        text.lines().filter(|line| line.starts_with("{\"workload\":\"churn\"") && line.contains("served_by"));
    assert_eq!(cells.count(), 2);
}

#[test]
fn every_number_survives_to_the_last_bit() {
    let mut seed = 1_u64;
    for _ in 0..2000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = 1.0 + (seed >> 11) as f64 / 3e12 * f64::from(1 + (seed >> 60) as u32).powi(5);
        let mut record = sample();
        record.cells[0] = cell(64, "system", value);
        assert_eq!(read(&to_json(&record)).unwrap().cells[0].metrics[&Metric::Time].value, value);
    }
}

#[test]
fn the_top_level_keys_are_those_of_the_format() {
    let text = to_json(&sample());
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<&str> = parsed.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut wanted = [
        "schema",
        "id",
        "tool",
        "command",
        "profile",
        "machine",
        "metrics",
        "allocators",
        "workloads",
        "cells",
        "absent",
        "failed",
        "checks",
    ];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
}

#[test]
fn truncated_text_is_refused_with_line_and_column() {
    let text = to_json(&sample());
    refused(&text[..text.len() / 2], &["line ", "column ", "ends too early"]);
    refused("{\"schema\": 1, \"id\": 1.", &["ends too early"]);
    refused("", &["line 1", "ends too early"]);
    refused("[]", &["expected a JSON object"]);
    refused("not json\n", &["line 1, column 2"]);
}

#[test]
fn no_prefix_of_a_record_is_a_record() {
    let text = to_json(&sample());
    for (end, _) in text.char_indices().filter(|(end, _)| *end < text.trim_end().len()) {
        assert!(read(&text[..end]).is_err(), "the first {end} bytes were read");
    }
}

#[test]
fn another_schema_is_named_before_anything_else() {
    refused(&altered("\"schema\": 1", "\"schema\": 7"), &["schema 7: this version reads 1"]);
    refused("{\"schema\": \"x\", \"new\": 1}", &["schema \"x\": this version reads 1"]);
    refused("{}", &["no `schema`"]);
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    refused(
        &altered("\"allocator\":\"system\"", "\"alocator\":\"system\""),
        &["unknown field `alocator`", "line "],
    );
    refused(&altered("\"command\":", "\"comand\":"), &["unknown field `comand`", "line 5"]);
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    refused(&altered("\"live\":100,", "\"live\":100,\"live\":100,"), &["the key `live` comes twice"]);
    refused(&altered("\"id\":", "\"id\": \"a\",\n\"id\":"), &["duplicate field `id`"]);
}

#[test]
fn times_that_cannot_be_are_refused_with_cell_and_metric() {
    for wrong in ["null", "-1.0", "0.0"] {
        refused(
            &altered("\"value\":12.3456789012345", &format!("\"value\":{wrong}")),
            &["cells[0] (churn/system/live=100,size=64,order=random), time.value", "a finite number above 0"],
        );
    }
    refused(&altered("\"value\":12.3456789012345", "\"value\":NaN"), &["line ", "column "]);
    refused(&altered("\"value\":12.3456789012345", "\"value\":1e999"), &["out of range"]);
    refused(&altered("\"value\":12.3456789012345,", ""), &["time.value: null or missing"]);
    refused(&altered("[12.3456789012345,", "[null,"), &["time.replicates[0]"]);
}

#[test]
fn an_interval_must_hold_its_value() {
    refused(
        &altered("\"high\":12.8456789012345", "\"high\":12.1"),
        &["does not hold the value 12.3456789012345"],
    );
    refused(&altered(",\"high\":12.8456789012345", ""), &["time.high: null or missing"]);
}

#[test]
fn a_place_may_be_taken_once_in_all_three_lists() {
    let mut record = sample();
    record.cells.push(cell(64, "system", 1.0));
    refused(&to_json(&record), &["cells[2] (churn/system/", "the same place as cells[0]"]);

    let mut record = sample();
    record.failed[0].place = place(64, "system");
    refused(&to_json(&record), &["failed[0] (churn/system/", "the same place as cells[0]"]);
}

#[test]
fn another_order_of_parameters_is_the_same_place() {
    let mut record = sample();
    let mut twin = cell(64, "system", 1.0);
    twin.place.params.0.reverse();
    twin.place.params.0[2].1 = Value::Word("100".to_owned());
    record.cells.push(twin);
    refused(&to_json(&record), &["the same place as cells[0]"]);
}

#[test]
fn what_is_not_listed_is_refused() {
    refused(&altered("\"allocator\":\"system\"", "\"allocator\":\"x\""), &["allocator \"x\" is not listed"]);
    refused(&altered("\"workload\":\"churn\"", "\"workload\":\"x\""), &["workload \"x\" is not listed"]);
    refused(&altered("\"params\":{\"live\"", "\"params\":{\"life\""), &["parameter \"life\" is not listed"]);
    refused(
        &altered("\"metrics\":{\"time\"", "\"metrics\":{\"tim\""),
        &["unknown metric \"tim\"", "one of time"],
    );
    refused(&altered("\"kind\":\"crash\"", "\"kind\":\"boom\""), &["unknown kind \"boom\"", "time limit"]);
    refused(
        &altered("\"live\":100", "\"live\":1.5"),
        &["neither a whole number from 0 nor a string", "line "],
    );
    refused(&altered("\"axis\":\"bytes\"", "\"axis\":\"b\""), &["unknown axis \"b\""]);
}

#[test]
fn a_metric_in_another_unit_is_refused() {
    refused(
        &altered("\"unit\":\"nanoseconds\"", "\"unit\":\"bytes\""),
        &["metrics.time: bytes / lower / noisy"],
    );
}

#[test]
fn names_are_neither_empty_nor_long_nor_unprintable() {
    let mut record = sample();
    record.allocators[0].id = "x".repeat(201);
    refused(&to_json(&record), &["allocators[0].id: it has 201 characters", "at most 200"]);
    record.allocators[0].id = String::new();
    refused(&to_json(&record), &["allocators[0].id: it is empty"]);
    record.allocators[0].id = "a\nb".to_owned();
    refused(&to_json(&record), &["allocators[0].id: \"a\\nb\" has a control character"]);
}

#[test]
fn a_record_id_is_a_file_name() {
    for id in ["../../x", ".hidden", "-rf", "a/b", "a b", "ä"] {
        let mut record = sample();
        record.id = id.to_owned();
        refused(&to_json(&record), &["is not a file name"]);
    }
}

#[test]
fn a_record_in_which_nothing_was_measured_can_be_read() {
    let mut record = sample();
    record.cells.clear();
    assert!(read(&to_json(&record)).unwrap().cells.is_empty());
}

/// A generator is enough here: the point is many damaged files, not their distribution.
#[test]
fn a_damaged_record_is_read_or_refused_but_never_a_panic() {
    let text = to_json(&sample());
    let mut random = crate::stats::Random::new(1);
    let mut below = |bound: usize| random.below(bound as u64) as usize;
    let pieces =
        ["", "0", "-1", "1e400", "null", "\"", "{", "[", "}", "]", ",", "\\u0000", "\"x\":1,", "true"];
    let mut refused = 0;
    for _ in 0..3000 {
        let mut damaged = text.clone();
        for _ in 0..=below(2) {
            let start = (0..).map(|_| below(damaged.len())).find(|at| damaged.is_char_boundary(*at)).unwrap();
            let end =
                (start + below(4)..).find(|at| damaged.is_char_boundary((*at).min(damaged.len()))).unwrap();
            damaged.replace_range(start..end.min(damaged.len()), pieces[below(pieces.len())]);
        }
        match read(&damaged) {
            // What was read is a record: it can be written and read again.
            Ok(record) => assert_eq!(read(&to_json(&record)).unwrap(), record),
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    assert!(refused > 1000, "only {refused} were refused");
}

/// The keys of the format in `value`; what users name (parameters, probes, settings, metrics) is not part of it.
fn keys(value: &serde_json::Value, named_by_users: bool, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, false, found)),
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                if !named_by_users {
                    found.push(key.clone());
                }
                keys(value, ["params", "rounds", "build", "metrics"].contains(&key.as_str()), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_format_in_words_names_every_field() {
    let some = || Some("x".to_owned());
    let mut record = sample();
    record.tool.revision = some();
    record.allocators[0].library = some();
    record.allocators[0].links.push("https://example.org".to_owned());
    record.machine = Machine {
        key: "x".to_owned(),
        cpu: some(),
        cpu_model: some(),
        logical_cpus: Some(1),
        physical_cores: Some(1),
        caches: vec!["L2 1 MiB".to_owned()],
        memory_bytes: Some(1),
        kernel: some(),
        libc: some(),
        transparent_huge_pages: some(),
        governor: some(),
        virtualisation: some(),
        rustc: some(),
        target: some(),
    };
    let text = to_json(&record);
    assert_eq!(read(&text).unwrap(), record);
    let mut found = Vec::new();
    keys(&serde_json::from_str(&text).unwrap(), false, &mut found);
    let words = include_str!("../../../results/README.md");
    for key in found {
        assert!(words.contains(&format!("`{key}`")), "results/README.md does not name `{key}`");
    }
}

#[test]
fn a_histogram_that_contradicts_itself_is_refused() {
    refused(
        &altered("\"buckets\":[[50,2],[100,1]]", "\"buckets\":[[50,2],[50,1]]"),
        &["latency.buckets", "ascending"],
    );
    refused(&altered("\"steps\":3", "\"steps\":4"), &["latency.buckets", "not 4 steps"]);
    refused(&altered("\"cost_ns\":20.0", "\"cost_ns\":-1"), &["latency.cost_ns", "-1"]);
}
