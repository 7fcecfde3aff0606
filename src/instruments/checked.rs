//! `Checked`: an allocator whose every answer is looked at.
//!
//! It keeps the ranges of all live blocks and finds blocks that overlap, are misaligned or too small, lose their
//! content when they grow or shrink, are not zero where zero was asked for, or lie in memory that the allocator itself
//! disowns; and callers that free what is not alive. For verification, off the clock: each call takes a lock.
//!
//! The ledger takes its own memory from the global allocator. Where that is the one under test, a broken one may bring its
//! checker down with it: that is a crash, and told as one.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::allocators::contract::{Bulk, Demand, Subject};

/// A subject and the ledger of its live blocks.
#[derive(Debug)]
pub struct Checked<S> {
    subject: S,
    /// Shared with its siblings: no two of them may hand out the same bytes.
    ledger: Arc<Mutex<Ledger>>,
    /// Which of the siblings it is.
    number: usize,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Address of each live block → its layout, and which of the siblings handed it out. Blocks of no bytes are not in it.
    live: BTreeMap<usize, (Layout, usize)>,
    /// How many there are beside the first.
    siblings: usize,
    /// The first fault.
    fault: Option<String>,
}

impl<S: Subject> Checked<S> {
    /// Watches `subject`, of which no block may be alive.
    pub fn new(subject: S) -> Self {
        Self { subject, ledger: Arc::default(), number: 0 }
    }

    /// The first fault that was found.
    pub fn fault(&self) -> Option<String> {
        self.ledger().fault.clone()
    }

    /// How many blocks are alive.
    pub fn live_blocks(&self) -> usize {
        self.ledger().live.len()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a block that the allocator just handed out.
    fn admit(&self, block: NonNull<[u8]>, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let address = block.cast::<u8>().as_ptr().addr();
        let mut ledger = self.ledger();
        let fault = if block.len() < layout.size() {
            Some(format!("{} bytes were asked for and {} handed out", layout.size(), block.len()))
        } else if !address.is_multiple_of(layout.align()) {
            Some(format!("a block at {address:#x} is misaligned: {} was asked for", layout.align()))
        } else if layout.size() == 0 {
            return Ok(block);
        } else if let Some((other, theirs)) = ledger.overlapping(address, layout.size()) {
            Some(format!(
                "a block of {} bytes at {address:#x} overlaps a live one of {} bytes at {other:#x}",
                layout.size(),
                theirs.size()
            ))
        } else if !self.subject.owns(block.cast()) {
            Some(format!("a block at {address:#x} is not in the allocator's own memory"))
        } else {
            ledger.live.insert(address, (layout, self.number));
            return Ok(block);
        };
        ledger.report(fault);
        // The block is not passed on: nobody may write to memory that may be somebody else's.
        Err(AllocError)
    }

    /// Takes a block out before it is given back. False if it must not be.
    fn dismiss(&self, block: NonNull<u8>, layout: Layout) -> bool {
        if layout.size() == 0 {
            return true;
        }
        let address = block.as_ptr().addr();
        let mut ledger = self.ledger();
        match ledger.live.remove(&address) {
            Some(known) if known == (layout, self.number) => true,
            Some((_, other)) if other != self.number => {
                ledger.report(Some(format!(
                    "a block at {address:#x} was freed through another allocator than its own"
                )));
                false
            }
            Some((known, _)) => {
                ledger.report(Some(format!("a block taken with {known:?} was freed with {layout:?}")));
                false
            }
            None => {
                ledger.report(Some(format!("a block at {address:#x} was freed that is not alive")));
                false
            }
        }
    }

    /// Resizes through `resize` and checks that the content was kept.
    ///
    /// # Safety
    /// As [`Allocator::grow`] and [`Allocator::shrink`].
    unsafe fn resized(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        resize: impl FnOnce() -> Result<NonNull<[u8]>, AllocError>,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let kept = old.size().min(new.size());
        // SAFETY: the caller's block has `old.size()` bytes, all initialised: `soil` wrote those that were not zeroed
        // before the caller got them.
        let before = fingerprint(unsafe { std::slice::from_raw_parts(block.as_ptr(), kept) });
        if !self.dismiss(block, old) {
            return Err(AllocError);
        }
        let Ok(moved) = resize() else {
            if old.size() > 0 {
                self.ledger().live.insert(block.as_ptr().addr(), (old, self.number));
            }
            return Err(AllocError);
        };
        let moved = self.admit(moved, new)?;
        // SAFETY: the new block has at least `kept` bytes (`admit` checked), which came from the old one.
        let after = fingerprint(unsafe { std::slice::from_raw_parts(moved.cast::<u8>().as_ptr(), kept) });
        if before != after {
            self.ledger()
                .report(Some(format!("a block of {kept} bytes lost its content when it was resized")));
        }
        Ok(moved)
    }
}

impl<S: Subject> Checked<S> {
    /// Looks whether the bytes `from..to` of a block are zero, as they should be.
    ///
    /// # Safety
    /// They are initialised and the caller's.
    unsafe fn look_for_zeroes(&self, block: NonNull<u8>, from: usize, to: usize) {
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr().add(from), to - from) };
        if let Some(offset) = bytes.iter().position(|&byte| byte != 0) {
            let offset = from + offset;
            self.ledger().report(Some(format!("byte {offset} of a zeroed block of {to} is not zero")));
        }
    }
}

