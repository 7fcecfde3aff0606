//! What a workload does with the blocks it gets: touch them, or fill and check them.

use std::hint::black_box;
use std::ptr::NonNull;

/// How a run of a workload treats its blocks. A type parameter, so that measuring pays nothing for checking.
pub trait Mode: Send + Sync + Sized {
    /// Called with each block after it was allocated or resized. Writes to it.
    ///
    /// # Safety
    /// `size` bytes at `block` are writable and belong to the caller.
    unsafe fn fill(&mut self, block: NonNull<u8>, size: usize);

    /// Called with each filled block before it is freed, and after it moved.
    ///
    /// # Safety
    /// The first `size` bytes at `block` were filled with this `size` and belong to the caller.
    unsafe fn inspect(&mut self, block: NonNull<u8>, size: usize);

    /// Called with each block that was allocated zeroed, before it is filled.
    ///
    /// # Safety
    /// `size` initialised bytes at `block` belong to the caller.
    #[inline(always)]
    unsafe fn expect_zeroes(&mut self, _block: NonNull<u8>, _size: usize) {}

    /// Called when steps begin: after the clock has started, and after anything that belongs to no step.
    #[inline(always)]
    fn begin(&mut self) {}

    /// Called after each step, which is what [`Facts::step`](super::shape::Facts::step) says. The step began at the last
    /// call of this or of [`begin`](Self::begin).
    #[inline(always)]
    fn step(&mut self) {}

    /// Called with an application's result and what it must be.
    fn result(&mut self, found: u64, expected: u64);

    /// One for another thread.
    fn fork(&self) -> Self;

    /// Takes back what another thread's found.
    fn join(&mut self, other: Self);
}

/// The panic payload of a measured workload whose result is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongResult {
    /// What came out.
    pub found: u64,
    /// What had to.
    pub expected: u64,
}

/// Bytes between two touches: the smallest page size of our platforms, so that every page of a block is really there.
const STRIDE: usize = 4096;

/// Each page is touched one cache line further on than the page before. At the same place in every page all touches would
/// fall into one set of the first-level cache and push each other out, which no program's data do.
const LINE: usize = 64;

/// For measuring: writes the first byte, the last byte and one byte a page.
///
/// A block nobody touches measures address arithmetic; one that is wholly written measures `memset`.
#[derive(Debug, Default)]
pub struct Touch;

impl Mode for Touch {
    #[inline(always)]
    unsafe fn fill(&mut self, block: NonNull<u8>, size: usize) {
        let start = block.as_ptr();
        if size > 0 {
            // SAFETY: `size` writable bytes are the caller's promise, and there is at least one.
            unsafe {
                start.write_volatile(1);
                start.add(size - 1).write_volatile(1);
            }
        }
        if size > STRIDE {
            // SAFETY: the caller's promise, passed on.
            unsafe { touch_pages(start, size) };
        }
    }

    #[inline(always)]
    unsafe fn inspect(&mut self, _block: NonNull<u8>, _size: usize) {}

    #[inline(always)]
    fn result(&mut self, found: u64, expected: u64) {
        if found != expected {
            std::panic::panic_any(WrongResult { found, expected });
        }
    }

    fn fork(&self) -> Self {
        Self
    }

    fn join(&mut self, _other: Self) {}
}

/// Touches every page of a block but the first, which is touched already. Out of line, so that small blocks, of which a
/// cell has hundreds of millions, do not pay for its registers.
///
/// # Safety
/// `size` bytes at `start` are writable.
#[inline(never)]
unsafe fn touch_pages(start: *mut u8, size: usize) {
    for page in (STRIDE..size).step_by(STRIDE) {
        let offset = (page + page / STRIDE * LINE % STRIDE).min(size - 1);
        // SAFETY: the offset is below `size`.
        unsafe { start.add(offset).write_volatile(1) };
    }
}

/// For verifying: writes every byte, and checks every byte before the block goes.
///
/// The pattern of a block comes from a serial number that no other block of the run has; it is kept in the block's
/// first eight bytes. So a block that moved without its content, or that was written over by its allocator's bookkeeping
/// or by the owner of another block, is found out. (Two owners of one block of one size write one consistent pattern:
/// that is for the ledger of `Checked` to find.) Blocks under eight bytes carry the number's low byte and what follows
/// from it.
#[derive(Debug)]
pub struct Pattern {
    next: u64,
    fault: Option<String>,
}

/// Serial numbers between two forks: more than a thread ever uses.
const FORK: u64 = 1 << 40;

impl Pattern {
    /// A fresh one.
    pub fn new() -> Self {
        Self { next: 1, fault: None }
    }

    /// The first fault that was found.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn byte(serial: u64, offset: usize) -> u8 {
        // The multiplier is 2^64 divided by the golden ratio (Knuth, TAOCP 3, 6.4): neighbours differ in high bits.
        let mixed = (serial ^ (offset as u64).rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed.to_be_bytes()[0]
    }

