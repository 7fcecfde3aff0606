//! A record from what a run measured.

use std::collections::{BTreeMap, BTreeSet};

use super::combine;
use super::metric::Metric;
use super::ranking::paired_ratio;
use super::record::{
    Absent, Allocator, Cell, Checks, Control, Failed, FailureKind, Machine, Overhead, Parameter, Place,
    Profile, Record, ServedBy, Tool, Unprobed, Workload,
};
use crate::allocators::contract::Class;
use crate::harness::protocol::{self, CaseName, Outcome};
use crate::harness::run::build::Built;
use crate::harness::run::drive::State;
use crate::harness::run::journal::{Failure, Header};
use crate::harness::run::plan::{Filter, PlannedCase, Runner};
use crate::harness::run::{CellName, Effort};
use crate::stats;
use crate::workloads::params::Value;
use crate::workloads::probe::Probe;

/// Makes the record of a finished run: what `header` promised, of which `state` is the outcome.
///
/// Every executable whose allocator the filter lets through is shown, with each of `cases` as a cell, absent or failed:
/// one that can run none of them is shown with the reasons. `others` are allocators that could not be built, with the
/// cells they would have had and the reason.
pub fn record(
    header: &Header,
    machine: Machine,
    built: &Built,
    (filter, cases): (&Filter, &[PlannedCase]),
    state: &State,
    others: Vec<(protocol::Allocator, Vec<(CaseName, String)>)>,
) -> Record {
    let wanted: BTreeSet<&CaseName> = cases.iter().map(|case| &case.name).collect();
    let descriptions: Vec<_> = built.executables.iter().map(|executable| &executable.description).collect();
    let shown = |index: &usize| filter.allocator.is_match(&descriptions[*index].allocator.id);

    let mut allocators: Vec<Allocator> = (0..descriptions.len())
        .filter(shown)
        .map(|index| allocator(&descriptions[index].allocator))
        .collect();
    let mut absent: Vec<Absent> = Vec::new();
    for index in (0..descriptions.len()).filter(shown) {
        let description = descriptions[index];
        for case in cases.iter().filter(|case| description.cells.iter().all(|(name, _)| *name != case.name)) {
            let stated = description.absent.iter().find(|(name, _)| *name == case.name);
            let reason = match stated {
                Some((_, reason)) => reason.clone(),
                None => "its bench executable does not know this case".to_owned(),
            };
            absent.push(Absent { place: place(&case.name, &description.allocator.id), reason });
        }
    }
    for (other, cells) in others {
        let here = cells.into_iter().filter(|(case, _)| wanted.contains(case));
        absent.extend(here.map(|(case, reason)| Absent { place: place(&case, &other.id), reason }));
        allocators.push(allocator(&other));
    }

    let mut workloads: Vec<Workload> = Vec::new();
    for description in &descriptions {
        for known in &description.workloads {
            let new = !workloads.iter().any(|workload| workload.id == known.id);
            if new && cases.iter().any(|case| case.name.workload == known.id) {
                workloads.push(workload(known));
            }
        }
    }

    let cells = cells(cases, built, state);
    let overhead = overhead(&cells, &allocators);
    let twins = state.failed.iter().filter(|(cell, _)| cell.twin);
    let twins = twins.map(|(cell, failure)| format!("{cell}: {failure}"));
    let control = control(&cells, state);
    let warnings = wide(&control).into_iter();
    let warnings =
        header.warnings.iter().cloned().chain(warnings).chain(heavy(&overhead)).chain(twins).collect();
    let checks = Checks { control, overhead, unprobed: unprobed(cases, built, state), warnings };
    Record {
        id: header.id.clone(),
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: header.revision.as_ref().map(|(revision, _)| revision.clone()),
            dirty: header.revision.as_ref().is_some_and(|(_, dirty)| *dirty),
        },
        command: header.command.clone(),
        profile: Profile {
            name: header.profile.clone(),
            rounds: rounds(&header.effort),
            warm_up_ms: Some(header.effort.warm_up_ms),
            measuring_ms: Some(header.effort.measuring_ms),
            samples: Some(header.effort.samples),
            seed: Some(header.seed),
            build: built.profile.clone(),
        },
        machine,
        allocators,
        workloads,
        cells,
        absent,
        // A twin that fails is a cell without a control: a warning tells of it.
        failed: state
            .failed
            .iter()
            .filter(|(cell, _)| !cell.twin)
            .map(|(cell, failure)| failed(cell, failure))
            .collect(),
        checks,
    }
}

