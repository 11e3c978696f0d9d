"""What smoothing does to a video: `python scripts/measure_video.py --data DIR`.

Photos of the validation split of `celebamask_hq_mini`, with their labels, move, turn and grow in front of their own
blurred surroundings; sensor noise, changing light and the compression of each frame are put on, and the whole becomes
a video file, with a scene cut between photos. In every fourth scene a cut-out passes in front of the face. The truth
of each frame is exact, since it moved with the photo. Each way of smoothing segments the same file.

Told are the IoU of the visible face with the truth, and the flicker: the mean |change| of the mask from frame to frame
in crops that follow the true motion, in scenes where nothing passes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.geometry import Affine, apply_to_image, apply_to_label, compose, invert, scaling
from common.image_io import list_images, read_image, read_rgba
from common.labels import FacePolicy, visible_mask
from common.metrics import count
from common.seeding import generator
from common.visualize import blend
from face_align.celebamask_hq import read_celebamask_hq, read_parts, resize_label
from inference.locators import build_finder
from inference.video import VideoReader, VideoWriter
from inference.video_masks import flicker
from inference.video_segmenter import Smoothing, VideoSegmenter
from models.runtimes import open_predictor

FPS = 25.0
SIZE = (480, 640)
STABLE_SIDE_PX = 256  # of the crops in which flicker is measured
NOISE_GREY_LEVELS = 5.0
POLICY = FacePolicy(eyeglasses="face")

WAYS: dict[str, Smoothing | None] = {
    "each frame alone": None,
    "transform only": Smoothing(memory_s=1e-3),
    "transform and mask": Smoothing(),
}
EXAMPLES = """  python scripts/measure_video.py --data $OCCFACE_DATA
  python scripts/measure_video.py --data $OCCFACE_DATA --weights occface.onnx --frames 60 --keep runs/video"""

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Truth(NamedTuple):
    """What is known of a frame.

    Attributes:
        scene: counted from 0.
        visible: (H, W) bool.
        photo_to_frame: (2, 3), how the photo lies in the frame.
        photo_size: (height, width).
        is_crossed: whether something passes in front of the face in this scene.
    """

    scene: int
    visible: Mask
    photo_to_frame: Affine
    photo_size: tuple[int, int]
    is_crossed: bool


@exit_on_user_error
def main() -> None:
    """Print one row for each way of smoothing."""
    options = parse_arguments()
    if options.dry_run:
        print(f"would make {options.frames} frames of {options.scenes} photos and segment them in {len(WAYS)} ways")
        return
    model = open_predictor(options.weights, threads=options.threads)
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        video = folder / "moving.mp4"
        truths = make_video(video, options.data, frames=options.frames, scenes=options.scenes)
        print(f"| smoothing | face IoU | in crossed scenes | flicker | frames/s |  n = {len(truths)} frames")
        for name, smoothing in WAYS.items():
            locate = build_finder(model, detector=options.detector, max_faces=1).new_locator()
            segmenter = VideoSegmenter(model, locate, fps=FPS, smoothing=smoothing)
            start_s = time.perf_counter()
            masks = segment(
                segmenter, video, overlay=folder / f"{name.replace(' ', '_')}.mp4" if options.keep else None
            )
            seconds = time.perf_counter() - start_s
            ious = np.array([count(mask, truth.visible).face_iou for mask, truth in zip(masks, truths, strict=True)])
            crossed = np.array([truth.is_crossed for truth in truths])
            changes = 100 * scene_flicker(masks, truths)
            scores = f"{ious.mean():.4f} | {ious[crossed].mean():.4f} | {changes:.3f} %"
            print(f"| {name} | {scores} | {len(ious) / seconds:.1f} |")


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser("Measure what smoothing does to a video of photos that move.", EXAMPLES)
    arguments.add_argument("--data", type=Path, required=True, help="holds celebamask_hq_mini and occluders/objects")
    arguments.add_argument(
        "--weights", type=Path, default=Path("weights/occface_mobile.safetensors"), help="(%(default)s)"
    )
    arguments.add_argument("--detector", default="auto", help="see infer.py (%(default)s)")
    arguments.add_argument("--frames", type=int, default=200, metavar="N", help="of the video (%(default)s)")
    arguments.add_argument("--scenes", type=int, default=4, metavar="N", help="photos in it (%(default)s)")
    arguments.add_argument("--threads", type=int, metavar="N", help="of the network (all cores)")
    arguments.add_argument("--keep", type=Path, metavar="DIR", help="keep the video and overlays of each way here")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    return arguments.parse_args()


def make_video(path: Path, data: Path, *, frames: int, scenes: int) -> list[Truth]:
    """Write the video, and return the truth of each frame."""
    records = read_celebamask_hq(data / "celebamask_hq_mini", split="split.csv")
    chosen = [record for record in records if record.split == "val"][:scenes]
    if len(chosen) < scenes:
        raise UserError(f"{data}: expected {scenes} validation photos, found {len(chosen)}; give fewer --scenes")
    cutout = max(
        map(read_rgba, list_images(data / "occluders" / "objects")[:20]), key=lambda image: image[..., 3].mean()
    )
    truths = []
    with VideoWriter(path, fps=FPS, size=SIZE) as writer:
        for scene, record in enumerate(chosen):
            photo = read_image(record.image)
            visible = visible_mask(resize_label(read_parts(record), (photo.shape[0], photo.shape[1])), POLICY)
            passing = cutout if scene % 4 == 3 else None
            length = frames // scenes + (scene < frames % scenes)
            for frame, truth in moving(photo, visible, scene=scene, frames=length, cutout=passing):
                writer.write(frame)
                truths.append(truth)
    return truths


def moving(
    photo: Image8, visible: Mask, *, scene: int, frames: int, cutout: Image8 | None
) -> Iterator[tuple[Image8, Truth]]:
    """Yield the frames of one photo that moves, with their truth.

    Args:
        photo: (H, W, 3) uint8 RGB.
        visible: (H, W) bool.
        scene: its number, which also seeds the motion.
        frames: how many.
        cutout: (h, w, 4) RGBA that passes from left to right; None: nothing does.
    """
    rng = generator(0, scene)
    phases, rates_hz = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0.15, 0.6, 4)
    for index in range(frames):
        waves = np.sin(phases + 2 * np.pi * rates_hz * index / FPS)
        matrix = place(photo.shape[:2], waves)
        frame = apply_to_image(matrix, photo, size=SIZE)
        mask = apply_to_label(matrix, visible.astype(np.uint8), size=SIZE) > 0
        if cutout is not None:
            frame, mask = put_on(frame, mask, cutout, progress=index / max(1, frames - 1))
        truth = Truth(scene, mask, matrix, (photo.shape[0], photo.shape[1]), cutout is not None)
        yield disturb(frame, rng), truth


def place(photo_size: tuple[int, ...], waves: NDArray[np.float64]) -> Affine:
    """Return photo_to_frame for four waves in -1..1: right, down, scale and angle."""
    scale = 0.75 * SIZE[0] / photo_size[0] * np.exp(0.12 * waves[2])
    angle = np.deg2rad(8 * waves[3])
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([SIZE[1] / 2 + 60 * waves[0], SIZE[0] / 2 + 30 * waves[1]])
    return np.hstack([linear, (centre - linear @ np.array(photo_size[1::-1]) / 2)[:, None]])


def put_on(frame: Image8, mask: Mask, cutout: Image8, *, progress: float) -> tuple[Image8, Mask]:
    """Return frame and truth with a cut-out in front, on its way from the left edge to the right one."""
    side = SIZE[0] // 3
    ratio = side / max(cutout.shape[:2])
    left = progress * (SIZE[1] + side) - side
    matrix = np.array([[ratio, 0.0, left], [0.0, ratio, SIZE[0] * 0.45]])
    moved = cv2.warpAffine(cutout, matrix, SIZE[::-1], flags=cv2.INTER_AREA)
    alpha = moved[..., 3:] / 255
    shown = np.rint(alpha * moved[..., :3] + (1 - alpha) * frame).astype(np.uint8)
    return shown, mask & (alpha[..., 0] < 0.5)


def disturb(frame: Image8, rng: np.random.Generator) -> Image8:
    """Return the frame as a cheap camera would give it: light, noise and compression differ from frame to frame."""
    noisy = frame * rng.normal(1, 0.02) + rng.normal(0, NOISE_GREY_LEVELS, frame.shape)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
    _, stream = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8), quality)
    return cv2.imdecode(stream, cv2.IMREAD_COLOR)


def segment(segmenter: VideoSegmenter, video: Path, *, overlay: Path | None) -> list[Mask]:
    """Return the visible face of each frame, and write it over the frames where that is wanted."""
    masks = []
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(str(video)))
        writer = stack.enter_context(VideoWriter(overlay, fps=FPS, size=SIZE)) if overlay else None
        for frame in tqdm(reader, total=reader.frame_count, unit="frame"):
            masks.append(segmenter(frame).masks.visible)
            if writer:
                writer.write(blend(frame, masks[-1]))
    return masks


def scene_flicker(masks: Sequence[Mask], truths: Sequence[Truth]) -> float:
    """Return the mean flicker of the scenes in which nothing passes, in crops that follow the true motion."""
    stable: dict[int, list[Mask]] = {}
    side = (STABLE_SIDE_PX, STABLE_SIDE_PX)
    for mask, truth in zip(masks, truths, strict=True):
        if not truth.is_crossed:
            frame_to_crop = compose(scaling(truth.photo_size, side), invert(truth.photo_to_frame))
            crop = apply_to_label(frame_to_crop, mask.astype(np.uint8), size=side) > 0
            stable.setdefault(truth.scene, []).append(crop)
    return float(np.mean([flicker(scene) for scene in stable.values()]))


if __name__ == "__main__":
    main()
