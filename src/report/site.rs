//! Indexes over a record, made once: pages look things up here and never search.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::best;
use super::look::{self, Look};
use super::numbers;
use super::slug::Slugs;
use crate::results::goals::{self, Finding};
use crate::results::metric::Metric;
use crate::results::ranking::{Ranking, rank_class};
use crate::results::record::{
    Absent, Allocator, Axis, Cell, Failed, Measured, Params, Place, Record, Unprobed, Value, Workload,
};
use crate::units::Bytes;
use crate::workloads::probe::Probe;

/// The class whose members can stand in for each other in any program.
pub(crate) const GENERAL: &str = "general";
/// The class that is shown but never ranked.
pub(crate) const CONTROL: &str = "control";
/// The family of workloads that are measured for their memory, not for their time.
pub(crate) const MEMORY_FAMILY: &str = "memory";
/// What this project says of allocators that a record uses but does not describe.
const UNSTATED: &str = "unstated";

/// A record and its indexes.
pub(crate) struct Site<'a> {
    pub(crate) record: &'a Record,
    /// In the record's order; other parts name them by their index here.
    pub(crate) allocators: Vec<Subject<'a>>,
    /// In the record's order.
    pub(crate) workloads: Vec<Shape<'a>>,
    /// `general` first, `control` last.
    pub(crate) classes: Vec<Class>,
    /// What the record says of the goals of our own allocators, in the record's order.
    pub(crate) goals: Vec<Finding>,
}

/// An allocator and where it stands.
pub(crate) struct Subject<'a> {
    pub(crate) about: Cow<'a, Allocator>,
    pub(crate) slug: String,
    pub(crate) look: Look,
    /// Index into [`Site::classes`].
    pub(crate) class: usize,
}

/// A contract class.
pub(crate) struct Class {
    pub(crate) id: String,
    /// Indices of its allocators, best first; those without a rank behind, in the record's order.
    pub(crate) members: Vec<usize>,
    /// `None` for the control class.
    pub(crate) ranking: Option<Ranking>,
}

/// A workload and its cases.
pub(crate) struct Shape<'a> {
    pub(crate) about: Cow<'a, Workload>,
    pub(crate) slug: String,
    pub(crate) cases: Vec<Case<'a>>,
}

/// One case of a workload.
pub(crate) struct Case<'a> {
    pub(crate) params: &'a Params,
    /// Its parameters in words: `size 64 B, live 10 000`.
    pub(crate) label: String,
    /// One for each allocator.
    pub(crate) slots: Vec<Slot<'a>>,
    /// The two fastest allocators of each class.
    pub(crate) best: Vec<[Option<usize>; 2]>,
    /// For each allocator, whether its time has the star of its class; a control's never has.
    pub(crate) starred: Vec<bool>,
}

/// What the record has for one cell.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    Measured(&'a Cell),
    Failed(&'a Failed),
    Absent(&'a Absent),
    /// The record says nothing of it: an imported or a partial one.
    Unknown,
}

impl<'a> Slot<'a> {
    /// The cell, if it was measured.
    pub(crate) fn cell(self) -> Option<&'a Cell> {
        match self {
            Self::Measured(cell) => Some(cell),
            _ => None,
        }
    }

    /// Its time, if it was measured.
    pub(crate) fn time(self) -> Option<&'a Measured> {
        self.cell()?.metrics.get(&Metric::Time)
    }
}

/// Whether `probe` found anything in `cell`; `None` asks for what is counted while a cell is verified.
pub(crate) fn has(cell: &Cell, probe: Option<Probe>) -> bool {
    let beside = match probe {
        Some(Probe::Memory) => cell.memory.is_some(),
        Some(Probe::Latency) => cell.latency.is_some(),
        _ => false,
    };
    beside || cell.metrics.keys().any(|metric| metric.probe() == probe)
}

