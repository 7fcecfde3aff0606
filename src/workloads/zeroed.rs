//! `zeroed`: blocks that must be zero when they are handed out.

use std::hint::black_box;
use std::num::NonZeroU32;

use allocator_api2::alloc::Allocator;

use super::heap::{Heap, refused};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::slot::{Slot, opaque};
use super::table::Table;
use crate::allocators::contract::Demand;

/// A ring of zeroed blocks of `size` bytes: the oldest goes, a new one comes.
#[derive(Clone, Copy, Debug)]
pub struct Zeroed {
    size: usize,
}

/// Blocks alive. With one, the block that was just freed would come back at once, its lines still in the nearest cache and
/// its clearing half free; and an allocator that gives back what is empty would meet nothing but emptiness. A program holds
/// a buffer while it uses it. Eight, because eight of 1 MiB leave a common second-level cache and eight of 64 bytes do not
/// matter to any.
const RING: usize = 8;

/// Operations in a pass at most: tens of microseconds and more, against which two clock readings of 30 ns are nothing.
const PASS: usize = 4_096;

/// Bytes that a pass asks for at most. Clearing runs at some 10 GB/s, so this is 0.4 ms.
const PASS_BYTES: usize = 4 << 20;

impl Zeroed {
    fn operations(&self) -> usize {
        PASS.min(PASS_BYTES / self.size)
    }
}

impl Shape for Zeroed {
    const FACTS: Facts = Facts {
        id: "zeroed",
        title: "blocks that are zero when they are handed out",
        family: Family::Basic,
        why: "`vec![0; n]`, hash tables, page buffers: memory that must be zero. An allocator has three ways: clear the \
              block, hand out pages that are known to be fresh from the system and so zero already, or give used pages \
              back to the system and take fresh ones. The first costs bandwidth, the third page faults; the second is \
              possible only as long as there is fresh memory.\n\n\
              Eight blocks are alive in a ring; the oldest is freed, then a new one asked for. Each block was written \
              to, its first byte, its last and one in every page, so a block that comes back must be cleared by \
              somebody. In verification every byte is looked at.\n\n\
              The clearing is part of the time, on the control and on bindings without such an entry point too: there \
              the block is cleared after it was allocated. So the control is not held to its share of the fastest \
              allocator's time here.",
        effect: "Up to 4 KiB everybody clears, and the differences are those of an allocation. At 1 MiB too, as long as \
              the allocator keeps the pages of what was freed; one that gives them back at once (the eager \
              configurations) takes tens of times as long, in page faults.",
        origin: "The zeroed card of mimalloc-pprof's suite and glibc's calloc variants of its two benchmarks. Here the blocks \
              live for eight operations and are written to, so that reuse costs what it does in a program.",
        operation: "alloc_zeroed + free",
        step: "alloc_zeroed + free",
        probes: &[Probe::Time, Probe::Latency],
        parameters: &[Parameter { name: "size", title: "bytes in the block", axis: Axis::Bytes }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope
            .pick(vec![4096], vec![64, 1024, 4096, 65_536, 1 << 20])
            .into_iter()
            .map(|size| Self { size })
            .collect()
    }

    fn params(&self) -> Params {
        Params::default().with("size", self.size)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: false, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand {
            block: Some(Sizes::layout(self.size)),
            live_blocks: RING,
            pass_bytes: (RING + self.operations()) * self.size,
            threads: 1,
        }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(self.operations()))
    }
}

impl OneThread for Zeroed {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, _seed: u64, drive: Drive<'_>) {
        let ring = Table::new(RING, |_| Slot::EMPTY);
        let size = Sizes::size(self.size);
        let mut body = Ring { operations: self.operations(), size, ring, filled: false, heap, mode };
        drive(&mut body);
        body.drain();
    }
}

