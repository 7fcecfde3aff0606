//! Size classes: which block sizes exist, and how a class's span is cut. Arithmetic only, nothing here touches memory.
//!
//! Up to 128 B the classes are 16 B apart, above that there are four in each doubling:
//!
//! ```text
//! 16 32 48 64 80 96 112 128 | 160 192 224 256 | 320 384 448 512 | … | 2.5 MiB 3 MiB 3.5 MiB
//! ```
//!
//! A request wastes at most 15 B up to 128 B, and less than a quarter of itself above (129 B in a block of 160 B is the
//! worst). Four in each doubling is the spacing that jemalloc settled on; eight would halve the waste and double the
//! number of half-empty spans that each thread holds.

#![forbid(unsafe_code)]

use std::alloc::Layout;

use super::geometry::SLICE;

/// Distance of the small classes, the smallest block and the alignment of every block. A free block must hold two words
/// (its link and, in a message, the message's link), and four low bits of a block's address must be zero, in which a
/// message keeps its length: both need 16 B.
pub(super) const STEP: usize = 16;

/// Up to here the classes are [`STEP`] apart: where a quarter of a doubling becomes larger than that.
const LINEAR_MAX: usize = 128;

/// The largest block that comes from a segment: the last class that fits the 63 slices of one. Larger blocks are
/// mapped alone.
pub(super) const MAX_BLOCK: usize = 56 * SLICE;

/// Requests up to this size find their class in a table of 65 bytes, one cache line and a byte; above it arithmetic
/// costs less than what is done with the block.
const TABLE_MAX: usize = 1024;

/// How many size classes there are.
pub const CLASSES: usize = of_size(MAX_BLOCK) as usize + 1;

/// One size class. Invariant: the number is less than [`CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u8);

/// What is fixed for all spans of a class.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Bytes of one block.
    pub(super) block: usize,
    /// Slices of one span.
    pub(super) slices: u32,
    /// Blocks of one span.
    pub(super) capacity: u32,
    /// How many blocks must be freed in a full span before it is put to use again. One block at a time would bring a
    /// span back for every single free; an eighth bounds what lies unused to an eighth of the span.
    pub(super) wake: u32,
    /// How many blocks a remote-free message may collect: at most 16, the count that fits four bits, and at most 8 KiB,
    /// so that what waits in a thread's outbox stays small.
    pub(super) batch: u32,
    /// 1 if the span in use is kept although all its blocks are free, else 0. Kept up to 128 KiB, where a program that
    /// allocates and frees one block in turn would notice; a larger span is given up, since it holds too much memory.
    pub(super) pin: u32,
}

static SHAPES: [Shape; CLASSES] = {
    let mut shapes = [Shape { block: 0, slices: 0, capacity: 0, wake: 0, batch: 0, pin: 0 }; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        shapes[class] = shape_of(block_size(class));
        class += 1;
    }
    shapes
};

/// The class of each multiple of [`STEP`] up to [`TABLE_MAX`].
static TABLE: [Class; TABLE_MAX / STEP + 1] = {
    let mut table = [Class(0); TABLE_MAX / STEP + 1];
    let mut steps = 1;
    while steps <= TABLE_MAX / STEP {
        table[steps] = Class(of_size(steps * STEP));
        steps += 1;
    }
    table
};

/// The class number of a size from 1 to [`MAX_BLOCK`].
const fn of_size(size: usize) -> u8 {
    if size <= LINEAR_MAX {
        return (size.div_ceil(STEP) - 1) as u8;
    }
    // The last byte of the block decides: its highest bit is the doubling, the two bits below it the quarter.
    let last = size - 1;
    let doubling = last.ilog2();
    let quarter = (last >> (doubling - 2)) & 3;
    let first = LINEAR_MAX / STEP;
    (first + (doubling - LINEAR_MAX.ilog2()) as usize * 4 + quarter) as u8
}

/// The block size of class number `class`: the inverse of [`of_size`].
const fn block_size(class: usize) -> usize {
    let linear = LINEAR_MAX / STEP;
    if class < linear {
        return (class + 1) * STEP;
    }
    let (doubling, quarter) = ((class - linear) / 4, (class - linear) % 4);
    ((5 + quarter) << doubling) * (LINEAR_MAX / 4)
}

/// Spans of one slice hold at least eight blocks, spans of eight slices at least four; a larger block is alone in its
/// span. What is left over at a span's end is at most an eighth of it, and is never touched.
const fn shape_of(block: usize) -> Shape {
    let slices = if block <= SLICE / 8 {
        1
    } else if block <= 2 * SLICE {
        8
    } else {
        block.div_ceil(SLICE)
    };
    let capacity = slices * SLICE / block;
    Shape {
        block,
        slices: slices as u32,
        capacity: capacity as u32,
        wake: between(1, capacity / 8, capacity) as u32,
        batch: between(1, 8192 / block, 16) as u32,
        pin: (block <= 2 * SLICE) as u32,
    }
}

const fn between(least: usize, value: usize, most: usize) -> usize {
    if value < least {
        least
    } else if value > most {
        most
    } else {
        value
    }
}

/// Whether a request is served by a mapping of its own. For all others there is a class.
#[inline]
pub(super) const fn is_huge(layout: Layout) -> bool {
    layout.size() > MAX_BLOCK || layout.align() > SLICE
}