impl Shape<'_> {
    /// Whether its time is measured, as far as the record shows: the memory family has none, and where nothing was
    /// measured at all, that is what the pages about time tell.
    pub(crate) fn is_timed(&self) -> bool {
        let mut cells = self.cells().peekable();
        let untouched = cells.peek().is_none() && self.about.family != MEMORY_FAMILY;
        untouched || cells.any(|cell| cell.metrics.contains_key(&Metric::Time))
    }

    /// The cases whose time is measured, by the rule of [`Shape::is_timed`], with their numbers.
    pub(crate) fn timed_cases(&self) -> impl Iterator<Item = (usize, &Case<'_>)> {
        let timed = self.is_timed();
        self.cases.iter().enumerate().filter(move |(_, case)| timed && case.is_timed())
    }

    /// Whether `probe` found anything in one of its cells.
    pub(crate) fn has(&self, probe: Option<Probe>) -> bool {
        self.cells().any(|cell| has(cell, probe))
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cases.iter().flat_map(|case| case.slots.iter()).filter_map(|slot| slot.cell())
    }
}

impl Case<'_> {
    fn is_timed(&self) -> bool {
        let mut cells = self.slots.iter().filter_map(|slot| slot.cell()).peekable();
        cells.peek().is_none() || cells.any(|cell| cell.metrics.contains_key(&Metric::Time))
    }

    /// Whether `probe` found anything in one of its cells.
    pub(crate) fn has(&self, probe: Option<Probe>) -> bool {
        self.slots.iter().filter_map(|slot| slot.cell()).any(|cell| has(cell, probe))
    }

    /// The time of allocator `index`, nanoseconds.
    pub(crate) fn time_ns(&self, index: usize) -> Option<f64> {
        self.slots[index].time().map(|time| time.value)
    }

    /// The best time of class `class`, nanoseconds.
    pub(crate) fn best_ns(&self, class: usize) -> Option<f64> {
        self.best(class).and_then(|index| self.time_ns(index))
    }

    /// The fastest allocator of class `class`.
    pub(crate) fn best(&self, class: usize) -> Option<usize> {
        self.best.get(class)?[0]
    }

    /// The fastest allocator of class `class` other than `index`.
    pub(crate) fn rival(&self, class: usize, index: usize) -> Option<usize> {
        self.best.get(class)?.iter().copied().flatten().find(|best| *best != index)
    }
}

impl<'a> Site<'a> {
    /// Indexes `record` in time linear in its size.
    pub(crate) fn new(record: &'a Record) -> Self {
        let places = places(record);
        let (mut allocators, allocator_index) = subjects(record, &places);
        let classes = classes(record, &mut allocators, &allocator_index);
        let mut workloads = shapes(record, &places, &allocator_index);
        for shape in &mut workloads {
            sort_cases(shape);
            for case in &mut shape.cases {
                case.best = classes.iter().map(|class| fastest(case, &class.members)).collect();
                case.starred = starred(case, &classes);
            }
        }
        Self { record, allocators, workloads, classes, goals: goals::of_record(record) }
    }

    /// Whether any time was measured.
    pub(crate) fn is_timed(&self) -> bool {
        self.record.cells.iter().any(|cell| cell.metrics.contains_key(&Metric::Time))
    }

    /// The index of the class called `id`.
    pub(crate) fn class(&self, id: &str) -> Option<usize> {
        self.classes.iter().position(|class| class.id == id)
    }

    /// The classes that are ranked.
    pub(crate) fn ranked_classes(&self) -> impl Iterator<Item = (usize, &Class)> {
        self.classes.iter().enumerate().filter(|(_, class)| class.ranking.is_some())
    }

    /// The index of the allocator called `id`.
    pub(crate) fn allocator(&self, id: &str) -> Option<usize> {
        self.allocators.iter().position(|subject| subject.about.id == id)
    }

    /// Whether allocator `index` is measured but never compared.
    pub(crate) fn is_control(&self, index: usize) -> bool {
        self.allocators[index].about.class == CONTROL
    }

    /// Every case with its workload.
    pub(crate) fn cases(&self) -> impl Iterator<Item = (&Shape<'a>, usize, &Case<'a>)> {
        self.workloads
            .iter()
            .flat_map(|shape| shape.cases.iter().enumerate().map(move |(index, case)| (shape, index, case)))
    }

