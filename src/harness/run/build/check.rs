//! What executables say, checked before anything is measured: a record that contradicts itself cannot be written.

use std::collections::BTreeSet;

use super::{Executable, file_name};
use crate::harness::protocol::Description;
use crate::harness::run::RunError;

/// Criterion cuts directory names longer than this.
const LONGEST_NAME_BYTES: usize = 64;

/// Criterion replaces these in directory names, so that two names could become one.
const UNSAFE: &str = "?\"/\\*<>:|^";

/// Checks each description by itself and beside the others.
pub(super) fn all(executables: &[Executable]) -> Result<(), RunError> {
    for (index, executable) in executables.iter().enumerate() {
        let name = file_name(&executable.path);
        one(&name, &executable.description)?;
        for earlier in &executables[..index] {
            let first = file_name(&earlier.path);
            if earlier.description.allocator.id == executable.description.allocator.id {
                let id = executable.description.allocator.id.clone();
                return Err(RunError::Twice { id, first, second: name });
            }
            for workload in &executable.description.workloads {
                let mut known = earlier.description.workloads.iter();
                if known.any(|known| known.id == workload.id && known != workload) {
                    return Err(RunError::Disagree { workload: workload.id.clone(), first, second: name });
                }
            }
        }
    }
    Ok(())
}

fn one(executable: &str, description: &Description) -> Result<(), RunError> {
    let wrong = |problem: String, expected| {
        Err(RunError::Description { executable: executable.to_owned(), problem, expected })
    };
    let ids = description.workloads.iter().map(|workload| ("workload id", workload.id.clone()));
    let ids = ids.chain([("allocator id", description.allocator.id.clone())]);
    for (what, id) in ids {
        if id.is_empty() {
            return wrong(format!("an empty {what}"), "a short name");
        }
        if !fits_a_path(&id) {
            return wrong(format!("the {what} {id:?}"), FITTING);
        }
    }
    let mut seen = BTreeSet::new();
    for case in
        description.cells.iter().map(|(case, _)| case).chain(description.absent.iter().map(|(case, _)| case))
    {
        let params = case.params.to_string();
        if !fits_a_path(&params) {
            return wrong(format!("the parameters {params:?} of {}", case.workload), FITTING);
        }
        if !description.workloads.iter().any(|workload| workload.id == case.workload) {
            return wrong(
                format!("the case {case} of an unknown workload"),
                "a description of each workload",
            );
        }
        if !seen.insert(case) {
            return wrong(format!("the case {case} twice"), "each case once, as a cell or as absent");
        }
    }
    Ok(())
}

const FITTING: &str = "at most 64 bytes without control characters and ? \" / \\ * < > : | ^, which criterion changes in file names";

fn fits_a_path(name: &str) -> bool {
    name.len() <= LONGEST_NAME_BYTES
        && !name.contains(|letter: char| letter.is_control() || UNSAFE.contains(letter))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::harness::protocol::{Allocator, CaseName, VERSION, Workload};
    use crate::workloads::params::Params;

    fn executable(id: &str, why: &str) -> Executable {
        let allocator = Allocator {
            id: id.to_owned(),
            ours: false,
            configuration_of: None,
            title: id.to_owned(),
            class: "general".to_owned(),
            description: String::new(),
            configuration: String::new(),
            package: None,
            library: None,
            missing_entry_points: Vec::new(),
            links: Vec::new(),
        };
        let workload = Workload {
            id: "work".to_owned(),
            title: "work".to_owned(),
            family: "basic".to_owned(),
            why: why.to_owned(),
            effect: String::new(),
            origin: String::new(),
            operation: String::new(),
            step: String::new(),
            needs: Vec::new(),
            parameters: Vec::new(),
        };
        let description = Description {
            protocol: VERSION,
            allocator,
            workloads: vec![workload],
            cells: vec![(CaseName { workload: "work".to_owned(), params: Params::default() }, Vec::new())],
            absent: Vec::new(),
        };
        let path = PathBuf::from(format!("/home/somebody/target/{id}-0123"));
        Executable { path, description, hash: String::new() }
    }

    fn said(executables: &[Executable]) -> String {
        all(executables).unwrap_err().to_string()
    }

    #[test]
    fn two_executables_for_one_allocator_are_both_named() {
        let mut second = executable("slab", "why");
        second.path = PathBuf::from("/elsewhere/copy-4567");
        let sentence = said(&[executable("slab", "why"), second]);
        assert!(sentence.contains("slab-0123 and copy-4567"), "{sentence}");
        assert!(!sentence.contains("somebody"), "{sentence}");
    }

    #[test]
    fn executables_that_disagree_about_a_workload_are_both_named() {
        assert!(all(&[executable("slab", "why"), executable("pool", "why")]).is_ok());
        let sentence = said(&[executable("slab", "why"), executable("pool", "another why")]);
        assert!(sentence.starts_with("slab-0123 and pool-0123 describe the workload work"), "{sentence}");
    }

    #[test]
    fn names_that_criterion_would_change_are_refused() {
        for id in ["", "a/b", "a\nb", "what?", "a:b", &"x".repeat(65)] {
            assert!(all(&[executable(id, "why")]).is_err(), "{id:?}");
        }
        let mut named = executable("slab", "why");
        named.description.cells[0].0.params = Params::default().with("size", "1/2");
        assert!(said(&[named]).contains(r#"the parameters "size=1/2" of work"#));
    }

    #[test]
    fn a_case_stands_once_and_its_workload_is_described() {
        let mut twice = executable("slab", "why");
        twice.description.absent.push((twice.description.cells[0].0.clone(), "no".to_owned()));
        assert!(said(&[twice]).contains("the case work twice"));
        let mut unknown = executable("slab", "why");
        unknown.description.workloads.clear();
        assert!(said(&[unknown]).contains("unknown workload"));
    }
}