fn cells(cases: &[PlannedCase], built: &Built, state: &State) -> Vec<Cell> {
    let mut cells = Vec::new();
    for case in cases {
        for runner in case.runners.iter().filter(|runner| !runner.twin) {
            let allocator = &built.executables[runner.executable].description.allocator.id;
            let name = CellName { case: case.name.clone(), allocator: allocator.clone(), twin: false };
            if state.failed.contains_key(&name) {
                continue;
            }
            let rounds = |probe: Probe| {
                let rounds = state.measured.get(&(name.clone(), probe));
                rounds.map(|rounds| rounds.values().collect::<Vec<_>>()).unwrap_or_default()
            };
            let mut metrics: BTreeMap<_, _> = Probe::ALL
                .into_iter()
                .flat_map(|probe| combine::metrics(rounds(probe).into_iter()))
                .collect();
            // What was counted on the way says nothing of a cell that no probe measured.
            if metrics.is_empty() {
                continue;
            }
            metrics.extend(combine::metrics(state.verified.get(&name).into_iter()));
            let served_by = state
                .served
                .get(&name)
                .map(|method| ServedBy { allocator: allocator.clone(), method: method.clone() });
            cells.push(Cell {
                place: place(&case.name, allocator),
                served_by,
                metrics,
                memory: rounds(Probe::Memory).first().and_then(|findings| findings.memory.clone()),
                latency: combine::latency(
                    rounds(Probe::Latency).into_iter().filter_map(|it| it.latency.as_ref()),
                ),
            });
        }
    }
    cells
}

/// What a probe could not measure: one entry for all allocators, for one in all its cases, or for a single cell, as far as
/// the reason reaches.
fn unprobed(cases: &[PlannedCase], built: &Built, state: &State) -> Vec<Unprobed> {
    let mut found: BTreeMap<(Probe, &str, &str), Vec<String>> = BTreeMap::new();
    for ((cell, probe), reason) in state.unprobed.iter().filter(|((cell, _), _)| !cell.twin) {
        found.entry((*probe, reason, &cell.allocator)).or_default().push(cell.case.to_string());
    }
    let runs = |allocator: &str, probe: Probe| {
        let runs =
            |runner: Runner| built.executables[runner.executable].description.allocator.id == allocator;
        cases.iter().filter(|case| case.runners(probe).any(|runner| !runner.twin && runs(runner))).count()
    };
    let mut entries: Vec<Unprobed> = Vec::new();
    for ((probe, reason, allocator), cases) in found {
        let whole = cases.len() == runs(allocator, probe);
        let cases = if whole { vec![None] } else { cases.into_iter().map(Some).collect() };
        entries.extend(cases.into_iter().map(|case| Unprobed {
            probe: probe.id().to_owned(),
            allocator: Some(allocator.to_owned()),
            case,
            reason: reason.to_owned(),
        }));
    }
    for probe in Probe::ALL {
        let mine = |entry: &Unprobed| entry.probe == probe.id();
        let able = state.measured.keys().any(|(_, measured)| *measured == probe);
        let Some(first) = entries.iter().find(|entry| mine(entry)).cloned() else { continue };
        if !able && entries.iter().filter(|entry| mine(entry)).all(|entry| entry.reason == first.reason) {
            entries.retain(|entry| !mine(entry));
            entries.push(Unprobed { allocator: None, case: None, ..first });
        }
    }
    entries
}

