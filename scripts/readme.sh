#!/usr/bin/env bash
# Writes the README's table and picture from a record, between their markers.
#
#   scripts/readme.sh [RECORD]         default: the newest record under results/
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
need chromium chromium "the README's picture cannot be made" || exit 1

record=${1:-results}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet --release --bin allocmark
allocmark=${CARGO_TARGET_DIR:-target}/release/allocmark
"$allocmark" rank "$record" --format markdown >"$work/table"
"$allocmark" report "$record" --out "$work/site" >/dev/null

chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile" \
    --blink-settings=preferredColorScheme=1 --window-size=1200,1900 \
    --screenshot="$PWD/docs/overview.png" "file://$work/site/index.html" >/dev/null 2>&1

awk -v table="$work/table" '
    /<!-- table: begin -->/ { print; print ""; while ((getline line < table) > 0) print line; print ""; skip = 1 }
    /<!-- table: end -->/ { skip = 0 }
    !skip { print }
' README.md >"$work/README.md"
# awk printed the opening marker itself and then skipped to the closing one.
cat "$work/README.md" >README.md
echo "README.md, docs/overview.png" >&2
