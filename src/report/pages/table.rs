//! A table of measurements: one row a cell, one column a quantity. Pages show it, and downloads write it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Link;
use crate::report::best;
use crate::report::numbers::{self, Figure};
use crate::results::record::{Cell, Measured};

/// A table, ready to be written.
#[derive(Serialize)]
pub(crate) struct Table {
    /// The case or the allocator that it is about: said to those who cannot see the heading above it.
    pub(crate) of: String,
    /// What it shows, with its units.
    pub(crate) what: String,
    pub(crate) corner: &'static str,
    pub(crate) heads: Vec<String>,
    pub(crate) groups: Vec<Group>,
}

/// Rows under a heading, which is empty if there is no other group.
#[derive(Serialize)]
pub(crate) struct Group {
    /// [`Line::group`] of its rows.
    #[serde(skip)]
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) rows: Vec<TableRow>,
}

#[derive(Serialize)]
pub(crate) struct TableRow {
    pub(crate) head: Link,
    pub(crate) cells: Vec<TableCell>,
}

#[derive(Serialize)]
pub(crate) struct TableCell {
    pub(crate) figure: Figure,
    /// The least of its group.
    pub(crate) best: bool,
    pub(crate) dim: bool,
    /// What hovering over it says, if anything.
    title: String,
}

/// A row before its columns are known.
pub(crate) struct Line<'c> {
    pub(crate) head: Link,
    /// Which group it is in; rows of a group follow each other.
    pub(crate) group: usize,
    /// Whether its figures are compared with those of its group.
    pub(crate) ranked: bool,
    pub(crate) cell: &'c Cell,
}

/// What a column says of a row.
pub(crate) struct Entry {
    /// What decides which is the least, where anything does.
    value: Option<best::Range>,
    text: String,
    title: String,
}

/// A column.
pub(crate) struct Column {
    head: String,
    dim: bool,
    marked: bool,
    entries: Vec<Option<Entry>>,
}

impl Entry {
    /// Words that are not compared.
    pub(crate) fn words(text: String) -> Self {
        Self { value: None, text, title: String::new() }
    }

    /// A number that is.
    pub(crate) fn number(value: f64, text: String) -> Self {
        Self { value: Some((value, value)), text, title: String::new() }
    }

    /// What is no more than `limit`, and compared as such.
    pub(crate) fn at_most(limit: f64, text: String) -> Self {
        Self { value: Some((0.0, limit)), text, title: String::new() }
    }

    /// With what hovering over it says.
    pub(crate) fn titled(self, title: String) -> Self {
        Self { title, ..self }
    }
}

