#!/usr/bin/env bash
# Opens every page of a site in headless Chromium, light and dark, and fails on any console message or missing page.
#
#   scripts/browser.sh [RECORD]        default: the newest record under results/, else imported criterion results
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
need chromium chromium "the site is not opened in a browser" || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet --release --bin allocmark
allocmark=${CARGO_TARGET_DIR:-target}/release/allocmark
record=${1:-results}
if [ $# = 0 ] && ! compgen -G 'results/*.json*' >/dev/null; then
    record=$work/imported.json
    "$allocmark" import tests/data/criterion-tree --out "$record" >/dev/null
fi
"$allocmark" report "$record" --out "$work/site" >/dev/null

pages=0
bad=0
while IFS= read -r page; do
    for scheme in 1 0; do # Chromium's numbers: 1 is light, 0 is dark.
        # No network: the flags keep Chromium from looking for updates of its own.
        timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
            --disable-background-networking --disable-component-update --disable-sync \
            --user-data-dir="$work/profile" --blink-settings=preferredColorScheme="$scheme" \
            --enable-logging=stderr --v=0 --dump-dom "file://$page" </dev/null >"$work/dom" 2>"$work/log" || true
        if grep -q 'CONSOLE' "$work/log"; then
            echo "${page#"$work"/}: $(grep -m1 'CONSOLE' "$work/log")" >&2
            bad=$((bad + 1))
        fi
        if ! grep -q '</html>' "$work/dom"; then
            echo "${page#"$work"/}: not shown" >&2
            bad=$((bad + 1))
        fi
    done
    pages=$((pages + 1))
done < <(find "$work/site" -name '*.html' | sort)
echo "$pages pages opened, light and dark: $bad with something to say" >&2
[ "$pages" -gt 5 ] && [ "$bad" = 0 ]