    fn report(&mut self, fault: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(fault());
        }
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

impl Mode for Pattern {
    unsafe fn fill(&mut self, block: NonNull<u8>, size: usize) {
        let serial = self.next;
        self.next += 1;
        // SAFETY: the caller promises `size` writable bytes; `u8` has no alignment.
        let bytes = unsafe {
            block.as_ptr().write_bytes(0, size);
            std::slice::from_raw_parts_mut(block.as_ptr(), size)
        };
        let (serial, head) = if size < 8 { (serial & 0xFF, size.min(1)) } else { (serial, 8) };
        bytes[..head].copy_from_slice(&serial.to_le_bytes()[..head]);
        for (offset, byte) in bytes.iter_mut().enumerate().skip(head) {
            *byte = Self::byte(serial, offset);
        }
        black_box(bytes);
    }

    unsafe fn inspect(&mut self, block: NonNull<u8>, size: usize) {
        if size == 0 {
            return;
        }
        // SAFETY: the caller promises `size` bytes that `fill` initialised.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
        let bytes = black_box(bytes);
        let head = if size < 8 { 1 } else { 8 };
        let mut serial = [0; 8];
        serial[..head].copy_from_slice(&bytes[..head]);
        let serial = u64::from_le_bytes(serial);
        if serial == 0 && head == 8 {
            self.report(|| format!("a block of {size} bytes lost its content (its serial number is gone)"));
        }
        for (offset, &byte) in bytes.iter().enumerate().skip(head) {
            if byte != Self::byte(serial, offset) {
                self.report(|| format!("a block of {size} bytes lost its content at byte {offset}"));
                return;
            }
        }
    }

    unsafe fn expect_zeroes(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise.
        let bytes = black_box(unsafe { std::slice::from_raw_parts(block.as_ptr(), size) });
        if let Some(offset) = bytes.iter().position(|&byte| byte != 0) {
            self.report(|| format!("byte {offset} of a zeroed block of {size} is not zero"));
        }
    }

    fn result(&mut self, found: u64, expected: u64) {
        if found != expected {
            self.report(|| format!("the result is {found:#x}, it must be {expected:#x}"));
        }
    }

    fn fork(&self) -> Self {
        // Forks are told apart by a process-wide number, so no two threads ever write the same serial.
        static FORKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = FORKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self { next: number * FORK + 1, fault: None }
    }

    fn join(&mut self, other: Self) {
        if let Some(fault) = other.fault {
            self.report(|| fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(size: usize) -> (Pattern, Vec<u8>) {
        let (mut pattern, mut block) = (Pattern::new(), vec![0; size]);
        let start = NonNull::new(block.as_mut_ptr()).expect("a vector's pointer");
        // SAFETY: the vector has `size` bytes.
        unsafe { pattern.fill(start, size) };
        (pattern, block)
    }

    fn inspected(mut pattern: Pattern, mut block: Vec<u8>) -> Option<String> {
        let start = NonNull::new(block.as_mut_ptr()).expect("a vector's pointer");
        // SAFETY: `filled` initialised the vector's bytes.
        unsafe { pattern.inspect(start, block.len()) };
        pattern.fault().map(str::to_owned)
    }

    #[test]
    fn an_untouched_block_passes() {
        let (pattern, block) = filled(100);
        assert_eq!(inspected(pattern, block), None);
    }

    #[test]
    fn any_changed_byte_is_found() {
        for offset in 0..100 {
            let (pattern, mut block) = filled(100);
            block[offset] ^= 0x55;
            assert!(inspected(pattern, block).is_some(), "byte {offset}");
        }
    }

    #[test]
    fn a_changed_byte_of_a_small_block_is_found() {
        for size in 2..8 {
            for offset in 1..size {
                let (pattern, mut block) = filled(size);
                block[offset] ^= 0x55;
                assert!(inspected(pattern, block).is_some(), "byte {offset} of {size}");
            }
        }
    }

    #[test]
    fn a_zeroed_block_is_found() {
        let (pattern, _) = filled(64);
        assert!(inspected(pattern, vec![0; 64]).expect("a fault").contains("lost its content"));
    }

    #[test]
    fn any_byte_of_a_zeroed_block_that_is_not_zero_is_found() {
        let looked_at = |block: &[u8]| {
            let mut pattern = Pattern::new();
            // SAFETY: the slice has that many bytes, and nobody writes to it.
            unsafe { pattern.expect_zeroes(NonNull::from(block).cast(), block.len()) };
            pattern.fault().map(str::to_owned)
        };
        assert_eq!(looked_at(&[0; 100]), None);
        for offset in 0..100 {
            let mut block = [0; 100];
            block[offset] = 0x80;
            assert!(looked_at(&block).expect("a fault").contains(&format!("byte {offset} ")));
        }
    }

    #[test]
    fn a_fault_of_a_fork_is_taken_back() {
        let mut pattern = Pattern::new();
        let mut fork = pattern.fork();
        fork.result(1, 2);
        pattern.join(fork);
        assert!(pattern.fault().expect("a fault").contains("0x1"));
    }
}
