//! A row of the operation table, and the rules that rows keep: plain data.

use std::fmt;

/// One call to an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Who called, counted from 0 in the order of first calls.
    pub thread: u32,
    /// Which block: see [`Ledger`].
    pub slot: u32,
    /// What was asked for.
    pub call: Call,
}

/// What was asked for. Sizes and alignments are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// A block.
    Alloc {
        /// Its size.
        size: u64,
        /// Its alignment.
        align: Align,
    },
    /// A block of zeros.
    AllocZeroed {
        /// Its size.
        size: u64,
        /// Its alignment.
        align: Align,
    },
    /// Another size for the slot's block, which keeps its alignment and moves if it must.
    Realloc {
        /// Its new size.
        size: u64,
    },
    /// The end of the slot's block.
    Free,
}

/// An alignment: a power of two up to [`Align::MOST`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Align {
    power: u8,
}

impl Align {
    /// 1 GiB, the largest page there is: nothing asks for more.
    pub const MOST: u64 = 1 << Self::MOST_POWER;
    const MOST_POWER: u8 = 30;

    /// Of so many bytes, if that is a power of two within the limit.
    pub const fn of(bytes: u64) -> Option<Self> {
        if bytes.is_power_of_two() && bytes <= Self::MOST {
            Some(Self { power: bytes.trailing_zeros() as u8 })
        } else {
            None
        }
    }

    /// Two to that power, within the limit.
    pub const fn two_to_the(power: u8) -> Option<Self> {
        if power <= Self::MOST_POWER { Some(Self { power }) } else { None }
    }

    /// Which power of two it is.
    pub const fn power(self) -> u8 {
        self.power
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.power
    }
}

/// The largest block that a table may speak of: half of a 48-bit address space, which no program has.
pub const MOST_BYTES: u64 = 1 << 47;

/// Slots of a table, at most, and so blocks that are alive at one time: sixteen million. A ledger keeps a byte for each,
/// which is what a reader's memory is bounded by. (The largest public traces have a few million live blocks.)
pub const MOST_SLOTS: u32 = 1 << 24;

/// Threads of a table, at most. More were never seen alive in one process; the limit is there for files that lie.
pub const MOST_THREADS: u32 = 1 << 16;

/// What a row breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A thread that is neither known nor the next one.
    Thread {
        /// The row's.
        found: u32,
        /// Threads until here.
        known: u32,
    },
    /// A block is taken into a slot that is neither known nor the next one.
    Slot {
        /// The row's.
        found: u32,
        /// Slots until here.
        known: u32,
    },
    /// A block is taken into a slot that holds one.
    Live {
        /// The row's.
        slot: u32,
    },
    /// A slot is resized or freed that holds no block.
    Empty {
        /// The row's.
        slot: u32,
    },
    /// A block of no bytes, or of too many.
    Size {
        /// The row's.
        found: u64,
    },
    /// The table ends while blocks are live.
    Left {
        /// How many.
        blocks: u64,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Thread { found, known } => {
                write!(out, "expected a thread up to {}, found {found}", known.min(MOST_THREADS - 1))
            }
            Self::Slot { found, known } => {
                write!(out, "expected a slot up to {}, found {found}", known.min(MOST_SLOTS - 1))
            }
            Self::Live { slot } => {
                write!(out, "expected an empty slot, found slot {slot}, whose block is live")
            }
            Self::Empty { slot } => {
                write!(out, "expected a slot with a live block, found slot {slot}, which is empty")
            }
            Self::Size { found } => write!(out, "expected a size of 1 to {MOST_BYTES} bytes, found {found}"),
            Self::Left { blocks } => {
                write!(out, "expected that nothing is live when the table ends, found {blocks} blocks")
            }
        }
    }
}

impl std::error::Error for Breach {}

