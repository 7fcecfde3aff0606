# What the other scripts need, installed where that is allowed. Sourced, not run.
#
# need COMMAND PACKAGE WHY...: sees to it that COMMAND is there. Root on Debian installs PACKAGE; anybody else is told in
# one line what is missing and what is skipped because of it, and the answer is false.

need() {
    local command=$1 package=$2
    shift 2
    command -v "$command" >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing $package ($*)" >&2
        if { [ -n "${apt_updated:-}" ] || apt-get update -qq; } >/dev/null 2>&1; then
            apt_updated=yes
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null 2>&1
        fi
        command -v "$command" >/dev/null 2>&1 && return 0
    fi
    echo "MISSING: $command (Debian package $package); without it: $*" >&2
    return 1
}

# The compilers, without which nothing builds.
need_compilers() {
    if ! command -v cargo >/dev/null 2>&1; then
        # Not installed from the system: stable releases of Debian have one that is too old.
        echo "MISSING: cargo 1.93 or later (https://rustup.rs installs it); nothing can be built without it" >&2
        return 1
    fi
    need cc gcc "the C libraries cannot be built" &&
        need c++ g++ "snmalloc cannot be built"
}
