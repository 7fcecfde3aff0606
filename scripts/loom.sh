#!/usr/bin/env bash
# Tries every order in which the accesses of the allocators' lock-free parts can take effect, in the models of loom/.
#
#   scripts/loom.sh [part of a model's name]
#
# Needs what a build needs and no more. A model that fails prints what each thread did where loom noticed; with
# LOOM_LOG=trace, and LOOM_LOCATION=1, every step of the run.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTFLAGS="--cfg loom"
# A directory of its own: the flag is for every crate, and would have the others' builds thrown away.
target=${CARGO_TARGET_DIR:-target}/loom
cargo fmt --check --manifest-path loom/Cargo.toml
# Release: a model makes tens of thousands of runs.
cargo test --quiet --release --manifest-path loom/Cargo.toml --target-dir "$target" -- "$@"