/// The rules of a table, held against row after row:
///
/// - Threads and slots are numbered without gaps in the order in which they are first used.
/// - A block is taken into an empty slot; a slot is resized or freed while it holds a block.
/// - Sizes are 1 to [`MOST_BYTES`]: a block of no bytes is none, and no allocator is asked for it.
/// - When the table ends nothing is live, so that it can be replayed again and again.
///
/// One byte for each slot that was used is all that it takes.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By slot: whether it holds a block.
    live: Vec<bool>,
    threads: u32,
    operations: u64,
    live_blocks: u64,
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a row down, or says what it breaks and leaves everything as it was.
    ///
    /// # Errors
    /// The first rule that the row breaks.
    pub fn admit(&mut self, operation: Operation) -> Result<(), Breach> {
        let Operation { thread, slot, call } = operation;
        if thread > self.threads || thread >= MOST_THREADS {
            return Err(Breach::Thread { found: thread, known: self.threads });
        }
        let known = self.live.len() as u32;
        match call {
            Call::Alloc { size, .. } | Call::AllocZeroed { size, .. } => {
                if slot > known || slot >= MOST_SLOTS {
                    return Err(Breach::Slot { found: slot, known });
                }
                if self.is_live(slot) {
                    return Err(Breach::Live { slot });
                }
                Self::check(size)?;
                if slot == known {
                    self.live.push(true);
                } else {
                    self.live[slot as usize] = true;
                }
                self.live_blocks += 1;
            }
            Call::Realloc { size } => {
                if !self.is_live(slot) {
                    return Err(Breach::Empty { slot });
                }
                Self::check(size)?;
            }
            Call::Free => {
                if !self.is_live(slot) {
                    return Err(Breach::Empty { slot });
                }
                self.live[slot as usize] = false;
                self.live_blocks -= 1;
            }
        }
        self.threads = self.threads.max(thread + 1);
        self.operations += 1;
        Ok(())
    }

    /// The table ends here.
    ///
    /// # Errors
    /// If anything is live.
    pub fn close(&self) -> Result<Counts, Breach> {
        match self.live_blocks {
            0 => Ok(self.counts()),
            blocks => Err(Breach::Left { blocks }),
        }
    }

    /// The rows until here.
    pub fn counts(&self) -> Counts {
        Counts { threads: self.threads, slots: self.live.len() as u32, operations: self.operations }
    }

    /// Slots that hold a block, in their order.
    pub fn live(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.live).filter(|&(_, &live)| live).map(|(slot, _)| slot)
    }

    fn is_live(&self, slot: u32) -> bool {
        self.live.get(slot as usize).is_some_and(|&live| live)
    }

    fn check(size: u64) -> Result<(), Breach> {
        if (1..=MOST_BYTES).contains(&size) { Ok(()) } else { Err(Breach::Size { found: size }) }
    }
}

/// How large a table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Threads that call.
    pub threads: u32,
    /// Slots that are used: the most blocks that are alive at one time, or more where a recorder numbers lavishly.
    pub slots: u32,
    /// Rows.
    pub operations: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alloc(slot: u32) -> Operation {
        let align = Align::of(8).unwrap();
        Operation { thread: 0, slot, call: Call::Alloc { size: 8, align } }
    }

    fn free(slot: u32) -> Operation {
        Operation { thread: 0, slot, call: Call::Free }
    }

    fn resize(slot: u32, size: u64) -> Operation {
        Operation { thread: 0, slot, call: Call::Realloc { size } }
    }

    #[test]
    fn only_powers_of_two_up_to_the_limit_are_alignments() {
        assert_eq!(Align::of(4096).map(Align::power), Some(12));
        assert_eq!(Align::two_to_the(30).map(Align::bytes), Some(Align::MOST));
        for bytes in [0, 3, 24, 2 * Align::MOST, u64::MAX] {
            assert_eq!(Align::of(bytes), None);
        }
        assert_eq!(Align::two_to_the(31), None);
    }

    #[test]
    fn each_rule_is_kept() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.admit(alloc(1)), Err(Breach::Slot { found: 1, known: 0 }));
        assert_eq!(ledger.admit(free(0)), Err(Breach::Empty { slot: 0 }));
        assert_eq!(ledger.admit(alloc(0)), Ok(()));
        assert_eq!(ledger.admit(alloc(0)), Err(Breach::Live { slot: 0 }));
        assert_eq!(ledger.admit(resize(0, 0)), Err(Breach::Size { found: 0 }));
        assert_eq!(ledger.admit(resize(0, MOST_BYTES + 1)), Err(Breach::Size { found: MOST_BYTES + 1 }));
        assert_eq!(ledger.admit(resize(0, MOST_BYTES)), Ok(()));
        assert_eq!(ledger.admit(resize(1, 8)), Err(Breach::Empty { slot: 1 }));
        let stranger = Operation { thread: 2, ..free(0) };
        assert_eq!(ledger.admit(stranger), Err(Breach::Thread { found: 2, known: 1 }));
        assert_eq!(ledger.close(), Err(Breach::Left { blocks: 1 }));
        assert_eq!(ledger.admit(Operation { thread: 1, ..free(0) }), Ok(()));
        assert_eq!(ledger.admit(free(0)), Err(Breach::Empty { slot: 0 }));
        assert_eq!(ledger.close(), Ok(Counts { threads: 2, slots: 1, operations: 3 }));
    }

    #[test]
    fn a_row_that_is_refused_changes_nothing() {
        let mut ledger = Ledger::new();
        ledger.admit(alloc(0)).unwrap();
        let before = ledger.counts();
        for refused in [alloc(0), alloc(2), free(1), resize(0, 0), Operation { thread: 9, ..free(0) }] {
            assert!(ledger.admit(refused).is_err());
            assert_eq!(ledger.counts(), before);
            assert_eq!(ledger.live().collect::<Vec<_>>(), [0]);
        }
    }

    #[test]
    fn no_ledger_has_more_slots_or_threads_than_the_limit() {
        let mut ledger =
            Ledger { live: vec![false; MOST_SLOTS as usize], threads: MOST_THREADS, ..Ledger::new() };
        assert!(matches!(ledger.admit(alloc(MOST_SLOTS)), Err(Breach::Slot { .. })));
        let stranger = Operation { thread: MOST_THREADS, ..alloc(0) };
        assert!(matches!(ledger.admit(stranger), Err(Breach::Thread { .. })));
        assert_eq!(ledger.admit(alloc(0)), Ok(()));
    }
}
