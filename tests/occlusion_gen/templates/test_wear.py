from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.labels import PART_ID
from occlusion_gen.face import Face, Patch
from occlusion_gen.templates.fit import GAP, PROPER_SEAT, Warp, fit_mask, read_head
from occlusion_gen.templates.kinds import CUTS, draw_sheet
from occlusion_gen.templates.paint import Fabric
from occlusion_gen.templates.sheet import Sheet, make_levels
from occlusion_gen.templates.wear import FAR_PX, NODE_STEPS, NODES, WEIGHT_STEPS, Look, _weights, wear
from tests.occlusion_gen.templates.turned_head import face_with, turned_points

PLAIN = Look(Fabric((150, 190, 220)), loop_colour=None, hair_in_front=True)
NOSE_OUT = {**PROPER_SEAT, "top": 0.45, "bottom": 1.08, "side_top": 0.32, "side_bottom": 0.7}


@pytest.fixture(scope="module")
def surgical() -> Sheet:
    return draw_sheet("surgical", variant=0, valve=False, unit_px=160)


def worn(face: Face, sheet: Sheet, *, look: Look = PLAIN, warp: Warp = "spline", seat: dict | None = None) -> Patch:
    assert face.landmarks is not None
    fit = fit_mask(read_head(face.landmarks), seat=seat or PROPER_SEAT, bulge=sheet.bulge, warp=warp)
    return wear(face, fit=fit, sheet=sheet, look=look)


def whole(field: np.ndarray, patch: Patch, face: Face) -> np.ndarray:
    """Return `field` of the patch in the frame of the whole crop, 0 elsewhere."""
    full = np.zeros((*face.label.shape, *field.shape[2:]), field.dtype)
    full[patch.rows, patch.columns] = field
    return full


def at(field: np.ndarray, point: np.ndarray) -> int:
    return int(field[round(point[1]), round(point[0])])


@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("yaw_deg", [-45, -20, 0, 20, 45])
def test_a_mask_sits_on_nose_mouth_and_chin_and_leaves_the_eyes(kind: str, yaw_deg: float) -> None:
    points = turned_points(yaw_deg)
    face = face_with(points)
    sheet = draw_sheet(kind, variant=1, valve=False, unit_px=160)
    hides = whole((patch := worn(face, sheet)).hides, patch, face)
    inside = points.copy()
    inside[:, 1] -= 2  # the chin itself is the edge of the face
    for landmark in (30, 33, 51, 57, 62, 66, 8):
        assert at(hides, inside[landmark]) == 255, landmark
    for landmark in (36, 39, 42, 45, 19, 24):
        assert at(hides, points[landmark]) == 0, landmark


@pytest.mark.parametrize("yaw_deg", [-80, -60, -40, 40, 60, 80])
def test_the_far_half_of_a_turned_head_ends_at_its_outline(surgical: Sheet, yaw_deg: float) -> None:
    points = turned_points(yaw_deg)
    face = face_with(points)
    patch = worn(face, surgical)
    hidden = np.argwhere(whole(patch.hides, patch, face))[:, ::-1]
    head = read_head(points)
    outline = cv2.convexHull(points[[*range(17), *range(27, 36)]].astype(np.float32))
    beyond = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in hidden])
    assert -beyond.min() < (surgical.bulge + surgical.thickness + GAP) * head.unit_px


def test_mirrored_faces_wear_mirrored_masks(surgical: Sheet) -> None:
    points = turned_points(25.0)
    order = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
             39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1),
             67, 66, 65]  # fmt: skip
    face, other = face_with(points), face_with(((255, 0) + points * (-1, 1))[order])
    first, second = (worn(each, surgical) for each in (face, other))
    hides, mirrored = whole(first.hides, first, face) > 0, whole(second.hides, second, other)[:, ::-1] > 0
    assert (hides & mirrored).sum() / (hides | mirrored).sum() > 0.95


def test_a_head_upside_down_wears_its_mask_upside_down(surgical: Sheet) -> None:
    face, other = face_with(turned_points(20.0)), face_with(255 - turned_points(20.0))
    first, second = (worn(each, surgical) for each in (face, other))
    hides, turned = whole(first.hides, first, face) > 0, whole(second.hides, second, other)[::-1, ::-1] > 0
    assert (hides & turned).sum() / (hides | turned).sum() > 0.98


