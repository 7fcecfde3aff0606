//! The matrix: every case beside every allocator, and a reason for each pair that does not fit.

use crate::allocators::contract::{self, Class, Contract};
use crate::allocators::list::{self, Row};
use crate::workloads::litter::HeapState;
use crate::workloads::params::Params;
use crate::workloads::probe::Probe;
use crate::workloads::shape::{Facts, Family, ManyThreads, Needs, OneThread, Profile, Scope, Shape};
use crate::workloads::{self, Visitor};

/// A case, without the code that runs it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The workload.
    pub workload: &'static Facts,
    /// Its parameters.
    pub params: Params,
    /// What it needs from a contract.
    pub needs: Needs,
    /// What is measured of it.
    pub probes: &'static [Probe],
    /// What it finds when it begins.
    pub heap_state: HeapState,
}

impl Case {
    /// The case of a shape.
    pub fn of<W: Shape>(shape: &W) -> Self {
        Self {
            workload: const { &W::FACTS },
            params: shape.params(),
            needs: shape.needs(),
            probes: shape.probes(),
            heap_state: shape.heap_state(),
        }
    }
}

/// Whether a contract covers a case; if not, why, in words for a reader of the site.
///
/// # Errors
/// The reason.
pub fn fits(contract: &Contract, case: &Case) -> Result<(), String> {
    let (needs, control) = (&case.needs, contract.class == Class::Control);
    if control && case.workload.family != Family::Basic {
        return Err("the control shows the harness's overhead in the basic workloads only".to_owned());
    }
    // The control too, which is otherwise let through: a reset would take the litter away.
    if case.heap_state == HeapState::Littered && !contract.frees {
        return Err(
            "the case begins with littered free lists, and this allocator has none: it releases everything \
                    together"
                .to_owned(),
        );
    }
    if needs.global && contract.class != Class::General {
        return Err("the workload uses code that allocates from the process's global allocator, and this one is handed \
                    to those who use it"
            .to_owned());
    }
    if needs.threads && !contract.threads {
        return Err("the workload uses several threads, and this allocator belongs to one".to_owned());
    }
    if needs.mixed_sizes && !contract.mixed_sizes {
        return Err("the workload asks for blocks of many sizes, and this allocator has blocks of one size"
            .to_owned());
    }
    // The control is reset between passes instead, off the clock: it only has to be cheap.
    if needs.frees && !contract.frees && !control {
        return Err("the workload frees blocks one at a time to use their memory again, \
                    and this allocator releases everything together"
            .to_owned());
    }
    Ok(())
}

/// Why an allocator is not measured in a profile at all, if it is not.
///
/// Another configuration of an allocator is a finer question than a small profile asks.
pub fn postponed(facts: &contract::Facts, profile: Profile) -> Option<String> {
    let base = facts.configuration_of.filter(|_| profile < Profile::Standard)?;
    Some(format!("a configuration of {base}, measured from the profile standard on"))
}

