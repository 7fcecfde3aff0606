#!/usr/bin/env bash
# The main job: builds everything, measures the quick profile with all probes (under ten minutes after the build), and
# leaves the comparison site. Its path is the last line.
#
#   scripts/report.sh [SITE_DIR]       default: site
#
# More than that: cargo run --release -- run --help
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
need_compilers || exit 2
need valgrind valgrind "instructions are not counted" || true

site=${1:-site}
cargo build --release --bin allocmark
# The program itself, not `cargo run`: nothing else is to run while it measures.
allocmark=${CARGO_TARGET_DIR:-target}/release/allocmark
status=0
record=$("$allocmark" run --profile quick) || status=$?
# 4: some cells failed; the site shows which.
if [ "$status" != 0 ] && [ "$status" != 4 ]; then exit "$status"; fi
"$allocmark" report "$record" --out "$site"
exit "$status"
