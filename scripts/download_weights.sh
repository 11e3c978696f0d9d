#!/usr/bin/env bash
# Fetch the published model files that detection needs, and check each by size and SHA-256.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<'TEXT'
usage: bash scripts/download_weights.sh [--dry-run] [--mirror DIR|URL] [--to DIR] [NAME ...]

Fetches model files into the folder that OCCFACE_WEIGHTS names, else into weights/, and checks size and SHA-256 before
a file gets its name. Files that are there and whole are kept. Without NAME, the first two of the list are fetched.

  yunet_n_640_640.onnx              0.3 MB  MIT         face boxes and five points
  mediapipe_face_landmarker.task    3.8 MB  Apache-2.0  478 points, for --detector mediapipe
  face_detection_yunet_2023mar.onnx 0.2 MB  MIT         the same network, as OpenCV's model zoo exports it

--mirror (or OCCFACE_WEIGHTS_MIRROR) names a folder or an address that holds the files under these names; with it no
other address is asked.

examples:
  bash scripts/download_weights.sh
  bash scripts/download_weights.sh --to /models yunet_n_640_640.onnx
  bash scripts/download_weights.sh --mirror /media/usb/weights --dry-run
TEXT
}

# name | size in bytes | SHA-256 | address of its maker
FILES=(
    "yunet_n_640_640.onnx|317466|25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31|https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/yunet_n_640_640.onnx"
    "mediapipe_face_landmarker.task|3758596|64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff|https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
    "face_detection_yunet_2023mar.onnx|232589|8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4|https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)

fail() {
    echo "error: $1" >&2
    exit 2
}

digest_of() {
    if command -v sha256sum >/dev/null; then sha256sum "$1" | cut -d' ' -f1; else shasum -a 256 "$1" | cut -d' ' -f1; fi
}

is_whole() { # PATH SIZE SHA256
    [ -f "$1" ] && [ "$(wc -c <"$1" | tr -d ' ')" = "$2" ] && [ "$(digest_of "$1")" = "$3" ]
}

fetch() { # NAME SIZE SHA256 ADDRESS
    local path=$folder/$1 address=$4 partial
    if is_whole "$path" "$2" "$3"; then
        echo "$path: is there and whole"
        return
    fi
    [ -z "$mirror" ] || address=${mirror%/}/$1
    echo "$path: $2 bytes from $address"
    [ "$dry_run" = no ] || return 0
    mkdir -p "$folder"
    partial=$(mktemp "$folder/.$1.XXXXXX.partial")
    trap 'rm -f "$partial"' EXIT
    curl --fail --location --silent --show-error --retry 3 --output "$partial" "$address" ||
        fail "$address: cannot be fetched; try again, or give --mirror with a folder that holds $1"
    is_whole "$partial" "$2" "$3" || fail "$address: expected $2 bytes with SHA-256 $3, found $(
        wc -c <"$partial" | tr -d ' '
    ) bytes with $(digest_of "$partial"); the file was changed or cut short, and was not kept"
    chmod 644 "$partial"
    mv "$partial" "$path"
    trap - EXIT
}

folder=${OCCFACE_WEIGHTS:-$repository/weights}
mirror=${OCCFACE_WEIGHTS_MIRROR:-}
dry_run=no
names=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage && exit 0 ;;
        --dry-run) dry_run=yes ;;
        --mirror | --to)
            [ $# -ge 2 ] || fail "$1 needs a value; see --help"
            if [ "$1" = --mirror ]; then mirror=$2; else folder=$2; fi
            shift
            ;;
        -*) fail "unknown option $1; see --help" ;;
        *) names+=("$1") ;;
    esac
    shift
done
case "$mirror" in
    "" | *://*) ;;
    *)
        [ -d "$mirror" ] || fail "$mirror: expected a folder or an address with ://"
        mirror=file://$(cd "$mirror" && pwd)
        ;;
esac
[ ${#names[@]} -gt 0 ] || names=(yunet_n_640_640.onnx mediapipe_face_landmarker.task)
for name in "${names[@]}"; do
    known=no
    for entry in "${FILES[@]}"; do
        IFS='|' read -r file size digest address <<<"$entry"
        [ "$file" = "$name" ] || continue
        known=yes
        fetch "$file" "$size" "$digest" "$address"
    done
    [ $known = yes ] || fail "$name: unknown file; the names are in --help"
done
