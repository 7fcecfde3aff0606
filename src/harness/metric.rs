//! The metrics: one variant each, and everything the rest of the code asks of one.

use serde::{Deserialize, Serialize};

use crate::workloads::probe::Probe;

/// A quantity that a cell yields.
///
/// To add one, add a variant: the exhaustive matches below make the compiler name every fact it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Wall time per operation.
    Time,
    /// Half of all steps took at most this long.
    LatencyP50,
    /// Nine of ten steps took at most this long.
    LatencyP90,
    /// 99 of a hundred steps took at most this long.
    LatencyP99,
    /// 999 of a thousand steps took at most this long.
    #[serde(rename = "latency_p99_9")]
    LatencyP999,
    /// 9 999 of ten thousand steps took at most this long.
    #[serde(rename = "latency_p99_99")]
    LatencyP9999,
    /// Steps that took longer than 1 µs, in a million.
    #[serde(rename = "stalls_1us")]
    Stalls1us,
    /// Steps that took longer than 10 µs, in a million.
    #[serde(rename = "stalls_10us")]
    Stalls10us,
    /// Most resident bytes during the work, net of the process before it.
    PeakRss,
    /// Resident bytes when the work has freed its last block, net, pages that the kernel may take back included.
    RetainedRss,
    /// The part of `retained_rss` that was given back to the kernel lazily: it may take it at any time.
    RetainedLazyFree,
    /// As `retained_rss`, after 12 s in which nothing was called.
    RetainedRssIdle,
    /// As `retained_rss`, after 12 s of light use that follows the idle time.
    RetainedRssLight,
    /// As `retained_rss`, after the allocator was asked to give back what it can.
    RetainedRssPurged,
    /// Peak resident bytes as a multiple of the most bytes requested at one time; only from 8 MiB live on.
    BlowUp,
    /// Page faults during the fixed work.
    PageFaults,
    /// Context switches during the fixed work, voluntary or not.
    ContextSwitches,
    /// CPU time in user mode during the fixed work.
    CpuUser,
    /// CPU time in the kernel during the fixed work.
    CpuSystem,
    /// Instructions per operation, counted by callgrind.
    Instructions,
    /// Blocks taken, per operation.
    Allocations,
    /// Blocks given back one at a time, per operation.
    Frees,
    /// Blocks resized, per operation.
    Reallocations,
    /// Bytes asked for, per operation; a block that grows counts by what it grew.
    AllocatedBytes,
    /// Bytes that the blocks could hold over the bytes asked for, where the allocator can be asked.
    UsableRatio,
    /// Most bytes requested and not given back at any one time.
    PeakLive,
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
    /// How many in a million.
    PerMillion,
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

impl Noise {
    /// Both, the noisy one first: it is what most ask for.
    pub const ALL: [Self; 2] = [Self::Noisy, Self::Exact];
}

impl Metric {
    /// Every metric, in the order in which tables show them.
    pub const ALL: [Self; 26] = [
        Self::Time,
        Self::LatencyP50,
        Self::LatencyP90,
        Self::LatencyP99,
        Self::LatencyP999,
        Self::LatencyP9999,
        Self::Stalls1us,
        Self::Stalls10us,
        Self::PeakRss,
        Self::RetainedRss,
        Self::RetainedLazyFree,
        Self::RetainedRssIdle,
        Self::RetainedRssLight,
        Self::RetainedRssPurged,
        Self::BlowUp,
        Self::PageFaults,
        Self::ContextSwitches,
        Self::CpuUser,
        Self::CpuSystem,
        Self::Instructions,
        Self::Allocations,
        Self::Frees,
        Self::Reallocations,
        Self::AllocatedBytes,
        Self::UsableRatio,
        Self::PeakLive,
    ];

