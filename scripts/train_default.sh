#!/usr/bin/env bash
# Make the shipped model again: labels, landmarks, crops, a first network, cleaner labels, three trainings at 256 px.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: OCCFACE_DATA=DATA OCCFACE_WEIGHTS=WEIGHTS bash scripts/train_default.sh [--dry-run] [key=value ...]

Trains the default model into runs/default, with fixed seeds, on a CPU or a GPU. Run it again after an interruption: it
goes on where it stopped. Keys go to all trainings, e.g. train.workers=8.

It needs, below DATA:
  celebamask_hq_mini/                 900 photos of CelebAMask-HQ (its own layout; more do no harm), landmarks/{id}.npy,
                                      split.csv; 3 GB for all 30,000, from the authors' page
  faces_train/ffhq_masked/            450 FFHQ faces with medical masks: images/ labels/ ears_ignore/ (30 MB)
  occluders/{hands,objects,stickers}  cut-outs: 11k Hands, COCO objects, RGBA masks (23 MB)
  textures/{dtd_subset,maskface_patterns}   (6 MB)
and in WEIGHTS:
  mobilenet_v2_imagenet_torchvision.pth   ImageNet weights in torchvision's keys (14 MB)
  yunet_n_640_640.onnx, mediapipe_face_landmarker.task   bash scripts/download_weights.sh fetches both (4 MB)

examples:
  OCCFACE_DATA=/data OCCFACE_WEIGHTS=/weights bash scripts/train_default.sh
  OCCFACE_DATA=/data OCCFACE_WEIGHTS=/weights bash scripts/train_default.sh train.workers=8
  bash scripts/train_default.sh --dry-run
TEXT
}

dry_run=no
case "${1:-}" in
    -h | --help) usage && exit 0 ;;
    --dry-run) dry_run=yes && shift ;;
esac
data=${OCCFACE_DATA:-data}
weights=${OCCFACE_WEIGHTS:-weights}
missing=()
for folder in celebamask_hq_mini/CelebA-HQ-img celebamask_hq_mini/landmarks faces_train/ffhq_masked/images \
    faces_train/ffhq_masked/labels occluders/hands occluders/objects occluders/stickers textures/dtd_subset \
    textures/maskface_patterns; do
    [ -d "$data/$folder" ] || missing+=("$data/$folder")
done
for file in mobilenet_v2_imagenet_torchvision.pth yunet_n_640_640.onnx mediapipe_face_landmarker.task; do
    [ -f "$weights/$file" ] || missing+=("$weights/$file")
done
if [ ${#missing[@]} -gt 0 ]; then
    [ "$dry_run" = yes ] || exec >&2
    echo "training data is missing:"
    printf '  %s\n' "${missing[@]}"
    echo
    usage
    [ "$dry_run" = yes ] || exit 2
fi
[ "$dry_run" = yes ] || use_environment requirements-mediapipe.txt
export NO_ALBUMENTATIONS_UPDATE=1 OCCFACE_DATA=$data OCCFACE_WEIGHTS=$weights
masked=$data/faces_train/ffhq_masked
runs=runs/default

step "1/9 align CelebAMask-HQ" python -m face_align configs/default/align.yaml
step "2/9 label maps of the masked faces" python scripts/label_ffhq_masked.py "$masked" $runs/masked_train_labels
step "3/9 landmarks of the masked faces" python -m face_align detect "$masked/images" $runs/masked_train_landmarks \
    --detector mediapipe --scheme ibug68
step "4/9 align the masked faces" python -m face_align configs/default/align_masked.yaml data.root="$masked" \
    source.landmarks="$PWD/$runs/masked_train_landmarks/landmarks.jsonl" source.labels="$PWD/$runs/masked_train_labels"
step "5/9 train a first network at 192 px" python train.py configs/default/train_first.yaml "$@"
step "6/9 doubt the labels that it contradicts" python scripts/doubt_labels.py $runs/celebamask $runs/celebamask_clean \
    --weights $runs/first/checkpoints/latest.safetensors
step "7/9 train at 256 px" python train.py configs/default/train.yaml "$@"
step "8/9 go on with small steps" python train.py configs/default/train_anneal.yaml "$@"
step "9/9 go on with darker and noisier photos" python train.py configs/default/train_dark.yaml "$@"
[ "$dry_run" = yes ] || echo "weights: $runs/dark/checkpoints/latest.safetensors"
