//! The one file that takes memory from the operating system and gives it back.
//!
//! Addresses and sizes are multiples of [`PAGE`]; new memory reads as zero.

use std::io;
use std::ptr::NonNull;

use super::poison;

/// The granule of everything here: the page size of x86_64 and of most aarch64 kernels. Larger kernel pages are
/// handled by [`page_size`], which callers that round must use.
pub const PAGE: usize = 4096;

/// The kernel's page size.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(PAGE)
}

/// Maps `bytes` of new zeroed memory, private to this process.
///
/// # Errors
/// What the kernel answered, usually `ENOMEM`; `EINVAL` for zero bytes.
#[allow(clippy::disallowed_methods)]
pub fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // What was known of these addresses was about an earlier mapping.
    poison::unpoison(address.cast(), bytes);
    NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Gives `bytes` at `start` back to the operating system. Where the kernel refuses, because it sees one mapping with a
/// neighbouring one and the process may have no more of them, the memory goes back and the addresses stay mapped.
///
/// # Safety
/// - `[start, start + bytes)` is made of whole pages that came from [`map`] and were not given back yet.
/// - Nothing refers to that memory any more.
#[allow(clippy::disallowed_methods)]
pub unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // Before: right after it the addresses may be another thread's, of whatever allocator.
    poison::unpoison(start.as_ptr(), bytes);
    // SAFETY: the caller owns the mapped pages and nothing refers to them.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    if result != 0 {
        debug_assert_eq!(
            io::Error::last_os_error().raw_os_error(),
            Some(libc::ENOMEM),
            "munmap of a mapping we own"
        );
        // SAFETY: as above. Should this be refused too, the memory is lost, and nothing else.
        unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
    }
}

/// Maps `bytes` of new zeroed memory whose address is a multiple of `align`.
///
/// `bytes` is a multiple of the page size, `align` a power of two.
///
/// # Errors
/// As [`map`]; `ENOMEM` where `bytes + align` exceeds the address space.
pub fn map_aligned(bytes: usize, align: usize) -> io::Result<NonNull<u8>> {
    // Mappings of a multiple of their alignment tend to lie side by side, so that the first attempt is often aligned.
    let first = map(bytes)?;
    if first.addr().get().is_multiple_of(align) {
        return Ok(first);
    }
    // SAFETY: the pages were mapped above and nobody has seen them.
    unsafe { unmap(first, bytes) };

    let padded = bytes.checked_add(align).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
    let start = map(padded)?;
    let lead = start.addr().get().wrapping_neg() & (align - 1);
    let tail = align - lead;
    // SAFETY: `lead` is less than `align`, so `start + lead` lies in the mapping of `bytes + align`.
    let aligned = unsafe { start.add(lead) };
    if lead > 0 {
        // SAFETY: whole pages (`start` and `aligned` are page-aligned) of the new mapping in front of what is returned.
        unsafe { unmap(start, lead) };
    }
    if tail > 0 {
        // SAFETY: whole pages of the new mapping behind what is returned: lead + bytes + tail is the mapping's length.
        unsafe { unmap(aligned.add(bytes), tail) };
    }
    Ok(aligned)
}

/// Gives the memory behind `bytes` at `start` back but keeps the addresses: they may be used again at any time.
///
/// Returns whether they now read as zero. Where they do not, their content is undefined.
///
/// # Safety
/// - `[start, start + bytes)` is made of whole pages that came from [`map`] or [`map_aligned`] and were not given back.
/// - Nobody relies on the content, and nobody accesses it during the call.
#[allow(clippy::disallowed_methods)]
pub unsafe fn decommit(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller owns the mapped pages and nobody relies on their content.
    let result = unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
    // Only Linux promises zeros.
    result == 0 && cfg!(target_os = "linux")
}

/// Why a mapping was not extended where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotExtend {
    /// Something lies behind it, or there is no memory. [`move_pages`] may be possible.
    NoRoom,
    /// Not by this operating system; or the mapping is several to the kernel, as after advice or a protection for a part
    /// of it. It cannot be moved either.
    NotResizable,
}

