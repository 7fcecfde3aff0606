//! Blocks larger than any class, or aligned to more than a slice: each has a mapping of its own.
//!
//! ```text
//! ├ region boundary                                                    region boundary ┤
//! │ (not touched) │ header │ block …                          │ room to grow, not touched │
//! │◀──────── lead ────────▶│
//! ```
//!
//! The lead is one kernel page, or the alignment if that is more. The mapping is a multiple of 4 MiB in size and
//! address, so that no region holds anybody else's memory and `owns` is exact; what lies behind the block costs address
//! space only, and lets it grow without a call to the kernel.

use crate::allocators::sync::{AtomicUsize, Ordering::Relaxed};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

use super::geometry::SEGMENT;
use super::spares::{self, Mapping};
use super::{fault, regions, reserve};
use crate::allocators::pages::{self, CannotExtend};
use crate::allocators::poison;

/// In the 64 B in front of each huge block.
#[repr(C, align(64))]
struct Header {
    /// Where the mapping begins.
    base: usize,
    /// The mapping's length.
    mapped: usize,
    /// The block's size as last requested.
    size: usize,
    /// Differs from block to block, and is gone when the block is: debug builds look at it.
    mark: usize,
}

const MARK: usize = 0x6875_6765_626C_6F63_u64 as usize;

static BLOCKS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// How far the block lies behind the mapping's begin: whole pages, so that the block's pages hold nothing else.
fn lead(align: usize) -> usize {
    align.max(pages::PAGE)
}

/// The length of a mapping for `size` bytes; `None` when it exceeds the address space.
fn mapping_length(size: usize, align: usize) -> Option<usize> {
    // The bound keeps pointer differences within isize.
    let length = size.checked_add(lead(align))?.checked_next_multiple_of(SEGMENT)?;
    (length <= isize::MAX as usize).then_some(length)
}

/// The header of the live huge block at `block`.
fn header_of(block: *mut u8) -> *mut Header {
    let header = ptr::with_exposed_provenance_mut::<Header>(block.addr() - size_of::<Header>());
    if cfg!(debug_assertions) {
        // The region is asked first: a foreign pointer's neighbourhood may not be readable.
        // SAFETY: in a region of ours in which `block` is the block, the header is mapped and written.
        if !regions::contains(block.addr()) || unsafe { (*header).mark } != block.addr() ^ MARK {
            fault::die(block.addr(), "not a live block of this allocator, or not of this layout");
        }
    }
    header
}

/// A block for `layout`, or null; and whether it is known to be zero.
#[cold]
pub(super) fn allocate(layout: Layout) -> (*mut u8, bool) {
    try_allocate(layout.size(), layout.align()).unwrap_or((ptr::null_mut(), false))
}

fn try_allocate(size: usize, align: usize) -> Option<(*mut u8, bool)> {
    let wanted = mapping_length(size, align)?;
    // Spares are aligned to a segment.
    let spare = if align <= SEGMENT { spares::take(wanted) } else { None };
    let (start, block, zero) = match spare {
        // SAFETY: the mapping is as long as `wanted`, which includes the lead.
        Some(spare) => (spare.start, unsafe { spare.start.as_ptr().add(lead(align)) }, false),
        None => {
            let (start, block) = map(wanted, align)?;
            (start, block, true)
        }
    };
    spares::count_live(wanted);
    // A spare may have held a block at another place.
    poison::unpoison(start.as_ptr(), wanted);
    poison::bound(block, size, wanted - lead(align));
    // SAFETY: `lead` is at least a page, so the header lies in the mapping in front of the block, and is aligned
    // because the block is.
    unsafe {
        block.cast::<Header>().sub(1).write(Header {
            base: start.addr().get(),
            mapped: wanted,
            size,
            mark: block.addr() ^ MARK,
        });
    }
    BLOCKS.fetch_add(1, Relaxed);
    BYTES.fetch_add(size, Relaxed);
    Some((block, zero))
}

/// Maps and registers; returns the begin and where the block goes.
fn map(mapped: usize, align: usize) -> Option<(NonNull<u8>, *mut u8)> {
    let new = || pages::map_aligned(mapped, align.max(SEGMENT)).ok();
    // What is kept must not be what is missing.
    let start = new().or_else(|| {
        release_spares();
        reserve::release_all();
        new()
    })?;
    let base = start.as_ptr().expose_provenance();
    if !regions::mark(base, mapped / SEGMENT, false) {
        // SAFETY: it was mapped above and nobody has seen it.
        unsafe { pages::unmap(start, mapped) };
        return None;
    }
    reserve::count_mapped(mapped);
    // SAFETY: the mapping is longer than `lead`.
    Some((start, unsafe { start.as_ptr().add(lead(align)) }))
}

