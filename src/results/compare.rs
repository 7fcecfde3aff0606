//! Two stored records, cell by cell.
//!
//! Their rounds were measured at different times, so they are compared unpaired, and what the machine did in between is
//! part of the difference. That is why a comparison only ever *suspects* (see [`super::verdict`]); a gate measures both
//! sides next to each other and confirms.

use std::collections::HashMap;

use super::metric::{Metric, Noise};
use super::record::{Axis, Cell, FailureKind, Measured, Place, Record, Value};
use super::verdict::{Judgement, Question, Rounds, Verdict, screen};

/// The machine key of records that do not know their machine.
const UNKNOWN: &str = "unknown";

/// What to compare, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// By how much the ratio of the same code to itself was off in the A/A control, for time: 0.02 is 2 %. Cells that
    /// are not in it keep the general floor.
    pub spreads: HashMap<Place, f64>,
    /// Compare although the records come from different machines. Such a comparison must never gate.
    pub across_machines: bool,
}

/// Why two records are not compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Numbers from different machines differ for reasons that are not the code. Measure both on one machine, or
    /// set [`Options::across_machines`] and read the result with that in mind.
    #[error("{base} was measured on machine {base_key}, {head} on {head_key}: they are not comparable")]
    DifferentMachines {
        /// The base record's id.
        base: String,
        /// The base record's machine key.
        base_key: String,
        /// The head record's id.
        head: String,
        /// The head record's machine key.
        head_key: String,
    },
}

/// Whether two records come from the same machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machines {
    /// They do.
    Same,
    /// They do not, and were compared because somebody asked.
    Different,
    /// At least one does not say (imported).
    Unknown,
}

/// Two records, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The base record's id.
    pub base: String,
    /// The head record's id.
    pub head: String,
    /// Whether they come from the same machine.
    pub machines: Machines,
    /// Settings that differ and move numbers without any change in the code under test.
    pub settings: Vec<Setting>,
    /// Every cell and metric that both have, in the order of base.
    pub changes: Vec<Change>,
    /// Every cell and metric that only one has: first base's, then head's, each in its order.
    pub unmatched: Vec<Unmatched>,
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which: `rustc`.
    pub name: String,
    /// Its value in base; `None` if base does not say.
    pub base: Option<String>,
    /// Its value in head; `None` if head does not say.
    pub head: Option<String>,
}

/// One metric of one cell, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The cell.
    pub place: Place,
    /// The metric.
    pub metric: Metric,
    /// The verdict with its evidence.
    pub judgement: Judgement,
}

/// One metric of one cell that only one record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The cell.
    pub place: Place,
    /// The metric.
    pub metric: Metric,
    /// Which record has it.
    pub only: Side,
    /// What the other record says.
    pub reason: Reason,
}

/// One of the two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The record compared with.
    Base,
    /// The record in question.
    Head,
}

/// Why a record lacks what the other has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The cell went wrong there. If the other side measured it, that is a finding, though not one of speed.
    Failed(FailureKind),
    /// The cell cannot exist there.
    Absent(String),
    /// It was not among what was measured.
    NotMeasured,
    /// Both have it, but one value is not finite.
    Unusable,
}

impl Comparison {
    /// How many cells and metrics got `verdict`.
    pub fn count(&self, verdict: Verdict) -> usize {
        Noise::ALL.into_iter().map(|noise| self.count_among(noise, verdict)).sum()
    }

    /// How many cells and metrics of one kind got `verdict`. The two kinds are never added up for a reader: one says what
    /// the code does, the other what a machine made of it.
    pub fn count_among(&self, noise: Noise, verdict: Verdict) -> usize {
        let counted =
            |change: &&Change| change.metric.noise() == noise && change.judgement.verdict == verdict;
        self.changes.iter().filter(counted).count()
    }
}

/// Compares `head` with `base`. The work grows linearly with the number of cells.
///
/// # Errors
/// [`CompareError::DifferentMachines`], unless the options allow that.
pub fn compare(base: &Record, head: &Record, options: &Options) -> Result<Comparison, CompareError> {
    let machines = machines(base, head);
    if machines == Machines::Different && !options.across_machines {
        return Err(CompareError::DifferentMachines {
            base: base.id.clone(),
            base_key: base.machine.key.clone(),
            head: head.id.clone(),
            head_key: head.machine.key.clone(),
        });
    }
    let (in_base, in_head) = (Index::of(base), Index::of(head));
    let threads = thread_parameters(base);
    let mut changes = Vec::new();
    let mut unmatched = Vec::new();
    for (cell, metric, measured) in metrics(base) {
        let place = &cell.place;
        let Some(other) = in_head.find(place, metric) else {
            let reason = in_head.reason(place);
            unmatched.push(Unmatched { place: place.clone(), metric, only: Side::Base, reason });
            continue;
        };
        let spread = options.spreads.get(place).copied();
        let question = Question::about(metric, thread_count(place, &threads), spread);
        match screen(&question, measured, other, Rounds::Unpaired) {
            Some(judgement) => changes.push(Change { place: place.clone(), metric, judgement }),
            None => unmatched.push(Unmatched {
                place: place.clone(),
                metric,
                only: if measured.value.is_finite() { Side::Base } else { Side::Head },
                reason: Reason::Unusable,
            }),
        }
    }
    for (cell, metric, _) in metrics(head) {
        if in_base.find(&cell.place, metric).is_none() {
            let reason = in_base.reason(&cell.place);
            unmatched.push(Unmatched { place: cell.place.clone(), metric, only: Side::Head, reason });
        }
    }
    Ok(Comparison {
        base: base.id.clone(),
        head: head.id.clone(),
        machines,
        settings: settings(base, head),
        changes,
        unmatched,
    })
}

