#!/bin/sh
# Install Debian packages where that is possible; say what is missing where it is not.
# Usage: system-packages.sh [--must] PACKAGE...   (--must: nothing works without them)
set -eu
must=
[ "$1" = --must ] && { must=yes; shift; }

missing=
for package in "$@"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
    # The command of the package nodejs is node.
    command -v "${package%js}" >/dev/null 2>&1 && continue
    missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # Programs are wanted, not services: several of these would start one on port 80.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086
    apt-get install --yes --quiet --no-install-recommends $missing >/dev/null 2>&1 ||
        { apt-get update --quiet >/dev/null && apt-get install --yes --quiet --no-install-recommends $missing >/dev/null; }
elif [ -n "$must" ]; then
    echo "missing:$missing; install with: sudo apt-get install$missing" >&2
    exit 1
else
    echo "not installed, so the tests that need them are skipped by name:$missing" >&2
    echo "install with: sudo apt-get install$missing" >&2
fi
