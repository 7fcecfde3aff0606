# AddressSanitizer for our own allocators, with their memory poisoned by hand. Sourced, not run.
#
# need_poison WHAT: sets the flags that build with it, or says that WHAT goes without and why; the answer is then false.

need_poison() {
    if ! cargo +nightly --version >/dev/null 2>&1; then
        echo "MISSING: a nightly toolchain (rustup toolchain install nightly); $1" >&2
        return 1
    fi
    # A target of its own: without it, build scripts and procedural macros would be sanitized too.
    CARGO_BUILD_TARGET=$(rustc +nightly -vV | sed -n 's/^host: //p')
    export CARGO_BUILD_TARGET
    export RUSTFLAGS="-Zsanitizer=address --cfg allocmark_poison ${RUSTFLAGS:-}"
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/poisoned
    # glibc's own bookkeeping of threads that were just joined counts as leaked. Tests ask the system's malloc for what no
    # machine has, and expect null.
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=1}
}
