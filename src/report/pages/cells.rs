//! What several pages show of a cell: gaps with their reasons, and who served it.

use std::collections::HashMap;

use serde::Serialize;

use crate::report::site::Slot;

/// The reasons for the gaps of a page, numbered as they appear.
#[derive(Default)]
pub(super) struct Notes {
    numbers: HashMap<(&'static str, String), usize>,
    list: Vec<Note>,
}

/// A reason.
#[derive(Clone, Serialize)]
pub(super) struct Note {
    pub(super) number: usize,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// A cell without a number.
#[derive(Clone, Serialize)]
pub(super) struct Gap {
    /// `absent`, `failed` or `unknown`: also its class.
    pub(super) kind: &'static str,
    /// What stands in the cell.
    pub(super) glyph: String,
    /// The number of its reason.
    pub(super) note: usize,
    pub(super) reason: String,
}

const UNKNOWN: &str = "The record says nothing about this cell.";

impl Notes {
    /// The gap that `slot` is; `None` if it was measured.
    pub(super) fn gap(&mut self, slot: Slot<'_>) -> Option<Gap> {
        let (kind, glyph, reason) = match slot {
            Slot::Measured(_) => return None,
            Slot::Absent(absent) => ("absent", "–".to_owned(), absent.reason.clone()),
            Slot::Failed(failed) => {
                ("failed", failed.kind.id().to_owned(), sentence(failed.kind.id(), &failed.detail))
            }
            Slot::Unknown => ("unknown", "·".to_owned(), UNKNOWN.to_owned()),
        };
        Some(self.add(kind, glyph, reason))
    }

    /// A gap with a reason of the page's own.
    pub(super) fn add(&mut self, kind: &'static str, glyph: String, reason: String) -> Gap {
        let next = self.list.len() + 1;
        let note = *self.numbers.entry((kind, reason.clone())).or_insert(next);
        if note == next {
            self.list.push(Note { number: note, kind, text: reason.clone() });
        }
        Gap { kind, glyph, note, reason }
    }

    /// The reasons, by number.
    pub(super) fn into_list(self) -> Vec<Note> {
        self.list
    }
}

fn sentence(kind: &str, detail: &str) -> String {
    if detail.is_empty() { kind.to_owned() } else { format!("{kind}: {detail}") }
}

/// Who was seen to serve a measured cell.
pub(super) fn served_by(slot: Slot<'_>) -> Option<String> {
    let Slot::Measured(cell) = slot else { return None };
    Some(match &cell.served_by {
        Some(proof) if proof.allocator == cell.place.allocator => proof.method.clone(),
        Some(proof) => format!("{}, {}", proof.allocator, proof.method),
        None => "not looked at".to_owned(),
    })
}
