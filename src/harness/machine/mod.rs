//! The machine: what it is, the key that says which records compare, and the conditions that make numbers doubtful.
//!
//! Everything is read from files of the kernel. `parse` turns their texts into facts and is tested with texts; this file
//! only knows where they lie. A file that is missing (another kernel, a container, another system) gives `None`.

mod conditions;
mod parse;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use conditions::{Activity, warnings};

/// The machine. A field that could not be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Short name made from what below changes results; equal keys mean comparable records. `unknown` if imported.
    pub key: String,
    /// `AMD EPYC 9454`.
    pub cpu: Option<String>,
    /// Family, model and stepping, as `25/17/1`; on ARM implementer, variant, part and revision, as `0x41/0x3/0xd0c/1`.
    pub cpu_model: Option<String>,
    /// Logical CPUs this process may use.
    pub logical_cpus: Option<u32>,
    /// Physical cores.
    pub physical_cores: Option<u32>,
    /// `L1d 32 KiB`, `L2 1 MiB`, `L3 32 MiB`, smallest first.
    pub caches: Vec<String>,
    /// Memory that the kernel manages, bytes: what is installed, less what firmware and kernel keep to themselves.
    pub memory_bytes: Option<u64>,
    /// `Linux 6.1.0`.
    pub kernel: Option<String>,
    /// `glibc 2.36`.
    pub libc: Option<String>,
    /// The selected word of the kernel's setting: `always`, `madvise`, `never`.
    pub transparent_huge_pages: Option<String>,
    /// Frequency governor.
    pub governor: Option<String>,
    /// `kvm`, … ; `None` on bare metal or where it cannot be told.
    pub virtualisation: Option<String>,
    /// `rustc 1.95.0 (…)`.
    pub rustc: Option<String>,
    /// Target triple.
    pub target: Option<String>,
}

/// This machine. Runs `rustc -vV` (or what `RUSTC` names) for the compiler's version.
///
/// # Examples
/// ```
/// let machine = allocmark::harness::machine::describe();
/// assert!(!machine.key.is_empty());
/// ```
pub fn describe() -> Machine {
    let mut machine = read(&Files::new("/"));
    machine.libc = libc_version();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // Without a compiler there is nothing to say, and records can be made on machines that have none.
    if let Ok(output) = Command::new(rustc).arg("-vV").output() {
        let (version, host) = parse::rustc(&String::from_utf8_lossy(&output.stdout));
        machine.rustc = version;
        machine.target = std::env::var("CARGO_BUILD_TARGET").ok().or(host);
    }
    machine.key = key(&machine);
    machine
}

/// A short name for what `text` says: 8 hexadecimal digits of its 64-bit FNV-1a hash, the halves folded together.
///
/// 32 bits tell apart the machines or records that one person compares; they are no protection against forgery.
/// Source: Fowler, Noll, Vo, `draft-eastlake-fnv`.
pub fn short_hash(text: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// The files under a root, which is `/` except under test.
struct Files {
    root: PathBuf,
}

impl Files {
    fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A file's text without surrounding white space.
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The texts of `directory/<prefix><number>/file`, by number.
    fn numbered(&self, directory: &str, prefix: &str, file: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join(directory)) else { return Vec::new() };
        let mut found: Vec<(u32, String)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((number, self.text(Path::new(directory).join(&name).join(file))?))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, text)| text).collect()
    }
}

const CPUS: &str = "sys/devices/system/cpu";
const CACHES: &str = "sys/devices/system/cpu/cpu0/cache";
const HUGE_PAGES: &str = "sys/kernel/mm/transparent_hugepage/enabled";

/// What the kernel's files say.
fn read(files: &Files) -> Machine {
    let cpu = files.text("proc/cpuinfo").map(|text| parse::cpuinfo(&text)).unwrap_or_default();
    let cores = parse::distinct(&files.numbered(CPUS, "cpu", "topology/thread_siblings_list"));
    let caches = parse::caches(
        &files.numbered(CACHES, "index", "level"),
        &files.numbered(CACHES, "index", "type"),
        &files.numbered(CACHES, "index", "size"),
    );
    let memory = files.text("proc/meminfo").and_then(|text| parse::meminfo(&text, "MemTotal"));
    let status = files.text("proc/self/status");
    let kernel = (files.text("proc/sys/kernel/ostype"), files.text("proc/sys/kernel/osrelease"));
    Machine {
        key: String::new(),
        logical_cpus: status.and_then(|text| parse::allowed_cpus(&text)),
        physical_cores: (!cores.is_empty()).then(|| u32::try_from(cores.len()).ok()).flatten(),
        caches,
        memory_bytes: memory,
        kernel: match kernel {
            (Some(name), Some(release)) => Some(format!("{name} {release}")),
            _ => None,
        },
        libc: None,
        transparent_huge_pages: files.text(HUGE_PAGES).and_then(|text| parse::selected(&text)),
        governor: governor(files),
        virtualisation: virtualisation(files, cpu.hypervisor),
        cpu: cpu.name,
        cpu_model: cpu.model,
        rustc: None,
        target: None,
    }
}

/// The governors of all CPUs, each once: `performance`, or `performance, powersave` on a machine half set up.
fn governor(files: &Files) -> Option<String> {
    let governors = parse::distinct(&files.numbered(CPUS, "cpu", "cpufreq/scaling_governor"));
    (!governors.is_empty()).then(|| governors.join(", "))
}

fn virtualisation(files: &Files, hypervisor: Option<bool>) -> Option<String> {
    parse::virtualisation(&parse::Clues {
        hypervisor,
        xen: files.text("sys/hypervisor/type"),
        vendor: files.text("sys/class/dmi/id/sys_vendor"),
        product: files.text("sys/class/dmi/id/product_name"),
        clocks: files.text("sys/devices/system/clocksource/clocksource0/available_clocksource"),
        device_tree: files.text("proc/device-tree/hypervisor/compatible"),
    })
}

#[cfg(target_env = "gnu")]
fn libc_version() -> Option<String> {
    // SAFETY: `gnu_get_libc_version` has no preconditions.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: it returns a pointer to a constant string that ends in a zero byte and lives as long as the process.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    Some(format!("glibc {}", version.to_str().ok()?))
}

#[cfg(not(target_env = "gnu"))]
fn libc_version() -> Option<String> {
    // The others cannot be asked for their version.
    cfg!(target_env = "musl").then(|| "musl".to_owned())
}

/// The key: the processor's name to read, and a hash of all that changes results. Host names and clocks are not in it,
/// nor the kernel's version, which a security update changes.
fn key(machine: &Machine) -> String {
    let memory = machine.memory_bytes.map(parse::installed_bytes);
    let facts = format!(
        "{:?}",
        (
            &machine.cpu,
            &machine.cpu_model,
            machine.logical_cpus,
            machine.physical_cores,
            &machine.caches,
            memory,
            &machine.libc,
            &machine.transparent_huge_pages,
        )
    );
    let name = machine.cpu.as_deref().map(parse::slug).filter(|slug| !slug.is_empty());
    let name = name.unwrap_or_else(|| std::env::consts::ARCH.replace('_', "-"));
    format!("{name}-{}", short_hash(&facts))
}

#[cfg(test)]
mod tests;
