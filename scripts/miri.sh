#!/usr/bin/env bash
# Miri on our own allocators: undefined behaviour that no run on a machine shows. Needs a nightly toolchain with Miri; says
# what is missing, and skips.
#
#   scripts/miri.sh
#
# By what the code promises about pointers:
# - strict provenance: arenas, bumps, pools, the arithmetic, which derive every pointer from the one they were given;
# - permissive: the messages of slab, which finds a block's segment by masking its address and so relies on exposed
#   provenance; and the conformance tests, some of which keep blocks as addresses.
# Left out is what Miri cannot run: child processes, and mappings of which a part is given back or moved. The latter is how
# slab gets its segments, so of slab only what works on blocks from elsewhere is tried; its whole is for AddressSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "MISSING: Miri (rustup toolchain install nightly --component miri,rust-src); it is skipped" >&2
    exit 0
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/miri
# Sizes and rounds of the tests shrink under cfg(miri). `-Zmiri-disable-isolation`: proptest reads the clock and a directory.
common="-Zmiri-disable-isolation -Zmiri-ignore-leaks"
step() { printf '\n== %s\n' "$*" >&2; }

# Names and what is skipped are parts of test names.
step "strict provenance: arenas, bumps, pools, arithmetic"
MIRIFLAGS="$common -Zmiri-strict-provenance" cargo +nightly miri test --quiet --no-default-features --lib -- \
    allocators::arena allocators::arithmetic allocators::bump allocators::pool allocators::slots

step "permissive provenance: the messages of slab"
MIRIFLAGS="$common -Zmiri-permissive-provenance" cargo +nightly miri test --quiet --no-default-features --lib -- \
    allocators::slab::remote allocators::slab::geometry

step "permissive provenance: conformance of all but slab"
MIRIFLAGS="$common -Zmiri-permissive-provenance" cargo +nightly miri test --quiet --no-default-features \
    --test conformance -- \
    --skip every_allocator_of_the_list --skip drop_returns_the_address_space --skip debug_builds_stop \
    --skip every_build_stops --skip ended_thread_comes_back --skip what_no_machine_has
