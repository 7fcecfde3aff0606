//! Every workload on the platform's malloc with one arena: `cargo bench --bench system-one-arena`.

use std::process::ExitCode;

use allocmark::allocators::system_one_arena::FACTS;

#[path = "system.rs"]
#[allow(dead_code, reason = "its `main`, which is this one with other facts")]
mod system;

fn main() -> ExitCode {
    // Before any other thread: glibc makes an arena for a thread when it first allocates.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function has no preconditions but that no other thread is allocating.
    assert_eq!(unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) }, 1, "glibc takes the number of arenas");
    system::bench(&FACTS).main()
}
