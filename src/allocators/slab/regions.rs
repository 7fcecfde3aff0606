//! Which 4 MiB regions of the address space are ours: what `owns` asks, for any address, without touching it.
//!
//! ```text
//! address = root index (11 bits) · region (15 bits) · offset (22 bits)
//!
//! ROOT: 2048 pointers ──▶ leaf: two bitmaps of 32 768 regions, mapped when the first region in it is
//! ```
//!
//! A segment is one region, and a huge block's mapping is made a multiple of regions, so no region is shared with
//! anybody else and one bit decides. One leaf covers 128 GiB; a process rarely needs two. A flat bitmap of 48 address
//! bits would take 8 MiB of every executable's zero-initialised data; user space above 48 bits is only handed out to
//! programs that ask for such addresses.

use crate::allocators::sync::{AtomicPtr, AtomicU64, Ordering};
use std::ptr::{self, NonNull};

use super::geometry::SEGMENT;
use crate::allocators::pages;

const ADDRESS_BITS: u32 = if usize::BITS == 64 { 48 } else { 32 };
const REGION_BITS: u32 = ADDRESS_BITS - SEGMENT.ilog2();
const LEAF_BITS: u32 = if REGION_BITS < 15 { REGION_BITS } else { 15 };
const LEAF_REGIONS: usize = 1 << LEAF_BITS;
const LEAF_WORDS: usize = LEAF_REGIONS / 64;
const LEAVES: usize = 1 << (REGION_BITS - LEAF_BITS);

struct Leaf {
    /// The region belongs to this allocator.
    owned: [AtomicU64; LEAF_WORDS],
    /// The region is a segment (and not part of a huge block).
    segment: [AtomicU64; LEAF_WORDS],
}

static ROOT: [AtomicPtr<Leaf>; LEAVES] = [const { AtomicPtr::new(ptr::null_mut()) }; LEAVES];

/// The leaf of `region`, and the word and bit in it. `None` above the supported addresses and where there is no leaf.
fn find(region: usize) -> Option<(&'static Leaf, usize, u64)> {
    let root = ROOT.get(region >> LEAF_BITS)?;
    // Acquire: pairs with the release that published the leaf, whose zeros must be seen.
    let leaf = NonNull::new(root.load(Ordering::Acquire))?;
    let within = region % LEAF_REGIONS;
    // SAFETY: leaves are mapped, zero (a valid value of atomics) when published, and never unmapped.
    Some((unsafe { leaf.as_ref() }, within / 64, 1 << (within % 64)))
}

/// As [`find`], but makes the leaf if there is none. `None` also when there is no memory for it.
fn find_or_map(region: usize) -> Option<(&'static Leaf, usize, u64)> {
    if let Some(found) = find(region) {
        return Some(found);
    }
    let root = ROOT.get(region >> LEAF_BITS)?;
    let leaf = pages::map(size_of::<Leaf>().next_multiple_of(pages::page_size())).ok()?;
    // Release: publishes the leaf. Acquire on failure is had in `find` below.
    let published =
        root.compare_exchange(ptr::null_mut(), leaf.as_ptr().cast(), Ordering::Release, Ordering::Relaxed);
    if published.is_err() {
        // SAFETY: another thread's leaf is in place; ours was mapped above with this length and nobody has seen it.
        unsafe { pages::unmap(leaf, size_of::<Leaf>().next_multiple_of(pages::page_size())) };
    }
    find(region)
}

/// Notes that `count` regions from `base` on are ours, and whether they are a segment. `false`, with nothing noted, if
/// that cannot be recorded.
#[must_use]
pub(super) fn mark(base: usize, count: usize, segment: bool) -> bool {
    let first = base / SEGMENT;
    for region in first..first + count {
        let Some((leaf, word, bit)) = find_or_map(region) else {
            unmark(base, region - first, segment);
            return false;
        };
        if segment {
            // Release: who finds the region in a walk must see its header, which is zero from the mapping on.
            leaf.segment[word].fetch_or(bit, Ordering::Release);
        }
        // Relaxed: a thread that has a block in the region got it from somebody for whom this came before.
        leaf.owned[word].fetch_or(bit, Ordering::Relaxed);
    }
    true
}

/// Forgets `count` regions from `base` on, before they are unmapped.
pub(super) fn unmark(base: usize, count: usize, segment: bool) {
    let first = base / SEGMENT;
    for region in first..first + count {
        if let Some((leaf, word, bit)) = find(region) {
            // Relaxed: no block in the region is live, and walks are kept out by the gate.
            leaf.owned[word].fetch_and(!bit, Ordering::Relaxed);
            if segment {
                leaf.segment[word].fetch_and(!bit, Ordering::Relaxed);
            }
        }
    }
}

/// Whether `address` lies in a region of ours.
pub(super) fn contains(address: usize) -> bool {
    // Relaxed: see `mark`.
    find(address / SEGMENT)
        .is_some_and(|(leaf, word, bit)| leaf.owned[word].load(Ordering::Relaxed) & bit != 0)
}

/// Whether `address` lies in a segment. (Else, if it is ours, in a huge block.)
pub(super) fn is_segment(address: usize) -> bool {
    // Relaxed: see `mark`.
    find(address / SEGMENT)
        .is_some_and(|(leaf, word, bit)| leaf.segment[word].load(Ordering::Relaxed) & bit != 0)
}

/// Calls `visit` with the base of each segment. The caller holds the gate, so that none is unmapped meanwhile.
pub(super) fn for_each_segment(mut visit: impl FnMut(usize)) {
    for (root, slot) in ROOT.iter().enumerate() {
        if slot.load(Ordering::Relaxed).is_null() {
            continue;
        }
        let Some((leaf, ..)) = find(root << LEAF_BITS) else { continue };
        for (word, bits) in leaf.segment.iter().enumerate() {
            // Acquire: pairs with the release in `mark`.
            let mut bits = bits.load(Ordering::Acquire);
            while bits != 0 {
                visit(((root << LEAF_BITS) + word * 64 + bits.trailing_zeros() as usize) * SEGMENT);
                bits &= bits - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Addresses that no mapping of this process can have: the first leaf below the kernel's half.
    const FAR: usize = ((LEAVES - 1) << LEAF_BITS) * SEGMENT;

    #[test]
    fn marked_regions_are_owned_to_their_last_byte_and_no_further() {
        let base = FAR + 63 * SEGMENT;
        assert!(!contains(base));
        assert!(mark(base, 3, false));
        assert!(contains(base) && contains(base + 3 * SEGMENT - 1));
        assert!(!contains(base - 1) && !contains(base + 3 * SEGMENT));
        unmark(base, 3, false);
        assert!(!contains(base) && !contains(base + 2 * SEGMENT));
    }

    #[test]
    fn any_address_may_be_asked_about() {
        let local = 0;
        for address in [0, 1, usize::MAX, usize::MAX / 2, (&raw const local).addr()] {
            assert!(!contains(address));
        }
    }

    #[test]
    fn what_cannot_be_recorded_is_refused_whole() {
        let last = (LEAVES << LEAF_BITS) - 1;
        if usize::BITS == 64 {
            assert!(!mark(last * SEGMENT, 2, false));
            assert!(!contains(last * SEGMENT));
        }
    }
}