/// What a workload needs, in words.
pub fn needs_in_words(needs: &[Needs]) -> Vec<String> {
    let said = |any: fn(&Needs) -> bool, words: &str| {
        let count = needs.iter().filter(|needs| any(needs)).count();
        match count {
            0 => None,
            _ if count == needs.len() => Some(words.to_owned()),
            _ => Some(format!("{words} (in some cases)")),
        }
    };
    [
        said(|needs| needs.mixed_sizes, "blocks of many sizes"),
        said(|needs| needs.frees, "blocks freed one at a time, and their memory used again"),
        said(|needs| needs.threads, "use from several threads, and freeing on another one"),
        said(|needs| needs.global, "to be the process's global allocator"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every case of a scope, in the order in which to show them.
pub fn cases(scope: Scope) -> Vec<Case> {
    struct Collect(Scope, Vec<Case>);
    impl Visitor for Collect {
        fn one_thread<W: OneThread>(&mut self) {
            self.1.extend(W::cases(self.0).iter().map(Case::of));
        }

        fn many_threads<W: ManyThreads>(&mut self) {
            self.1.extend(W::cases(self.0).iter().map(Case::of));
        }
    }
    let mut collect = Collect(scope, Vec::new());
    workloads::each(&mut collect);
    collect.1
}

/// Every pair of an allocator of the list and a case, with the reason where it cannot run.
pub fn pairs(scope: Scope) -> Vec<(Row, Case, Result<(), String>)> {
    let cases = cases(scope);
    let pair = |row: Row, case: &Case| {
        // What the contract excludes stays excluded whatever is built, and whatever the profile is.
        let verdict = fits(&row.contract, case)
            .and(postponed(row.facts, scope.profile).map_or(Ok(()), Err))
            .and(row.compiled.map_err(str::to_owned));
        (row, case.clone(), verdict)
    };
    list::all()
        .into_iter()
        .flat_map(|row| cases.iter().map(move |case| pair(row, case)).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const QUICK: Scope = Scope { profile: Profile::Quick, cpus: 2 };
    const FULL: Scope = Scope { profile: Profile::Full, cpus: 64 };

    #[test]
    fn no_two_cases_share_workload_and_parameters() {
        for scope in [QUICK, FULL] {
            let cases = cases(scope);
            let names: BTreeSet<_> =
                cases.iter().map(|case| (case.workload.id, case.params.clone())).collect();
            assert_eq!(names.len(), cases.len());
        }
    }

    #[test]
    fn every_case_names_all_parameters_of_its_workload_in_their_order() {
        for case in cases(FULL) {
            let names: Vec<_> = case.params.0.iter().map(|(name, _)| name.as_str()).collect();
            let expected: Vec<_> = case.workload.parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(names, expected, "{}", case.workload.id);
        }
    }

    #[test]
    fn case_names_survive_criterions_file_names() {
        for case in cases(FULL) {
            let name = case.params.to_string();
            assert!(name.len() <= 64, "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"=,-.".contains(&b)), "{name}");
        }
    }

    #[test]
    fn the_quick_cases_are_among_the_standard_ones_on_two_cpus() {
        let standard: BTreeSet<_> = cases(Scope { profile: Profile::Standard, cpus: 2 })
            .into_iter()
            .map(|case| (case.workload.id, case.params))
            .collect();
        for case in cases(QUICK) {
            assert!(standard.contains(&(case.workload.id, case.params.clone())), "{}", case.params);
        }
    }

    #[test]
    fn every_general_allocator_fits_every_case() {
        for case in cases(FULL) {
            assert_eq!(fits(&Contract::GENERAL, &case), Ok(()));
        }
    }

    #[test]
    fn a_littered_case_is_only_for_what_frees() {
        let littered: Vec<Case> =
            cases(FULL).into_iter().filter(|case| case.heap_state == HeapState::Littered).collect();
        assert!(!littered.is_empty());
        for case in littered {
            assert!(case.needs.frees, "{}", case.params);
            let contracts = [
                Contract::GENERAL,
                Contract::FIXED_SIZE,
                Contract::REGION,
                Contract::BULK,
                Contract::CONTROL,
            ];
            for contract in contracts.iter().filter(|contract| fits(contract, &case).is_ok()) {
                assert!(contract.frees, "{contract:?} {}", case.params);
            }
        }
    }

    #[test]
    fn a_one_thread_contract_never_gets_a_threaded_case() {
        for case in cases(FULL).iter().filter(|case| case.needs.threads) {
            for contract in [Contract::FIXED_SIZE, Contract::REGION, Contract::BULK, Contract::CONTROL] {
                assert!(fits(&contract, case).is_err());
            }
        }
    }

    #[test]
    fn every_pair_is_there_once_and_has_a_reason_if_it_cannot_run() {
        let pairs = pairs(QUICK);
        assert_eq!(pairs.len(), list::all().len() * cases(QUICK).len());
        for (row, case, verdict) in pairs {
            if let Err(reason) = verdict {
                assert!(reason.len() > 15, "{} {}: {reason}", row.facts.id, case.workload.id);
            }
        }
    }
}
