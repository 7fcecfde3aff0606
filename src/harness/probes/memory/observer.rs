//! A clock that looks at the process's memory when a workload reaches a checkpoint.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::kernel::{self, Usage};
use crate::harness::findings::{Checkpoint, MemorySeries, Statistic};
use crate::harness::hooks::Statistics;
use crate::workloads::shape::{Clock, WallClock};
use crate::workloads::table;

/// Checkpoints and states of rest that fit.
const ROWS: usize = 64;

/// Numbers that an allocator may say of itself.
const WORDS: usize = 16;

/// What the process holds at a moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    resident: u64,
    lazy_free: Option<u64>,
    /// The harness's own tables, which are in the resident bytes.
    tables: u64,
}

impl Level {
    fn now() -> io::Result<Self> {
        let now = kernel::resident()?;
        let tables = table::mapped_bytes() as u64;
        Ok(Self { resident: now.resident_bytes, lazy_free: now.lazy_free_bytes, tables })
    }
}

/// What is above `before` without the tables of either moment; zero where it is below, as when an allocator gave back
/// what it held before the work.
fn net(now: u64, tables: u64, before: u64, tables_before: u64) -> u64 {
    (now + tables_before).saturating_sub(before + tables)
}

/// A reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What the workload was doing.
    pub phase: &'static str,
    /// Bytes requested and not given back.
    pub live_bytes: u64,
    /// Resident bytes, net of the process before the work and of the harness's tables.
    pub resident_bytes: u64,
    /// The part of them that was lazily given back; `None` where the kernel does not say.
    pub lazy_free_bytes: Option<u64>,
}

type Word = (&'static str, u64);

/// What an allocator said of itself, in memory that is not its own.
#[derive(Clone, Copy, Debug, Default)]
struct Words {
    phase: &'static str,
    words: [Word; WORDS],
    length: usize,
}

impl Words {
    fn of(phase: &'static str, said: &[Word]) -> Self {
        let (mut words, length) = ([Word::default(); WORDS], said.len().min(WORDS));
        words[..length].copy_from_slice(&said[..length]);
        Self { phase, words, length }
    }

    fn statistics(&self) -> impl Iterator<Item = Statistic> + '_ {
        self.words[..self.length].iter().map(|&(name, bytes)| Statistic {
            phase: self.phase.to_owned(),
            name: name.to_owned(),
            bytes,
        })
    }
}

/// Everything in place and of fixed size: an observer that allocated would change what it looks at.
struct Notes {
    rows: [Row; ROWS],
    length: usize,
    at_peak: Words,
    at_rest: Words,
    /// What looking cost.
    looking: Usage,
    failed: Option<io::Error>,
}

/// Takes down resident memory, net of the process as it was when the observer began.
pub struct Observer {
    clock: WallClock,
    before: Level,
    /// The kernel's running count at the same moment: its peak is a maximum of that.
    counted_before: u64,
    statistics: Option<Statistics>,
    notes: Mutex<Notes>,
}

impl Observer {
    /// Takes the process as it is now for zero. `statistics` is what the allocator can say of itself.
    ///
    /// # Errors
    /// Where the kernel does not tell what is resident.
    pub fn begin(statistics: Option<Statistics>) -> io::Result<Self> {
        // The first reading touches code and stack that the later ones find there.
        Level::now()?;
        kernel::counted()?;
        // The first answer of some libraries sets up what the later ones read.
        if let Some(statistics) = statistics {
            statistics();
        }
        let notes = Notes {
            rows: [Row::default(); ROWS],
            length: 0,
            at_peak: Words::default(),
            at_rest: Words::default(),
            looking: Usage::default(),
            failed: None,
        };
        Ok(Self {
            clock: WallClock::new(),
            before: Level::now()?,
            counted_before: kernel::counted()?,
            statistics,
            notes: Mutex::new(notes),
        })
    }

    /// Runs the work: the most bytes that were resident during it, net, and what it used up, without the looking.
    ///
    /// The peak is `None` where the kernel does not let it begin anew.
    ///
    /// # Errors
    /// Where the kernel stopped telling.
    pub fn watch(&self, work: impl FnOnce()) -> io::Result<(Option<u64>, Usage)> {
        let looked = self.notes().looking;
        let reset = kernel::reset_peak();
        let before = kernel::usage();
        work();
        let used = kernel::usage().since(before).since(self.notes().looking.since(looked));
        let peak = match reset {
            Ok(()) => Some(self.net_peak(kernel::peak()?)),
            Err(_) => None,
        };
        Ok((peak, used))
    }

    /// The kernel's count can lag behind a page-by-page reading of the same moment, which then stands.
    fn net_peak(&self, peak: u64) -> u64 {
        let tables = table::mapped_bytes() as u64;
        let counted = net(peak, tables, self.counted_before, self.before.tables);
        let notes = self.notes();
        notes.rows[..notes.length].iter().map(|row| row.resident_bytes).fold(counted, u64::max)
    }