fn failed(cell: &CellName, failure: &Failure) -> Failed {
    let (kind, detail) = match failure.clone() {
        Failure::Said(Outcome::WrongAnswer(detail)) => (FailureKind::WrongAnswer, detail),
        Failure::Said(Outcome::WrongAllocator(detail)) => (FailureKind::WrongAllocator, detail),
        Failure::Said(Outcome::OutOfMemory(detail)) | Failure::OutOfMemory(detail) => {
            (FailureKind::OutOfMemory, detail)
        }
        Failure::Said(Outcome::Crash(detail)) | Failure::Crash(detail) => (FailureKind::Crash, detail),
        Failure::Said(Outcome::Served(_)) => {
            (FailureKind::Crash, "it reported success and failed".to_owned())
        }
        Failure::TimeLimit(detail) => (FailureKind::TimeLimit, detail),
    };
    Failed { place: place(&cell.case, &cell.allocator), kind, detail }
}

/// Each case that the control ran, beside the time of the fastest general allocator that others wrote.
fn overhead(cells: &[Cell], allocators: &[Allocator]) -> Vec<Overhead> {
    let class_of =
        |id: &str| allocators.iter().find(|allocator| allocator.id == id).map(|a| a.class.as_str());
    let time = |cell: &Cell| cell.metrics.get(&Metric::Time).map(|measured| measured.value);
    let of_class =
        |class: Class| cells.iter().filter(move |cell| class_of(&cell.place.allocator) == Some(class.id()));
    let shown = |control: &Cell| {
        let same = |cell: &&Cell| {
            (&cell.place.workload, &cell.place.params) == (&control.place.workload, &control.place.params)
        };
        let (fastest_ns, fastest) = of_class(Class::General)
            .filter(same)
            .filter(|cell| !allocators.iter().any(|it| it.id == cell.place.allocator && it.ours))
            .filter_map(|cell| Some((time(cell)?, cell.place.allocator.clone())))
            .min_by(|(first, _), (second, _)| first.total_cmp(second))?;
        Some(Overhead {
            workload: control.place.workload.clone(),
            params: control.place.params.clone(),
            null_ns: time(control)?,
            fastest,
            fastest_ns,
        })
    };
    of_class(Class::Control).filter_map(shown).collect()
}

/// A control whose median interval is wider than this cannot tell the differences that most people ask about.
const WIDE: f64 = 0.10;

/// A sentence on a machine that treated the same code too differently, if it did.
fn wide(control: &[Control]) -> Option<String> {
    let widths: Vec<f64> =
        control.iter().filter_map(|it| it.interval).map(|(low, high)| high / low - 1.0).collect();
    let median = stats::median(&widths).filter(|median| *median > WIDE)?;
    Some(format!(
        "The same code measured twice (A/A control) has intervals {:.0} % wide, the median of {} cases: the machine was too \
         noisy to tell small differences.",
        median * 100.0,
        widths.len(),
    ))
}

/// Above this share of the fastest peer's time, the harness blurs what allocators of short operations differ by.
const HEAVY: f64 = 0.25;

/// Requests above this size go to the operating system or are touched for long; what the harness costs is no matter.
const SMALL_BYTES: u64 = 4096;

/// A sentence on the cases of short operations in which the harness itself costs much, if there are any.
fn heavy(overhead: &[Overhead]) -> Option<String> {
    let judged = |row: &&Overhead| match row.workload.as_str() {
        "pair" => matches!(row.params.get("size"), Some(Value::Number(bytes)) if *bytes <= SMALL_BYTES),
        "batch" | "churn" | "fixed-size" => true,
        _ => false,
    };
    let share = |row: &Overhead| row.null_ns / row.fastest_ns;
    let heavy: Vec<&Overhead> = overhead.iter().filter(judged).filter(|row| share(row) > HEAVY).collect();
    let worst = heavy.iter().max_by(|first, second| share(first).total_cmp(&share(second)))?;
    Some(format!(
        "In {} of the cases of short operations the harness alone takes more than {:.0} % of the fastest peer's time (most: \
         {:.0} % in {}/{}): differences there are larger than they look.",
        heavy.len(),
        HEAVY * 100.0,
        share(worst) * 100.0,
        worst.workload,
        worst.params,
    ))
}