@given(st.integers(60, 300), st.floats(-60, 60), st.floats(-80, 80), st.floats(-80, 80))
def test_any_place_gives_a_patch_that_fits(side_px: int, yaw_deg: float, x: float, y: float) -> None:
    sheet = draw_sheet("cloth", variant=0, valve=False, unit_px=160)
    face = face_with(turned_points(yaw_deg, side_px=side_px, shift=(x, y)), side_px=side_px)
    patch = worn(face, sheet, look=PLAIN._replace(loop_colour=(240, 240, 240)))
    assert face.label[patch.rows, patch.columns].shape == patch.alpha.shape == patch.hides.shape
    assert patch.colour.shape == (*patch.alpha.shape, 3)
    assert set(np.unique(patch.hides)) <= {0, 255}
    assert_array_equal(patch.hides > 0, patch.alpha > 127)


@given(st.integers(1, 2000))
def test_the_dense_warp_is_made_of_whole_numbers_and_keeps_lines_straight(count: int) -> None:
    weights, nodes = _weights(count), np.arange(NODES + 4) - 1
    assert_array_equal(weights, np.rint(weights))
    assert_array_equal(weights.sum(axis=1), WEIGHT_STEPS)
    assert NODE_STEPS * FAR_PX * (np.abs(weights).sum(axis=1).max()) ** 2 < 2**53
    places = weights @ nodes / WEIGHT_STEPS
    np.testing.assert_allclose(places, 0.5 + (np.arange(count) + 0.5) * NODES / count, atol=2e-4)


def test_a_face_outside_the_crop_gets_an_empty_patch(surgical: Sheet) -> None:
    patch = worn(face_with(turned_points(0.0, shift=(900, 900))), surgical)
    assert patch.alpha.size == patch.hides.size == patch.colour.size == 0


@pytest.mark.parametrize("side_px", [60, 1024, 4000])
def test_the_share_of_the_face_that_is_hidden_does_not_depend_on_the_size(surgical: Sheet, side_px: int) -> None:
    shares = []
    for side in (256, side_px):
        face = face_with(turned_points(10.0, side_px=side), side_px=side)
        patch = worn(face, surgical)
        shares.append((patch.hides > 0).sum() / side**2)
    assert shares[1] == pytest.approx(shares[0], rel=0.04)


@pytest.mark.parametrize("side_px", [64, 112, 256, 700])
@pytest.mark.parametrize("outside", [0, 255])
def test_no_halo_no_fringe(side_px: int, outside: int) -> None:
    """A template of one colour has no other along its rim, whatever stands in its file where alpha is 0."""
    shape = draw_sheet("kn95", variant=0, valve=False, unit_px=400)
    alpha = shape.levels[0].pixels[..., 3].astype(np.float32) / 255
    surface = np.where(alpha[..., None] > 0, np.float32((200, 100, 50)), np.float32(outside))
    sheet = shape._replace(levels=make_levels(shape.levels[0].canvas, surface, alpha), drawn=False)
    face = face_with(turned_points(15.0, side_px=side_px), side_px=side_px)
    patch = worn(face, sheet, look=PLAIN._replace(fabric=Fabric(None)))
    rim = patch.colour[(patch.alpha > 0) & (patch.alpha < 255)].astype(float)
    assert len(rim) > 20
    np.testing.assert_allclose(rim[:, 1], rim[:, 0] / 2, atol=2)
    np.testing.assert_allclose(rim[:, 2], rim[:, 0] / 4, atol=2)


@pytest.mark.parametrize("kind", CUTS)
def test_a_composite_lies_between_its_layers(kind: str) -> None:
    sheet = draw_sheet(kind, variant=2, valve=True, unit_px=200)
    photo = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    face = face_with(turned_points(-20.0, side_px=128), image=photo)
    patch = worn(face, sheet, look=PLAIN._replace(loop_colour=(40, 40, 40)))
    share, below = patch.alpha[..., None] / 255, photo[patch.rows, patch.columns]
    composite = np.rint(below * (1 - share) + patch.colour * share)
    assert (composite <= np.maximum(below, patch.colour)).all()
    assert (composite >= np.minimum(below, patch.colour)).all()


