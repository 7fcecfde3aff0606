//! Conditions that make numbers doubtful, each as one sentence with its figure.

use super::{Files, HUGE_PAGES, governor, parse, virtualisation};

/// A second busy process, on average over the last minute, shares caches and memory bandwidth with what is measured.
const HIGH_LOAD: f64 = 0.5;

/// Less available memory than this part of the whole, and the kernel begins to reclaim pages while others fault.
const LITTLE_MEMORY: f64 = 0.1;

/// Swapped-out bytes that a machine keeps from long ago without anybody noticing.
const SOME_SWAP_BYTES: u64 = 64 << 20;

/// Per cent of the last minute in which some process waited for memory.
const HIGH_PRESSURE: f64 = 1.0;

/// What is wrong right now with measuring here: one sentence each, empty on a quiet, well set-up machine.
pub fn warnings() -> Vec<String> {
    read(&Files::new("/"))
}

/// [`warnings`] from the files under a root.
pub(super) fn read(files: &Files) -> Vec<String> {
    let hypervisor = files.text("proc/cpuinfo").and_then(|text| parse::cpuinfo(&text).hypervisor);
    let meminfo = files.text("proc/meminfo").unwrap_or_default();
    [
        governor(files).and_then(|governor| slow_governor(&governor)),
        boost(files),
        files.text("proc/loadavg").and_then(|text| load(&text)),
        swap(&meminfo),
        little_memory(&meminfo),
        files.text("proc/pressure/memory").and_then(|text| pressure(&text)),
        virtualisation(files, hypervisor).map(|name| {
            format!("This is a virtual machine ({name}): its neighbours take time and cache that no counter here shows.")
        }),
        files.text(HUGE_PAGES).and_then(|text| parse::selected(&text)).filter(|word| word == "always").map(|_| {
            "Transparent huge pages are `always`: resident memory grows in steps of a huge page for every allocator."
                .to_owned()
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn slow_governor(governor: &str) -> Option<String> {
    (governor != "performance").then(|| {
        format!("The frequency governor is `{governor}`, not `performance`: the clock follows the load of the last moments.")
    })
}

/// Turbo frequencies depend on temperature and on what the other cores do.
fn boost(files: &Files) -> Option<String> {
    let on = files.text("sys/devices/system/cpu/cpufreq/boost").is_some_and(|text| text == "1")
        || files.text("sys/devices/system/cpu/intel_pstate/no_turbo").is_some_and(|text| text == "0");
    on.then(|| {
        "Turbo frequencies are on: the clock depends on temperature and on the other cores.".to_owned()
    })
}

fn load(loadavg: &str) -> Option<String> {
    let load: f64 = loadavg.split(' ').next()?.parse().ok()?;
    (load > HIGH_LOAD).then(|| {
        format!(
            "The load average of the last minute is {load:.2} (quiet: up to {HIGH_LOAD}): others are running."
        )
    })
}

fn swap(meminfo: &str) -> Option<String> {
    let used = parse::meminfo(meminfo, "SwapTotal")?.saturating_sub(parse::meminfo(meminfo, "SwapFree")?);
    (used > SOME_SWAP_BYTES).then(|| format!("Swap in use: {} MiB.", used >> 20))
}

fn little_memory(meminfo: &str) -> Option<String> {
    let (total, available) = (parse::meminfo(meminfo, "MemTotal")?, parse::meminfo(meminfo, "MemAvailable")?);
    ((available as f64) < LITTLE_MEMORY * total as f64).then(|| {
        format!(
            "Only {} MiB of {} MiB memory are available: the kernel reclaims pages meanwhile.",
            available >> 20,
            total >> 20
        )
    })
}

fn pressure(text: &str) -> Option<String> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let minute: f64 = some.split(' ').find_map(|word| word.strip_prefix("avg60="))?.parse().ok()?;
    (minute > HIGH_PRESSURE)
        .then(|| format!("In {minute:.1} % of the last minute a process waited for memory (quiet: up to {HIGH_PRESSURE} %)."))
}
