# Sourced by the launch scripts: the interpreter, and how a command is told and run.

python=${PYTHON:-python}
[ -n "${PYTHON:-}" ] || [ ! -x .venv/bin/python ] || python=.venv/bin/python
dry_run=no

fail() {
    echo "error: $1" >&2
    exit 2
}

value_of() { # OPTION VALUE ...
    [ $# -ge 2 ] || fail "$1 needs a value; see --help"
}

need_config() { # ARGUMENTS
    if [ $# -eq 0 ] && [ "$dry_run" = yes ]; then return; fi
    [ $# -gt 0 ] || fail "a CONFIG is needed; see --help"
    [ -f "$1" ] || fail "$1: no such configuration"
}

need_free_port() { # PORT
    "$python" -c 'import socket, sys; socket.create_server(("", int(sys.argv[1])))' "$1" 2>/dev/null ||
        fail "port $1 is taken; choose another with --port, the same on all machines"
}

run() {
    echo "+ $*"
    [ "$dry_run" = yes ] || exec "$@"
}
