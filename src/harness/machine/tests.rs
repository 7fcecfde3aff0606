use super::*;

const EPYC: &str = "processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC 9454 48-Core Processor
stepping\t: 1
flags\t\t: fpu vme hypervisor topoext

processor\t: 1
model name\t: another
";

const GRAVITON: &str = "processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
";

/// A root with these files.
fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let files = Files::new(directory.path());
    (directory, files)
}

fn machine() -> Machine {
    Machine {
        cpu: Some("AMD EPYC 9454 48-Core Processor".to_owned()),
        cpu_model: Some("25/17/1".to_owned()),
        logical_cpus: Some(2),
        memory_bytes: Some(24_684_084 * 1024),
        kernel: Some("Linux 6.1.0".to_owned()),
        libc: Some("glibc 2.36".to_owned()),
        ..Machine::default()
    }
}

#[test]
fn a_machine_without_any_file_is_described_by_nothing() {
    let (_directory, files) = root(&[]);
    assert_eq!(read(&files), Machine::default());
    assert_eq!(conditions::read(&files), Vec::<String>::new());
}

#[test]
fn a_machine_is_read_from_the_kernels_files() {
    let (_directory, files) = root(&[
        ("proc/cpuinfo", EPYC),
        ("proc/meminfo", "MemTotal:       24684084 kB\nMemFree: 1 kB\n"),
        ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-1\n"),
        ("proc/sys/kernel/ostype", "Linux\n"),
        ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
        ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n"),
        ("sys/devices/system/cpu/cpufreq/boost", "1\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n"),
        ("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n"),
        ("sys/devices/system/cpu/cpu0/cache/index0/size", "48K\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ]);
    let wanted = Machine {
        key: String::new(),
        cpu: Some("AMD EPYC 9454 48-Core Processor".to_owned()),
        cpu_model: Some("25/17/1".to_owned()),
        logical_cpus: Some(2),
        physical_cores: Some(1),
        caches: vec!["L1d 48 KiB".to_owned()],
        memory_bytes: Some(24_684_084 * 1024),
        kernel: Some("Linux 6.1.0".to_owned()),
        libc: None,
        transparent_huge_pages: Some("madvise".to_owned()),
        governor: Some("powersave".to_owned()),
        virtualisation: Some("virtual machine".to_owned()),
        rustc: None,
        target: None,
    };
    assert_eq!(read(&files), wanted);
}

#[test]
fn an_arm_processor_is_named_by_its_numbers() {
    let wanted = parse::Cpu {
        name: Some("ARM Neoverse-N1".to_owned()),
        model: Some("0x41/0x3/0xd0c/1".to_owned()),
        hypervisor: None,
    };
    assert_eq!(parse::cpuinfo(GRAVITON), wanted);
    assert_eq!(parse::cpuinfo(&GRAVITON.replace("0xd0c", "0xfff")).name, None);
}

#[test]
fn caches_are_listed_from_the_smallest_and_without_instruction_caches() {
    let texts = |list: [&str; 4]| list.map(str::to_owned);
    let caches = parse::caches(
        &texts(["3", "1", "1", "2"]),
        &texts(["Unified", "Data", "Instruction", "Unified"]),
        &texts(["32768K", "32K", "32K", "1280K"]),
    );
    assert_eq!(caches, ["L1d 32 KiB", "L2 1280 KiB", "L3 32 MiB"]);
}

#[test]
fn cpus_are_counted_over_ranges() {
    assert_eq!(parse::allowed_cpus("Cpus_allowed_list:\t0-3,8,10-11\n"), Some(7));
    assert_eq!(parse::allowed_cpus("Cpus_allowed_list:\t3-1\n"), None);
    assert_eq!(parse::allowed_cpus("Name:\tx\n"), None);
}

#[test]
fn memory_is_rounded_to_what_is_sold() {
    const GIB: u64 = 1 << 30;
    assert_eq!(parse::installed_bytes(24_684_084 * 1024), 24 * GIB);
    assert_eq!(parse::installed_bytes(15 * GIB + GIB / 2), 16 * GIB);
    assert_eq!(parse::installed_bytes(16 * GIB), 16 * GIB);
    assert_eq!(parse::installed_bytes(0), 0);
    assert!(parse::installed_bytes(u64::MAX) > 0);
}

#[test]
fn the_compiler_is_read_from_its_version_text() {
    let text = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
    let wanted =
        (Some("rustc 1.95.0 (59807616e 2026-04-14)".to_owned()), Some("x86_64-unknown-linux-gnu".to_owned()));
    assert_eq!(parse::rustc(text), wanted);
    assert_eq!(parse::rustc("error: no toolchain\n"), (None, None));
}

#[test]
fn a_hypervisor_is_named_where_it_can_be() {
    let clues = |hypervisor, vendor: &str, product: &str, clocks: &str| parse::Clues {
        hypervisor,
        vendor: Some(vendor.to_owned()),
        product: Some(product.to_owned()),
        clocks: Some(clocks.to_owned()),
        ..parse::Clues::default()
    };
    let named = |clues| parse::virtualisation(&clues);
    assert_eq!(named(clues(Some(true), "", "", "tsc kvm-clock")).as_deref(), Some("kvm"));
    assert_eq!(named(clues(Some(true), "VMware, Inc.", "VMware7,1", "tsc")).as_deref(), Some("vmware"));
    assert_eq!(named(clues(Some(true), "Acme", "Thing", "tsc")).as_deref(), Some("virtual machine"));
    assert_eq!(named(clues(None, "Amazon EC2", "c7g.xlarge", "arch_sys_counter")).as_deref(), Some("kvm"));
    assert_eq!(named(clues(None, "Amazon EC2", "c7g.metal", "arch_sys_counter")), None);
    assert_eq!(named(clues(Some(false), "Google", "Google Compute Engine", "tsc")), None);
    assert_eq!(named(parse::Clues::default()), None);
}

#[test]
fn a_processors_name_becomes_short() {
    assert_eq!(parse::slug("AMD EPYC 9454 48-Core Processor"), "amd-epyc-9454");
    assert_eq!(parse::slug("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"), "intel-xeon-platinum-8375");
    assert_eq!(parse::slug("ARM Neoverse-N1"), "arm-neoverse-n1");
    assert_eq!(parse::slug("../../x"), "x");
    assert_eq!(parse::slug(""), "");
}

#[test]
fn the_key_follows_what_changes_results_and_nothing_else() {
    let key = key(&machine());
    assert!(key.starts_with("amd-epyc-9454-"), "{key}");
    assert_eq!(key.len(), "amd-epyc-9454-".len() + 8);

    let same = Machine {
        kernel: Some("Linux 6.1.1".to_owned()),
        governor: Some("performance".to_owned()),
        rustc: Some("rustc 2.0.0".to_owned()),
        memory_bytes: Some(24_600_000 * 1024),
        ..machine()
    };
    assert_eq!(super::key(&same), key);
    let others = [
        Machine { libc: Some("glibc 2.37".to_owned()), ..machine() },
        Machine { logical_cpus: Some(1), ..machine() },
        Machine { transparent_huge_pages: Some("always".to_owned()), ..machine() },
        Machine { caches: vec!["L2 1 MiB".to_owned()], ..machine() },
    ];
    for other in others {
        assert_ne!(super::key(&other), key, "{other:?}");
    }
}

#[test]
fn the_hash_is_the_published_one() {
    // FNV-1a, 64 bits, of "a" is af63dc4c8601ec8c.
    assert_eq!(short_hash("a"), format!("{:08x}", 0xaf63_dc4c_u32 ^ 0x8601_ec8c));
}

#[test]
fn a_quiet_machine_has_no_warnings() {
    let (_directory, files) = root(&[
        ("proc/cpuinfo", &EPYC.replace("hypervisor ", "")),
        ("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 900000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
        ("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ]);
    assert_eq!(conditions::read(&files), Vec::<String>::new());
}

#[test]
fn each_doubtful_condition_gets_a_sentence_with_its_figure() {
    let (_directory, files) = root(&[
        ("proc/cpuinfo", EPYC),
        (
            "proc/meminfo",
            "MemTotal: 1024000 kB\nMemAvailable: 51200 kB\nSwapTotal: 204800 kB\nSwapFree: 102400 kB\n",
        ),
        (
            "proc/pressure/memory",
            "some avg10=0.00 avg60=12.50 avg300=0.00 total=0\nfull avg10=0 avg60=1 total=0\n",
        ),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
        ("sys/devices/system/cpu/cpufreq/boost", "1\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
    ]);
    let warnings = conditions::read(&files);
    let figures = [
        "`performance, powersave`",
        "Turbo",
        "Swap in use: 100 MiB",
        "Only 50 MiB of 1000 MiB",
        "12.5 %",
        "(virtual machine)",
        "`always`",
    ];
    assert_eq!(warnings.len(), figures.len(), "{warnings:#?}");
    for (warning, figure) in warnings.iter().zip(figures) {
        assert!(warning.contains(figure) && warning.ends_with('.'), "{figure}: {warning}");
    }
}