/// Frees a huge block: its mapping becomes a spare or goes back to the operating system.
///
/// # Safety
/// A live huge block, which nobody uses any more.
#[cold]
pub(super) unsafe fn free(block: *mut u8) {
    let header = header_of(block);
    // SAFETY: the block is live, so its header is mapped and written.
    let (base, mapped, size) = unsafe { ((*header).base, (*header).mapped, (*header).size) };
    BLOCKS.fetch_sub(1, Relaxed);
    BYTES.fetch_sub(size, Relaxed);
    // SAFETY: as above. A second free of the block finds no mark.
    unsafe { (*header).mark = 0 };
    poison::poison(block, base + mapped - block.addr());
    // SAFETY: the header says what was mapped, and with the block its mapping is nobody's.
    unsafe { retire(base, mapped) };
}

/// Makes a spare of what a live block no longer uses.
///
/// # Safety
/// A mapping of `map` or a part of one, whole regions counted as live, which nobody uses any more.
unsafe fn retire(base: usize, bytes: usize) {
    spares::count_dead(bytes);
    if let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(base)) {
        // SAFETY: as the caller says.
        unsafe { spares::keep(Mapping { start, bytes }, give_back) };
    }
}

/// The bytes of a huge block's pages.
///
/// # Safety
/// A live huge block.
pub(super) unsafe fn usable(block: *mut u8) -> usize {
    // SAFETY: the block is live, so its header is mapped and written.
    unsafe { (*header_of(block)).size }.next_multiple_of(pages::PAGE)
}

/// Gives back what was a spare, or should have become one.
fn give_back(mapping: Mapping) {
    // SAFETY: a `Mapping` is whole, registered, and nobody uses it.
    unsafe { unmap(mapping.start.addr().get(), mapping.bytes) };
}

/// Gives back the spares that the program has not needed lately.
pub(super) fn decay() {
    spares::shed(give_back);
}

/// Gives all spares back to the operating system.
pub(super) fn release_spares() {
    spares::release(give_back);
}

/// # Safety
/// A mapping of `map` or a part of one, whole regions, which nobody uses any more.
unsafe fn unmap(base: usize, bytes: usize) {
    regions::unmark(base, bytes / SEGMENT, false);
    if let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(base)) {
        // SAFETY: as the caller says.
        unsafe { pages::unmap(start, bytes) };
    }
    reserve::count_unmapped(bytes);
}

/// Changes a huge block's size to another that is huge as well. Null if that is not possible; then nothing has changed.
///
/// # Safety
/// A live huge block of alignment `align`; after success only the returned pointer may be used.
#[cold]
pub(super) unsafe fn resize(block: *mut u8, align: usize, size: usize) -> *mut u8 {
    let header = header_of(block);
    let Some(wanted) = mapping_length(size, align) else { return ptr::null_mut() };
    // SAFETY: the block is live, so its header is mapped and written.
    let (base, mapped, old_size) = unsafe { ((*header).base, (*header).mapped, (*header).size) };
    let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(base)) else {
        return ptr::null_mut();
    };

    let mut now_mapped = mapped;
    if wanted < mapped && size < old_size {
        // SAFETY: the regions behind the block's new end hold nothing that is kept.
        unsafe { retire(base + wanted, mapped - wanted) };
        now_mapped = wanted;
    } else if wanted > mapped && spares::take_behind(base + mapped, wanted - mapped) {
        spares::count_live(wanted - mapped);
        now_mapped = wanted;
    } else if wanted > mapped {
        // SAFETY: the mapping is ours.
        if let Err(reason) = unsafe { pages::extend(start, mapped, wanted) } {
            // SAFETY: as the caller says.
            return unsafe { resize_elsewhere(start, mapped, block, align, size, reason) };
        }
        if !regions::mark(base + mapped, (wanted - mapped) / SEGMENT, false) {
            if let Some(tail) = NonNull::new(ptr::with_exposed_provenance_mut(base + mapped)) {
                // SAFETY: just mapped by `extend`, and nobody has seen it.
                unsafe { pages::unmap(tail, wanted - mapped) };
            }
            return ptr::null_mut();
        }
        reserve::count_mapped(wanted - mapped);
        spares::count_live(wanted - mapped);
        now_mapped = wanted;
    }
    if size < old_size {
        give_back_tail(block.addr() + size, (block.addr() + old_size).min(base + now_mapped));
    }
    // SAFETY: the header is still mapped: the lead and the block's begin are never cut off.
    unsafe {
        (*header).mapped = now_mapped;
        (*header).size = size;
    }
    poison::bound(block, size, base + now_mapped - block.addr());
    BYTES.fetch_add(size, Relaxed);
    BYTES.fetch_sub(old_size, Relaxed);
    // Not `block` itself: the caller's pointer may have the right to the old size alone.
    ptr::with_exposed_provenance_mut(block.addr())
}

