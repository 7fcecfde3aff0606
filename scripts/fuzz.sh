#!/usr/bin/env bash
# Fuzzes the reader of traces for so many seconds. Ends with 0 if nothing was found; what was found lies in fuzz/artifacts.
#
#   scripts/fuzz.sh [seconds]
#
# Needs a nightly toolchain and a C++ compiler. It does what `cargo fuzz run` does, without cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-fuzz/target}

# What libFuzzer needs to see which way a run went, and the sanitizer that finds what a panic does not.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cforce-frame-pointers=yes --cfg fuzzing"
# The target is named, so that the flags do not reach build scripts.
cargo +nightly build --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$target" --bin trace_reader

mkdir -p fuzz/corpus/trace_reader fuzz/artifacts/trace_reader
# A reader holds 25 MiB at most: a larger block would be one that a file had asked for. The sanitizer's own are beside it.
"$target/$host/release/trace_reader" fuzz/corpus/trace_reader \
    -artifact_prefix=fuzz/artifacts/trace_reader/ -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -rss_limit_mb=1024 -malloc_limit_mb=32 -print_final_stats=1
