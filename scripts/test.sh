#!/usr/bin/env bash
# All checks, in the order in which they are cheapest to fail. No test measures time.
#
#   scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/needs.sh
. scripts/needs.sh
need_compilers || exit 2
need valgrind valgrind "nothing shows that instruction counts repeat" || true

step() { printf '\n== %s\n' "$*" >&2; }

step "the allocators alone, as a dependency sees them"
cargo test --quiet --no-default-features

step "format, lints, documentation"
cargo fmt --check
# All features: also the one that is off by default, so this builds every C and C++ library there is.
cargo clippy --quiet --all-targets --all-features -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps

step "every order of the lock-free parts' accesses"
scripts/loom.sh

step "tests of the library, the command line, the allocators and the site"
cargo test --quiet

step "every bench executable, each case once, its content checked"
cargo run --quiet --release --bin allocmark -- verify --profile quick

step "the site in a browser"
scripts/browser.sh

step "all passed"
