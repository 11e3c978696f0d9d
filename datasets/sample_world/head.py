"""The head: a parametric 3D face, its pose, and the projection of its landmarks and outlines to the photo.

Head frame: the unit is half the width of the face, x to image-right, y down, z towards the viewer, the origin
midway between the eyes at the depth of the ears. After yaw and pitch a point is "flat" (x, y, in head units); roll,
scale and shift then bring it to the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from datasets.sample_world.canvas import Field, Points, spline

TOP_OF_SKULL = -1.62
CROSS_SECTION_DEPTH = 0.80  # depth of a horizontal cut through the face, relative to its half width
JAW_HEIGHTS = (0.0, 0.19, 0.38, 0.55, 0.70, 0.82, 0.915, 0.977, 1.0)  # ear to chin, share of the way down
PROFILE_SAMPLES = 240


@dataclass(frozen=True)
class Shape:
    """What makes a face somebody's, in head units unless said otherwise."""

    cheek: float = 1.0
    jaw: float = 1.0
    temple: float = 1.0
    chin_y: float = 1.66
    chin_width: float = 1.0
    eye_x: float = 0.45
    eye_width: float = 0.215
    eye_open: float = 1.0
    eye_tilt: float = 0.0
    brow_y: float = -0.31
    brow_arch: float = 0.07
    brow_tilt: float = 0.0
    brow_thickness: float = 0.10
    nose_length: float = 0.52
    nose_width: float = 0.22
    nose_depth: float = 0.34
    mouth_y: float = 0.96
    mouth_width: float = 0.36
    lip_upper: float = 0.105
    lip_lower: float = 0.15
    ear_size: float = 1.0


