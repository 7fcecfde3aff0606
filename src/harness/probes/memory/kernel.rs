//! What the kernel says of the process: resident memory, its peak, faults, context switches and CPU time.
//!
//! Nothing here allocates: the heap that is looked at would change. Texts are read into the stack.

use std::fs::File;
use std::io::{self, Read};

/// Resident memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// All of it, pages that were lazily given back included.
    pub resident_bytes: u64,
    /// Pages given back by `MADV_FREE` that the kernel has not taken yet; `None` where it does not say.
    pub lazy_free_bytes: Option<u64>,
}

/// What the process has used up so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Page faults, with and without input.
    pub faults: u64,
    /// Context switches, voluntary or not.
    pub switches: u64,
    /// CPU time in user mode, nanoseconds.
    pub user_ns: u64,
    /// CPU time in the kernel, nanoseconds.
    pub system_ns: u64,
}

impl Usage {
    /// What was used since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        self.combine(before, u64::saturating_sub)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.combine(other, u64::saturating_add)
    }

    fn combine(self, other: Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            faults: with(self.faults, other.faults),
            switches: with(self.switches, other.switches),
            user_ns: with(self.user_ns, other.user_ns),
            system_ns: with(self.system_ns, other.system_ns),
        }
    }
}

/// The bytes after `key` in a text of `/proc`, where lines read `Rss:   1788 kB`.
fn bytes_of(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// What a text of `smaps_rollup` says; `None` without the resident bytes.
pub fn resident_of(text: &str) -> Option<Resident> {
    let resident_bytes = bytes_of(text, "Rss")?;
    Some(Resident { resident_bytes, lazy_free_bytes: bytes_of(text, "LazyFree") })
}

/// Resident bytes now, counted page by page (`smaps_rollup`).
///
/// The kernel walks the page tables for it: about a millisecond for each 100 MiB.
///
/// # Errors
/// Where there is no such file: before Linux 4.14, and on other systems.
pub fn resident() -> io::Result<Resident> {
    read("/proc/self/smaps_rollup", resident_of)
}

/// Resident bytes now by the kernel's running count, which is what [`peak`] is a maximum of. It is kept for each CPU and
/// summed up now and then, so it may be off by some hundred KiB.
///
/// # Errors
/// Where there is no such file.
pub fn counted() -> io::Result<u64> {
    read("/proc/self/status", |text| bytes_of(text, "VmRSS"))
}

/// The most resident bytes since [`reset_peak`].
///
/// # Errors
/// Where there is no such file.
pub fn peak() -> io::Result<u64> {
    read("/proc/self/status", |text| bytes_of(text, "VmHWM"))
}

/// Lets the peak begin anew, at what is resident now.
///
/// # Errors
/// Where the kernel does not offer it or does not allow it.
pub fn reset_peak() -> io::Result<()> {
    std::fs::write("/proc/self/clear_refs", "5")
}

/// Reads a text of `/proc` and takes what `find` finds in it.
fn read<T>(path: &str, find: impl FnOnce(&str) -> Option<T>) -> io::Result<T> {
    // `status`, the longest, has 1.5 KiB, and a mask for every CPU and node of the machine.
    let mut buffer = [0; 16 << 10];
    let mut length = 0;
    let mut file = File::open(path)?;
    loop {
        match file.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    let text = std::str::from_utf8(&buffer[..length]).map_err(|_| io::ErrorKind::InvalidData)?;
    find(text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What the process has used up so far, all threads together.
pub fn usage() -> Usage {
    // SAFETY: all zeros are a valid `rusage`: it has numbers alone.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the place is writable and as long as the call expects. It fails for a bad place or subject alone.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let nanoseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    Usage {
        faults: (usage.ru_minflt + usage.ru_majflt) as u64,
        switches: (usage.ru_nvcsw + usage.ru_nivcsw) as u64,
        user_ns: nanoseconds(usage.ru_utime),
        system_ns: nanoseconds(usage.ru_stime),
    }
}

/// CPU time of the calling thread so far, nanoseconds. Exact, while the kernel tells user from system time in
/// [`usage`] by what its timer ticks met.
pub fn thread_cpu_ns() -> u64 {
    // SAFETY: all zeros are a valid `timespec`.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the place is writable and as long as the call expects; the clock is one that every Unix has.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "55daf0a0c000-7fffaa190000 ---p 00000000 00:00 0          [rollup]\n\
                          Rss:                1788 kB\n\
                          Pss:                 419 kB\n\
                          Anonymous:           116 kB\n\
                          LazyFree:             12 kB\n\
                          AnonHugePages:         0 kB\n";

    #[test]
    fn resident_and_lazily_freed_bytes_are_read_in_kilobytes() {
        let expected = Resident { resident_bytes: 1788 << 10, lazy_free_bytes: Some(12 << 10) };
        assert_eq!(resident_of(ROLLUP), Some(expected));
    }

    #[test]
    fn a_number_that_is_not_there_is_absent_and_not_zero() {
        let old = ROLLUP.replace("LazyFree:             12 kB\n", "");
        assert_eq!(resident_of(&old).unwrap().lazy_free_bytes, None);
        let zero = ROLLUP.replace("LazyFree:             12 kB", "LazyFree:              0 kB");
        assert_eq!(resident_of(&zero).unwrap().lazy_free_bytes, Some(0));
        assert_eq!(resident_of("Pss: 419 kB\nLazyFree: 0 kB\n"), None, "no resident bytes, no reading");
    }

    #[test]
    fn a_key_is_not_taken_for_another_that_begins_like_it() {
        assert_eq!(bytes_of("RssAnon:  5 kB\nRss:  7 kB\n", "Rss"), Some(7 << 10));
    }

    #[test]
    fn what_is_not_a_number_of_kilobytes_is_not_read() {
        for text in
            ["Rss: 7", "Rss: 7 MB", "Rss: many kB", "Rss: -7 kB", "Rss:", "Rss: 18446744073709551615 kB"]
        {
            assert_eq!(bytes_of(text, "Rss"), None, "{text:?}");
        }
    }

    #[test]
    fn usage_adds_up_and_never_falls_below_zero() {
        let once = Usage { faults: 3, switches: 1, user_ns: 10, system_ns: 20 };
        let twice = once.plus(once);
        assert_eq!(twice.since(once), once);
        assert_eq!(once.since(twice), Usage::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_resident_memory_and_a_peak() {
        let resident = resident().unwrap();
        assert!(resident.resident_bytes > 0 && peak().unwrap() > 0 && counted().unwrap() > 0);
        assert!(usage().faults > 0);
    }
}