/// The A/A control: each cell that was measured twice, the second as a multiple of the first.
fn control(cells: &[Cell], state: &State) -> Vec<Control> {
    let pair = |cell: &Cell| {
        let case = CaseName { workload: cell.place.workload.clone(), params: cell.place.params.clone() };
        let twin = CellName { case, allocator: cell.place.allocator.clone(), twin: true };
        let again = combine::metrics(state.measured.get(&(twin, Probe::Time))?.values());
        let (first, second) = (cell.metrics.get(&Metric::Time)?, again.get(&Metric::Time)?);
        let ratio = paired_ratio(second, first)?;
        let rounds = first.replicates.iter().copied().zip(second.replicates.iter().copied());
        Some(Control {
            place: cell.place.clone(),
            ratio: ratio.value,
            interval: ratio.interval,
            rounds: rounds.collect(),
        })
    };
    cells.iter().filter_map(pair).collect()
}

/// Rounds by probe, and the one of counting, which goes along with the check of every cell.
fn rounds(effort: &Effort) -> BTreeMap<String, u32> {
    let probes = effort.rounds.iter().map(|(probe, rounds)| (probe.id().to_owned(), *rounds));
    probes.chain([("counts".to_owned(), 1)]).collect()
}

fn place(case: &CaseName, allocator: &str) -> Place {
    Place { workload: case.workload.clone(), params: case.params.clone(), allocator: allocator.to_owned() }
}

fn allocator(description: &protocol::Allocator) -> Allocator {
    let description = description.clone();
    Allocator {
        id: description.id,
        ours: description.ours,
        title: description.title,
        class: description.class,
        package: description.package,
        library: description.library,
        missing_entry_points: description.missing_entry_points,
        configuration: description.configuration,
        description: description.description,
        links: description.links,
    }
}

fn workload(description: &protocol::Workload) -> Workload {
    let description = description.clone();
    let parameter = |(name, title, axis)| Parameter { name, title, axis };
    Workload {
        id: description.id,
        title: description.title,
        family: description.family,
        why: description.why,
        effect: description.effect,
        origin: description.origin,
        operation: description.operation,
        step: description.step,
        needs: description.needs,
        parameters: description.parameters.into_iter().map(parameter).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::params::Params;

    #[test]
    fn a_machine_that_treats_the_same_code_differently_is_told() {
        let place = Place { workload: "w".to_owned(), params: Params::default(), allocator: "a".to_owned() };
        let control = |high: f64| Control {
            place: place.clone(),
            ratio: 1.0,
            interval: Some((1.0, high)),
            rounds: Vec::new(),
        };
        assert_eq!(wide(&[control(1.04), control(1.09), control(1.9)]), None);
        assert_eq!(wide(&[]), None);
        let sentence = wide(&[control(1.04), control(1.5), control(1.9)]).unwrap();
        assert!(sentence.contains("50 % wide, the median of 3 cases"), "{sentence}");
    }

    #[test]
    fn a_harness_that_costs_much_in_short_operations_is_said_to() {
        let row = |workload: &str, size: usize, null_ns: f64| Overhead {
            workload: workload.to_owned(),
            params: Params::default().with("size", size),
            null_ns,
            fastest: "system".to_owned(),
            fastest_ns: 10.0,
        };
        assert_eq!(heavy(&[row("pair", 16, 2.5), row("pair", 8192, 9.0), row("tree", 16, 9.0)]), None);
        let sentence = heavy(&[row("pair", 4096, 3.0), row("churn", 64, 4.0)]).unwrap();
        assert!(sentence.starts_with("In 2 of") && sentence.contains("40 % in churn/size=64"), "{sentence}");
    }
}