/// Fills the bytes `from..to` of a block with a value that is not zero: whoever takes new memory for zeroed is found out,
/// and a later look at the whole block reads no uninitialised byte.
///
/// # Safety
/// They are writable and the caller's.
unsafe fn soil(block: NonNull<u8>, from: usize, to: usize) {
    // SAFETY: the caller's promise.
    unsafe { block.as_ptr().add(from).write_bytes(0xA5, to - from) };
}

impl Ledger {
    fn overlapping(&self, address: usize, size: usize) -> Option<(usize, Layout)> {
        let below =
            self.live.range(..address).next_back().filter(|(at, (theirs, _))| *at + theirs.size() > address);
        let above = self.live.range(address..).next().filter(|(at, _)| **at < address + size);
        below.or(above).map(|(at, (theirs, _))| (*at, *theirs))
    }

    fn report(&mut self, fault: Option<String>) {
        if self.fault.is_none() {
            self.fault = fault;
        }
    }
}

/// FNV-1a (the published 64-bit constants).
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

impl<S: Subject> Subject for Checked<S> {
    type Handle<'a>
        = &'a Self
    where
        Self: 'a;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        S::for_demand(demand).map(Self::new)
    }

    fn sibling(&self, demand: &Demand) -> Result<Self, AllocError> {
        let subject = self.subject.sibling(demand)?;
        let mut ledger = self.ledger();
        ledger.siblings += 1;
        Ok(Self { subject, ledger: Arc::clone(&self.ledger), number: ledger.siblings })
    }

    fn handle(&self) -> &Self {
        self
    }

    fn owns(&self, block: NonNull<u8>) -> bool {
        self.subject.owns(block)
    }
}

impl<S: Bulk> Bulk for Checked<S> {
    fn reset(&mut self) {
        let number = self.number;
        self.ledger().live.retain(|_, (_, owner)| *owner != number);
        self.subject.reset();
    }
}

// SAFETY: every call is the wrapped allocator's, whose handles are all the same allocator; a block that fails a check is
// kept from the caller, never handed out twice; all copies of `&Checked` share one ledger.
unsafe impl<S: Subject> Allocator for &Checked<S> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.admit(self.subject.handle().allocate(layout)?, layout)?;
        // SAFETY: `admit` saw that the block has `layout.size()` bytes that overlap nobody's.
        unsafe { soil(block.cast(), 0, layout.size()) };
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.admit(self.subject.handle().allocate_zeroed(layout)?, layout)?;
        // SAFETY: a zeroed block has `layout.size()` initialised bytes (`admit` saw the length).
        unsafe { self.look_for_zeroes(block.cast(), 0, layout.size()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.dismiss(block, layout) {
            // SAFETY: the block is alive and was taken with this layout from the same allocator (`dismiss` looked).
            unsafe { self.subject.handle().deallocate(block, layout) };
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `grow`, passed on unchanged.
        let grown = unsafe { self.resized(block, old, new, || self.subject.handle().grow(block, old, new)) }?;
        // SAFETY: `admit` saw that the block has `new.size()` bytes that overlap nobody's.
        unsafe { soil(grown.cast(), old.size(), new.size()) };
        Ok(grown)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `grow_zeroed`, passed on unchanged.
        let grown =
            unsafe { self.resized(block, old, new, || self.subject.handle().grow_zeroed(block, old, new)) }?;
        // SAFETY: a block that was grown with zeroes has `new.size()` initialised bytes (`admit` saw the length).
        unsafe { self.look_for_zeroes(grown.cast(), old.size(), new.size()) };
        Ok(grown)
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises are those of `shrink`, passed on unchanged.
        unsafe { self.resized(block, old, new, || self.subject.handle().shrink(block, old, new)) }
    }
}
