# shellcheck shell=bash
# Common ground of the test scripts, to be sourced: where things are, and how a missing Debian package gets installed.
#
#   ktls_root    top of the source tree
#   ktls_cache   downloads and built images; outside the source tree, safe to delete at any time

# shellcheck disable=SC2034 # for the scripts which source this
ktls_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034
ktls_cache=${KTLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/libktls}

ktls_say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
ktls_die() { ktls_say "$@"; exit 1; }

# Run a command silently; show what it wrote only if it fails.
ktls_quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        ktls_say "failed with status $status: $*"
    fi
    rm -f "$log"
    return "$status"
}

# ktls_need PKG...: make sure these Debian packages are installed.
ktls_need() {
    local pkg missing=() as_root=()
    for pkg; do
        # Asking dpkg first keeps every later run off the network.
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$pkg" 2>/dev/null)" = installed ] || missing+=("$pkg")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || ktls_die "please install these packages: ${missing[*]}"
        as_root=(sudo)
    fi
    # Several test scripts may find the same package missing at the same time. To install waits for dpkg's lock,
    # but no option makes an update wait for that of the lists.
    mkdir -p "$ktls_cache"
    ktls_quietly flock "$ktls_cache/.update" "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update || return
    ktls_quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}" || return
    # shellcheck disable=SC2034 # for builds that were configured without them
    ktls_installed=yes
}
