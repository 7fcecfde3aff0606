//! The metrics: one variant each, and everything the rest of the code asks of one.

use serde::{Deserialize, Serialize};

/// A quantity that a cell yields.
///
/// To add one, add a variant: the exhaustive matches below make the compiler name every fact it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Wall time per operation.
    Time,
}

/// What a metric's numbers are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
    /// A quotient.
    Ratio,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// Whether two runs of the same code give the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// They do: any difference is a difference.
    Exact,
    /// They do not: differences need statistics.
    Noisy,
}

impl Metric {
    /// Every metric, in the order in which tables show them.
    pub const ALL: [Self; 1] = [Self::Time];

    /// Its key in records.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Time => "time",
        }
    }

    /// What to call it in a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Time => "Time per operation",
        }
    }

    /// What its numbers are counted in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Time => Unit::Nanoseconds,
        }
    }

    /// Which way is better.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Time => Direction::Lower,
        }
    }

    /// Whether it repeats exactly.
    pub const fn noise(self) -> Noise {
        match self {
            Self::Time => Noise::Noisy,
        }
    }
}
