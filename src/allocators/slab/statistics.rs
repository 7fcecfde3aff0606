//! What the allocator holds, class by class, read from the headers that exist anyway: no operation counts anything.

use super::class::{CLASSES, Class};
use super::segment::SegmentRef;
use super::span::State;
use super::{heaps, huge, regions, reserve, thread};

/// What one size class holds in all heaps together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStatistics {
    /// Bytes of a block.
    pub block_bytes: usize,
    /// Spans that are cut into blocks of this class.
    pub spans: usize,
    /// Blocks in those spans.
    pub blocks: usize,
    /// Blocks in use. Those that a thread other than their owner freed count as in use until the owner takes them back,
    /// and so do those that a thread other than the calling one has put aside to allocate next: at most a span's worth.
    pub live_blocks: usize,
}

/// A snapshot of the process-wide heap. Exact while no thread allocates; else each number was right at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The size classes, smallest first.
    pub classes: [ClassStatistics; CLASSES],
    /// Address space in segments, huge blocks and the heaps' own records, in bytes. Not all of it is resident.
    pub mapped_bytes: usize,
    /// Segments, with those in the reserve.
    pub segments: usize,
    /// Empty segments that are kept for the next heap that needs one.
    pub reserved_segments: usize,
    /// Heaps: as many as there were threads at once.
    pub heaps: usize,
    /// Heaps that no thread has at the moment.
    pub idle_heaps: usize,
    /// Blocks that have a mapping of their own.
    pub huge_blocks: usize,
    /// Bytes requested in them.
    pub huge_bytes: usize,
}

impl Statistics {
    /// Blocks in use, those with a mapping of their own included.
    pub fn live_blocks(&self) -> usize {
        self.classes.iter().map(|class| class.live_blocks).sum::<usize>() + self.huge_blocks
    }

    /// Bytes of the blocks in use, rounded up to their classes.
    pub fn live_bytes(&self) -> usize {
        self.classes.iter().map(|class| class.live_blocks * class.block_bytes).sum::<usize>()
            + self.huge_bytes
    }
}

pub(super) fn collect() -> Statistics {
    let mut classes = [ClassStatistics::default(); CLASSES];
    for (index, class) in classes.iter_mut().enumerate() {
        class.block_bytes = Class::from_index(index).map_or(0, |class| class.shape().block);
    }
    let mut segments = 0;
    {
        let _gate = reserve::Gate::hold();
        regions::for_each_segment(|base| {
            segments += 1;
            // SAFETY: the gate is held, so no segment is unmapped. Below only atomics are read: the owner is at work.
            let segment = unsafe { SegmentRef::of(base) };
            for span in segment.spans().iter().filter(|span| span.state() != State::Unused) {
                let class = &mut classes[span.class().index()];
                class.spans += 1;
                class.blocks += span.class().shape().capacity as usize;
                class.live_blocks += span.live() as usize;
            }
        });
    }
    let own = thread::current();
    for (index, class) in classes.iter_mut().enumerate() {
        let listed = Class::from_index(index).map_or(0, |class| own.bin(class).listed());
        class.live_blocks = class.live_blocks.saturating_sub(listed);
    }
    let (huge_blocks, huge_bytes) = huge::live();
    Statistics {
        classes,
        mapped_bytes: reserve::mapped_bytes(),
        segments,
        reserved_segments: reserve::kept(),
        heaps: heaps::all().count(),
        idle_heaps: heaps::idle(),
        huge_blocks,
        huge_bytes,
    }
}
