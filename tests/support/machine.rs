//! Programs of operations on an allocator, and the machine that runs them: it knows which blocks are live and what is in
//! them. Shared by the conformance tests, whose programs proptest draws and shrinks, by the soak, whose programs come out of
//! a random number generator, and by the fuzzer, whose programs are bytes.

use std::alloc::Layout;

use allocator_api2::alloc::Allocator;

use super::blocks::Block;

/// One step of a program. `which` is a live block by its number, modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Allocate {
        size: usize,
        /// The alignment's logarithm.
        shift: u32,
        zeroed: bool,
    },
    Free {
        which: usize,
    },
    Grow {
        which: usize,
        by: usize,
        zeroed: bool,
    },
    Shrink {
        which: usize,
        to_percent: usize,
    },
    /// A block goes to another thread: whoever runs the program sees to it with [`Machine::take`]. To the machine it is
    /// nothing.
    #[allow(
        dead_code,
        reason = "not made by the conformance tests, which are for allocators of one thread too"
    )]
    Pass {
        which: usize,
    },
    /// The program is idle, or a phase of it ends: a trim or a reset. To the machine it is nothing.
    #[allow(dead_code, reason = "as above")]
    Rest,
}

#[allow(dead_code, reason = "the conformance tests draw operations of their own")]
impl Operation {
    /// The operation that a word stands for; every word is one. Of random words 6 in 16 allocate and as many free; half of
    /// all sizes are below 64 B, one in 128 is from 256 KiB to 8 MiB.
    pub(crate) fn from_word(word: u64) -> Self {
        // The lengths of sizes and alignments in bits. What a program mostly asks for stands several times; then what the
        // allocators treat in another way: a page, a slice of slab, a block with a mapping of its own.
        const SIZES: [u32; 32] = [
            0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7, 7, 8, 8, 9, 9, 10, 10, 11, 12, 13, 14, 16,
            18, 23,
        ];
        const SHIFTS: [u32; 32] = [
            0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 6, 7, 9, 12, 17,
        ];
        let field = |at: u32, bits: u32| (word >> at) as usize & ((1 << bits) - 1);
        let shift = SHIFTS[field(4, 5)];
        let mut length = SIZES[field(9, 5)];
        if length == 23 {
            // Mostly not, or a program would do little else than fill such blocks.
            length = [23, 22, 20, 19, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12][field(36, 4)];
        }
        // With the highest bit set, unless it is nothing.
        let size = if length == 0 { 0 } else { field(14, 22) & ((1 << length) - 1) | (1 << (length - 1)) };
        let (zeroed, which) = (field(40, 1) == 1, field(41, 23));
        match field(0, 4) {
            0..6 => Self::Allocate { size, shift, zeroed },
            6..11 => Self::Free { which },
            11..13 => Self::Grow { which, by: size, zeroed },
            13 => Self::Shrink { which, to_percent: field(14, 7) % 101 },
            14 => Self::Pass { which },
            _ if field(4, 6) == 0 => Self::Rest,
            _ => Self::Free { which },
        }
    }
}

/// What a program may have at most. Where an operation would exceed it, a block is freed instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Larger and more aligned requests are cut down to it.
    pub(crate) block: Option<Layout>,
    pub(crate) blocks: usize,
    pub(crate) bytes: usize,
}

impl Limits {
    #[allow(dead_code, reason = "of the conformance tests")]
    pub(crate) const NONE: Self = Self { block: None, blocks: usize::MAX, bytes: usize::MAX };

    fn cut(&self, size: usize, align: usize) -> Layout {
        let block = self.block.unwrap_or(Layout::from_size_align(1 << 40, 1 << 40).unwrap());
        Layout::from_size_align(size.min(block.size()), align.min(block.align())).unwrap()
    }
}

/// What the allocator was asked for in a step, and whether it served it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    #[allow(dead_code, reason = "some users count on exhaustion and do not ask")]
    pub(crate) layout: Layout,
    #[allow(dead_code, reason = "as above")]
    pub(crate) served: bool,
}

/// The live blocks of a program. It does not hold the allocator, so that its user may look at that between two steps.
#[derive(Debug)]
pub(crate) struct Machine {
    live: Vec<Block>,
    bytes: usize,
    steps: u8,
    limits: Limits,
}

impl Machine {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { live: vec![], bytes: 0, steps: 0, limits }
    }

    /// Runs one operation. Panics where the allocator breaks its promise; a refusal is none.
    pub(crate) fn step(&mut self, allocator: &dyn Allocator, operation: Operation) -> Option<Request> {
        self.steps = self.steps.wrapping_add(1);
        match operation {
            Operation::Allocate { size, shift, zeroed } => {
                let layout = self.limits.cut(size, 1 << shift);
                if self.live.len() >= self.limits.blocks || self.bytes + layout.size() > self.limits.bytes {
                    return self.free(allocator, size);
                }
                let made = if zeroed { Block::zeroed } else { Block::new }(allocator, layout, self.steps);
                let served = made.is_ok();
                if let Ok(block) = made {
                    self.give(block);
                }
                Some(Request { layout, served })
            }
            Operation::Free { which } => self.free(allocator, which),
            Operation::Grow { which, by, zeroed } => {
                let index = self.index(which)?;
                let old = self.live[index].layout;
                let layout = self.limits.cut(old.size() + by, old.align());
                if self.bytes + layout.size() - old.size() > self.limits.bytes {
                    return self.free(allocator, which);
                }
                let grow = if zeroed { Block::grow_zeroed } else { Block::grow };
                let served = grow(&mut self.live[index], allocator, layout).is_ok();
                if served {
                    self.bytes += layout.size() - old.size();
                }
                Some(Request { layout, served })
            }
            Operation::Shrink { which, to_percent } => {
                let index = self.index(which)?;
                let old = self.live[index].layout;
                let layout = Layout::from_size_align(old.size() * to_percent / 100, old.align()).unwrap();
                let served = self.live[index].shrink(allocator, layout).is_ok();
                if served {
                    self.bytes -= old.size() - layout.size();
                }
                Some(Request { layout, served })
            }
            Operation::Pass { .. } | Operation::Rest => None,
        }
    }

    fn index(&self, which: usize) -> Option<usize> {
        (!self.live.is_empty()).then(|| which % self.live.len())
    }

    fn free(&mut self, allocator: &dyn Allocator, which: usize) -> Option<Request> {
        self.take(which)?.free(allocator);
        None
    }

    /// Takes a block out: it is the caller's to free.
    pub(crate) fn take(&mut self, which: usize) -> Option<Block> {
        let block = self.live.swap_remove(self.index(which)?);
        self.bytes -= block.layout.size();
        Some(block)
    }

    /// Puts a block in.
    pub(crate) fn give(&mut self, block: Block) {
        self.bytes += block.layout.size();
        self.live.push(block);
    }

    /// Frees all blocks.
    pub(crate) fn free_all(&mut self, allocator: &dyn Allocator) {
        while let Some(block) = self.take(0) {
            block.free(allocator);
        }
    }

    /// Looks at all blocks and forgets them: the allocator is about to release them together.
    #[allow(dead_code, reason = "of those who reset allocators")]
    pub(crate) fn forget_all(&mut self) {
        self.live.iter_mut().for_each(Block::assert_intact);
        self.live.clear();
        self.bytes = 0;
    }

    #[allow(dead_code, reason = "of those who know how many there should be")]
    pub(crate) fn blocks(&self) -> usize {
        self.live.len()
    }
}