    /// Why `probe` found nothing in a cell that exists, if the record says.
    pub(crate) fn unprobed(
        &self,
        probe: Probe,
        shape: &Shape<'_>,
        case: &Case<'_>,
        index: usize,
    ) -> Option<&'a str> {
        let allocator = &self.allocators[index].about.id;
        let name = match case.params.0.is_empty() {
            true => shape.about.id.clone(),
            false => format!("{}/{}", shape.about.id, case.params),
        };
        let concerns = |it: &&Unprobed| {
            it.probe == probe.id()
                && it.allocator.as_ref().is_none_or(|id| id == allocator)
                && it.case.as_ref().is_none_or(|of| *of == name)
        };
        self.record.checks.unprobed.iter().find(concerns).map(|it| it.reason.as_str())
    }

    /// When the record was started, from its id: `2026-11-21 11:33 UTC`. `None` if the id does not begin with a time.
    pub(crate) fn started(&self) -> Option<String> {
        let stamp = self.record.id.split('-').next()?;
        let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        (shape == "00000000T000000Z").then(|| {
            let part = |from: usize, to: usize| &stamp[from..to];
            format!("{}-{}-{} {}:{} UTC", part(0, 4), part(4, 6), part(6, 8), part(9, 11), part(11, 13))
        })
    }
}

fn places(record: &Record) -> Vec<(&Place, Slot<'_>)> {
    let measured = record.cells.iter().map(|cell| (&cell.place, Slot::Measured(cell)));
    let failed = record.failed.iter().map(|failed| (&failed.place, Slot::Failed(failed)));
    let absent = record.absent.iter().map(|absent| (&absent.place, Slot::Absent(absent)));
    measured.chain(failed).chain(absent).collect()
}

type Index<'a> = HashMap<&'a str, usize>;

fn subjects<'a>(record: &'a Record, places: &[(&'a Place, Slot<'a>)]) -> (Vec<Subject<'a>>, Index<'a>) {
    let mut slugs = Slugs::default();
    let mut index = Index::new();
    let mut subjects = Vec::new();
    let mut add = |about: Cow<'a, Allocator>, id: &'a str| {
        if index.contains_key(id) {
            return;
        }
        index.insert(id, subjects.len());
        subjects.push(Subject { slug: slugs.take(id), look: look::of(id), about, class: 0 });
    };
    for allocator in &record.allocators {
        add(Cow::Borrowed(allocator), &allocator.id);
    }
    for (place, _) in places {
        add(Cow::Owned(undescribed_allocator(&place.allocator)), &place.allocator);
    }
    (subjects, index)
}

fn classes(record: &Record, subjects: &mut [Subject<'_>], index: &Index<'_>) -> Vec<Class> {
    let mut members: Vec<(String, Vec<usize>)> = Vec::new();
    let mut rows: HashMap<String, usize> = HashMap::new();
    for (at, subject) in subjects.iter().enumerate() {
        let row = *rows.entry(subject.about.class.clone()).or_insert_with(|| {
            members.push((subject.about.class.clone(), Vec::new()));
            members.len() - 1
        });
        members[row].1.push(at);
    }
    // Stable: classes between the two keep the order of the record.
    members.sort_by_key(|(id, _)| match id.as_str() {
        GENERAL => 0,
        CONTROL => 2,
        _ => 1,
    });
    let classes: Vec<Class> =
        members.into_iter().map(|(id, members)| class(record, id, members, index)).collect();
    for (number, class) in classes.iter().enumerate() {
        for member in &class.members {
            subjects[*member].class = number;
        }
    }
    classes
}

fn class(record: &Record, id: String, members: Vec<usize>, index: &Index<'_>) -> Class {
    if id == CONTROL {
        return Class { id, members, ranking: None };
    }
    let ranking = rank_class(record, &id);
    let mut place: HashMap<usize, usize> = HashMap::new();
    for (position, row) in ranking.rows.iter().enumerate() {
        if let Some(at) = index.get(row.allocator.as_str()) {
            place.insert(*at, position);
        }
    }
    let mut members = members;
    members.sort_by_key(|member| place.get(member).copied().unwrap_or(usize::MAX));
    Class { id, members, ranking: Some(ranking) }
}

fn shapes<'a>(
    record: &'a Record,
    places: &[(&'a Place, Slot<'a>)],
    allocators: &Index<'a>,
) -> Vec<Shape<'a>> {
    let mut slugs = Slugs::default();
    let mut index = Index::new();
    let mut shapes: Vec<Shape<'a>> = Vec::new();
    let mut cases: HashMap<(usize, &'a Params), usize> = HashMap::new();
    for workload in &record.workloads {
        if index.contains_key(workload.id.as_str()) {
            continue;
        }
        index.insert(workload.id.as_str(), shapes.len());
        shapes.push(Shape {
            slug: slugs.take(&workload.id),
            about: Cow::Borrowed(workload),
            cases: Vec::new(),
        });
    }
    for (place, slot) in places {
        let at = *index.entry(place.workload.as_str()).or_insert_with(|| {
            let about = Cow::Owned(undescribed_workload(&place.workload));
            shapes.push(Shape { slug: slugs.take(&place.workload), about, cases: Vec::new() });
            shapes.len() - 1
        });
        let shape = &mut shapes[at];
        let case = *cases.entry((at, &place.params)).or_insert_with(|| {
            shape.cases.push(Case {
                params: &place.params,
                label: case_label(&place.params, &shape.about),
                slots: vec![Slot::Unknown; allocators.len()],
                best: Vec::new(),
                starred: Vec::new(),
            });
            shape.cases.len() - 1
        });
        shape.cases[case].slots[allocators[place.allocator.as_str()]] = *slot;
    }
    shapes
}