impl Class {
    /// The class that serves `layout`; `None` where [`is_huge`]. Requests of zero bytes are served as one byte.
    #[inline]
    pub(super) const fn of(layout: Layout) -> Option<Self> {
        match Self::of_small(layout) {
            None => Self::of_large_or_aligned(layout),
            class => class,
        }
    }

    /// The class of a layout of up to 1 KiB that is no more aligned than every block is: one look-up.
    #[inline]
    pub(super) const fn of_small(layout: Layout) -> Option<Self> {
        if layout.size() <= TABLE_MAX && layout.align() <= STEP {
            return Some(TABLE[layout.size().div_ceil(STEP)]);
        }
        None
    }

    #[inline]
    const fn of_large_or_aligned(layout: Layout) -> Option<Self> {
        if is_huge(layout) {
            return None;
        }
        let align = layout.align();
        if align <= STEP {
            return Some(Self(of_size(layout.size())));
        }
        // Spans begin at a slice, so a block is as aligned as the block size is. At most three steps up is a power of
        // two, which is a multiple of `align` because it is no smaller; no step leaves the classes, because MAX_BLOCK
        // is a multiple of SLICE and `align` is at most that.
        let mut class =
            of_size(if layout.size() == 0 { align } else { layout.size().next_multiple_of(align) });
        while !block_size(class as usize).is_multiple_of(align) {
            class += 1;
        }
        Some(Self(class))
    }

    /// The class with this number.
    pub(super) const fn from_index(index: usize) -> Option<Self> {
        if index < CLASSES { Some(Self(index as u8)) } else { None }
    }

    /// Less than [`CLASSES`].
    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// What its spans look like.
    #[inline]
    pub(super) const fn shape(self) -> &'static Shape {
        &SHAPES[self.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::SLICES;
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a valid layout")
    }

    #[test]
    fn every_size_gets_the_smallest_block_that_holds_it() {
        let mut class = 0;
        for size in 1..=MAX_BLOCK {
            if size > block_size(class) {
                class += 1;
            }
            let found = Class::of(layout(size, 1)).expect("not huge");
            assert!(found.index() == class, "size {size}");
        }
        assert_eq!(class, CLASSES - 1);
        assert!(Class::of(layout(MAX_BLOCK + 1, 1)).is_none());
    }

    #[test]
    fn waste_is_at_most_15_bytes_up_to_128_and_a_quarter_above() {
        for size in 1..=MAX_BLOCK {
            let block = block_size(of_size(size) as usize);
            let waste = block - size;
            assert!(if size <= 128 { waste <= 15 } else { waste * 4 < size }, "size {size} in {block}");
            assert!(size <= 64 || waste * 4 < size);
        }
    }

    #[test]
    fn classes_ascend_and_are_multiples_of_the_step() {
        for class in 0..CLASSES {
            assert_eq!(block_size(class) % STEP, 0);
            assert!(class == 0 || block_size(class) > block_size(class - 1));
            assert_eq!(of_size(block_size(class)) as usize, class);
        }
        assert_eq!(block_size(CLASSES - 1), MAX_BLOCK);
    }

    #[test]
    fn every_alignment_up_to_a_slice_is_served_by_an_aligned_block() {
        for shift in 0..=SLICE.ilog2() {
            let align = 1 << shift;
            for class in 0..CLASSES {
                for size in [block_size(class) - 1, block_size(class), block_size(class) + 1] {
                    let Some(found) = Class::of(layout(size, align)) else {
                        assert!(size > MAX_BLOCK);
                        continue;
                    };
                    let block = found.shape().block;
                    assert!(block >= size && block.is_multiple_of(align), "size {size} align {align}");
                    // The whole block may be named when it is freed: it must lead to the same class.
                    assert_eq!(Class::of(layout(block, align)), Some(found));
                }
            }
        }
        assert!(Class::of(layout(1, SLICE * 2)).is_none());
    }

    #[test]
    fn zero_bytes_have_a_class_at_every_alignment() {
        for shift in 0..=SLICE.ilog2() {
            let class = Class::of(layout(0, 1 << shift)).expect("not huge");
            assert!(class.shape().block.is_multiple_of(1 << shift));
        }
    }

    #[test]
    fn spans_fit_a_segment_and_leave_at_most_an_eighth_unused() {
        for index in 0..CLASSES {
            let shape = Class::from_index(index).expect("in range").shape();
            let bytes = shape.slices as usize * SLICE;
            let used = shape.capacity as usize * shape.block;
            assert!((shape.slices as usize) < SLICES && used <= bytes && shape.capacity >= 1);
            assert!(shape.capacity == 1 || (bytes - used) * 8 <= bytes, "class {index}");
            assert!(shape.wake >= 1 && shape.wake <= shape.capacity);
            assert!((1..=16).contains(&shape.batch));
        }
        assert!(Class::from_index(CLASSES).is_none());
    }

    #[test]
    fn the_class_of_a_layout_known_at_compile_time_is_a_constant() {
        const CLASS: Option<Class> = Class::of(Layout::new::<[u64; 8]>());
        assert_eq!(CLASS.map(|class| class.shape().block), Some(64));
    }
}
