//! A class's ranking as a table and a plot.

use std::collections::HashSet;

use serde::Serialize;

use super::{Link, allocator_link, count};
use crate::report::plot::{self, Form, Plot, Row, Rows};
use crate::report::site::{Class, Site};
use crate::report::{ReportError, numbers};
use crate::results::ranking::Missing;

/// The ranking of one class.
#[derive(Serialize)]
pub(super) struct RankTable {
    pub(super) class: String,
    pub(super) title: String,
    /// What the scores are over.
    pub(super) scope: String,
    pub(super) rows: Vec<RankRow>,
    /// `None` where a plot would show no more than one row.
    pub(super) plot: Option<Plot>,
    /// What was left out, in sentences.
    pub(super) notes: Vec<String>,
    /// Of the class, but without a score.
    pub(super) unranked: Vec<Link>,
}

/// One allocator's rank.
#[derive(Serialize)]
pub(super) struct RankRow {
    pub(super) rank: usize,
    /// Whether another has the same rank.
    pub(super) shared: bool,
    pub(super) allocator: Link,
    pub(super) version: String,
    pub(super) score: String,
    pub(super) interval: String,
    pub(super) cells: usize,
}

/// What the class called `id` is called in headings.
pub(super) fn class_title(id: &str) -> String {
    match id {
        "general" => "General allocators".to_owned(),
        "fixed-size" => "Fixed-size allocators".to_owned(),
        "region" => "One-thread region allocators".to_owned(),
        "bulk" => "Bulk-release allocators".to_owned(),
        "control" => "Controls, never ranked".to_owned(),
        "unstated" => "Imported allocators".to_owned(),
        other => format!("Class {other}"),
    }
}

/// The ranking of `class`; `None` for the control class and for a class with nothing to show.
pub(super) fn table(site: &Site<'_>, class: &Class, width: u32) -> Result<Option<RankTable>, ReportError> {
    let Some(ranking) = &class.ranking else { return Ok(None) };
    if ranking.rows.is_empty() && ranking.missing.iter().all(|missing| missing.cases == 0) {
        // No time of this class was measured at all.
        return Ok(None);
    }
    let mut shown: Vec<(usize, RankRow, Row)> = Vec::new();
    for ranked in &ranking.rows {
        let Some(index) =
            class.members.iter().copied().find(|at| site.allocators[*at].about.id == ranked.allocator)
        else {
            continue;
        };
        let about = &site.allocators[index].about;
        let score = numbers::ratio(ranked.score);
        let interval = ranked.interval.map(numbers::ratio_interval);
        let row = RankRow {
            rank: ranked.rank,
            shared: ranking.rows.iter().filter(|other| other.rank == ranked.rank).nth(1).is_some(),
            allocator: allocator_link(site, "", index),
            version: about.library.clone().or_else(|| about.package.clone()).unwrap_or_default(),
            score: score.clone(),
            interval: interval.clone().unwrap_or_else(|| "–".to_owned()),
            cells: ranked.cells,
        };
        let mark = Row {
            name: about.id.clone(),
            look: site.allocators[index].look,
            value: ranked.score,
            interval: ranked.interval,
            title: match &interval {
                Some(interval) => format!("{}: {score} ({interval})", about.id),
                None => format!("{}: {score}", about.id),
            },
            label: score,
        };
        shown.push((index, row, mark));
    }
    let ranked: HashSet<usize> = shown.iter().map(|(index, ..)| *index).collect();
    let unranked = class
        .members
        .iter()
        .filter(|at| !ranked.contains(at))
        .map(|at| allocator_link(site, "", *at))
        .collect();
    let (rows, marks): (Vec<RankRow>, Vec<Row>) = shown.into_iter().map(|(_, row, mark)| (row, mark)).unzip();
    let plot = if marks.len() < 2 {
        None
    } else {
        Some(plot::rows(&Rows {
            caption: format!("Scores of {}, with their intervals", class_title(&class.id).to_lowercase()),
            rows: marks,
            quantity: "time, as a multiple of the best",
            tick: &|score| numbers::ratio(score),
            form: Form::Points,
            reference: None,
            width,
        })?)
    };
    Ok(Some(RankTable {
        class: class.id.clone(),
        title: class_title(&class.id),
        scope: count(ranking.cells, "case"),
        rows,
        plot,
        notes: notes(class),
        unranked,
    }))
}

fn notes(class: &Class) -> Vec<String> {
    let Some(ranking) = &class.ranking else { return Vec::new() };
    let lacking = |missing: &Missing| {
        let failed = match missing.failed {
            0 => String::new(),
            failed => format!(" ({failed} failed)"),
        };
        let effect = if missing.ranked {
            "which are therefore left out of all scores"
        } else {
            "more than half, and is therefore not ranked"
        };
        format!("{} lacks {}{failed}, {effect}.", missing.allocator, count(missing.cases, "case"))
    };
    let mut notes: Vec<String> = ranking.missing.iter().map(lacking).collect();
    if ranking.rows.iter().any(|row| row.interval.is_none()) {
        notes.push("Fewer than six rounds: there are no intervals, and no two are told apart.".to_owned());
    }
    notes
}
