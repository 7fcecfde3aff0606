#!/bin/sh
# Computes the tables of docs/method.md anew, by simulation with fixed seeds (some minutes), and puts them between
# their markers there. Run it after a change to src/stats/ or to the verdicts; an unchanged method changes nothing.
set -eu
cd "$(dirname "$0")/.."

document=docs/method.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet --no-default-features --features harness --example method_tables
program=${CARGO_TARGET_DIR:-target}/release/examples/method_tables

# The document says which tables it wants: <!-- table NAME --> … <!-- end table -->
for name in $(sed -n 's/^<!-- table \([a-z-]*\) -->$/\1/p' "$document"); do
    echo "$name" >&2
    "$program" "$name" >"$work/table"
    awk -v marker="<!-- table $name -->" -v table="$work/table" '
        $0 == marker { print; while ((getline line < table) > 0) print line; skipping = 1; next }
        $0 == "<!-- end table -->" { skipping = 0 }
        !skipping { print }
    ' "$document" >"$work/document"
    # Through a file beside it: an interrupted run leaves the old document or the new one.
    cp "$work/document" "$document.partial"
    mv "$document.partial" "$document"
done
