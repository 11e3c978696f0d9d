"""Several occluders a face, things that need landmarks, real photos, soft labels: what the mix adds to a generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from common.errors import RecordError
from common.image_io import write_image, write_label, write_rgba
from common.labels import PART_ID, FacePolicy, still_visible_mask
from common.seeding import generator
from configs.schema import CoverageSection, EyewearSection, NatOccSection, OcclusionSection, RandOccSection, RealSection
from occlusion_gen.blending.compositing import binary
from occlusion_gen.blending.finish import Finish
from occlusion_gen.coverage import Aim
from occlusion_gen.face import Face, OccludedFace, Params, Patch, make_face
from occlusion_gen.synthesiser import Source, Synthesiser, build_synthesiser
from tests.tiny_world import HOLDOUT, World, part_masks, points68

SIDE = 96
POLICY = FacePolicy()


def drawn_face(*, landmarks: bool = True) -> Face:
    label = np.zeros((SIDE, SIDE), np.uint8)
    for name, mask in part_masks(np.array([[SIDE / 256, 0, 0], [0, SIDE / 256, 0]]), (SIDE, SIDE)).items():
        label[mask] = PART_ID[name]
    image = np.random.default_rng(0).integers(100, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    return make_face(image, label, POLICY, landmarks=points68() * SIDE / 256 if landmarks else None)


FACE, BARE = drawn_face(), drawn_face(landmarks=False)


@dataclass(frozen=True)
class Band:
    """Hides a band of rows in one colour; stands for any generator."""

    rows: tuple[int, int]
    colour: int
    part: int
    worn: bool = False
    needs_landmarks: bool = False
    alpha: int = 255

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        return {"number": int(rng.integers(1000))}

    def patch(self, params: Params, face: Face) -> Patch:
        size = (self.rows[1] - self.rows[0], SIDE)
        alpha = np.full(size, self.alpha, np.uint8)
        return Patch(
            slice(*self.rows), slice(0, SIDE), np.full((*size, 3), self.colour, np.uint8), alpha, binary(alpha)
        )


def mix(bands: dict[str, Band], **options: object) -> Synthesiser:
    sources = {name: Source(band, Finish(band.part, edge="hard"), 1.0) for name, band in bands.items()}
    return Synthesiser(sources=sources, policy=POLICY, **options)


def make(synthesiser: Synthesiser, key: int, face: Face = FACE) -> OccludedFace:
    return synthesiser(generator(0, key), image=face.image, label=face.label, landmarks=face.landmarks)


def names(sample: OccludedFace) -> list[str]:
    return [layer["generator"] for layer in sample.params["layers"]]


class WornBand(Band):
    """Another class, as each kind of worn thing has its own."""


BANDS = {
    "mask": WornBand((50, 90), 200, PART_ID["mask"], worn=True),
    "other mask": WornBand((55, 90), 220, PART_ID["mask"], worn=True),
    "hand": Band((40, 70), 90, PART_ID["hand"]),
    "shape": Band((60, 80), 30, PART_ID["shape"]),
}


def test_the_number_of_occluders_is_uniform_and_one_mask_is_worn_at_most() -> None:
    samples = [make(mix(BANDS, count=(1, 3)), key) for key in range(300)]
    counts = np.array([len(names(sample)) for sample in samples])
    for count in (1, 2, 3):
        assert np.mean(counts == count) == pytest.approx(1 / 3, abs=0.09)
    for sample in samples:
        assert sum("mask" in name for name in names(sample)) <= 1
    assert any(names(sample).count("hand") == 2 for sample in samples)


def test_what_is_worn_lies_below_and_later_ones_cover_earlier_ones() -> None:
    both = mix({name: BANDS[name] for name in ("mask", "hand")}, count=(2, 2))
    for key in range(20):
        sample = make(both, key)
        assert names(sample) in (["mask", "hand"], ["hand", "hand"])
        assert (sample.label[40:70] == PART_ID["hand"]).all()
        assert (sample.image[40:70] == 90).all()
        below = (sample.label[70:90] == PART_ID["mask"]).all()
        assert below == ("mask" in names(sample))
        assert not sample.visible[40:70].any()


def test_alphas_of_layers_add_up_as_in_a_stack() -> None:
    half = {"a": Band((0, 60), 0, PART_ID["hand"], alpha=128), "b": Band((0, 60), 0, PART_ID["object"], alpha=128)}
    sample = make(mix(half, count=(2, 2)), 0)
    assert abs(sample.alpha[:60].astype(int) - 192).max() <= 1
    assert abs(sample.image[:60] - FACE.image[:60] / 4).max() <= 2


def test_generators_without_their_landmarks_are_left_out_and_named() -> None:
    bands = {**BANDS, "glasses": Band((20, 40), 10, PART_ID["object"], worn=True, needs_landmarks=True)}
    with_points = [make(mix(bands), key) for key in range(40)]
    without = [make(mix(bands), key, BARE) for key in range(40)]
    assert any("glasses" in names(sample) for sample in with_points)
    assert not any("without_landmarks" in sample.params for sample in with_points)
    for sample in without:
        assert "glasses" not in names(sample)
        assert sample.params["without_landmarks"] == ["glasses"]
    with pytest.raises(RecordError, match=r"\(glasses\) needs 68 landmarks") as caught:
        make(mix({"glasses": bands["glasses"]}), 0, BARE)
    assert caught.value.outcome == "no_landmarks"


def test_coverage_stays_within_its_bounds_and_is_what_was_measured() -> None:
    bands = {str(rows): Band((0, rows), 0, PART_ID["object"]) for rows in (30, 45, 60, 80)}
    steered = mix(bands, aim=Aim(bounds=(0.3, 0.6), tries=40))
    free = [make(mix(bands), key).coverage for key in range(60)]
    assert min(free) < 0.3
    assert max(free) > 0.6
    samples = [make(steered, key) for key in range(60)]
    assert all(0.3 <= sample.coverage <= 0.6 for sample in samples)
    assert any(sample.params.get("tries", 1) > 1 for sample in samples)


def test_clear_glasses_hide_the_face_only_where_the_policy_says_so() -> None:
    glasses = {"glasses": Band((30, 45), 50, PART_ID["eye_g"], worn=True)}
    for policy, hides in (("occluder", True), ("face", False), ("ignore", False), ("lenses_are_face", True)):
        synthesiser = Synthesiser(sources=mix(glasses).sources, policy=FacePolicy(eyeglasses=policy), clean_share=0.0)
        sample = make(synthesiser, 0)
        assert (sample.label[30:45] == PART_ID["eye_g"]).all()
        assert bool(sample.visible[30:45].any()) != hides
        seen = still_visible_mask(sample.label, sample.parts, FacePolicy(eyeglasses=policy))
        assert_array_equal(seen, sample.visible > 127)


def test_soft_labels_hide_by_the_share_alpha(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "white.png", np.full((8, 8, 3), 255, np.uint8))
    shapes = RandOccSection(
        textures=tmp_path, holdout_share=0, translucent_share=1, translucent_label="soft", harmony=None
    )
    built = build_synthesiser(
        OcclusionSection(generators={"s": shapes}), policy=POLICY, split="train", max_side_px=SIDE
    )
    for key in range(10):
        sample = make(built, key)
        opacity = sample.params["layers"][0]["drawn"]["opacity"]
        hidden = sample.hidden[sample.hidden > 0]
        assert set(hidden.tolist()) <= {round(255 * opacity)}
        assert_array_equal(sample.visible, np.where(FACE.visible, 255 - sample.hidden, 0))
        share = (sample.hidden[FACE.full] > 0).mean() * round(255 * opacity) / 255
        assert sample.coverage == pytest.approx(share, abs=1e-6)


def test_real_photos_take_the_place_of_their_share(tmp_path: Path, world: World) -> None:
    rgba = np.full((SIDE, SIDE, 4), 77, np.uint8)
    rgba[..., 3] = 0
    rgba[20:50, 20:50, 3] = 255
    write_rgba(tmp_path / "images" / "real.png", rgba)
    write_label(tmp_path / "labels" / "real.png", FACE.label)
    section = OcclusionSection(
        generators={"hands": NatOccSection(occluders=world.pairs, part="hand", holdout_share=HOLDOUT)},
        real=RealSection(share=0.5, images=tmp_path / "images", labels=tmp_path / "labels", holdout_share=0),
    )
    built = build_synthesiser(section, policy=POLICY, split="train", max_side_px=SIDE)
    samples = [make(built, key) for key in range(60)]
    real = [sample for sample in samples if "real" in sample.params]
    assert len(real) == pytest.approx(30, abs=12)
    for sample in real:
        assert (sample.image == 77).all()
        assert not sample.full_known
        assert sample.params["real"] == {"file": "real.png", "index": 0}
        inside = np.s_[20:50, 20:50]
        assert (sample.label[inside] == PART_ID["object"]).all()
        assert not sample.visible[inside].any()
        assert sample.visible.any()


def test_faces_with_glasses_get_no_second_pair() -> None:
    section = OcclusionSection(generators={"sun": EyewearSection(style="sunglasses")})
    built = build_synthesiser(section, policy=POLICY, split="train", max_side_px=SIDE)
    assert make(built, 0).alpha.any()
    label = FACE.label.copy()
    label[34:44, 20:76] = PART_ID["eye_g"]
    wearing = make_face(FACE.image, label, POLICY, landmarks=FACE.landmarks)
    assert not make(built, 0, wearing).alpha.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": (2, 1)}, "two numbers in order"),
        ({"count": (0, 1)}, "at least 1"),
        ({"coverage": {"bounds": (0.5, 1.5)}}, "at most 1"),
        ({"coverage": {"target": (0, 0)}}, "above 0"),
    ],
)
def test_impossible_mixes_are_refused(options: dict[str, object], message: str, world: World) -> None:
    with pytest.raises(ValueError, match=message):
        OcclusionSection(generators={"h": NatOccSection(occluders=world.pairs, part="hand")}, **options)
    assert CoverageSection().bounds == (0.0, 1.0)
