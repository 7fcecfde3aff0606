//! Where results may belong: the names of a record, and each place at most once.

use std::collections::{HashMap, HashSet};

use super::LONGEST_NAME;
use super::file::{self, File, Ordered};
use crate::results::record::{self, Params, Place};

/// Something in a file that cannot be true.
pub(super) struct Fault {
    /// Where: `cells[3] (churn/jemalloc/size=64), time`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: String,
}

/// A [`Fault`], as the error it is.
pub(super) fn fault<T>(
    place: impl Into<String>,
    problem: impl Into<String>,
    expected: impl Into<String>,
) -> Result<T, Fault> {
    Err(Fault { place: place.into(), problem: problem.into(), expected: expected.into() })
}

/// Names are shown as they are, so markup and path separators in them are harmless; what cannot be shown is refused.
pub(super) fn name(place: &str, name: &str) -> Result<(), Fault> {
    let length = name.chars().count();
    if name.is_empty() {
        return fault(place, "it is empty", "a name");
    }
    if length > LONGEST_NAME {
        return fault(place, format!("it has {length} characters"), format!("at most {LONGEST_NAME}"));
    }
    if name.contains(char::is_control) {
        return fault(place, format!("{name:?} has a control character"), "printable text");
    }
    Ok(())
}

/// What the lists of allocators and workloads allow, and which places are taken.
pub(super) struct Places {
    allocators: HashSet<String>,
    workloads: HashMap<String, HashSet<String>>,
    taken: HashMap<Shown, String>,
}

impl Places {
    pub(super) fn new(file: &File) -> Result<Self, Fault> {
        let mut allocators = HashSet::new();
        for (index, allocator) in file.allocators.iter().enumerate() {
            let at = format!("allocators[{index}].id");
            name(&at, &allocator.id)?;
            if !allocators.insert(allocator.id.clone()) {
                return fault(at, format!("{:?} is listed twice", allocator.id), "each allocator once");
            }
        }
        let mut workloads = HashMap::new();
        for (index, workload) in file.workloads.iter().enumerate() {
            let at = format!("workloads[{index}].id");
            name(&at, &workload.id)?;
            let mut parameters = HashSet::new();
            for (number, parameter) in workload.parameters.iter().enumerate() {
                let at = format!("workloads[{index}].parameters[{number}].name");
                name(&at, &parameter.name)?;
                if !parameters.insert(parameter.name.clone()) {
                    return fault(at, format!("{:?} is listed twice", parameter.name), "each parameter once");
                }
            }
            if workloads.insert(workload.id.clone(), parameters).is_some() {
                return fault(at, format!("{:?} is listed twice", workload.id), "each workload once");
            }
        }
        Ok(Self { allocators, workloads, taken: HashMap::new() })
    }

    /// The place that entry `index` of `list` names, now taken, and the words for it.
    pub(super) fn claim(
        &mut self,
        list: &str,
        index: usize,
        workload: String,
        params: Ordered<file::Value>,
        allocator: String,
    ) -> Result<(Place, String), Fault> {
        let place = Place { workload, params: self::params(params), allocator };
        let at = format!("{list}[{index}] ({place})");
        if !self.allocators.contains(&place.allocator) {
            let problem = format!("allocator {:?} is not listed", place.allocator);
            return fault(at, problem, "an id from `allocators`");
        }
        self.check_case(&at, &place.workload, &place.params)?;
        if let Some(first) = self.taken.insert(shown(&place), format!("{list}[{index}]")) {
            let expected = "each workload, params and allocator once in cells, absent and failed together";
            return fault(at, format!("the same place as {first}"), expected);
        }
        Ok((place, at))
    }

    pub(super) fn check_case(&self, at: &str, workload: &str, params: &Params) -> Result<(), Fault> {
        let Some(parameters) = self.workloads.get(workload) else {
            return fault(at, format!("workload {workload:?} is not listed"), "an id from `workloads`");
        };
        match params.0.iter().find(|(name, _)| !parameters.contains(name)) {
            Some((name, _)) => fault(
                at,
                format!("parameter {name:?} is not listed"),
                "a name from the workload's `parameters`",
            ),
            None => Ok(()),
        }
    }
}

/// A place as a reader sees it. Neither the order of parameters nor whether 64 is a number or a word makes another one.
type Shown = (String, Vec<(String, String)>, String);

fn shown(place: &Place) -> Shown {
    let mut params: Vec<_> =
        place.params.0.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    params.sort();
    (place.workload.clone(), params, place.allocator.clone())
}

/// The parameter values of the file form in memory.
pub(super) fn params(params: Ordered<file::Value>) -> Params {
    let value = |value| match value {
        file::Value::Number(number) => record::Value::Number(number),
        file::Value::Word(word) => record::Value::Word(word),
    };
    Params(params.0.into_iter().map(|(name, given)| (name, value(given))).collect())
}
