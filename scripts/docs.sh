#!/bin/sh
# Writes docs/workloads.md from what the workloads' files say. A test fails while it is out of date.
set -eu
cd "$(dirname "$0")/.."

# Through a file beside it: an interrupted run leaves the old page or the new one.
cargo run --quiet --no-default-features --features harness -- list --format markdown >docs/workloads.md.partial
mv docs/workloads.md.partial docs/workloads.md
echo docs/workloads.md >&2
