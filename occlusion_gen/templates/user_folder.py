"""A user's folder of mask templates: RGBA files, and a `keypoints.yaml` that says where they lie on a face.

    surgical.png                          a mask seen from the front
    surgical_left.png surgical_right.png  the same, worn by faces that look to image-left and image-right (optional)
    keypoints.yaml                        optional; files that it does not name get points derived from their outline

    surgical.png:
      view: frontal                       # or left, right; default: what the name ends in
      mask: surgical                      # views of one mask share this name; default: the name without _left, _right
      points:                             # (x, y) pixels; at least four, not on a line
        nose: [256, 10]                   # on the bridge of the nose, landmark 28
        chin: [256, 424]                  # on the tip of the chin, landmark 8
        left_top: [12, 120]               # on the cheek, image-left, landmark 2
        right_top: [500, 120]             # landmark 14
        left_bottom: [90, 330]            # on the jaw, landmark 5
        right_bottom: [420, 330]          # landmark 11

Alpha must cut the mask out. Views of one mask are held out together.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from common.config import read_yaml
from common.errors import UserError
from common.image_io import list_images, read_rgba
from occlusion_gen.face import Image8, Points
from occlusion_gen.occluders.groups import Split, digest_of_files, held_out
from occlusion_gen.templates.fit import FRONTAL_UP_TO_DEG
from occlusion_gen.templates.frame import ARC, KEY_PLACES, Canvas
from occlusion_gen.templates.sheet import Sheet, border_around, make_levels
from occlusion_gen.templates.silhouette import VIEWED_FROM_SIDE, derive_points
from occlusion_gen.templates.spline import fit_splines

KEYPOINTS = "keypoints.yaml"
VIEWS = ("frontal", "left", "right")
MIN_POINTS = 4


class _Entry(NamedTuple):
    """What is known of a file: the view, the mask's name, and key points by name, None where they are not given."""

    view: str
    mask: str
    points: Mapping[str, tuple[float, float]] | None


@dataclass(frozen=True)
class UserTemplates:
    """Masks by index, each in one to three views.

    Attributes:
        masks: (name, view -> template), sorted by name.
        digest: SHA-256 over names and sizes of the files: equal on every machine that has the same folder.
    """

    masks: Sequence[tuple[str, Mapping[str, Sheet]]]
    digest: str

    def __len__(self) -> int:
        return len(self.masks)

    def name(self, index: int) -> str:
        """Return the name of a mask, for manifests."""
        return self.masks[index][0]

    def sheet(self, index: int, *, turn_deg: float) -> Sheet:
        """Return the view for a head that looks `turn_deg` to image-right, or the frontal one, or any there is."""
        views = self.masks[index][1]
        wanted = "frontal" if abs(turn_deg) <= FRONTAL_UP_TO_DEG else ("right" if turn_deg > 0 else "left")
        return views.get(wanted) or views.get("frontal") or next(iter(views.values()))


def open_templates(
    folder: Path, *, split: Split, holdout_share: float, exclude: Sequence[str], unit_px: float
) -> UserTemplates:
    """Return one side of the templates in `folder`.

    Args:
        holdout_share: share of the masks on the side "validation".
        exclude: patterns of file names to leave out, e.g. `sunglasses*`.
        unit_px: distance from nose bridge to chin that they are needed at.

    Raises:
        UserError: a file has no alpha or nothing in it, `keypoints.yaml` is wrong, or no mask is on this side.
    """
    files = [
        path for path in list_images(folder) if not any(fnmatch.fnmatch(path.name, pattern) for pattern in exclude)
    ]
    if not files:
        raise UserError(f"{folder}: holds no mask template (RGBA images) that `exclude` {list(exclude)} leaves")
    entries = _read_entries(folder, {path.name for path in list_images(folder)})
    found = {path: entries.get(path.name) or _entry_of(path) for path in files}
    names = sorted({entry.mask for entry in found.values()})
    held = held_out(names, holdout_share)
    masks: dict[str, dict[str, Sheet]] = {name: {} for name in names if (name in held) == (split == "validation")}
    _refuse_twins(folder, found)
    for path, entry in found.items():
        if entry.mask in masks:
            masks[entry.mask][entry.view] = read_template(path, entry.view, entry.points, unit_px=unit_px)
    if not masks:
        raise UserError(
            f"{folder}: none of its {len(names)} masks belongs to the {split} side at holdout_share "
            f"{holdout_share:g}; add masks or change holdout_share"
        )
    return UserTemplates(sorted(masks.items()), digest_of_files([path for path in files if found[path].mask in masks]))


