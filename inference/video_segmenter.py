"""Masks for the frames of a video, one after another, that neither jitter nor flicker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from face_align.locate import Location, Locator
from inference.faces import PhotoMasks, Refiner, cut_crops, describe_faces, merge_faces
from inference.photo_masks import Image8, Probabilities
from inference.video_masks import MaskSmoother
from inference.video_tracks import SceneCuts, Tracker
from models.predictor import CropModel


@dataclass(frozen=True)
class Smoothing:
    """How strongly a video is smoothed; measured in docs/video.md.

    Attributes:
        memory_s: of masks, see `inference.video_masks.MaskSmoother`.
        resting_hz: of transforms, see `inference.video_tracks.SteadyTransform`.
        hz_per_side: of transforms, likewise.
        patience_s: how long a face that the detector misses is looked for at its last place.
    """

    memory_s: float = 0.15
    resting_hz: float = 1.0
    hz_per_side: float = 10.0
    patience_s: float = 0.4


class FrameMasks(NamedTuple):
    """What is known of a frame.

    Attributes:
        masks: as of a photo; the transforms and probabilities of its faces are smoothed.
        tracks: one number a face of `masks.faces`, the same for the same face through a scene.
        seen: for each face, whether the detector found it in this very frame.
        is_cut: whether a new scene begins.
    """

    masks: PhotoMasks
    tracks: tuple[int, ...]
    seen: tuple[bool, ...]
    is_cut: bool


class VideoSegmenter:
    """Answers on the frames of one video, in their order.

    Args:
        model: answers on crops.
        locate: finds the faces of a frame.
        fps: frames a second.
        smoothing: None takes each frame for itself.
        refiner: see `inference.faces.describe_faces`.
    """

    def __init__(
        self,
        model: CropModel,
        locate: Locator,
        *,
        fps: float,
        smoothing: Smoothing | None = Smoothing(),
        refiner: Refiner | None = None,
    ) -> None:
        self._model, self._locate, self._refiner = model, locate, refiner
        self._fps, self._smoothing = fps, smoothing
        self._cuts = SceneCuts()
        chosen = smoothing or Smoothing()
        self._tracker = Tracker(
            fps=fps,
            side_px=model.size,
            patience_s=chosen.patience_s if smoothing else 0.0,
            resting_hz=chosen.resting_hz,
            hz_per_side=chosen.hz_per_side,
        )
        self._smoothers: dict[int, MaskSmoother] = {}

    def __call__(self, frame: Image8, *, name: str = "frame") -> FrameMasks:
        """Return the masks of the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            name: of the frame, for landmarks that are looked up by it.
        """
        is_cut = self._cuts.is_cut(frame)
        if is_cut:
            self._tracker.reset()
            self._smoothers = {}
        found = self._locate(frame, name)
        tracks = self._tracker.update(found)
        locations = [track.location for track in tracks] if self._smoothing else found
        answers = self._answers(frame, locations, [track.id for track in tracks])
        faces = describe_faces(self._model, frame, locations, answers, refiner=self._refiner)
        masks = merge_faces(
            faces, (frame.shape[0], frame.shape[1]), outputs=self._model.outputs, threshold=self._model.threshold
        )
        seen = tuple(track.missed == 0 for track in tracks)
        return FrameMasks(masks, tuple(track.id for track in tracks), seen, is_cut)

    def _answers(self, frame: Image8, locations: list[Location], ids: list[int]) -> list[Probabilities]:
        """Return the answers on the faces' crops, averaged over time where that is wanted."""
        crops = cut_crops(frame, locations, size=self._model.size)
        answers = list(self._model.predict_crops(crops)) if locations else []
        if self._smoothing is None:
            return answers
        memory_s = self._smoothing.memory_s
        self._smoothers = {
            track: self._smoothers.get(track) or MaskSmoother(fps=self._fps, memory_s=memory_s) for track in ids
        }
        return [
            self._smoothers[track].smooth(crop, answer) for track, crop, answer in zip(ids, crops, answers, strict=True)
        ]
