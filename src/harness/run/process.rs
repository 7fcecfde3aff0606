//! One process: started, watched, ended at its time limit.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use wait_timeout::ChildExt;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With exit code 0.
    Well,
    /// With another exit code, or by a signal: what that was, in words.
    Badly(String),
    /// It was killed at its time limit.
    TimeLimit,
    /// It could not be started or watched.
    NotStarted(String),
}

/// A process that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, for the reason of a failure.
    pub stderr: String,
}

impl Finished {
    /// The last line of standard error that says anything.
    pub fn last_words(&self) -> &str {
        self.stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
    }
}

/// Runs `command` to its end, or kills it after `limit`.
pub fn run(mut command: Command, limit: Duration) -> Finished {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return nothing(Ended::NotStarted(error.to_string())),
    };
    // Both pipes are read while the process runs: a full one would stop it.
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let ended = match child.wait_timeout(limit) {
        Ok(Some(status)) if status.success() => Ended::Well,
        Ok(Some(status)) => Ended::Badly(words(status)),
        Ok(None) => kill(&mut child),
        Err(error) => Ended::NotStarted(error.to_string()),
    };
    let stderr = String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned();
    Finished { ended, stdout: stdout.join().unwrap_or_default(), stderr }
}

fn nothing(ended: Ended) -> Finished {
    Finished { ended, stdout: Vec::new(), stderr: String::new() }
}

fn kill(child: &mut Child) -> Ended {
    // It may just have ended by itself; then there is nobody to kill, and waiting still collects it.
    let _ = child.kill();
    let _ = child.wait();
    Ended::TimeLimit
}

/// What a process may say before the rest is thrown away: one that writes for ever must not fill our memory.
const LONGEST_BYTES: u64 = 16 << 20;

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe ends the text; what came before is kept.
            let _ = pipe.by_ref().take(LONGEST_BYTES).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        bytes
    })
}

#[cfg(unix)]
fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(libc::SIGSEGV) => "killed by signal 11 (segmentation fault)".to_owned(),
        Some(libc::SIGABRT) => "killed by signal 6 (abort)".to_owned(),
        Some(libc::SIGKILL) => {
            "killed by signal 9 (somebody's kill, or the system was out of memory)".to_owned()
        }
        Some(signal) => format!("killed by signal {signal}"),
        None => status.to_string(),
    }
}

#[cfg(not(unix))]
fn words(status: ExitStatus) -> String {
    status.to_string()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Finished {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit)
    }

    #[test]
    fn a_process_that_ends_well_leaves_its_output() {
        let finished = shell("echo out; echo err >&2", Duration::from_secs(60));
        assert_eq!(finished.ended, Ended::Well);
        assert_eq!((finished.stdout.as_slice(), finished.last_words()), (b"out\n".as_slice(), "err"));
    }

    #[test]
    fn an_exit_code_and_a_signal_are_told_apart() {
        assert_eq!(shell("exit 3", Duration::from_secs(60)).ended, Ended::Badly("exit status: 3".to_owned()));
        let killed = shell("kill -SEGV $$", Duration::from_secs(60));
        assert_eq!(killed.ended, Ended::Badly("killed by signal 11 (segmentation fault)".to_owned()));
    }

    #[test]
    fn a_process_that_hangs_is_killed_at_its_limit() {
        assert_eq!(shell("exec sleep 1000", Duration::from_millis(50)).ended, Ended::TimeLimit);
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be() {
        let finished = run(Command::new("/nonexistent/program"), Duration::from_secs(1));
        assert!(matches!(finished.ended, Ended::NotStarted(_)));
    }
}
