//! What a workload asks of an allocator: counted, so that its name need not be believed.

use serde::Serialize;

use crate::report::numbers::{self, Figure};
use crate::report::pages::{Link, allocator_link};
use crate::report::site::{Case, Shape, Site};
use crate::results::metric::Metric;
use crate::results::record::Cell;
use crate::units::Bytes;

#[derive(Serialize)]
pub(super) struct Section {
    rows: Vec<Row>,
    usable: Option<Usable>,
}

/// The allocators of a case with the same counts.
#[derive(Serialize)]
struct Row {
    case: String,
    /// Empty for all that were counted.
    allocators: Vec<Link>,
    cells: Vec<Figure>,
}

/// Usable over requested bytes: allocators × cases.
#[derive(Serialize)]
struct Usable {
    cases: Vec<String>,
    rows: Vec<(Link, Vec<Figure>)>,
}

/// What is counted of a case, in the order of the columns.
const COUNTED: [Metric; 5] =
    [Metric::Allocations, Metric::Frees, Metric::Reallocations, Metric::AllocatedBytes, Metric::PeakLive];

/// Columns: [`COUNTED`], with the mean size of a block before the last.
const COLUMNS: usize = COUNTED.len() + 1;

pub(super) fn section(site: &Site<'_>, shape: &Shape<'_>) -> Option<Section> {
    let mut rows: Vec<(String, Vec<Link>, [String; COLUMNS])> = Vec::new();
    for case in shape.cases.iter().filter(|case| case.has(None)) {
        let sets = sets(case);
        let all = sets.len() == 1;
        for (counts, members) in sets {
            let names = members.iter().map(|index| allocator_link(site, "../", *index));
            rows.push((case.label.clone(), if all { Vec::new() } else { names.collect() }, texts(&counts)));
        }
    }
    if rows.is_empty() {
        return None;
    }
    let mut columns: Vec<std::vec::IntoIter<Figure>> = (0..COLUMNS)
        .map(|at| numbers::align(rows.iter().map(|(.., texts)| texts[at].clone()).collect()).into_iter())
        .collect();
    let rows = rows
        .into_iter()
        .map(|(case, allocators, _)| Row {
            case,
            allocators,
            cells: columns.iter_mut().filter_map(Iterator::next).collect(),
        })
        .collect();
    Some(Section { rows, usable: usable(site, shape) })
}

type Counts = [Option<f64>; COUNTED.len()];

/// The distinct sets of counts of a case, each with the allocators that it holds for.
fn sets(case: &Case<'_>) -> Vec<(Counts, Vec<usize>)> {
    let mut sets: Vec<(Counts, Vec<usize>)> = Vec::new();
    for (index, slot) in case.slots.iter().enumerate() {
        let Some(counts) = slot.cell().and_then(counts) else { continue };
        match sets.iter_mut().find(|(known, _)| *known == counts) {
            Some((_, members)) => members.push(index),
            None => sets.push((counts, vec![index])),
        }
    }
    sets
}

/// What was counted in a cell; `None` if nothing was.
fn counts(cell: &Cell) -> Option<Counts> {
    let counts = COUNTED.map(|metric| cell.metrics.get(&metric).map(|found| found.value));
    counts.iter().any(Option::is_some).then_some(counts)
}

fn texts(counts: &Counts) -> [String; COLUMNS] {
    let [allocations, frees, reallocations, bytes, live] = *counts;
    // What grows has no one size.
    let mean = match (bytes, allocations, reallocations) {
        (Some(bytes), Some(allocations), None | Some(0.0)) if allocations > 0.0 => Some(bytes / allocations),
        _ => None,
    };
    let number = |value: Option<f64>| value.map_or("–".to_owned(), numbers::exact);
    let amount =
        |value: Option<f64>| value.map_or("–".to_owned(), |bytes| Bytes(bytes.round() as u64).to_string());
    [number(allocations), number(frees), number(reallocations), number(bytes), number(mean), amount(live)]
}

fn usable(site: &Site<'_>, shape: &Shape<'_>) -> Option<Usable> {
    let ratio = |case: &Case<'_>, index: usize| {
        Some(case.slots[index].cell()?.metrics.get(&Metric::UsableRatio)?.value)
    };
    let asked: Vec<usize> = (0..site.allocators.len())
        .filter(|index| shape.cases.iter().any(|case| ratio(case, *index).is_some()))
        .collect();
    let cases: Vec<&Case<'_>> =
        shape.cases.iter().filter(|case| asked.iter().any(|index| ratio(case, *index).is_some())).collect();
    let column = |case: &&Case<'_>| {
        let text = |index: &usize| ratio(case, *index).map_or("–".to_owned(), |it| format!("{it:.3}"));
        numbers::align(asked.iter().map(text).collect())
    };
    let columns: Vec<Vec<Figure>> = cases.iter().map(column).collect();
    let row = |(at, index): (usize, &usize)| {
        (allocator_link(site, "../", *index), columns.iter().map(|column| column[at].clone()).collect())
    };
    (!asked.is_empty()).then(|| Usable {
        cases: cases.iter().map(|case| case.label.clone()).collect(),
        rows: asked.iter().enumerate().map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_block_is_told_where_nothing_is_resized() {
        let counts = |reallocations| [Some(2.0), Some(2.0), reallocations, Some(96.0), Some(1_048_576.0)];
        assert_eq!(texts(&counts(Some(0.0))), ["2", "2", "0", "96", "48", "1 MiB"]);
        assert_eq!(texts(&counts(Some(1.0)))[4], "–");
        assert_eq!(texts(&[Some(0.0), None, None, Some(0.0), None]), ["0", "–", "–", "0", "–", "–"]);
    }
}
