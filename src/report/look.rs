//! The colour, marker and dash of each allocator: the same on every page and in every record.
//!
//! Colours are names (`hue-3`) whose values the style sheet sets for light and for dark. Ten hues that
//! colour-blind readers can tell apart; where two allocators share one, marker and dash differ.

use super::slug::hash;

/// Hues in the style sheet.
pub(crate) const HUES: u8 = 10;
/// Dashes in the style sheet; 0 is a solid line.
pub(crate) const DASHES: u8 = 4;
/// Marker shapes.
pub(crate) const MARKERS: u8 = 6;

/// How an allocator is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) hue: u8,
    pub(crate) dash: u8,
    pub(crate) marker: u8,
}

/// The allocators of this project's catalogue. Those that usually share a plot have hues of their own, and
/// variants have the hue of what they vary, ten rows above them; rows may be
/// added at the end, never moved, or old reports and new ones would differ in colour.
const KNOWN: [&str; 30] = [
    "system",
    "jemalloc",
    "mimalloc",
    "snmalloc",
    "rpmalloc",
    "tcmalloc",
    "slab",
    "pool",
    "arena",
    "null", //
    "system-one-arena",
    "jemalloc-background",
    "hybrid",
    "message",
    "mmap",
    "fixed",
    "free-list",
    "pool-local",
    "bump",
    "object-pool", //
    "stack",
    "ring",
    "frame",
    "region",
    "arena-thread",
    "bump-slice",
    "bump-shared",
    "pool-mutex",
    "bump-scope",
    "talc",
];

/// The look of the allocator called `id`.
pub(crate) fn of(id: &str) -> Look {
    match KNOWN.iter().position(|known| *known == id) {
        Some(row) => numbered(row),
        // A block of its own, so that no stranger looks exactly like one of ours.
        None => Look { dash: 3, ..numbered(hash(id) as usize % 60) },
    }
}

fn numbered(row: usize) -> Look {
    let hues = usize::from(HUES);
    let turn = row / hues;
    Look {
        hue: (row % hues) as u8,
        dash: (turn % (usize::from(DASHES) - 1)) as u8,
        // Neighbouring hues also differ in shape, for print and for those who see few colours.
        marker: ((row + turn) % usize::from(MARKERS)) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_known_allocators_look_the_same() {
        let looks: HashSet<(u8, u8, u8)> = KNOWN
            .iter()
            .map(|id| {
                let look = of(id);
                (look.hue, look.dash, look.marker)
            })
            .collect();
        assert_eq!(looks.len(), KNOWN.len());
    }

    #[test]
    fn a_stranger_looks_the_same_in_every_record_and_like_none_of_ours() {
        assert_eq!(of("dlmalloc"), of("dlmalloc"));
        assert!(KNOWN.iter().all(|id| of(id) != of("dlmalloc")));
    }
}
