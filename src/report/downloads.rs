//! The files beside the pages: the record itself, all cells as CSV, the main tables as Markdown.

use std::fmt::Write as _;

use super::File;
use super::compare;
use super::numbers;
use super::pages::{self, Table};
use super::site::{Case, Class, Shape, Site, Slot};
use crate::results::metric::{Metric, Unit};
use crate::results::wire;

/// A file, for the data page.
pub(crate) struct Download {
    pub(crate) path: &'static str,
    pub(crate) what: &'static str,
    make: fn(&Site<'_>) -> String,
}

/// Every file.
pub(crate) const LIST: [Download; 3] = [
    Download {
        path: "data/record.json",
        what: "The record: everything these pages were made from, replicates included.",
        make: |site| wire::to_json(site.record),
    },
    Download {
        path: "data/cells.csv",
        what: "Every cell and metric, one a line; absent and failed cells with their reasons.",
        make: cells_csv,
    },
    Download {
        path: "data/tables.md",
        what: "The rankings, the heat maps, the goals, and the tables of memory and latency as Markdown.",
        make: tables_markdown,
    },
];

/// The files, made.
pub(crate) fn files(site: &Site<'_>) -> Vec<File> {
    LIST.iter().map(|row| File { path: row.path.to_owned(), content: (row.make)(site) }).collect()
}

const CSV_HEAD: &str =
    "workload,case,allocator,class,status,metric,unit,value,low,high,replicates,served_by,reason\n";

fn cells_csv(site: &Site<'_>) -> String {
    let mut csv = CSV_HEAD.to_owned();
    for (shape, _, case) in site.cases() {
        for (subject, slot) in site.allocators.iter().zip(&case.slots) {
            let place = [
                shape.about.id.clone(),
                case.params.to_string(),
                subject.about.id.clone(),
                subject.about.class.clone(),
            ];
            match slot {
                Slot::Measured(cell) => {
                    let served =
                        cell.served_by.as_ref().map_or(String::new(), |proof| proof.allocator.clone());
                    for (metric, measured) in &cell.metrics {
                        let (low, high) = measured.interval.unzip();
                        let end = |end: Option<f64>| end.map_or(String::new(), |value| value.to_string());
                        let rest = [
                            "measured".to_owned(),
                            metric.id().to_owned(),
                            unit(*metric).to_owned(),
                            measured.value.to_string(),
                            end(low),
                            end(high),
                            measured.replicates.len().to_string(),
                            served.clone(),
                            String::new(),
                        ];
                        csv_line(&mut csv, place.iter().chain(&rest));
                    }
                }
                Slot::Failed(failed) => {
                    let reason = format!("{}: {}", failed.kind.id(), failed.detail);
                    csv_line(&mut csv, place.iter().chain(&without_value("failed", reason)));
                }
                Slot::Absent(absent) => {
                    csv_line(&mut csv, place.iter().chain(&without_value("absent", absent.reason.clone())));
                }
                // Not in the record, so not in its data.
                Slot::Unknown => {}
            }
        }
    }
    csv
}

fn without_value(status: &str, reason: String) -> [String; 9] {
    let mut fields: [String; 9] = Default::default();
    fields[0] = status.to_owned();
    fields[8] = reason;
    fields
}

fn unit(metric: Metric) -> &'static str {
    match metric.unit() {
        Unit::Nanoseconds => "ns",
        Unit::Bytes => "B",
        Unit::Count => "count",
        Unit::PerMillion => "per million",
        Unit::Ratio => "ratio",
    }
}

/// Fields as RFC 4180 has them, except for the line end, which is a bare newline as everywhere else here.
fn csv_line<'f>(csv: &mut String, fields: impl Iterator<Item = &'f String>) {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            csv.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            // Writing to a `String` cannot fail.
            let _ = write!(csv, "\"{}\"", field.replace('"', "\"\""));
        } else {
            csv.push_str(field);
        }
    }
    csv.push('\n');
}

