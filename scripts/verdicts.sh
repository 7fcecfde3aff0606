#!/usr/bin/env bash
# Shows on this machine what the verdicts are worth: the system's allocator against itself with extra work in `churn`.
# The extra work must be suspected there and confirmed on fresh rounds, and nothing else may be confirmed.
#
#   scripts/verdicts.sh [TURNS]        turns of a small loop before each allocation [default: 8, some 15 % on churn]
#
# Takes some minutes, and nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
need_compilers || exit 2

export SLOW_TURNS=${1:-8}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet --release --no-default-features --features harness --bin allocmark --example confirm
# Copies: building the fixture uses the same directory.
cp "$CARGO_TARGET_DIR/release/allocmark" "$CARGO_TARGET_DIR/release/examples/confirm" "$work"
cd tests/fixtures/slow

measure() { "$work/allocmark" run --profile quick --probes time --out "$work" "$@"; }

record=$(measure)
"$work/confirm" pair "$record" plain slow | tee "$work/screen" >&2
rounds=$(sed -n 's/^[0-9]* suspected; \([0-9]*\) fresh.*/\1/p' "$work/screen")
if [ "$rounds" = 0 ]; then
    echo "nothing suspected"
    exit 1
fi
# The suspected cases as one regular expression: confirm names a cell workload/allocator/parameters.
cases=$(sed -n 's|^\([a-z-]*\)/plain\(/[^:]*\)\{0,1\}: suspected.*|^\1\2$|p' "$work/screen" | paste -sd'|')
fresh=$(measure --rounds "$rounds" --workload "$cases" --seed 2)
"$work/confirm" pair "$record" plain slow "$fresh" | sed -n '/fresh rounds/p' | tee "$work/confirmed"
wrong=$(grep 'REGRESSED' "$work/confirmed" | grep -vc '^churn/' || true)
right=$(grep 'REGRESSED' "$work/confirmed" | grep -c '^churn/' || true)
echo "$right confirmed in churn, $wrong elsewhere"
[ "$right" -gt 0 ] && [ "$wrong" = 0 ]