impl Column {
    /// What `entry` finds in each of `lines`.
    pub(crate) fn new(head: &str, lines: &[Line<'_>], entry: impl Fn(&Cell) -> Option<Entry>) -> Self {
        let entries = lines.iter().map(|line| entry(line.cell)).collect();
        Self { head: head.to_owned(), dim: false, marked: false, entries }
    }

    /// A metric's values as `show` writes them; hovering tells where the rounds lay.
    pub(crate) fn metric<'c>(
        head: &str,
        lines: &[Line<'c>],
        get: impl Fn(&'c Cell) -> Option<&'c Measured>,
        show: impl Fn(f64) -> String,
    ) -> Self {
        let entry = |line: &Line<'c>| {
            let measured = get(line.cell)?;
            let title = numbers::spread(measured)
                .map_or(String::new(), |(low, high)| format!("{}–{}", show(low), show(high)));
            Some(Entry::number(measured.value, show(measured.value)).titled(title))
        };
        Self { head: head.to_owned(), dim: false, marked: false, entries: lines.iter().map(entry).collect() }
    }

    /// Stands back.
    pub(crate) fn dim(self) -> Self {
        Self { dim: true, ..self }
    }

    /// Marks the least of each group.
    pub(crate) fn marked(self) -> Self {
        Self { marked: true, ..self }
    }
}

impl Table {
    /// Puts `columns` behind the heads of `lines`. A column in which no row has anything is left out.
    pub(crate) fn new(
        (of, what): (String, String),
        corner: &'static str,
        lines: &[Line<'_>],
        columns: Vec<Column>,
        group_title: impl Fn(usize) -> String,
    ) -> Self {
        let columns: Vec<Column> =
            columns.into_iter().filter(|column| column.entries.iter().any(Option::is_some)).collect();
        let mut cells: Vec<Vec<TableCell>> = lines.iter().map(|_| Vec::new()).collect();
        for column in &columns {
            let least = if column.marked { least(lines, &column.entries) } else { vec![false; lines.len()] };
            let text = |entry: &Option<Entry>| entry.as_ref().map_or("–".to_owned(), |it| it.text.clone());
            let figures = numbers::align(column.entries.iter().map(text).collect());
            for (((row, figure), entry), best) in
                cells.iter_mut().zip(figures).zip(&column.entries).zip(least)
            {
                let title = entry.as_ref().map_or(String::new(), |it| it.title.clone());
                row.push(TableCell { figure, best, dim: column.dim, title });
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        for (line, cells) in lines.iter().zip(cells) {
            let row = TableRow { head: line.head.clone(), cells };
            match groups.last_mut() {
                Some(group) if group.number == line.group => group.rows.push(row),
                _ => {
                    groups.push(Group { number: line.group, title: group_title(line.group), rows: vec![row] })
                }
            }
        }
        if let [only] = groups.as_mut_slice() {
            only.title.clear();
        }
        Self { of, what, corner, heads: columns.into_iter().map(|column| column.head).collect(), groups }
    }

    /// Whether there is anything but heads.
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty() || self.groups.is_empty()
    }
}

/// For each line, whether it has the least of the compared lines of its group.
fn least(lines: &[Line<'_>], entries: &[Option<Entry>]) -> Vec<bool> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.ranked) {
        groups.entry(line.group).or_default().push(at);
    }
    let mut marked = vec![false; lines.len()];
    for members in groups.values() {
        let values = members.iter().map(|at| entries[*at].as_ref().and_then(|entry| entry.value));
        for (at, least) in members.iter().zip(best::least(&values.collect::<Vec<_>>())) {
            marked[*at] = least;
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::record::{Params, Place};

    fn cell(name: &str) -> Cell {
        Cell {
            place: Place { workload: "w".into(), params: Params::default(), allocator: name.into() },
            served_by: None,
            metrics: BTreeMap::new(),
            memory: None,
            latency: None,
        }
    }

    #[test]
    fn the_least_of_each_group_is_marked_and_empty_columns_are_left_out() {
        let cells = ["3", "1", "1", "7", "control"].map(cell);
        let lines: Vec<Line<'_>> = cells
            .iter()
            .zip([0, 0, 0, 1, 2])
            .map(|(cell, group)| Line {
                head: Link {
                    href: String::new(),
                    name: cell.place.allocator.clone(),
                    swatch: None,
                    here: true,
                },
                group,
                ranked: group < 2,
                cell,
            })
            .collect();
        let number = |cell: &Cell| {
            let value: f64 = cell.place.allocator.parse().ok()?;
            Some(Entry::number(value, format!("{value}")))
        };
        let same = |_: &Cell| Some(Entry::number(0.0, "0".to_owned()));
        let columns = vec![
            Column::new("n", &lines, number).marked(),
            Column::new("nothing", &lines, |_| None),
            Column::new("same", &lines, same).marked(),
        ];
        let table = Table::new((String::new(), "numbers".to_owned()), "who", &lines, columns, |group| {
            format!("group {group}")
        });
        assert_eq!(table.heads, ["n", "same"]);
        let rows = || table.groups.iter().flat_map(|group| &group.rows);
        assert!(rows().all(|row| !row.cells[1].best), "where all are equal there is nothing to mark");
        let best: Vec<bool> = rows().map(|row| row.cells[0].best).collect();
        // Equals share the mark, and one alone has nobody to be compared with.
        assert_eq!(best, [false, true, true, false, false]);
        assert_eq!(table.groups[2].rows[0].cells[0].figure.text, "–");
        assert_eq!(table.groups[1].title, "group 1");
    }
}
