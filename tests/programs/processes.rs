//! New processes, with and without exec, while other threads are in the middle of allocating.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::{alone, is_ours};

/// Sets its flag when `work` is over, or has panicked: the others would wait for ever.
struct Ended<'flag>(&'flag AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` with strings that other threads made, while these threads allocate and free.
fn while_others_allocate(work: impl FnOnce(Vec<String>)) {
    let ended = AtomicBool::new(false);
    let (sender, strings) = mpsc::channel();
    thread::scope(|scope| {
        let ended = Ended(&ended);
        for number in 0..3_usize {
            let (sender, over) = (sender.clone(), ended.0);
            scope.spawn(move || {
                sender.send((0..100).map(|text| format!("{number} {text}")).collect()).expect("received");
                drop(sender);
                while !over.load(Ordering::Relaxed) {
                    // Of all kinds: small, in spans of several pages, and with a mapping of its own.
                    black_box((0..100).map(|length| vec![1_u8; length * 11]).collect::<Vec<_>>());
                    black_box(vec![1_u8; 100_000]);
                    black_box(Vec::<u8>::with_capacity(5 << 20));
                }
            });
        }
        drop(sender);
        let received: Vec<Vec<String>> = strings.iter().collect();
        work(received.into_iter().flatten().collect());
    });
}

#[cfg_attr(miri, ignore = "it has no processes")]
#[test]
fn a_program_is_executed_while_threads_allocate() {
    let _alone = alone();
    while_others_allocate(|strings| {
        assert!(strings.iter().all(|text| is_ours(text.as_str())));
        for _ in 0..5 {
            // This very file: the new process has the same allocator.
            let itself = std::env::current_exe().expect("it was started from a file");
            let output =
                Command::new(itself).args(["--list", "--format=terse"]).output().expect("it can be run");
            assert!(output.status.success());
            let listed = String::from_utf8(output.stdout).expect("names are text");
            let name = "programs::processes::a_program_is_executed_while_threads_allocate: test";
            assert_eq!(listed.lines().filter(|line| *line == name).count(), 1);
        }
    });
}

/// In the child: what it inherited is there and can be freed, and new blocks can be had. No assertion: a panic would
/// print, and take locks that a thread held which the child does not have.
#[cfg(unix)]
fn inherits(kept: Vec<String>) -> bool {
    let doubled: Vec<String> = kept.iter().map(|text| text.repeat(2)).collect();
    let good = kept.len() == 300
        && doubled.iter().zip(&kept).all(|(doubled, text)| doubled.strip_prefix(text.as_str()) == Some(text))
        && doubled.iter().all(|text| is_ours(text.as_str()));
    drop((kept, doubled));
    let mut large = vec![0_u64; 1 << 20];
    large[77] = 1;
    good && large.iter().sum::<u64>() == 1 && (0..1_000_usize).map(Box::new).all(|boxed| is_ours(&*boxed))
}

#[cfg(unix)]
#[cfg_attr(miri, ignore = "it has no processes")]
#[test]
fn the_child_of_a_fork_may_allocate_and_free_while_its_parents_threads_did() {
    let _alone = alone();
    while_others_allocate(|kept| {
        for _ in 0..30 {
            // SAFETY: the child only allocates and frees, and ends with `_exit`, which runs no handlers.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: a signal ends the child, should it wait for what no thread of its own will ever give; `_exit`
                // does so at once.
                unsafe {
                    libc::alarm(60);
                    libc::_exit(if inherits(kept) { 0 } else { 1 });
                }
            }
            assert!(child > 0, "no process to be had");
            let mut status = -1;
            // SAFETY: waits for the child forked above; `status` is writable.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
        assert!(inherits(kept), "the parent has what it had");
    });
}