def test_a_nose_may_stay_out(surgical: Sheet) -> None:
    points = turned_points(0.0)
    face = face_with(points)
    patch = worn(face, surgical, seat=NOSE_OUT)
    hides = whole(patch.hides, patch, face)
    assert [at(hides, points[landmark]) for landmark in (29, 30, 51, 57)] == [0, 0, 255, 255]


def test_hair_at_the_cheek_lies_over_the_mask_and_a_beard_does_not(surgical: Sheet) -> None:
    face = face_with(turned_points(0.0))
    bare = worn(face, surgical)
    covered = whole(bare.hides, bare, face) > 0
    strand, beard = np.zeros_like(covered), np.zeros_like(covered)
    strand[100:160, 60:78] = True
    beard[185:215, 110:146] = True
    assert (covered & strand).sum() > 100
    assert covered[beard].mean() > 0.9
    label = np.where(strand | beard, np.uint8(PART_ID["hair"]), face.label)
    hairy = face._replace(label=label)
    patch = worn(hairy, surgical)
    hides = whole(patch.hides, patch, face) > 0
    assert not hides[strand].any()
    assert_array_equal(hides[beard], covered[beard])
    ignored = worn(hairy, surgical, look=PLAIN._replace(hair_in_front=False))
    assert_array_equal(whole(ignored.hides, ignored, face) > 0, covered)


def test_glasses_lie_over_the_mask(surgical: Sheet) -> None:
    face = face_with(turned_points(0.0))
    label = face.label.copy()
    label[84:120, 60:196] = PART_ID["eye_g"]
    patch = worn(face._replace(label=label), surgical)
    hides = whole(patch.hides, patch, face)
    assert not hides[84:120].any()
    assert hides[124:].any()


@pytest.mark.parametrize(("yaw_deg", "sides"), [(0, [True, True]), (40, [True, False]), (-40, [False, True])])
def test_loops_run_to_the_ears_that_can_be_seen(surgical: Sheet, yaw_deg: float, sides: list[bool]) -> None:
    face = face_with(turned_points(yaw_deg))
    with_loops = PLAIN._replace(loop_colour=(240, 240, 240))
    bare, looped = (worn(face, surgical, look=look) for look in (PLAIN, with_loops))
    added = (whole(looped.hides, looped, face) > 0) & (whole(bare.alpha, bare, face) == 0)
    centre = float(read_head(face.landmarks).origin[0])  # type: ignore[arg-type]
    columns = np.flatnonzero(added.any(axis=0))
    assert [bool((columns < centre - 30).any()), bool((columns > centre + 30).any())] == sides
    assert (whole(looped.colour, looped, face)[added].min(axis=1) > 200).mean() > 0.9
    hair = face._replace(label=np.full_like(face.label, PART_ID["hair"]))
    hidden = worn(hair, surgical, look=with_loops)
    assert ((whole(hidden.hides, hidden, face) > 0) & added).sum() < 0.1 * added.sum()


def test_loops_aim_at_labelled_ears(surgical: Sheet) -> None:
    face = face_with(turned_points(0.0))
    label = face.label.copy()
    label[110:170, 214:236] = PART_ID["r_ear"]
    look = PLAIN._replace(loop_colour=(240, 240, 240))
    plain, aimed = (worn(each, surgical, look=look) for each in (face, face._replace(label=label)))
    reach = [np.flatnonzero(whole(patch.hides, patch, face).any(axis=0)).max() for patch in (plain, aimed)]
    assert reach[1] > reach[0] + 5
    assert 214 <= reach[1] <= 236


def test_the_homography_wears_the_same_mask_roughly(surgical: Sheet) -> None:
    face = face_with(turned_points(0.0))
    first, second = (worn(face, surgical, warp=warp) for warp in ("spline", "homography"))
    hides = [whole(patch.hides, patch, face) > 0 for patch in (first, second)]
    assert (hides[0] & hides[1]).sum() / (hides[0] | hides[1]).sum() > 0.8