/// Numbers ascend; words keep the order in which the record first uses them.
fn sort_cases(shape: &mut Shape<'_>) {
    let mut words: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    for case in &shape.cases {
        for (position, (_, value)) in case.params.0.iter().enumerate() {
            if let Value::Word(word) = value {
                let next = words.len() as u64;
                words.entry((position, word)).or_insert(next);
            }
        }
    }
    shape.cases.sort_by_cached_key(|case| {
        let key = |(position, (_, value)): (usize, &(String, Value))| match value {
            Value::Number(number) => *number,
            Value::Word(word) => words[&(position, word.as_str())],
        };
        case.params.0.iter().enumerate().map(key).collect::<Vec<u64>>()
    });
}

fn fastest(case: &Case<'_>, members: &[usize]) -> [Option<usize>; 2] {
    let mut best: [Option<(f64, usize)>; 2] = [None; 2];
    for member in members {
        let Some(time) = case.time_ns(*member) else { continue };
        if best[0].is_none_or(|(first, _)| time < first) {
            best = [Some((time, *member)), best[0]];
        } else if best[1].is_none_or(|(second, _)| time < second) {
            best[1] = Some((time, *member));
        }
    }
    best.map(|found| found.map(|(_, member)| member))
}

fn starred(case: &Case<'_>, classes: &[Class]) -> Vec<bool> {
    let mut starred = vec![false; case.slots.len()];
    for class in classes.iter().filter(|class| class.ranking.is_some()) {
        let times = class.members.iter().map(|member| case.time_ns(*member));
        for (member, least) in class.members.iter().zip(best::least_of(times)) {
            starred[*member] = least;
        }
    }
    starred
}

/// `params` in words, with the units that `workload` gives its axes.
fn case_label(params: &Params, workload: &Workload) -> String {
    if params.0.is_empty() {
        return "the only case".to_owned();
    }
    let words: Vec<String> = params
        .0
        .iter()
        .map(|(name, value)| format!("{name} {}", value_label(value, axis(workload, name))))
        .collect();
    words.join(", ")
}

/// The axis of parameter `name`.
pub(crate) fn axis(workload: &Workload, name: &str) -> Axis {
    workload
        .parameters
        .iter()
        .find(|parameter| parameter.name == name)
        .map_or(Axis::Category, |found| found.axis)
}

/// A parameter's value with the unit of its axis.
pub(crate) fn value_label(value: &Value, axis: Axis) -> String {
    match (value, axis) {
        (Value::Number(bytes), Axis::Bytes) => Bytes(*bytes).to_string(),
        (Value::Number(number), _) => numbers::grouped(*number),
        (Value::Word(word), _) => word.clone(),
    }
}

fn undescribed_allocator(id: &str) -> Allocator {
    Allocator {
        id: id.to_owned(),
        ours: false,
        title: id.to_owned(),
        class: UNSTATED.to_owned(),
        package: None,
        library: None,
        missing_entry_points: Vec::new(),
        configuration: String::new(),
        description: String::new(),
        links: Vec::new(),
    }
}

fn undescribed_workload(id: &str) -> Workload {
    Workload {
        id: id.to_owned(),
        title: id.to_owned(),
        family: "imported".to_owned(),
        why: String::new(),
        effect: String::new(),
        origin: String::new(),
        operation: String::new(),
        step: String::new(),
        needs: Vec::new(),
        parameters: Vec::new(),
    }
}