fn tables_markdown(site: &Site<'_>) -> String {
    let mut text = format!("# allocmark: {}\n", inline(&site.record.id));
    for (number, class) in site.ranked_classes() {
        ranking_markdown(&mut text, class);
        heat_markdown(&mut text, site, number, class);
    }
    goals_markdown(&mut text, site);
    for (shape, _, case) in site.cases() {
        let found = [pages::memory::table(site, shape, case), pages::latency::table(site, shape, case)];
        for table in found.into_iter().flatten() {
            table_markdown(&mut text, site, &table);
        }
    }
    text
}

fn table_markdown(text: &mut String, site: &Site<'_>, table: &Table) {
    let _ =
        write!(text, "\n## {}: {}\n\n| {} | class |", inline(&table.of), inline(&table.what), table.corner);
    for head in &table.heads {
        let _ = write!(text, " {} |", inline(head));
    }
    let _ = write!(text, "\n|---|---|{}\n", "---:|".repeat(table.heads.len()));
    let rows = table.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group.number, row)));
    for (class, row) in rows {
        let class = &site.classes[class].id;
        let _ = write!(text, "| {} | {} |", inline(&row.head.name), inline(class));
        for cell in &row.cells {
            let _ = write!(text, " {} |", inline(&cell.figure.text));
        }
        text.push('\n');
    }
}

fn goals_markdown(text: &mut String, site: &Site<'_>) {
    if site.goals.is_empty() {
        return;
    }
    text.push_str("\n## Goals that the authors of this suite set for their own allocators\n\n");
    text.push_str("| allocator | cells | metric | against | at most | measured | interval | result |\n");
    text.push_str("|---|---|---|---|---:|---:|---|---|\n");
    for row in pages::goals::rows(site, &site.goals.iter().collect::<Vec<_>>()) {
        let words = [&row.allocator, &row.cells, row.metric, &row.against].map(inline);
        let (at_most, ratio) = (&row.at_most.text, &row.ratio.text);
        let _ = writeln!(
            text,
            "| {} | {at_most} | {ratio} | {} | {} |",
            words.join(" | "),
            row.interval,
            inline(&row.result)
        );
    }
}

fn ranking_markdown(text: &mut String, class: &Class) {
    let Some(ranking) = &class.ranking else { return };
    let _ = writeln!(text, "\n## Ranking of class {}, over {} cases\n", inline(&class.id), ranking.cells);
    text.push_str("| rank | allocator | score | interval | cases |\n|---:|---|---:|---|---:|\n");
    for row in &ranking.rows {
        let interval = row.interval.map_or_else(|| "–".to_owned(), numbers::ratio_interval);
        let (name, score) = (inline(&row.allocator), numbers::ratio(row.score));
        let _ = writeln!(text, "| {} | {name} | {score} | {interval} | {} |", row.rank, row.cells);
    }
}

fn heat_markdown(text: &mut String, site: &Site<'_>, number: usize, class: &Class) {
    if !site.workloads.iter().any(Shape::is_timed) {
        return;
    }
    let _ = writeln!(text, "\n## Time relative to the best of class {}\n", inline(&class.id));
    text.push_str("| workload, case |");
    for member in &class.members {
        let _ = write!(text, " {} |", inline(&site.allocators[*member].about.id));
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(class.members.len()));
    text.push('\n');
    let timed =
        site.workloads.iter().flat_map(|shape| shape.timed_cases().map(move |(_, case)| (shape, case)));
    for (shape, case) in timed {
        let _ = write!(text, "| {}, {} |", inline(&shape.about.id), inline(&case.label));
        for member in &class.members {
            let _ = write!(text, " {} |", ratio_markdown(case, number, *member));
        }
        text.push('\n');
    }
}

fn ratio_markdown(case: &Case<'_>, class: usize, member: usize) -> String {
    match case.slots[member] {
        Slot::Failed(failed) => failed.kind.id().to_owned(),
        _ => match case.best(class).and_then(|best| compare::ratio(case, member, best)) {
            Some(ratio) => numbers::ratio(ratio.value),
            None => "–".to_owned(),
        },
    }
}

/// Text from a record inside a Markdown table: no cell or line may end early, no markup may begin.
fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => safe.extend(['\\', c]),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
