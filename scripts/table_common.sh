# Sourced by the table scripts: picks the interpreter and runs `python -m evaluation table`.
# PYTHON names an interpreter that has the requirements; else .venv is made and they are installed into it once.

run_table() { # NAME [ARGUMENTS]
    local name=$1 word dry_run=no
    shift
    for word in "$@"; do
        case "$word" in
            -h | --help) usage && exit 0 ;;
            --dry-run) dry_run=yes ;;
        esac
    done
    if [ -n "${PYTHON:-}" ]; then
        python=$PYTHON
    elif [ "$dry_run" = yes ] && [ ! -x .venv/bin/python ]; then
        python=python # nothing is installed to tell what would be done
    else
        use_environment requirements.txt
        python=python
    fi
    export NO_ALBUMENTATIONS_UPDATE=1
    "$python" -m evaluation table "configs/tables/$name.yaml" "$@"
}

options() {
    cat <<'TEXT'

  data=DATA        folder with the raw data sets (default: $OCCFACE_DATA, or data)
  --smoke          the same path on drawn data with small networks, on a CPU, in half a minute to two and a half
  --only NAME      only this step or cell (training set/network), and what it needs; may stand several times; patterns
                   work: --only '*/segformer'; --only table writes the table anew and runs nothing
  --seeds 0,1,2    one training a seed: the table tells mean and standard deviation
  --dry-run        tell every command and which are done, and stop
  output=DIR       folder for everything that is made (default: runs/tables)
  key=value        any other key of the table's file, e.g. jobs=2

The same command again goes on where it stopped: a stage is skipped if it was run as it would be now, and what it made
is still there (by SHA-256). PYTHON names the interpreter; without it .venv is made and the requirements are installed.
TEXT
}
