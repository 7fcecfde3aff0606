#!/usr/bin/env bash
# Random programs on four threads, on each of our allocators or on one, built with AddressSanitizer where a nightly
# toolchain is there. Ends with 0 if all content was right and memory was flat.
#
#   scripts/soak.sh [seconds] [allocator] [seed]      default: 600 seconds, each allocator, seed 1
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/poison.sh
. scripts/poison.sh
seconds=${1:-600}
allocators=${2:-slab slab-global pool pool-backed pool-mutex pool-local arena arena-thread bump-shared}
seed=${3:-1}

# Debug assertions: the heap walker, and the marks in free blocks.
export RUSTFLAGS="-Cdebug-assertions ${RUSTFLAGS:-}"
toolchain=
if need_poison "THE SOAK RUNS WITHOUT AddressSanitizer: only content, invariants and memory are checked"; then
    toolchain=+nightly
    # The sanitizer's quarantine for blocks of the system's malloc would fill for minutes and look like a leak.
    ASAN_OPTIONS=$ASAN_OPTIONS:quarantine_size_mb=1:thread_local_quarantine_size_kb=64
fi
cargo ${toolchain:+"$toolchain"} build --quiet --release --no-default-features --example soak
soak=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:-}/release/examples/soak

failed=
for allocator in $allocators; do
    printf '\n== %s: %s s, seed %s\n' "$allocator" "$seconds" "$seed"
    "$soak" "$allocator" "$seconds" "$seed" || failed="$failed $allocator"
done
if [ -n "$failed" ]; then
    echo "FAILED:$failed" >&2
    exit 1
fi
