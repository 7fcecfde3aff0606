//! One process: started, watched, ended at its time limit.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
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

/// Runs `command` to its end, or kills it after `limit`, together with every process it started.
///
/// # Errors
/// If it could not be started or watched: nothing is known then about the program.
pub fn run(mut command: Command, limit: Duration) -> io::Result<Finished> {
    own_group(&mut command);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Both pipes are read while the process runs: a full one would stop it.
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let ended = match child.wait_timeout(limit) {
        Ok(Some(status)) if status.success() => Ended::Well,
        Ok(Some(status)) => Ended::Badly(words(status)),
        Ok(None) => {
            end(&mut child);
            Ended::TimeLimit
        }
        Err(error) => {
            end(&mut child);
            return Err(error);
        }
    };
    let stdout = rest(&stdout, &child);
    let stderr = String::from_utf8_lossy(&rest(&stderr, &child)).into_owned();
    Ok(Finished { ended, stdout, stderr })
}

/// Takes from the command what would tune an allocator: peers run with their default settings, whatever the shell that
/// started the run has set.
pub fn without_tuning(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(tunes) {
            command.env_remove(name);
        }
    }
}

/// Whether a variable of this name changes which allocator serves, or how.
fn tunes(name: &str) -> bool {
    // The last adds options to valgrind's, which counts instructions.
    const NAMES: [&str; 3] = ["LD_PRELOAD", "GLIBC_TUNABLES", "VALGRIND_OPTS"];
    // `MALLOC_` has glibc's own (MALLOC_ARENA_MAX, MALLOC_TRIM_THRESHOLD_) and jemalloc's MALLOC_CONF.
    const PREFIXES: [&str; 6] = ["MALLOC_", "_RJEM_", "MIMALLOC_", "RPMALLOC_", "SNMALLOC_", "TCMALLOC_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Gives the process a group of its own, so that its children can be killed with it, and lets it die with us: Ctrl-C at
/// a terminal reaches our group only.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only what is safe in a signal handler may be called; prctl is a bare system call,
    // and the closure neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

/// Kills the process group and collects the process.
fn end(child: &mut Child) {
    kill_group(child);
    // It may just have ended by itself; then there is nobody to kill, and waiting still collects it.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(unix)]
fn kill_group(child: &Child) {
    let Ok(group) = libc::pid_t::try_from(child.id()) else { return };
    // SAFETY: kill takes numbers and touches no memory of ours. The number is that of the group which the child leads,
    // and cannot have passed to others while the child is not collected or a member of the group holds our pipe.
    let _ = unsafe { libc::kill(-group, libc::SIGKILL) };
}

#[cfg(not(unix))]
fn kill_group(_: &Child) {}

/// How long a pipe may stay open after the process is over. What it wrote is in the pipe already.
const GRACE: Duration = Duration::from_secs(1);

/// What a pipe brought. A descendant that still holds it is killed; one that left the group as well is not waited for.
fn rest(pipe: &mpsc::Receiver<Vec<u8>>, child: &Child) -> Vec<u8> {
    pipe.recv_timeout(GRACE).unwrap_or_else(|_| {
        kill_group(child);
        pipe.recv_timeout(GRACE).unwrap_or_default()
    })
}

/// What a process may say before the rest is thrown away: one that writes for ever must not fill our memory.
const LONGEST_BYTES: u64 = 16 << 20;

fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe ends the text; what came before is kept.
            let _ = pipe.by_ref().take(LONGEST_BYTES).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        // Nobody listens any more if the pipe stayed open too long.
        let _ = sender.send(bytes);
    });
    receiver
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
        run(command, limit).unwrap()
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
    fn variables_that_tune_an_allocator_are_told_from_others() {
        for name in
            ["LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_TOP_PAD_", "_RJEM_MALLOC_CONF"]
        {
            assert!(tunes(name), "{name}");
        }
        for name in ["PATH", "LD_LIBRARY_PATH", "CRITERION_HOME", "ALLOCMARK_SEED"] {
            assert!(!tunes(name), "{name}");
        }
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_is_killed_with_its_parent() {
        let finished = shell("sleep 1000 & echo said; wait", Duration::from_millis(200));
        assert_eq!(finished.ended, Ended::TimeLimit);
        assert_eq!(
            finished.stdout,
            b"said
",
            "the pipe was at its end: nobody holds it any more"
        );
    }

    #[test]
    fn a_grandchild_that_stays_behind_does_not_hold_the_driver_up() {
        let finished = shell("sleep 1000 & echo said", Duration::from_secs(60));
        assert_eq!(finished.ended, Ended::Well);
        assert_eq!(
            finished.stdout,
            b"said
",
            "the pipe was at its end: nobody holds it any more"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be() {
        let error = run(Command::new("/nonexistent/program"), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