    /// A reading when nothing is live.
    ///
    /// # Errors
    /// Where the kernel stopped telling, now or at a checkpoint.
    pub fn rest(&self, phase: &'static str) -> io::Result<Row> {
        self.look(phase, 0, |notes, words| notes.at_rest = words, true);
        let mut notes = self.notes();
        match notes.failed.take() {
            Some(error) => Err(error),
            None => Ok(notes.rows[notes.length - 1]),
        }
    }

    /// The most bytes that were live at a checkpoint; `None` if there was none with any.
    pub fn peak_live(&self) -> Option<u64> {
        let notes = self.notes();
        notes.rows[..notes.length].iter().map(|row| row.live_bytes).max().filter(|&bytes| bytes > 0)
    }

    /// All readings; `None` where the kernel does not tell lazily freed pages from others.
    pub fn series(&self) -> Option<MemorySeries> {
        let notes = self.notes();
        let checkpoint = |row: &Row| {
            Some(Checkpoint {
                phase: row.phase.to_owned(),
                live_bytes: row.live_bytes,
                resident_bytes: row.resident_bytes,
                lazy_free_bytes: row.lazy_free_bytes?,
            })
        };
        let checkpoints = notes.rows[..notes.length].iter().map(checkpoint).collect::<Option<_>>()?;
        let statistics = notes.at_peak.statistics().chain(notes.at_rest.statistics()).collect();
        Some(MemorySeries { checkpoints, statistics })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // A panic while the lock was held leaves complete rows behind: the length is written last.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a reading, then asks the allocator if `ask`. The cost of the first counts as the kernel's, of the second as
    /// the program's.
    fn look(&self, phase: &'static str, live_bytes: u64, keep: impl FnOnce(&mut Notes, Words), ask: bool) {
        let used = kernel::usage();
        let started_ns = kernel::thread_cpu_ns();
        let level = Level::now();
        let read_ns = kernel::thread_cpu_ns();
        let mut notes = self.notes();
        match level {
            Err(error) => notes.failed = Some(error),
            Ok(_) if notes.length == ROWS => {
                notes.failed = Some(io::Error::other(format!("more than {ROWS} checkpoints")));
            }
            Ok(level) => {
                let row = notes.length;
                notes.rows[row] = self.row(phase, live_bytes, level);
                notes.length += 1;
            }
        }
        if let Some(statistics) = self.statistics.filter(|_| ask) {
            let said = statistics();
            keep(&mut notes, Words::of(phase, &said));
        }
        let mut cost = kernel::usage().since(used);
        cost.system_ns = read_ns - started_ns;
        cost.user_ns = kernel::thread_cpu_ns() - read_ns;
        notes.looking = notes.looking.plus(cost);
    }

    fn row(&self, phase: &'static str, live_bytes: u64, level: Level) -> Row {
        let before = &self.before;
        let lazy = level.lazy_free.zip(before.lazy_free).map(|(now, before)| now.saturating_sub(before));
        Row {
            phase,
            live_bytes,
            resident_bytes: net(level.resident, level.tables, before.resident, before.tables),
            lazy_free_bytes: lazy,
        }
    }
}

impl Clock for Observer {
    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn checkpoint(&self, phase: &'static str, live_bytes: u64) {
        // Which checkpoint is the peak is known afterwards alone: so at each that is higher than all before it.
        let higher = self.peak_live().is_none_or(|most| live_bytes > most);
        self.look(phase, live_bytes, |notes, words| notes.at_peak = words, higher && live_bytes > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_the_harness_are_no_memory_of_the_work() {
        // 100 before with tables of 10; 300 now with tables of 60: the work has 240 − 90.
        assert_eq!(net(300, 60, 100, 10), 150);
        assert_eq!(net(100, 60, 100, 10), 0, "less than before is nothing");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn checkpoints_stand_in_their_order_and_statistics_at_the_highest() {
        let observer = Observer::begin(Some(|| vec![("mapped", 7)])).unwrap();
        observer
            .watch(|| {
                observer.checkpoint("up", 10);
                observer.checkpoint("up", 20);
                observer.checkpoint("down", 5);
            })
            .unwrap();
        observer.rest("drained").unwrap();
        let series = observer.series().unwrap();
        let phases: Vec<_> = series.checkpoints.iter().map(|at| (at.phase.as_str(), at.live_bytes)).collect();
        assert_eq!(phases, [("up", 10), ("up", 20), ("down", 5), ("drained", 0)]);
        let statistics: Vec<_> = series.statistics.iter().map(|at| (at.phase.as_str(), at.bytes)).collect();
        assert_eq!(statistics, [("up", 7), ("drained", 7)]);
        assert_eq!(observer.peak_live(), Some(20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn too_many_checkpoints_are_an_error_and_not_lost_in_silence() {
        let observer = Observer::begin(None).unwrap();
        for _ in 0..=ROWS {
            observer.checkpoint("up", 1);
        }
        assert!(observer.rest("drained").unwrap_err().to_string().contains("checkpoints"));
    }
}
