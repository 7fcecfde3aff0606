#!/usr/bin/env bash
# Every cell once with its content checked, built with AddressSanitizer. Needs a nightly toolchain; without one it says so
# and skips.
#
#   scripts/sanitize.sh [ARGUMENTS of allocmark verify]      default: --profile standard
#
# What it watches is the Rust code: the workloads, the harness, our own allocators. It sees blocks that came from the
# system's malloc, and nothing inside the memory of an allocator that takes it from the operating system. Left out unless
# named: rpmalloc, whose library puts a pthread_create of its own in the place of the one that AddressSanitizer watches
# ("Joining already joined thread"), and system-one-arena, whose option the sanitizer's malloc does not take.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
need_compilers || exit 2

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "MISSING: a nightly toolchain (rustup toolchain install nightly); AddressSanitizer is skipped" >&2
    exit 0
fi
# A target of its own: without it, build scripts and procedural macros would be sanitized too.
target=$(rustc +nightly -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET=$target RUSTFLAGS="-Zsanitizer=address"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/sanitized
# glibc's own bookkeeping of threads that were just joined counts as leaked.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
[ $# -gt 0 ] || set -- --profile standard \
    --allocator '^(null|system|jemalloc.*|mimalloc.*|snmalloc|slab|pool|arena|arena-thread|bump|bump-shared)$'
exec cargo +nightly run --quiet --release --bin allocmark -- verify --time-limit 600 "$@"
