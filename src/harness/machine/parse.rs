//! The kernel's texts, parsed. No function here reads a file.

use std::collections::BTreeSet;

/// What `/proc/cpuinfo` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    pub name: Option<String>,
    pub model: Option<String>,
    /// Whether a hypervisor shows itself in the flags; `None` where there are no such flags (ARM).
    pub hypervisor: Option<bool>,
}

/// The first processor of `/proc/cpuinfo`, of x86 or ARM.
pub(super) fn cpuinfo(text: &str) -> Cpu {
    let field = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let value = fields.find(|(key, _)| key.trim() == name)?.1.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let joined = |names: [&str; 3]| {
        let [a, b, c] = names.map(field);
        Some(format!("{}/{}/{}", a?, b?, c?))
    };
    let arm = || {
        let start = joined(["CPU implementer", "CPU variant", "CPU part"])?;
        Some(format!("{start}/{}", field("CPU revision")?))
    };
    Cpu {
        name: field("model name").or_else(|| arm_name(&field("CPU implementer")?, &field("CPU part")?)),
        model: joined(["cpu family", "model", "stepping"]).or_else(arm),
        hypervisor: field("flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
    }
}

/// The name of an ARM core, which Linux gives by number only. Source: the main id register in each core's manual.
fn arm_name(implementer: &str, part: &str) -> Option<String> {
    let name = match (implementer, part) {
        ("0x41", "0xd03") => "ARM Cortex-A53",
        ("0x41", "0xd08") => "ARM Cortex-A72",
        ("0x41", "0xd0b") => "ARM Cortex-A76",
        ("0x41", "0xd0c") => "ARM Neoverse-N1",
        ("0x41", "0xd40") => "ARM Neoverse-V1",
        ("0x41", "0xd49") => "ARM Neoverse-N2",
        ("0x41", "0xd4f") => "ARM Neoverse-V2",
        ("0xc0", "0xac3") => "Ampere-1",
        _ => return None,
    };
    Some(name.to_owned())
}

/// `L1d 32 KiB` from the levels, types and sizes of one CPU's caches. Instruction caches are left out: no allocator's
/// result depends on them.
pub(super) fn caches(levels: &[String], types: &[String], sizes: &[String]) -> Vec<String> {
    let mut caches: Vec<(u64, u64, String)> = Vec::new();
    for ((level, kind), size) in levels.iter().zip(types).zip(sizes) {
        let suffix = match kind.as_str() {
            "Data" => "d",
            "Unified" => "",
            _ => continue,
        };
        let kibibytes = size.strip_suffix('K').and_then(|number| number.parse::<u64>().ok());
        let (Ok(level), Some(kibibytes)) = (level.parse::<u64>(), kibibytes) else { continue };
        let size = if kibibytes >= 1024 && kibibytes.is_multiple_of(1024) {
            format!("{} MiB", kibibytes / 1024)
        } else {
            format!("{kibibytes} KiB")
        };
        caches.push((level, kibibytes, format!("L{level}{suffix} {size}")));
    }
    caches.sort();
    caches.into_iter().map(|(_, _, text)| text).collect()
}

/// A field of `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str, field: &str) -> Option<u64> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let value = fields.find(|(key, _)| *key == field)?.1;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The memory that is installed, from the part of it that the kernel manages, which varies with the kernel by a few per
/// cent: rounded up to an eighth of the next power of two, the step in which memory is sold.
pub(super) fn installed_bytes(managed: u64) -> u64 {
    let step = managed.checked_next_power_of_two().unwrap_or(1 << 63) / 8;
    if step == 0 { managed } else { managed.div_ceil(step).saturating_mul(step) }
}

/// How many CPUs a process may use, from its `/proc/<pid>/status`.
pub(super) fn allowed_cpus(status: &str) -> Option<u32> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim();
    let mut count = 0_u32;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?)?.checked_add(1)?;
    }
    Some(count)
}

/// The word in brackets: `always [madvise] never` → `madvise`.
pub(super) fn selected(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// Each text once, sorted.
pub(super) fn distinct(texts: &[String]) -> Vec<String> {
    texts.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The version line and the host from `rustc -vV`.
pub(super) fn rustc(text: &str) -> (Option<String>, Option<String>) {
    let version = text.lines().next().filter(|line| line.starts_with("rustc ")).map(str::to_owned);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    (version, host)
}

/// What may give a hypervisor away.
#[derive(Debug, Default)]
pub(super) struct Clues {
    pub hypervisor: Option<bool>,
    pub xen: Option<String>,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub clocks: Option<String>,
    pub device_tree: Option<String>,
}

/// The hypervisor's name; `virtual machine` where only its presence shows; `None` on bare metal.
pub(super) fn virtualisation(clues: &Clues) -> Option<String> {
    // Where the processor would say so and does not, names are of the maker only: clouds rent bare metal too.
    if clues.hypervisor == Some(false)
        || clues.product.as_deref().is_some_and(|name| name.ends_with(".metal"))
    {
        return None;
    }
    let has = |clue: &Option<String>, word: &str| clue.as_deref().is_some_and(|text| text.contains(word));
    let (vendor, product, clocks) = (&clues.vendor, &clues.product, &clues.clocks);
    let name = if has(vendor, "VMware") || has(&clues.device_tree, "vmware") {
        "vmware"
    } else if has(product, "VirtualBox") {
        "virtualbox"
    } else if has(clocks, "hyperv") || (has(vendor, "Microsoft") && has(product, "Virtual Machine")) {
        "hyper-v"
    } else if has(&clues.xen, "xen") || has(product, "HVM domU") || has(&clues.device_tree, "xen") {
        "xen"
    } else if has(clocks, "kvm-clock")
        || has(product, "KVM")
        || has(vendor, "Amazon EC2")
        || has(vendor, "Google")
        || has(&clues.device_tree, "kvm")
    {
        "kvm"
    } else if has(vendor, "QEMU") {
        "qemu"
    } else if clues.hypervisor == Some(true) || clues.device_tree.is_some() {
        "virtual machine"
    } else {
        return None;
    };
    Some(name.to_owned())
}

/// `AMD EPYC 9454 48-Core Processor` → `amd-epyc-9454`: what fits into a file name and can be told apart.
pub(super) fn slug(cpu: &str) -> String {
    const NOISE: [&str; 5] = ["cpu", "processor", "with", "gen", "r"];
    let cpu = cpu.to_ascii_lowercase().replace("(r)", " ").replace("(tm)", " ");
    // After an @ comes the nominal frequency.
    let cpu = cpu.split('@').next().unwrap_or_default();
    let words = cpu.split(|letter: char| letter.is_whitespace() || letter == '(' || letter == ')');
    let words = words.filter(|word| !word.is_empty() && !NOISE.contains(word) && !word.ends_with("-core"));
    let plain =
        |word: &str| word.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    let words: Vec<String> = words.map(plain).collect();
    words.join("-").chars().take(24).collect::<String>().trim_matches('-').to_owned()
}