@dataclass(frozen=True)
class Expression:
    """What the face does: `smile` -0.3..1, `mouth_open` in head units, `gaze` in eye widths."""

    smile: float = 0.0
    mouth_open: float = 0.0
    brow_raise: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Pose:
    """Where the head is: angles in radians (yaw > 0 looks to image-right, pitch > 0 up, roll > 0 clockwise).

    Attributes:
        scale: half the face width, as a share of the photo's width.
        centre: (x, y) of the middle of eyes and mouth, as a share of the photo.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 0.263
    centre: tuple[float, float] = (0.5, 0.61)


@dataclass(frozen=True)
class Head:
    """A face of one shape and expression in one pose on a square photo of `size_px`."""

    size_px: int
    shape: Shape = field(default_factory=Shape)
    expression: Expression = field(default_factory=Expression)
    pose: Pose = field(default_factory=Pose)

    @property
    def unit_px(self) -> float:
        """Return the length of one head unit in pixels."""
        return self.pose.scale * self.size_px

    @cached_property
    def chin_y(self) -> float:
        """Return the height of the chin with the jaw dropped."""
        return self.shape.chin_y + 0.55 * self.expression.mouth_open

    @cached_property
    def profile(self) -> tuple[Points, Points, Points]:
        """Return heights y (n,), half widths (n,) and depths of the cut's centre (n,) of the face, top to chin."""
        shape, chin = self.shape, self.chin_y
        at = [
            (TOP_OF_SKULL, 0.0), (-1.58, 0.24), (-1.47, 0.50), (-1.25, 0.75), (-0.9, 0.92 * shape.temple),
            (-0.45, 0.99 * shape.temple), (-0.05, 0.995 * shape.cheek), (0.33, 0.965 * shape.cheek),
            (0.42 * chin, 0.89 * shape.cheek), (0.58 * chin, 0.805 * shape.jaw), (0.72 * chin, 0.675 * shape.jaw),
            (0.84 * chin, 0.515 * shape.jaw), (0.93 * chin, 0.345 * shape.chin_width * shape.jaw),
            (0.98 * chin, 0.19 * shape.chin_width), (chin, 0.0),
        ]  # fmt: skip
        curve = spline(np.array(at), steps=24)
        # Finer steps towards top and chin, where the outline turns horizontal.
        heights = TOP_OF_SKULL + (chin - TOP_OF_SKULL) * (1 - np.cos(np.linspace(0, np.pi, PROFILE_SAMPLES))) / 2
        half = np.interp(heights, np.maximum.accumulate(curve[:, 0]), np.maximum(curve[:, 1], 0.0))
        upper = np.sqrt(np.clip(1 - (heights / TOP_OF_SKULL) ** 2, 0, 1))
        front = np.where(heights < 0, 0.80 * upper + 0.02, 0.82)
        return heights, half, front - CROSS_SECTION_DEPTH * half

    @cached_property
    def edges(self) -> tuple[Points, Points, Points]:
        """Return flat heights (n,), left edges (n,) and right edges (n,) of the visible face, top to chin."""
        heights, half, depth = self.profile
        yaw, pitch = self.pose.yaw, self.pose.pitch
        near = half * np.cos(yaw)
        far = half * np.sqrt(np.cos(yaw) ** 2 + (CROSS_SECTION_DEPTH * np.sin(yaw)) ** 2)
        middle = depth * np.sin(yaw)
        left, right = (near, far) if yaw >= 0 else (far, near)
        flat_y = heights * np.cos(pitch) - 0.6 * depth * np.sin(pitch)
        return np.maximum.accumulate(flat_y), middle - left, middle + right

    @cached_property
    def origin_px(self) -> Points:
        """Return where the flat origin lies in the photo."""
        eyes = self.flat(self.surface(np.array([[-0.45, 0.0], [0.45, 0.0]]))).mean(axis=0)
        mouth = self.flat(self.surface(np.array([[0.0, self.shape.mouth_y]])))[0]
        target = np.array(self.pose.centre) * self.size_px - 0.5
        return target - self.unit_px * self._rotation @ ((eyes + mouth) / 2)

    @property
    def _rotation(self) -> Points:
        cos, sin = np.cos(self.pose.roll), np.sin(self.pose.roll)
        return np.array([[cos, -sin], [sin, cos]])

    def surface(self, points: Points, *, lift: float | Points = 0.0) -> Points:
        """Return front-view points (n, 2) as (n, 3) on the head's surface, raised by `lift` towards the viewer."""
        heights, half, depth = self.profile
        width = np.interp(points[:, 1], heights, half)
        inside = np.sqrt(np.clip(width**2 - points[:, 0] ** 2, 0.0, None))
        z = np.interp(points[:, 1], heights, depth) + CROSS_SECTION_DEPTH * inside
        return np.column_stack([points, z + lift])

    def flat(self, points: Points) -> Points:
        """Return 3D points (n, 3) after yaw and pitch, (n, 2) in head units."""
        yaw, pitch = self.pose.yaw, self.pose.pitch
        x = points[:, 0] * np.cos(yaw) + points[:, 2] * np.sin(yaw)
        return np.column_stack([x, points[:, 1] * np.cos(pitch) - 0.6 * points[:, 2] * np.sin(pitch)])

    def to_photo(self, flat: Points) -> Points:
        """Return flat points (n, 2) in pixels of the photo."""
        return self.origin_px + self.unit_px * flat @ self._rotation.T

    def on_face(self, points: Points, *, lift: float | Points = 0.0) -> Points:
        """Return front-view points (n, 2) of the face's surface in pixels of the photo."""
        return self.to_photo(self.flat(self.surface(np.asarray(points, np.float64), lift=lift)))

    @cached_property
    def grid(self) -> tuple[Field, Field]:
        """Return the flat x and y of every pixel centre, each (S, S) float32."""
        return self.grid_of(self.size_px)

    def grid_of(self, size_px: int) -> tuple[Field, Field]:
        """Return the flat x and y on a raster of `size_px` over the whole photo."""
        ticks = ((np.arange(size_px) + 0.5) * (self.size_px / size_px) - 0.5).astype(np.float32)
        x = (ticks - np.float32(self.origin_px[0]))[None, :] / np.float32(self.unit_px)
        y = (ticks - np.float32(self.origin_px[1]))[:, None] / np.float32(self.unit_px)
        cos, sin = np.float32(np.cos(self.pose.roll)), np.float32(np.sin(self.pose.roll))
        return x * cos + y * sin, y * cos - x * sin

    @cached_property
    def outline(self) -> Points:
        """Return the outline (n, 2) of the face, skull to chin, in pixels of the photo."""
        y, left, right = self.edges
        flat = np.concatenate([np.column_stack([left, y]), np.column_stack([right, y])[::-1]])
        return self.to_photo(flat)

    @cached_property
    def landmarks(self) -> Points:
        """Return the 68 points (68, 2) of the ibug scheme in pixels of the photo."""
        parts = (_jaw(self), _brows(self), _nose(self), _eyes(self), _mouth(self))
        return np.concatenate(parts)

    @property
    def rounded(self) -> Field:
        """Return the landmarks as they are written to disk, (68, 2) float32."""
        return self.landmarks.astype(np.float32)


def _jaw(head: Head) -> Points:
    y, left, right = head.edges
    start, end = np.interp(0.02, *_height_to_flat(head)), y[-1]
    at = start + (end - start) * np.array(JAW_HEIGHTS)
    left_x, right_x = np.interp(at, y, left), np.interp(at, y, right)
    flat = np.concatenate([np.column_stack([left_x, at]), np.column_stack([right_x, at])[-2::-1]])
    return head.to_photo(flat)


