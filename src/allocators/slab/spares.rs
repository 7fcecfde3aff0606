//! Mappings of huge blocks that were freed, for the next huge block of about that size: a program that allocates and
//! frees a buffer of megabytes in turn would otherwise have the kernel zero its pages each time, which costs several
//! times what the program does with them.

use crate::allocators::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::ptr::{self, NonNull};

/// The most that all spares hold together. It bounds what an idle program keeps; larger buffers are rare enough, and
/// used long enough, to come from the kernel.
pub(super) const MOST_BYTES: usize = 32 << 20;

/// Few, because each search looks at all of them.
const MOST: usize = 4;

static SLOTS: [AtomicPtr<Spare>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];
static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Somebody took a spare since it was last asked.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// At the begin of a spare mapping.
struct Spare {
    mapped: usize,
}

/// A mapping of whole regions that nobody uses; its content is undefined.
pub(super) struct Mapping {
    pub(super) start: NonNull<u8>,
    pub(super) bytes: usize,
}

/// Keeps a mapping, or returns it.
///
/// # Safety
/// A registered mapping of `huge` that nobody uses.
pub(super) unsafe fn keep(mapping: Mapping) -> Result<(), Mapping> {
    // Relaxed: only the sum matters. Added before it is compared, so that threads together cannot exceed the bound.
    let before = HELD_BYTES.fetch_add(mapping.bytes, Ordering::Relaxed);
    if mapping.bytes <= MOST_BYTES && before <= MOST_BYTES - mapping.bytes {
        let spare = mapping.start.cast::<Spare>();
        // SAFETY: the mapping is the caller's, longer than a `Spare`, and page-aligned.
        unsafe { spare.write(Spare { mapped: mapping.bytes }) };
        for slot in &SLOTS {
            // Release: the taker must see what is written above. Relaxed on failure: nothing is read.
            let kept =
                slot.compare_exchange(ptr::null_mut(), spare.as_ptr(), Ordering::Release, Ordering::Relaxed);
            if kept.is_ok() {
                return Ok(());
            }
        }
    }
    HELD_BYTES.fetch_sub(mapping.bytes, Ordering::Relaxed);
    Err(mapping)
}

/// A spare of `bytes` or up to twice that; those that do not fit go through `reject`.
pub(super) fn take(bytes: usize, mut reject: impl FnMut(Mapping)) -> Option<Mapping> {
    for slot in &SLOTS {
        let Some(mapping) = take_from(slot) else { continue };
        if mapping.bytes >= bytes && mapping.bytes / 2 <= bytes {
            // Relaxed: a hint.
            TAKEN.store(true, Ordering::Relaxed);
            return Some(mapping);
        }
        // Only its holder may look into a mapping, so it had to be taken to be measured.
        // SAFETY: it was a spare until now.
        if let Err(mapping) = unsafe { keep(mapping) } {
            reject(mapping);
        }
    }
    None
}

/// Whether a spare was of use since the last call.
pub(super) fn were_taken() -> bool {
    // Relaxed: a hint.
    TAKEN.swap(false, Ordering::Relaxed)
}

/// Takes all spares.
pub(super) fn take_all() -> impl Iterator<Item = Mapping> {
    SLOTS.iter().filter_map(take_from)
}

fn take_from(slot: &AtomicPtr<Spare>) -> Option<Mapping> {
    // Relaxed: only to avoid writing to empty slots.
    if slot.load(Ordering::Relaxed).is_null() {
        return None;
    }
    // Acquire: pairs with the release in `keep`.
    let spare = NonNull::new(slot.swap(ptr::null_mut(), Ordering::Acquire))?;
    // SAFETY: what lies in a slot is a mapping with a `Spare` at its begin, and the swap made it ours alone.
    let bytes = unsafe { spare.read().mapped };
    HELD_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    Some(Mapping { start: spare.cast(), bytes })
}
