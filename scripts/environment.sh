# Sourced by the other scripts: makes .venv, installs the pinned requirements once, and puts it first on the PATH.
# Usage: use_environment requirements.txt
# PYTHON names the interpreter to make it with (3.11 or newer; default python3).

use_environment() {
    local requirements=$1 python=${PYTHON:-python3} stamp digest
    if [ ! -x .venv/bin/python ]; then
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
            echo "error: $python is $("$python" --version 2>&1); Python 3.11 or newer is needed: set PYTHON=python3.11" >&2
            exit 2
        }
        echo "making .venv"
        "$python" -m venv .venv
    fi
    digest=$(cat requirements.txt "$requirements" | sha256sum | cut -d' ' -f1)
    stamp=.venv/installed-${requirements%.txt}
    if [ "$(cat "$stamp" 2>/dev/null)" != "$digest" ]; then
        echo "installing $requirements (once; several GB, about two minutes on a fast network)"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
        echo "$digest" >"$stamp"
    fi
    PATH="$PWD/.venv/bin:$PATH"
}

# Usage: step TITLE COMMAND...; tells what it does, and does it unless dry_run is yes.
step() {
    echo
    echo "== $1"
    shift
    echo "+ $*"
    [ "$dry_run" = yes ] || "$@"
}