def _height_to_flat(head: Head) -> tuple[Points, Points]:
    return head.profile[0], head.edges[0]


def brow_curve(head: Head, side: int) -> Points:
    """Return the middle line of a brow, outer end first, (5, 2) in the front view; `side` -1 is image-left."""
    shape = head.shape
    x = np.array([0.76, 0.63, 0.47, 0.31, 0.17])
    y = shape.brow_y - shape.brow_arch * np.array([-0.55, 0.7, 1.0, 0.65, 0.05])
    y = y + shape.brow_tilt * (x - 0.45) - 0.08 * head.expression.brow_raise
    return np.column_stack([side * x, y])


def _brows(head: Head) -> Points:
    left, right = brow_curve(head, -1), brow_curve(head, 1)[::-1]
    return head.on_face(np.concatenate([left, right]), lift=0.06)


def _nose(head: Head) -> Points:
    shape = head.shape
    tip, width, depth = shape.nose_length, shape.nose_width, shape.nose_depth
    base = tip + 0.17
    bridge = np.array([[0.0, 0.03], [0.0, 0.03 + (tip - 0.03) / 3], [0.0, 0.03 + (tip - 0.03) * 2 / 3], [0.0, tip]])
    lower = np.array([[-0.82, -0.03], [-0.42, 0.012], [0.0, 0.035], [0.42, 0.012], [0.82, -0.03]])
    lower = lower * np.array([width, 1.0]) + np.array([0.0, base])
    lift = np.array([0.06, 0.06 + depth * 0.3, 0.06 + depth * 0.62, depth, 0.08, 0.15, 0.19, 0.15, 0.08])
    return head.on_face(np.concatenate([bridge, lower]), lift=lift)


def eye_points(head: Head, side: int) -> Points:
    """Return an eye's corners and lids in the front view, (6, 2): outer corner, upper lid, inner corner, lower lid."""
    shape = head.shape
    half, tilt = shape.eye_width, shape.eye_tilt
    squeeze = 1.0 - 0.18 * max(head.expression.smile, 0.0)
    upper, lower = 0.098 * shape.eye_open * squeeze, 0.066 * shape.eye_open * squeeze
    out = np.array([half, 0.42 * half, -0.40 * half, -half, -0.38 * half, 0.42 * half])
    y = np.array([-tilt, -upper - 0.35 * tilt, -upper, 0.02 + 0.3 * tilt, lower, lower - 0.3 * tilt])
    return np.column_stack([side * (shape.eye_x + out), y])


def _eyes(head: Head) -> Points:
    left = eye_points(head, -1)
    right = eye_points(head, 1)[[3, 2, 1, 0, 5, 4]]
    return head.on_face(np.concatenate([left, right]), lift=0.0)


def _mouth(head: Head) -> Points:
    shape, doing = head.shape, head.expression
    smile, gap = doing.smile, doing.mouth_open
    half = shape.mouth_width * (1 + 0.22 * max(smile, 0.0) - 0.25 * gap)
    bow = 1 - 0.3 * max(smile, 0.0)
    upper, lower = shape.lip_upper * bow, shape.lip_lower * bow
    x_outer = np.array([-1, -0.62, -0.21, 0, 0.21, 0.62, 1, 0.62, 0.26, 0, -0.26, -0.62])
    corner, drop = -0.10 * smile + 0.35 * gap, gap
    y_top = np.array(
        [corner, -0.62 * upper + 0.25 * corner, -upper, -0.80 * upper, -upper, -0.62 * upper + 0.25 * corner]
    )
    y_low = np.array([corner, 0.62 * lower + 0.80 * drop + 0.2 * corner, 0.96 * lower + drop, lower + drop,
                      0.96 * lower + drop, 0.62 * lower + 0.80 * drop + 0.2 * corner])  # fmt: skip
    x_inner = np.array([-0.86, -0.30, 0, 0.30, 0.86, 0.30, 0, -0.30])
    part = 0.75 * corner
    y_inner = np.array(
        [
            part,
            0.08 * part,
            0.012,
            0.08 * part,
            part,
            0.92 * drop + 0.1 * part,
            drop + 0.012,
            0.92 * drop + 0.1 * part,
        ]
    )
    front = np.column_stack([np.concatenate([x_outer, x_inner]) * half, np.concatenate([y_top, y_low, y_inner])])
    lift = np.where(np.abs(front[:, 0]) > 0.7 * half, 0.0, 0.09)
    return head.on_face(front + np.array([0.0, shape.mouth_y]), lift=lift)
