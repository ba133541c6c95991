#!/bin/sh
# Make a virtual environment, also where Debian's Python comes without the package that makes them.
set -eu
venv=$1
python=$2

command -v "$python" >/dev/null || { echo "rtserver needs Python 3.11 or newer; '$python' is not installed" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "rtserver needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1)" >&2
    exit 1
}
[ -x "$venv/bin/pip" ] && exit 0
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$(dirname "$0")/system-packages.sh" --must "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
fi
rm -rf "$venv"
"$python" -m venv "$venv"
