#!/usr/bin/env bash
# ThreadSanitizer on the tests of our own allocators that have several threads. Needs a nightly toolchain with its
# standard library's source, which is built with the sanitizer too: without that, what synchronises through it looks like a
# race. Says what is missing, and skips.
#
#   scripts/tsan.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "MISSING: a nightly toolchain (rustup toolchain install nightly); ThreadSanitizer is skipped" >&2
    exit 0
fi
if [ ! -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ]; then
    echo "MISSING: rust-src (rustup component add rust-src --toolchain nightly); ThreadSanitizer is skipped" >&2
    exit 0
fi
CARGO_BUILD_TARGET=$(rustc +nightly -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET RUSTFLAGS="-Zsanitizer=thread"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/tsan
# Tests ask for what no machine has, and expect null.
export TSAN_OPTIONS=${TSAN_OPTIONS:-allocator_may_return_null=1}
exec cargo +nightly test -Zbuild-std --quiet --no-default-features --lib --test conformance --test slab_threads \
    --test pool_global
