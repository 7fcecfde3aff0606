//! What the authors set out to reach with an allocator of theirs, as data beside it.
//!
//! A goal bounds a ratio to other allocators: both were measured, by the same record, in the same cells. What a record says of
//! it is found elsewhere (`results::goals`); here it is only stated. A bound is written down before it is reached, and one that
//! is missed stays.

use std::fmt;

use super::{jemalloc, mimalloc, rpmalloc, snmalloc, system};

/// The peers that a goal means: general allocators of others with their default settings. A fixed list, so that a record
/// with fewer of them, or with other configurations of them beside, cannot make a goal easier.
pub const PEERS: [&str; 5] =
    [system::FACTS.id, jemalloc::FACTS.id, mimalloc::FACTS.id, snmalloc::FACTS.id, rpmalloc::FACTS.id];

/// A bound on how an allocator does compared with others.
///
/// # Examples
/// At most three quarters of the fastest peer's time, in each case of `pair` with blocks of 64 bytes:
///
/// ```
/// use allocmark::allocators::goal::{Against, Cells, Goal, Together};
///
/// let goal = Goal::of_time(Cells::of("pair", &[("size", "64")]), 0.75);
/// assert_eq!(goal.against, Against::BestPeerOfEachCell);
/// assert_eq!(goal.together, Together::Each);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What is compared, by its key in records: `time`, `peak_rss`. Less is better.
    pub metric: &'static str,
    /// In which cells.
    pub cells: Cells,
    /// With whom.
    pub against: Against,
    /// How several cells make one figure.
    pub together: Together,
    /// The largest ratio that reaches it.
    pub at_most: f64,
}

/// Cells of a record. Those that the allocator cannot run by its contract are none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// Every case of these families.
    Families(&'static [&'static str]),
    /// The cases of one workload in which each of these parameters has this value.
    Workload {
        /// Its id.
        id: &'static str,
        /// Name and value, as a case prints them. None: every case.
        params: &'static [(&'static str, &'static str)],
    },
}

/// Whom an allocator is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// In each cell the one of [`PEERS`] that is best there.
    BestPeerOfEachCell,
    /// In all cells the one of [`PEERS`] that ranks first among the general allocators.
    BestRankedPeer,
    /// In each cell the one in the middle of [`PEERS`].
    MedianPeer,
    /// The allocator with this id.
    Allocator(&'static str),
}

/// How the ratios of several cells are drawn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Their geometric mean, each cell with the same weight.
    GeometricMean,
    /// The largest.
    Worst,
    /// Not at all: the bound is for each cell by itself.
    Each,
}

impl Goal {
    /// In each of `cells` at most `at_most` times the time of the peer that is best there.
    pub const fn of_time(cells: Cells, at_most: f64) -> Self {
        Self {
            metric: "time",
            cells,
            against: Against::BestPeerOfEachCell,
            together: Together::Each,
            at_most,
        }
    }

    /// As a geometric mean over `cells` at most `at_most` times as much of `metric` as `against`.
    pub const fn mean_of(metric: &'static str, cells: Cells, against: Against, at_most: f64) -> Self {
        Self { metric, cells, against, together: Together::GeometricMean, at_most }
    }
}

impl Cells {
    /// The cases of the workload `id` in which each of `params` has this value.
    pub const fn of(id: &'static str, params: &'static [(&'static str, &'static str)]) -> Self {
        Self::Workload { id, params }
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Families([one]) => write!(out, "family {one}"),
            Self::Families(families) => write!(out, "families {}", families.join(" and ")),
            Self::Workload { id, params } => {
                out.write_str(id)?;
                params.iter().try_for_each(|(name, value)| write!(out, ", {name} {value}"))
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::allocators::list;

    #[test]
    fn only_our_own_allocators_have_goals() {
        for row in list::all() {
            assert!(row.facts.ours || row.facts.goals.is_empty(), "{}", row.facts.id);
        }
    }

    #[test]
    fn the_peers_are_general_allocators_of_others_in_their_own_configuration() {
        for id in PEERS {
            let row = list::all().into_iter().find(|row| row.facts.id == id).unwrap();
            assert!(!row.facts.ours && row.facts.configuration_of.is_none(), "{id}");
            assert_eq!(row.contract.class.id(), "general", "{id}");
        }
    }

    #[test]
    fn no_goal_is_stated_twice_and_every_bound_is_a_ratio() {
        for row in list::all() {
            for (index, goal) in row.facts.goals.iter().enumerate() {
                let unbound = |goal: &Goal| Goal { at_most: 0.0, ..*goal };
                let mut earlier = row.facts.goals[..index].iter().map(unbound);
                assert!(goal.at_most > 0.0 && goal.at_most.is_finite(), "{}: {goal:?}", row.facts.id);
                assert!(!earlier.any(|it| it == unbound(goal)), "{}: {goal:?}", row.facts.id);
            }
        }
    }

    #[test]
    fn cells_are_words() {
        assert_eq!(Cells::Families(&["basic", "threads"]).to_string(), "families basic and threads");
        assert_eq!(Cells::Families(&["memory"]).to_string(), "family memory");
        assert_eq!(Cells::of("pair", &[("size", "64")]).to_string(), "pair, size 64");
        assert_eq!(Cells::of("tree", &[]).to_string(), "tree");
    }
}