/// Extends the mapping of `old_bytes` at `start` to `new_bytes` where it lies; the new part reads as zero.
///
/// # Errors
/// [`CannotExtend`]; then nothing has changed.
///
/// # Safety
/// `[start, start + old_bytes)` is made of whole pages that came from [`map`] or [`map_aligned`] and were not given back.
pub unsafe fn extend(start: NonNull<u8>, old_bytes: usize, new_bytes: usize) -> Result<(), CannotExtend> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the caller owns the old pages; without MREMAP_MAYMOVE the kernel adds pages only where none are mapped.
        let result = unsafe { libc::mremap(start.as_ptr().cast(), old_bytes, new_bytes, 0) };
        if result != libc::MAP_FAILED {
            return Ok(());
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EFAULT) => Err(CannotExtend::NotResizable),
            _ => Err(CannotExtend::NoRoom),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (start, old_bytes, new_bytes);
        Err(CannotExtend::NotResizable)
    }
}

/// Moves the pages `[from, from + from_bytes)` to `to`, where they replace the pages `[to, to + to_bytes)`; what is longer
/// than `from_bytes` reads as zero. Returns whether that was possible.
///
/// After it the pages at `from` are no longer mapped. If it was not possible they are as they were, but the pages at `to`
/// are lost: Linux unmaps them before it knows that it cannot move, and another thread may have mapped these addresses
/// since. Where it found out earlier, they stay mapped for ever, untouched.
///
/// # Safety
/// - Both ranges are made of whole pages that came from [`map`] or [`map_aligned`], were not given back, and do not overlap.
/// - `from_bytes <= to_bytes`.
/// - Nothing refers to either range during the call. After it nothing refers to `from` if it succeeded, nor to `to` if it
///   failed: nor are those pages given back.
pub unsafe fn move_pages(from: NonNull<u8>, from_bytes: usize, to: NonNull<u8>, to_bytes: usize) -> bool {
    #[cfg(target_os = "linux")]
    {
        poison::unpoison(from.as_ptr(), from_bytes);
        poison::unpoison(to.as_ptr(), to_bytes);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the caller owns both ranges and nothing refers to them.
        let result = unsafe { libc::mremap(from.as_ptr().cast(), from_bytes, to_bytes, flags, to.as_ptr()) };
        result != libc::MAP_FAILED
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, from_bytes, to, to_bytes);
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn aligned_mappings_are_aligned_zeroed_and_writable() {
        for shift in 12..=26 {
            let (bytes, align) = (3 * page_size(), 1 << shift);
            let start = map_aligned(bytes, align).expect("a few pages");
            assert!(start.addr().get().is_multiple_of(align));
            // SAFETY: the mapping is `bytes` long and ours alone, so both ends may be read and written.
            unsafe {
                assert_eq!((start.read(), start.add(bytes - 1).read()), (0, 0));
                start.write(1);
                start.add(bytes - 1).write(1);
                unmap(start, bytes);
            }
        }
    }

    #[test]
    fn more_than_the_address_space_is_an_error() {
        let too_much = isize::MAX as usize & !(page_size() - 1);
        assert!(map_aligned(too_much, page_size()).is_err());
    }

    #[test]
    fn decommitted_memory_reads_as_zero_where_that_is_promised() {
        let bytes = 4 * page_size();
        let start = map(bytes).expect("a few pages");
        // SAFETY: the mapping is `bytes` long and ours alone.
        unsafe {
            start.write_bytes(7, bytes);
            let zero = decommit(start, bytes);
            assert!(!zero || (0..bytes).all(|at| start.add(at).read() == 0));
            unmap(start, bytes);
        }
    }

    #[test]
    fn moved_pages_keep_their_content_and_grow_with_zeros() {
        let page = page_size();
        let (from, to) = (map(page).expect("a page"), map(2 * page).expect("two pages"));
        // SAFETY: both mappings are ours alone and do not overlap; `from` is not used after it was moved.
        unsafe {
            from.write_bytes(9, page);
            if move_pages(from, page, to, 2 * page) {
                assert!((0..page).all(|at| to.add(at).read() == 9));
                assert!((page..2 * page).all(|at| to.add(at).read() == 0));
                unmap(to, 2 * page);
            } else {
                unmap(from, page);
            }
        }
    }
}