    /// Its key in records.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP90 => "latency_p90",
            Self::LatencyP99 => "latency_p99",
            Self::LatencyP999 => "latency_p99_9",
            Self::LatencyP9999 => "latency_p99_99",
            Self::Stalls1us => "stalls_1us",
            Self::Stalls10us => "stalls_10us",
            Self::PeakRss => "peak_rss",
            Self::RetainedRss => "retained_rss",
            Self::RetainedLazyFree => "retained_lazy_free",
            Self::RetainedRssIdle => "retained_rss_idle",
            Self::RetainedRssLight => "retained_rss_light",
            Self::RetainedRssPurged => "retained_rss_purged",
            Self::BlowUp => "blow_up",
            Self::PageFaults => "page_faults",
            Self::ContextSwitches => "context_switches",
            Self::CpuUser => "cpu_user",
            Self::CpuSystem => "cpu_system",
            Self::Instructions => "instructions",
            Self::Allocations => "allocations",
            Self::Frees => "frees",
            Self::Reallocations => "reallocations",
            Self::AllocatedBytes => "allocated_bytes",
            Self::UsableRatio => "usable_ratio",
            Self::PeakLive => "peak_live",
        }
    }

    /// The metric whose key is `id`.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.id() == id)
    }

    /// What to call it in a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Time => "Time per operation",
            Self::LatencyP50 => "Median latency",
            Self::LatencyP90 => "90th percentile of latency",
            Self::LatencyP99 => "99th percentile of latency",
            Self::LatencyP999 => "99.9th percentile of latency",
            Self::LatencyP9999 => "99.99th percentile of latency",
            Self::Stalls1us => "Steps over 1 µs",
            Self::Stalls10us => "Steps over 10 µs",
            Self::PeakRss => "Peak resident memory",
            Self::RetainedRss => "Resident memory after the work drained",
            Self::RetainedLazyFree => "Lazily freed part of what is retained",
            Self::RetainedRssIdle => "Retained after 12 s idle",
            Self::RetainedRssLight => "Retained after 12 s of light use",
            Self::RetainedRssPurged => "Retained after a purge",
            Self::BlowUp => "Blow-up: peak resident over peak live",
            Self::PageFaults => "Page faults of the whole work",
            Self::ContextSwitches => "Context switches of the whole work",
            Self::CpuUser => "CPU time of the whole work, user",
            Self::CpuSystem => "CPU time of the whole work, system",
            Self::Instructions => "Instructions per operation",
            Self::Allocations => "Allocations per operation",
            Self::Frees => "Frees per operation",
            Self::Reallocations => "Reallocations per operation",
            Self::AllocatedBytes => "Bytes requested per operation",
            Self::UsableRatio => "Usable to requested bytes",
            Self::PeakLive => "Most bytes live at once",
        }
    }

    /// What its numbers are counted in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Time
            | Self::LatencyP50
            | Self::LatencyP90
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::LatencyP9999
            | Self::CpuUser
            | Self::CpuSystem => Unit::Nanoseconds,
            Self::Stalls1us | Self::Stalls10us => Unit::PerMillion,
            Self::PeakRss
            | Self::RetainedRss
            | Self::RetainedLazyFree
            | Self::RetainedRssIdle
            | Self::RetainedRssLight
            | Self::RetainedRssPurged
            | Self::AllocatedBytes
            | Self::PeakLive => Unit::Bytes,
            Self::BlowUp | Self::UsableRatio => Unit::Ratio,
            Self::PageFaults
            | Self::ContextSwitches
            | Self::Instructions
            | Self::Allocations
            | Self::Frees
            | Self::Reallocations => Unit::Count,
        }
    }

    /// Which way is better.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Time
            | Self::LatencyP50
            | Self::LatencyP90
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::LatencyP9999
            | Self::Stalls1us
            | Self::Stalls10us
            | Self::PeakRss
            | Self::RetainedRss
            | Self::RetainedLazyFree
            | Self::RetainedRssIdle
            | Self::RetainedRssLight
            | Self::RetainedRssPurged
            | Self::BlowUp
            | Self::PageFaults
            | Self::ContextSwitches
            | Self::CpuUser
            | Self::CpuSystem
            | Self::Instructions
            | Self::Allocations
            | Self::Frees
            | Self::Reallocations
            | Self::AllocatedBytes
            | Self::UsableRatio
            | Self::PeakLive => Direction::Lower,
        }
    }

    /// Whether it repeats exactly.
    pub const fn noise(self) -> Noise {
        match self {
            Self::Time
            | Self::LatencyP50
            | Self::LatencyP90
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::LatencyP9999
            | Self::Stalls1us
            | Self::Stalls10us
            | Self::PeakRss
            | Self::RetainedRss
            | Self::RetainedLazyFree
            | Self::RetainedRssIdle
            | Self::RetainedRssLight
            | Self::RetainedRssPurged
            | Self::BlowUp
            | Self::PageFaults
            | Self::ContextSwitches
            | Self::CpuUser
            | Self::CpuSystem => Noise::Noisy,
            Self::Instructions
            | Self::Allocations
            | Self::Frees
            | Self::Reallocations
            | Self::AllocatedBytes
            | Self::UsableRatio
            | Self::PeakLive => Noise::Exact,
        }
    }

    /// The probe that yields it; `None` for what is counted while a cell is verified.
    pub const fn probe(self) -> Option<Probe> {
        match self {
            Self::Time => Some(Probe::Time),
            Self::LatencyP50
            | Self::LatencyP90
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::LatencyP9999
            | Self::Stalls1us
            | Self::Stalls10us => Some(Probe::Latency),
            Self::PeakRss
            | Self::RetainedRss
            | Self::RetainedLazyFree
            | Self::RetainedRssIdle
            | Self::RetainedRssLight
            | Self::RetainedRssPurged
            | Self::BlowUp
            | Self::PageFaults
            | Self::ContextSwitches
            | Self::CpuUser
            | Self::CpuSystem => Some(Probe::Memory),
            Self::Instructions => Some(Probe::Instructions),
            Self::Allocations
            | Self::Frees
            | Self::Reallocations
            | Self::AllocatedBytes
            | Self::UsableRatio
            | Self::PeakLive => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_called_the_same_everywhere() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.id());
            assert_eq!(Metric::named(metric.id()), Some(metric));
        }
    }
}
