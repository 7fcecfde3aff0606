//! Counting instructions: the executable under valgrind's callgrind, which counts while the workload's clock runs.
//!
//! Collection starts off; the executable switches it on and off at the two readings of the clock (see
//! [`crate::harness::probes::instructions`]). Counts repeat exactly, or within a few in a million where an allocator looks
//! at the time.

use std::path::Path;
use std::process::Command;

use super::process::{Ended, Finished};
use crate::harness::protocol;

/// The program.
pub const PROGRAM: &str = "valgrind";

/// What is said where it is not installed.
pub const MISSING: &str = "valgrind is not installed (Debian package valgrind)";

/// The file that callgrind leaves, in the process's scratch directory.
pub const FILE: &str = "callgrind.out";

/// By how much the time limit is stretched: callgrind takes about fifty times as long as the machine, but the work is one
/// pass instead of thousands.
pub const SLOWER: u32 = 5;

/// A process that shows whether an executable starts under valgrind at all.
pub fn trial(command: &Command) -> Command {
    let mut trial = around(command, Path::new("/dev/null"));
    trial.arg(protocol::DESCRIBE);
    trial
}

/// `command` under callgrind, which leaves its counts in `file`.
pub fn around(command: &Command, file: &Path) -> Command {
    let mut around = Command::new(PROGRAM);
    around
        .args(["--tool=callgrind", "--collect-atstart=no"])
        // A percent sign in a file name is valgrind's.
        .arg(format!("--callgrind-out-file={}", file.display().to_string().replace('%', "%%")))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => around.env(name, value),
            None => around.env_remove(name),
        };
    }
    around
}

/// Why a process under valgrind gave no count.
pub fn cannot(finished: &Finished) -> String {
    let how = match &finished.ended {
        Ended::Well => "it ended without an answer".to_owned(),
        Ended::TimeLimit => "it took too long to start".to_owned(),
        Ended::Badly(how) => how.clone(),
    };
    // Valgrind's own lines begin with its process number; the reason stands in the first that names a problem.
    let words =
        finished.stderr.lines().map(|line| line.trim_start_matches(|c: char| "=0123456789 ".contains(c)));
    let reason = words.into_iter().find(|line| {
        let line = line.to_lowercase();
        ["fatal", "cannot", "unrecognised", "unhandled", "failed"].iter().any(|word| line.contains(word))
    });
    match reason {
        Some(reason) => format!("it does not run under valgrind ({how}): {}", reason.trim()),
        None => format!("it does not run under valgrind ({how})"),
    }
}

/// The instructions that callgrind counted, from the text it left.
///
/// # Errors
/// What is missing in the text.
pub fn instructions(text: &str) -> Result<u64, String> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next())
            .ok_or_else(|| format!("callgrind's output has no line {name:?}"))
    };
    match field("events:")? {
        "Ir" => {}
        other => return Err(format!("callgrind counted {other:?} first, expected \"Ir\" (instructions)")),
    }
    let total = field("totals:")?;
    match total.parse() {
        Ok(0) => Err("callgrind counted nothing: the workload did not switch it on".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("callgrind's total is {total:?}, expected a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_the_first_event_is_the_count() {
        let text = "version: 1\ncreator: callgrind\nevents: Ir\n\nfn=(1) a\n16 400\n\ntotals: 12345\n";
        assert_eq!(instructions(text), Ok(12_345));
    }

    #[test]
    fn a_text_without_a_count_is_told() {
        for (text, words) in [
            ("", "events:"),
            ("events: Dr Ir\ntotals: 1 2\n", "\"Dr\""),
            ("events: Ir\n", "totals:"),
            ("events: Ir\ntotals: many\n", "\"many\""),
            ("events: Ir\ntotals: 0\n", "counted nothing"),
        ] {
            let error = instructions(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_process_keeps_its_environment_under_valgrind() {
        let mut command = Command::new("/bin/true");
        command.env("A", "1").env_remove("LD_PRELOAD").arg("x");
        let around = around(&command, Path::new("/tmp/100%"));
        let arguments: Vec<_> = around.get_args().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(arguments[2..], ["--callgrind-out-file=/tmp/100%%", "/bin/true", "x"]);
        let envs: Vec<_> =
            around.get_envs().map(|(name, value)| (name.to_str().unwrap(), value.is_some())).collect();
        assert_eq!(envs, [("A", true), ("LD_PRELOAD", false)]);
    }

    #[test]
    fn the_reason_is_taken_from_what_valgrind_said() {
        let stderr =
            "==12== Callgrind, a call-graph profiler\n==12== Valgrind: FATAL: cannot map\n".to_owned();
        let finished = Finished {
            ended: Ended::Badly("killed by signal 6 (abort)".to_owned()),
            stdout: Vec::new(),
            stderr,
        };
        let reason = cannot(&finished);
        assert_eq!(
            reason,
            "it does not run under valgrind (killed by signal 6 (abort)): Valgrind: FATAL: cannot map"
        );
    }
}