fn machines(base: &Record, head: &Record) -> Machines {
    match (base.machine.key.as_str(), head.machine.key.as_str()) {
        (UNKNOWN, _) | (_, UNKNOWN) => Machines::Unknown,
        (base, head) if base == head => Machines::Same,
        _ => Machines::Different,
    }
}

fn metrics(record: &Record) -> impl Iterator<Item = (&Cell, Metric, &Measured)> {
    record
        .cells
        .iter()
        .flat_map(|cell| cell.metrics.iter().map(move |(&metric, measured)| (cell, metric, measured)))
}

/// For each workload that has one, the name of the parameter that counts threads.
fn thread_parameters(record: &Record) -> HashMap<&str, &str> {
    let named = record.workloads.iter().filter_map(|workload| {
        let parameter = workload.parameters.iter().find(|parameter| parameter.axis == Axis::Threads)?;
        Some((workload.id.as_str(), parameter.name.as_str()))
    });
    named.collect()
}

fn thread_count(place: &Place, parameters: &HashMap<&str, &str>) -> u64 {
    let value = parameters.get(place.workload.as_str()).and_then(|name| place.params.get(name));
    match value {
        Some(Value::Number(threads)) => *threads,
        Some(Value::Word(_)) | None => 1,
    }
}

/// What differs between the two runs beside the code. The seed is left out: it may differ at will.
fn settings(base: &Record, head: &Record) -> Vec<Setting> {
    let all = [described(base), described(head)];
    let mut names: Vec<&String> = all.iter().flatten().map(|(name, _)| name).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    let value = |side: usize, name: &String| {
        all[side].iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    names
        .into_iter()
        .map(|name| Setting { name: name.clone(), base: value(0, name), head: value(1, name) })
        .filter(|setting| setting.base != setting.head)
        .collect()
}

/// The settings of a record that it knows, in the order in which to tell them.
fn described(record: &Record) -> Vec<(String, String)> {
    let (machine, profile) = (&record.machine, &record.profile);
    let known = [
        ("allocmark", Some(record.tool.version.clone())),
        ("profile", Some(profile.name.clone())),
        ("warm-up, ms", profile.warm_up_ms.map(|time| time.to_string())),
        ("measuring time, ms", profile.measuring_ms.map(|time| time.to_string())),
        ("samples", profile.samples.map(|samples| samples.to_string())),
        ("rustc", machine.rustc.clone()),
        ("target", machine.target.clone()),
        ("kernel", machine.kernel.clone()),
        ("governor", machine.governor.clone()),
        ("virtualisation", machine.virtualisation.clone()),
    ];
    let build = profile.build.iter().map(|(name, value)| (format!("build {name}"), value.clone()));
    let packages = record.allocators.iter().filter_map(|allocator| {
        let package = allocator.package.clone()?;
        Some((format!("package of {}", allocator.id), package))
    });
    known
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .chain(build)
        .chain(packages)
        .collect()
}

/// A record's places, for looking up.
struct Index<'a> {
    cells: HashMap<&'a Place, &'a Cell>,
    failed: HashMap<&'a Place, FailureKind>,
    absent: HashMap<&'a Place, &'a str>,
}