/// Gives back the whole pages in `[from, to)`, which a block left behind by shrinking.
fn give_back_tail(from: usize, to: usize) {
    let page = pages::page_size();
    let (from, to) = (from.next_multiple_of(page), to.next_multiple_of(page));
    if from < to
        && let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(from))
    {
        // SAFETY: whole pages of the block's mapping (its end is a multiple of pages) behind the block's new end.
        unsafe { pages::decommit(start, to - from) };
    }
}

/// Moves the block to a larger mapping, by moving pages where the kernel can. Null if there is no memory; then nothing has
/// changed.
///
/// # Safety
/// As for [`resize`]; `start` and `mapped` are the block's mapping, which could not be extended for `reason`.
unsafe fn resize_elsewhere(
    start: NonNull<u8>,
    mapped: usize,
    block: *mut u8,
    align: usize,
    size: usize,
    reason: CannotExtend,
) -> *mut u8 {
    let Some(wanted) = mapping_length(size, align) else { return ptr::null_mut() };
    let moved = match reason {
        // SAFETY: as the caller says.
        CannotExtend::NoRoom => unsafe { move_mapping(start, mapped, wanted, align) },
        CannotExtend::NotResizable => None,
    };
    // SAFETY: as the caller says; where the mapping was not moved, nothing has changed.
    let moved = moved.or_else(|| unsafe { copy_mapping(start, mapped, block, wanted, align) });
    let Some((new_start, new_block)) = moved else { return ptr::null_mut() };
    spares::count_live(wanted - mapped);
    // SAFETY: the header came along with the pages or was copied; the lead is the same, so it lies in front of the block.
    unsafe {
        let header = new_block.cast::<Header>().sub(1);
        let old_size = (*header).size;
        header.write(Header {
            base: new_start.addr().get(),
            mapped: wanted,
            size,
            mark: new_block.addr() ^ MARK,
        });
        BYTES.fetch_add(size, Relaxed);
        BYTES.fetch_sub(old_size, Relaxed);
    }
    poison::bound(new_block, size, wanted - lead(align));
    new_block
}

/// Moves a mapping's pages to a larger one; returns its begin and where the block is now. `None` if that is not possible;
/// then nothing has changed.
///
/// # Safety
/// A mapping of `map` with this alignment; after success nobody uses it.
unsafe fn move_mapping(
    start: NonNull<u8>,
    mapped: usize,
    wanted: usize,
    align: usize,
) -> Option<(NonNull<u8>, *mut u8)> {
    let (new_start, new_block) = map(wanted, align)?;
    let (base, new_base) = (start.addr().get(), new_start.addr().get());
    // The kernel moves only if the process may have what is added beside both mappings. It is asked before, because a move
    // that fails costs the new mapping.
    let Ok(added) = pages::map(wanted - mapped) else {
        // SAFETY: mapped above, and nobody has seen it.
        unsafe { unmap(new_base, wanted) };
        return None;
    };
    // SAFETY: mapped with this length, and nobody has seen it.
    unsafe { pages::unmap(added, wanted - mapped) };
    // Both before the move: right after it another thread may be given the addresses that we have lost, the old ones or,
    // if it failed, the new ones, and note that they are its own.
    regions::unmark(base, mapped / SEGMENT, false);
    regions::unmark(new_base, wanted / SEGMENT, false);
    // SAFETY: two mappings of ours, of which the new one is longer and nobody knows it. The caller uses the old one no more
    // after success, and after failure the new one is forgotten here.
    let moved = unsafe { pages::move_pages(start, mapped, new_start, wanted) };
    let ((base, bytes), lost) = if moved { ((new_base, wanted), mapped) } else { ((base, mapped), wanted) };
    let noted = regions::mark(base, bytes / SEGMENT, false);
    debug_assert!(noted, "what was noted once can be noted again");
    reserve::count_unmapped(lost);
    moved.then_some((new_start, new_block))
}

/// Copies the block and its header to a new mapping; returns its begin and where the block is now. `None` if there is no
/// memory; then nothing has changed.
///
/// # Safety
/// `block` is a live huge block, and `start` and `mapped` are its mapping, shorter than `wanted`; after success nobody uses
/// them.
unsafe fn copy_mapping(
    start: NonNull<u8>,
    mapped: usize,
    block: *mut u8,
    wanted: usize,
    align: usize,
) -> Option<(NonNull<u8>, *mut u8)> {
    let header = header_of(block);
    let (new_start, new_block) = map(wanted, align)?;
    // SAFETY: two different mappings, with the same lead; the old block has as many bytes as its header says, and the new
    // one more, since its mapping is longer. With its content copied the old mapping is nobody's.
    unsafe {
        new_block.copy_from_nonoverlapping(block, (*header).size);
        new_block.cast::<Header>().sub(1).write(header.read());
        unmap(start.addr().get(), mapped);
    }
    Some((new_start, new_block))
}

/// Huge blocks that are live, and their bytes.
pub(super) fn live() -> (usize, usize) {
    (BLOCKS.load(Relaxed), BYTES.load(Relaxed))
}