struct Ring<'h, H: Heap, M: Mode> {
    operations: usize,
    size: NonZeroU32,
    ring: Table<Slot>,
    /// Whether every slot holds a live block of the heap.
    filled: bool,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Ring<'_, H, M> {
    fn fill(&mut self) {
        let handle = self.heap.handle();
        for slot in self.ring.iter_mut() {
            *slot = take_zeroed(handle, self.size, self.mode);
        }
        self.filled = true;
    }

    fn drain(&mut self) {
        if !std::mem::take(&mut self.filled) {
            return;
        }
        let handle = self.heap.handle();
        for slot in self.ring.iter() {
            // SAFETY: every slot of a filled ring holds a live block, and the ring no longer counts as filled.
            unsafe { slot.free(handle, self.mode) };
        }
    }
}

impl<H: Heap, M: Mode> Body for Ring<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        // A heap that does not free starts each pass afresh, off the clock.
        if !H::FREES {
            self.drain();
            self.heap.reset();
        }
        if !self.filled {
            self.fill();
        }
        let handle = self.heap.handle();
        // The size is not a constant to the compiler, as it is not in `vec![0; n]`.
        let size = black_box(self.size);
        timed(clock, self.operations, || {
            self.mode.begin();
            for index in 0..self.operations {
                let slot = &mut self.ring[index % RING];
                // SAFETY: every slot holds a live block; this one is overwritten in the next line.
                unsafe { slot.free(handle, self.mode) };
                *slot = take_zeroed(handle, size, self.mode);
                self.mode.step();
            }
        })
    }
}

/// As [`Slot::take`], of a block that is zero before it is filled.
#[inline(always)]
fn take_zeroed<A: Allocator, M: Mode>(allocator: A, size: NonZeroU32, mode: &mut M) -> Slot {
    let bytes = size.get() as usize;
    let layout = Sizes::layout(bytes);
    let block = match allocator.allocate_zeroed(layout) {
        Ok(block) => opaque(block.cast()),
        Err(_) => refused(layout),
    };
    // SAFETY: the block has `bytes` bytes, which `allocate_zeroed` initialised, and is ours alone.
    unsafe {
        mode.expect_zeroes(block, bytes);
        mode.fill(block, bytes);
    }
    Slot { block, size }
}

#[cfg(test)]
mod tests {
    use std::alloc::Layout;
    use std::ptr::NonNull;

    use allocator_api2::alloc::{AllocError, System};

    use super::*;
    use crate::allocators::contract::Subject;
    use crate::workloads::heap::Individually;
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    /// Hands out zeroes with a stain at byte `STAIN`, if the block reaches so far.
    struct Stained<const STAIN: usize>;

    // SAFETY: every call is the system's; a byte inside a block that nobody has yet is written.
    unsafe impl<const STAIN: usize> Allocator for &Stained<STAIN> {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            System.allocate(layout)
        }

        fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            let block = System.allocate_zeroed(layout)?;
            if STAIN < layout.size() {
                // SAFETY: the byte is inside the block.
                unsafe { block.cast::<u8>().add(STAIN).write(1) };
            }
            Ok(block)
        }

        unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promises, passed on.
            unsafe { System.deallocate(block, layout) };
        }
    }

    impl<const STAIN: usize> Subject for Stained<STAIN> {
        type Handle<'a> = &'a Self;

        fn for_demand(_demand: &Demand) -> Result<Self, AllocError> {
            Ok(Self)
        }

        fn handle(&self) -> &Self {
            self
        }

        fn owns(&self, _block: NonNull<u8>) -> bool {
            true
        }
    }

    fn fault<const STAIN: usize>() -> Option<String> {
        let mut mode = Pattern::new();
        Zeroed { size: 4096 }.open(&mut Individually(Stained::<STAIN>), &mut mode, 1, &mut |body| {
            body.pass(&WallClock::new());
        });
        mode.fault().map(str::to_owned)
    }

    #[test]
    fn a_block_that_is_not_zero_is_found_wherever_it_is_not() {
        assert_eq!(fault::<4096>(), None);
        assert!(fault::<0>().unwrap().contains("byte 0 "));
        assert!(fault::<2049>().unwrap().contains("byte 2049 "));
        assert!(fault::<4095>().unwrap().contains("byte 4095 "));
    }
}