impl<'a> Index<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            cells: record.cells.iter().map(|cell| (&cell.place, cell)).collect(),
            failed: record.failed.iter().map(|failed| (&failed.place, failed.kind)).collect(),
            absent: record.absent.iter().map(|absent| (&absent.place, absent.reason.as_str())).collect(),
        }
    }

    fn find(&self, place: &Place, metric: Metric) -> Option<&'a Measured> {
        self.cells.get(place)?.metrics.get(&metric)
    }

    fn reason(&self, place: &Place) -> Reason {
        if let Some(&kind) = self.failed.get(place) {
            Reason::Failed(kind)
        } else if let Some(&reason) = self.absent.get(place) {
            Reason::Absent(reason.to_owned())
        } else {
            Reason::NotMeasured
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{add, record, size};
    use crate::results::record::{Absent, Failed, Parameter, Params};

    const CALM: [f64; 6] = [100.0, 100.2, 100.4, 100.6, 100.8, 101.0];

    fn one_machine(cells: &[(u64, [f64; 6])]) -> Record {
        let mut record = record(&[("a", "general")], &[("w", "one")]);
        record.machine.key = "m1".into();
        for (bytes, times) in cells {
            add(&mut record, "w", *bytes, "a", times);
        }
        record
    }

    fn place(bytes: u64) -> Place {
        Place { workload: "w".into(), params: size(bytes), allocator: "a".into() }
    }

    #[test]
    fn each_cell_gets_its_own_verdict() {
        let base = one_machine(&[(1, CALM), (2, CALM), (3, CALM), (4, CALM)]);
        let noisy = [90.0, 95.0, 100.0, 105.0, 110.0, 120.0];
        let head = one_machine(&[
            (1, CALM),
            (2, CALM.map(|time| time * 1.2)),
            (3, CALM.map(|time| time / 1.2)),
            (4, noisy),
        ]);
        let comparison = compare(&base, &head, &Options::default()).unwrap();
        let verdicts: Vec<Verdict> =
            comparison.changes.iter().map(|change| change.judgement.verdict).collect();
        assert_eq!(
            verdicts,
            [Verdict::Unchanged, Verdict::Suspected, Verdict::Improved, Verdict::Inconclusive]
        );
        assert_eq!(comparison.count(Verdict::Suspected), 1);
        assert_eq!(comparison.count(Verdict::Regressed), 0);
        assert_eq!((comparison.machines, &comparison.unmatched), (Machines::Same, &vec![]));
        assert_eq!(comparison.settings, []);
    }

    #[test]
    fn a_cell_whose_same_code_varies_more_has_a_higher_floor() {
        let base = one_machine(&[(1, CALM)]);
        let head = one_machine(&[(1, CALM.map(|time| time * 1.1))]);
        let options = Options { spreads: HashMap::from([(place(1), 0.08)]), across_machines: false };
        let comparison = compare(&base, &head, &options).unwrap();
        assert_eq!(comparison.changes[0].judgement.verdict, Verdict::Unchanged);
        assert_eq!(comparison.changes[0].judgement.evidence.floor, 0.16);
    }

    #[test]
    fn records_of_different_machines_are_refused_unless_asked() {
        let base = one_machine(&[(1, CALM)]);
        let mut head = base.clone();
        head.machine.key = "m2".into();
        let error = compare(&base, &head, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("m1") && error.to_string().contains("m2"), "{error}");
        let options = Options { across_machines: true, ..Options::default() };
        assert_eq!(compare(&base, &head, &options).unwrap().machines, Machines::Different);
        head.machine.key = UNKNOWN.into();
        assert_eq!(compare(&base, &head, &Options::default()).unwrap().machines, Machines::Unknown);
    }

    #[test]
    fn what_only_one_side_has_is_told_with_the_reason() {
        let base = one_machine(&[(1, CALM), (2, CALM), (3, CALM), (4, CALM)]);
        let mut head = one_machine(&[(1, CALM), (5, CALM)]);
        head.failed.push(Failed { place: place(2), kind: FailureKind::Crash, detail: String::new() });
        head.absent.push(Absent { place: place(3), reason: "feature off".into() });
        let comparison = compare(&base, &head, &Options::default()).unwrap();
        let told: Vec<(Place, Side, Reason)> = comparison
            .unmatched
            .into_iter()
            .map(|unmatched| (unmatched.place, unmatched.only, unmatched.reason))
            .collect();
        assert_eq!(
            told,
            [
                (place(2), Side::Base, Reason::Failed(FailureKind::Crash)),
                (place(3), Side::Base, Reason::Absent("feature off".into())),
                (place(4), Side::Base, Reason::NotMeasured),
                (place(5), Side::Head, Reason::NotMeasured),
            ]
        );
    }

    #[test]
    fn a_value_that_is_not_finite_is_told_and_does_not_stop_the_rest() {
        let base = one_machine(&[(1, [f64::NAN; 6]), (2, CALM)]);
        let head = one_machine(&[(1, CALM), (2, CALM)]);
        let comparison = compare(&base, &head, &Options::default()).unwrap();
        assert_eq!(comparison.changes.len(), 1);
        assert_eq!(comparison.unmatched[0].reason, Reason::Unusable);
        assert_eq!(comparison.unmatched[0].only, Side::Head);
    }

    #[test]
    fn settings_that_move_numbers_are_told() {
        let base = one_machine(&[(1, CALM)]);
        let mut head = base.clone();
        head.machine.rustc = Some("rustc 1.96.0".into());
        head.profile.build.insert("lto".into(), "fat".into());
        head.profile.seed = Some(7);
        let told = compare(&base, &head, &Options::default()).unwrap().settings;
        assert_eq!(
            told,
            [
                Setting { name: "rustc".into(), base: None, head: Some("rustc 1.96.0".into()) },
                Setting { name: "build lto".into(), base: None, head: Some("fat".into()) },
            ]
        );
    }

    #[test]
    fn threads_are_counted_by_the_parameter_that_says_so() {
        let mut record = record(&[("a", "general")], &[("w", "one")]);
        record.workloads[0].parameters.push(Parameter {
            name: "size".into(),
            title: "threads, in this test".into(),
            axis: Axis::Threads,
        });
        let parameters = thread_parameters(&record);
        assert_eq!(thread_count(&place(4), &parameters), 4);
        let without = Place { params: Params::default(), ..place(4) };
        assert_eq!(thread_count(&without, &parameters), 1);
    }
}
