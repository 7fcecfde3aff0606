//! The heap walker: every invariant of the calling thread's heap, checked. Debug builds only, for tests.

use std::cell::Cell;

use super::block::Block;
use super::class::Class;
use super::fault;
use super::geometry::{SLICES, mask};
use super::heap::Heap;
use super::segment::SegmentRef;
use super::span::{SpanRef, State};
use super::{regions, thread};

/// An invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub what: &'static str,
    /// The segment, span header or block where it is.
    pub address: usize,
}

fn require(condition: bool, what: &'static str, address: usize) -> Result<(), Fault> {
    if condition { Ok(()) } else { Err(Fault { what, address }) }
}

/// Walks the calling thread's heap. Returns its live blocks, those included that others have freed and it has not
/// collected.
pub(super) fn check() -> Result<usize, Fault> {
    let heap = thread::current();
    if heap.is_placeholder() {
        return Ok(0);
    }
    let (mut live, mut available, mut current) = (0, 0, 0);
    for (list, packed) in [(&heap.roomy, false), (&heap.packed, true)] {
        each_segment(list, |segment| {
            require(segment.is_packed() == packed, "a segment is in the wrong list", segment.base())?;
            let spans = check_segment(heap, segment)?;
            live += spans.live;
            available += spans.available;
            current += spans.current;
            Ok(())
        })?;
    }
    let listed = check_bins(heap, available, current)?;
    Ok(live - listed)
}

fn each_segment(
    list: &Cell<Option<SegmentRef>>,
    mut visit: impl FnMut(SegmentRef) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (mut previous, mut next) = (None, list.get());
    while let Some(segment) = next {
        require(segment.previous.get() == previous, "segment links disagree", segment.base())?;
        visit(segment)?;
        (previous, next) = (Some(segment), segment.next.get());
    }
    Ok(())
}

#[derive(Default)]
struct Sums {
    live: usize,
    available: usize,
    current: usize,
}

fn check_segment(heap: &Heap, segment: SegmentRef) -> Result<Sums, Fault> {
    let base = segment.base();
    require(regions::is_segment(base), "a segment is not registered", base)?;
    require(std::ptr::eq(segment.owner(), heap), "a segment has another owner", base)?;
    let (mut sums, mut used) = (Sums::default(), 0);
    for slice in 1..SLICES {
        let span = segment.span_at(slice);
        if span.state() == State::Unused {
            continue;
        }
        let shape = span.class().shape();
        let slices = mask(slice as u32, shape.slices);
        require(used & slices == 0, "two spans share a slice", span.address())?;
        used |= slices;
        for inner in slice..slice + shape.slices as usize {
            let address = segment.slice_start(inner).addr();
            require(segment.span_of(address) == span, "a slice leads to another span", address)?;
        }
        check_span(span)?;
        sums.live += span.live() as usize;
        sums.available += usize::from(span.state() == State::Available);
        sums.current += usize::from(span.state() == State::Current);
    }
    // All but the header's slice.
    require(used == !segment.free() & !1, "used slices and spans disagree", base)?;
    Ok(sums)
}

fn check_span(span: SpanRef) -> Result<(), Fault> {
    let (shape, at) = (span.class().shape(), span.address());
    require(span.carved() <= shape.capacity, "more blocks are carved than there are", at)?;
    let mut listed = 0;
    let mut block = span.first_free();
    while !block.is_null() {
        require_block(span, block)?;
        listed += 1;
        require(listed <= span.carved(), "a free list has a cycle", at)?;
        // SAFETY: it was just checked to be a block of the span, which is ours.
        block = unsafe { Block::next(block) };
    }
    require(listed + span.live() == span.carved(), "free and live blocks are not all blocks", at)?;
    match span.state() {
        State::Full => require(span.carved() == shape.capacity, "a full span is not carved out", at),
        State::Available => require(span.live() > 0, "an empty span is kept", at),
        State::Current => require(span.countdown() >= 1, "a current span has counted down", at),
        State::Unused => Ok(()),
    }
}

fn check_bins(heap: &Heap, mut available: usize, mut current: usize) -> Result<usize, Fault> {
    let mut listed = 0;
    for (index, bin) in heap.bins.iter().enumerate() {
        let class = Class::from_index(index);
        let span = bin.current.get();
        if span.state() != State::Unused {
            let right = span.state() == State::Current && Some(span.class()) == class;
            require(right && current > 0, "a bin's current span is not its own", span.address())?;
            current -= 1;
        }
        let mut block = bin.list.get();
        let mut of_bin = 0;
        while !block.is_null() {
            require(span.state() == State::Current, "a bin without span has blocks", block.addr())?;
            require_block(span, block)?;
            of_bin += 1;
            require(of_bin <= span.live(), "a bin's list has a cycle", block.addr())?;
            // SAFETY: it was just checked to be a block of the span, which is ours.
            block = unsafe { Block::next(block) };
        }
        listed += of_bin as usize;
        let (mut previous, mut next) = (None, bin.available.get());
        while let Some(span) = next {
            let right = span.state() == State::Available && Some(span.class()) == class;
            require(right && available > 0, "an available span is not in its bin", span.address())?;
            require(span.previous.get() == previous, "span links disagree", span.address())?;
            available -= 1;
            (previous, next) = (Some(span), span.next.get());
        }
    }
    require(available == 0 && current == 0, "a span is in no bin", std::ptr::from_ref(heap).addr())?;
    Ok(listed)
}

fn require_block(span: SpanRef, block: *mut Block) -> Result<(), Fault> {
    let offset = block.addr().wrapping_sub(span.start().addr());
    let size = span.class().shape().block;
    let inside = offset.is_multiple_of(size) && offset / size < span.carved() as usize;
    require(inside, "a free block is not a block of its span", block.addr())
}

/// Ends the process if `block` cannot be a live block of class `class`.
pub(super) fn check_free(block: *mut Block, class: Class) {
    let address = block.addr();
    if !regions::is_segment(address) {
        fault::die(address, "not a block of this allocator, or not of this layout");
    }
    // SAFETY: the region is a segment; if the program lies about the block being live, it may be unmapped under us,
    // which ends the process too.
    let segment = unsafe { SegmentRef::of(address) };
    let span = segment.span_of(address);
    if span.state() == State::Unused {
        fault::die(address, "freed twice, or not a block");
    }
    if span.class() != class {
        fault::die(address, "freed with another layout than it was allocated with");
    }
    let offset = address.wrapping_sub(span.start().addr());
    let block = class.shape().block;
    if !offset.is_multiple_of(block) || offset / block >= span.carved() as usize {
        fault::die(address, "freed in the middle of a block");
    }
}
