#!/usr/bin/env bash
# The whole way on drawn faces: data, alignment, occlusion, training, evaluation, masks for a folder of photos.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/quickstart.sh [--dry-run]

Makes .venv, installs the pinned requirements once, and runs every job of the project on a small world that is drawn
by code, into runs/sample. Minutes on two cores. Run it again after an interruption: it goes on where it stopped.

examples:
  bash scripts/quickstart.sh
  bash scripts/quickstart.sh --dry-run
TEXT
}

dry_run=no
case "${1:-}" in
    "") ;;
    -h | --help) usage && exit 0 ;;
    --dry-run) dry_run=yes ;;
    *) usage >&2 && exit 2 ;;
esac
[ "$dry_run" = yes ] || use_environment requirements.txt
export NO_ALBUMENTATIONS_UPDATE=1
world=runs/sample/world
weights=runs/sample/train/checkpoints/best.safetensors
begin_s=$SECONDS

step "1/8 draw a world of faces, hands, objects and textures" python -m datasets sample $world
step "2/8 align the photos" python -m face_align configs/sample/align.yaml
step "3/8 an occluded set on disk: hands and objects (NatOcc)" python -m occlusion_gen configs/sample/natocc.yaml
step "4/8 another: random shapes with textures (RandOcc)" python -m occlusion_gen configs/sample/randocc.yaml
step "5/8 train, with occluders put on while loading" python train.py configs/sample/train.yaml
step "6/8 masks for a folder of photos" \
    python infer.py $world/RealOcc/image runs/sample/masks --weights $weights --landmarks $world/RealOcc/landmarks
step "7/8 evaluate on unseen faces and unseen occluders" python eval.py configs/sample/eval.yaml weights=$weights
step "8/8 the shipped model, which was trained on photos and not on drawn faces" \
    python infer.py $world/RealOcc/image runs/sample/shipped_masks --landmarks $world/RealOcc/landmarks
[ "$dry_run" = yes ] && exit 0

cat <<TEXT

== done in $((SECONDS - begin_s)) s
pictures to look at:
  runs/sample/aligned/contact_sheet.jpg         crops, label maps, visible face
  runs/sample/natocc/contact_sheet.jpg          hands and objects in front of faces
  runs/sample/randocc/contact_sheet.jpg         textured shapes in front of faces
  runs/sample/train/previews/                   what the network saw and said, from validation to validation
  runs/sample/train/eval/drawn/worst_cases.jpg  the test images it did worst on
  runs/sample/train/eval/report.html            every test image with its errors, and a threshold to move
  runs/sample/masks/overlay/                    the visible face in blue, one picture a photo
  runs/sample/shipped_masks/triptych/           the same by the shipped model: point infer.py at your own photos
scores:  runs/sample/train/eval/summary.json
weights: $weights
TEXT
