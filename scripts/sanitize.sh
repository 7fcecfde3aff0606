#!/usr/bin/env bash
# AddressSanitizer. Needs a nightly toolchain; without one it says so and skips.
#
#   scripts/sanitize.sh own                                  the tests of our own allocators, and that misuse is found
#   scripts/sanitize.sh [ARGUMENTS of allocmark verify]      every cell once, its content checked; default: --profile standard
#
# What it watches is the Rust code: the workloads, the harness, our own allocators. It knows the blocks of the system's
# malloc; inside memory that an allocator maps itself it sees only what that allocator tells it. Ours do, in both modes
# (src/allocators/poison.rs); others do not.
# Left out of `verify` unless named: rpmalloc, whose library puts a pthread_create of its own in the place of the one that
# AddressSanitizer watches ("Joining already joined thread"), and system-one-arena, whose option the sanitizer's malloc does
# not take. Left out of `own`: tests that use up the address space or the process's mappings, of which the sanitizer needs
# some itself, and one that measures the address space that it uses as well.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
# shellcheck source=scripts/poison.sh
. scripts/poison.sh
need_compilers || exit 2
need_poison "AddressSanitizer is skipped" || exit 0

if [ "${1:-}" = own ]; then
    # The features' C libraries are not looked at, and not built.
    left_out='slab_exhaustion|slab_mappings'
    tests=$(find tests -maxdepth 1 \( -name 'slab_*.rs' -o -name 'pool_*.rs' -o -name 'poison.rs' \) |
        sed 's|.*/||; s|\.rs$||' | grep -Ev "^($left_out)$" | sort | sed 's/^/--test /')
    # shellcheck disable=SC2086  # several words
    exec cargo +nightly test --quiet --no-default-features --lib --test conformance $tests -- \
        --skip drop_returns_the_address_space
fi
[ $# -gt 0 ] || set -- --profile standard \
    --allocator '^(null|system|jemalloc.*|mimalloc.*|snmalloc|slab|pool.*|arena.*|bump.*)$'
exec cargo +nightly run --quiet --release --bin allocmark -- verify --time-limit 600 "$@"
