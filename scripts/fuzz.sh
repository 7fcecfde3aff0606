#!/usr/bin/env bash
# Fuzzes for so many seconds each: our allocators, and the reader of traces. Ends with 0 if nothing was found; what was found
# lies in fuzz/artifacts.
#
#   scripts/fuzz.sh [seconds] [target]      default: 60 seconds, both; targets: allocators, trace_reader
#
# Needs a nightly toolchain and a C++ compiler. It does what `cargo fuzz run` does, without cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
targets=${2:-allocators trace_reader}
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-fuzz/target}

# What libFuzzer needs to see which way a run went, and the sanitizer that finds what a panic does not; our allocators tell
# it which of their bytes nobody may touch.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cforce-frame-pointers=yes --cfg fuzzing \
--cfg allocmark_poison"

for target in $targets; do
    # The target is named, so that the flags do not reach build scripts.
    cargo +nightly build --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$build" --bin "$target"
    case $target in
        # 250 operations. Its blocks are 32 MiB at most, and as much is kept; the rest is the sanitizer's.
        allocators) limits="-max_len=2001 -rss_limit_mb=2048" ;;
        # A reader holds 25 MiB at most: a larger block would be one that a file had asked for.
        *) limits="-max_len=4096 -rss_limit_mb=1024 -malloc_limit_mb=32" ;;
    esac
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    # shellcheck disable=SC2086  # several words
    "$build/$host/release/$target" "fuzz/corpus/$target" -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -timeout=30 -print_final_stats=1 $limits
done
