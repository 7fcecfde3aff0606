//! The page of all workloads: `docs/workloads.md`.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::harness::matrix::{self, Case};
use crate::harness::protocol::{self, CaseName, Workload};
use crate::workloads::probe::Probe;
use crate::workloads::shape::{Profile, Scope};

/// The page says which numbers of threads there are on a machine of so many: the fewest on which anything scales.
const CPUS: usize = 2;

const HEAD: &str = "# Workloads\n\n\
    <!-- Written by scripts/docs.sh from the files of src/workloads/. Edit those. -->\n\n\
    What each shape stresses, which programs look like it, what should be seen, and where it comes from. \
    Every workload draws its random choices from the seed before the clock starts; every block is touched (first byte, last \
    byte and one byte a page) unless the text says otherwise; every cell is verified with its content before it is \
    measured. Cases are those of a machine with 2 CPUs; scaling curves have 1, 2, N and 2N threads on one with N. A case \
    is measured from the named profile on (smoke has the cases of quick).\n";

/// The whole page.
pub(super) fn page() -> String {
    let scope = |profile| Scope { profile, cpus: CPUS };
    let all = matrix::cases(scope(Profile::Full));
    let names = |profile| -> BTreeSet<CaseName> {
        matrix::cases(scope(profile)).iter().map(CaseName::from).collect()
    };
    let profiles = [Profile::Quick, Profile::Standard].map(|profile| (profile, names(profile)));
    let first = |case: &Case| {
        let name = CaseName::from(case);
        let smallest = profiles.iter().find(|(_, names)| names.contains(&name));
        smallest.map_or(Profile::Full, |(profile, _)| *profile).id()
    };

    let workloads = protocol::workloads(&all);
    let mut page = HEAD.to_owned();
    let mut families: Vec<&str> = Vec::new();
    for workload in &workloads {
        if !families.contains(&workload.family.as_str()) {
            families.push(&workload.family);
        }
    }
    // Writing to a string cannot fail.
    for family in families {
        let _ = writeln!(page, "\n## {}{}", family[..1].to_uppercase(), &family[1..]);
        for workload in workloads.iter().filter(|workload| workload.family == family) {
            let cases: Vec<&Case> = all.iter().filter(|case| case.workload.id == workload.id).collect();
            section(&mut page, workload, &cases, first);
        }
    }
    page
}

fn section(page: &mut String, workload: &Workload, cases: &[&Case], first: impl Fn(&Case) -> &'static str) {
    let mut probes: Vec<Probe> = cases.iter().flat_map(|case| case.probes.iter().copied()).collect();
    probes.sort_unstable();
    probes.dedup();
    let probes: Vec<&str> = probes.iter().map(|probe| probe.id()).collect();
    let needs =
        if workload.needs.is_empty() { "nothing special".to_owned() } else { workload.needs.join("; ") };

    let _ = writeln!(page, "\n### `{}`: {}\n\n{}\n", workload.id, workload.title, workload.why);
    let mut row = |name: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(page, "- **{name}**: {text}");
        }
    };
    row("To be expected", &workload.effect);
    row("Descends from", &workload.origin);
    row("One operation", &workload.operation);
    row("One latency step", &workload.step);
    row("Measured", &probes.join(", "));
    row("Needs", &needs);
    for (name, title, _) in &workload.parameters {
        row(&format!("Parameter `{name}`"), title);
    }
    for profile in [Profile::Quick, Profile::Standard, Profile::Full] {
        let names = cases.iter().filter(|case| first(case) == profile.id());
        let names: Vec<String> = names
            .map(|case| match case.params.0.is_empty() {
                true => "the one case".to_owned(),
                false => format!("`{}`", case.params),
            })
            .collect();
        row(&format!("Cases from {}", profile.id()), &names.join(", "));
    }
}
