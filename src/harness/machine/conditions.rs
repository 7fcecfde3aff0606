//! Conditions that make numbers doubtful, each as one sentence with its figure.

use super::{Files, HUGE_PAGES, governor, parse, virtualisation};

/// CPUs kept busy by others. The daemons of an idle machine take a few per cent of one; a quarter is a program at work,
/// which shares caches and memory bandwidth with what is measured.
const HIGH_LOAD: f64 = 0.25;

/// Per cent of the CPUs' time that the hypervisor gave to other guests. Each such slice stops a measurement unseen.
const HIGH_STEAL: f64 = 1.0;

/// How long to look at the others before a run. The load average would still tell of the build, a minute ago; in this
/// time a tick of 10 ms is 3 % of a CPU, far below the limit.
const LOOK: std::time::Duration = std::time::Duration::from_millis(300);

/// Less available memory than this part of the whole, and the kernel begins to reclaim pages while others fault.
const LITTLE_MEMORY: f64 = 0.1;

/// Swapped-out bytes that a machine keeps from long ago without anybody noticing.
const SOME_SWAP_BYTES: u64 = 64 << 20;

/// Per cent of the last minute in which some process waited for memory.
const HIGH_PRESSURE: f64 = 1.0;

/// What is wrong right now with measuring here: one sentence each, empty on a quiet, well set-up machine. Takes 300 ms,
/// in which it watches what else runs.
pub fn warnings() -> Vec<String> {
    let mut warnings = read(&Files::new("/"));
    let began = Activity::now();
    std::thread::sleep(LOOK);
    if let (Some(began), Some(now)) = (began, Activity::now()) {
        warnings.extend(now.since(&began, "Before the run"));
    }
    warnings
}

/// What the CPUs did since the machine started, in ticks of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activity {
    cpus: f64,
    total: f64,
    busy: f64,
    steal: f64,
    /// This process and those of its children that it has waited for; part of `busy`.
    own: f64,
}

impl Activity {
    /// Up to now; `None` where the kernel does not tell.
    pub fn now() -> Option<Self> {
        Self::read(&Files::new("/"))
    }

    /// What others did while a run measured, if it was too much: a sentence each.
    pub fn warnings_since(began: Option<Self>) -> Vec<String> {
        match (began, Self::now()) {
            (Some(began), Some(now)) => now.since(&began, "During the run"),
            _ => Vec::new(),
        }
    }

    pub(super) fn read(files: &Files) -> Option<Self> {
        let text = files.text("proc/stat")?;
        let cpus = text.lines().filter(|line| line.starts_with("cpu")).count().checked_sub(1)?;
        let fields = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<f64> = fields.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // Guests' time, which follows, is in user and nice already.
        let &[user, nice, system, idle, iowait, irq, softirq, steal, ..] = ticks.as_slice() else {
            return None;
        };
        let own = files.text("proc/self/stat")?;
        // The program's name, in parentheses, may hold anything. utime, stime, cutime, cstime are fields 14 to 17.
        let (_, after) = own.rsplit_once(')')?;
        let own =
            after.split_whitespace().skip(11).take(4).map_while(|field| field.parse::<f64>().ok()).sum();
        let busy = user + nice + system + irq + softirq;
        Some(Self { cpus: cpus as f64, total: busy + idle + iowait + steal, busy, steal, own })
    }

    pub(super) fn since(&self, began: &Self, when: &str) -> Vec<String> {
        let total = self.total - began.total;
        if total <= 0.0 || self.cpus < 1.0 {
            return Vec::new();
        }
        let others = (self.busy - began.busy) - (self.own - began.own);
        let (load, steal) = (others / total * self.cpus, (self.steal - began.steal) / total * 100.0);
        let busy = (load > HIGH_LOAD).then(|| {
            format!("{when} other processes kept {load:.2} CPUs busy (limit {HIGH_LOAD}): they share caches and memory.")
        });
        let stolen = (steal > HIGH_STEAL).then(|| {
            format!("{when} the hypervisor took {steal:.1} % of the CPUs' time (limit {HIGH_STEAL} %): measurements stop meanwhile.")
        });
        busy.into_iter().chain(stolen).collect()
    }
}

/// The standing conditions from the files under a root.
pub(super) fn read(files: &Files) -> Vec<String> {
    let hypervisor = files.text("proc/cpuinfo").and_then(|text| parse::cpuinfo(&text).hypervisor);
    let meminfo = files.text("proc/meminfo").unwrap_or_default();
    [
        governor(files).and_then(|governor| slow_governor(&governor)),
        boost(files),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(stat: &str, own: &str) -> Option<Activity> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/self")).unwrap();
        std::fs::write(root.path().join("proc/stat"), stat).unwrap();
        std::fs::write(root.path().join("proc/self/stat"), own).unwrap();
        Activity::read(&Files::new(root.path()))
    }

    #[test]
    fn the_load_is_that_of_the_others_alone() {
        let began = activity(
            "cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 0\ncpu1 0\nintr 1\n",
            "7 (a) b) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0",
        );
        let began = began.unwrap();
        // 200 ticks on two CPUs: 110 busy, of which 60 are our own and our children's; 4 stolen.
        let stat = "cpu 90 5 10 86 0 2 3 4 0 0\ncpu0 0\ncpu1 0\nintr 1\n";
        let now = activity(stat, "7 (a) b) S 1 1 1 0 0 0 0 0 0 0 10 5 40 5 20").unwrap();
        let warnings = now.since(&began, "Now");
        assert_eq!(warnings.len(), 2, "{warnings:#?}");
        assert!(
            warnings[0].starts_with("Now other processes kept 0.50 CPUs busy (limit 0.25)"),
            "{}",
            warnings[0]
        );
        assert!(warnings[1].contains("took 2.0 % of the CPUs' time (limit 1 %)"), "{}", warnings[1]);
        let quiet = Activity { own: 100.0, steal: 1.0, ..now };
        assert_eq!(quiet.since(&began, "Now"), Vec::<String>::new());
    }

    #[test]
    fn a_kernel_that_does_not_tell_gives_no_warning() {
        assert_eq!(activity("", ""), None);
        let zero = activity("cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 0\n", "7 (a) S 1").unwrap();
        assert_eq!(zero.since(&zero, "Now"), Vec::<String>::new());
    }
}