def _refuse_twins(folder: Path, found: Mapping[Path, _Entry]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for path, entry in found.items():
        twin = seen.setdefault((entry.mask, entry.view), path.name)
        if twin != path.name:
            raise UserError(
                f"{folder}: {twin} and {path.name} are both the {entry.view} view of {entry.mask!r}; rename one, or "
                f"set `mask` or `view` in {KEYPOINTS}"
            )


def read_template(path: Path, view: str, points: Mapping[str, tuple[float, float]] | None, *, unit_px: float) -> Sheet:
    """Return a file as a template in the frame of the face.

    Args:
        view: one of `VIEWS`.
        points: key points by name, pixels of the file; None: derived from the outline.

    Raises:
        UserError: the file has no alpha or nothing in it, or the points lie on a line.
    """
    rgba = read_rgba(path)
    opaque = rgba[..., 3] > 127
    if opaque.all():
        raise UserError(f"{path}: has no transparency, so its mask cannot be told from its background; save it as RGBA")
    if not opaque.any():
        raise UserError(f"{path}: nothing in it is opaque; mend its alpha, or leave it out with `exclude`")
    if points is None:
        pixels, places = derive_points(opaque, view=view)
    else:
        pixels, places = np.array(list(points.values()), np.float64), np.array([KEY_PLACES[name] for name in points])
        if view != "frontal":
            far = places[:, 0] * (1 if view == "right" else -1) > 0
            places[far, 0] *= VIEWED_FROM_SIDE
    try:
        return _to_sheet(path.name, rgba, view=view, pixels=pixels, places=places, unit_px=unit_px)
    except np.linalg.LinAlgError as error:
        raise UserError(
            f"{path}: its key points lie on a line ({pixels.tolist()}); set {MIN_POINTS} or more that span the mask in "
            f"{path.parent / KEYPOINTS}"
        ) from error


def _to_sheet(name: str, rgba: Image8, *, view: str, pixels: Points, places: Points, unit_px: float) -> Sheet:
    source = places * (ARC, 1.0)
    size_px = float(max(rgba.shape[:2]))
    if np.linalg.svd(pixels - pixels.mean(axis=0), compute_uv=False)[-1] < 0.02 * size_px:
        raise np.linalg.LinAlgError("no area")
    to_file, _ = fit_splines(source, pixels / size_px, slack=np.full(len(source), 1e-3))
    span_px = float(np.ptp(pixels[:, 1]) / np.ptp(places[:, 1]))
    canvas = Canvas(float(np.clip(min(unit_px, 1.2 * span_px), 48.0, 1024.0)))
    height, width = canvas.size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    spots = canvas.from_pixels(np.column_stack([x.ravel(), y.ravel()])) * (ARC, 1.0)
    maps = (to_file(spots) * size_px).astype(np.float32).reshape(height, width, 2)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    weighted = np.dstack([rgba[..., :3] * alpha, alpha])
    shrink = span_px / canvas.unit_px
    if shrink > 1:  # the file has more pixels than the canvas: filter before sampling
        weighted = cv2.GaussianBlur(weighted, (0, 0), 0.45 * shrink)
    warped = cv2.remap(weighted, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    cut = np.ascontiguousarray(warped[..., 3])
    colour = warped[..., :3] / np.maximum(warped[..., 3:], 1e-3)
    contours, _ = cv2.findContours((cut > 0.02).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    edge = canvas.from_pixels(np.concatenate(contours)[:, 0])
    return Sheet(
        name=name,
        levels=make_levels(canvas, colour, cut),
        border=border_around(edge),
        drawn=False,
        whole=view == "frontal",
    )


def _entry_of(path: Path) -> _Entry:
    stem, _, ending = path.stem.rpartition("_")
    return _Entry(ending, stem, None) if stem and ending in VIEWS else _Entry("frontal", path.stem, None)


def _read_entries(folder: Path, known: set[str]) -> dict[str, _Entry]:
    """Return what `keypoints.yaml` says, by file name; all its problems are reported at once."""
    path = folder / KEYPOINTS
    if not path.is_file():
        return {}
    table = read_yaml(path)
    problems = [f"{name}: no such file in {folder}" for name in table if name not in known]
    entries = {}
    for name, fields in table.items():
        found = _wrong_in(fields)
        problems += [f"{name}: {problem}" for problem in found]
        if name in known and not found:
            told = _entry_of(folder / name)
            points = fields.get("points")
            entries[name] = _Entry(
                view=fields.get("view", told.view),
                mask=str(fields.get("mask", told.mask)),
                points=points and {key: (float(x), float(y)) for key, (x, y) in points.items()},
            )
    if problems:
        raise UserError(f"{path}: " + "; ".join(problems))
    return entries


def _wrong_in(fields: Any) -> list[str]:
    """Return what is wrong with the fields of one file."""
    if not isinstance(fields, dict):
        return [f"expected view, mask and points, found {fields!r}"]
    problems = [f"unknown key `{key}`; known: view, mask, points" for key in fields if key not in _Entry._fields]
    if fields.get("view", "frontal") not in VIEWS:
        problems.append(f"view is {fields['view']!r}; known: {', '.join(VIEWS)}")
    points = fields.get("points", {})
    if not isinstance(points, dict):
        return [*problems, f"points: expected names with [x, y], found {points!r}"]
    problems += [f"unknown point `{key}`; known: {', '.join(KEY_PLACES)}" for key in points if key not in KEY_PLACES]
    for key, value in points.items():
        if not (isinstance(value, list) and len(value) == 2 and all(type(number) in (int, float) for number in value)):
            problems.append(f"point `{key}`: expected [x, y] in pixels, found {value!r}")
    if "points" in fields and len(points) < MIN_POINTS:
        problems.append(f"{len(points)} points, expected at least {MIN_POINTS}")
    return problems
