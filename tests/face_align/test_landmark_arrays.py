"""Landmarks in files of arrays and of text, one a photo."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from face_align.landmark_formats import (
    LandmarkError,
    open_landmarks,
)
from face_align.landmarks import read_landmarks
from tests.face_align.landmark_files import POINTS, outcome_of, real


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: [p], lambda p: {"pts": p}], ids=["array", "list", "dict"])
def test_pickles_of_arrays(tmp_path: Path, protocol: int, wrap: Any) -> None:
    spatial = np.column_stack([POINTS, np.zeros(68)]).T.astype(np.float32)  # (3, 68), as 3DDFA_V2 has it
    for values in (spatial, np.asfortranarray(spatial)):
        (tmp_path / "1.pkl").write_bytes(pickle.dumps(wrap(values), protocol=protocol))
        assert_allclose(read_landmarks(tmp_path / "1.pkl"), POINTS, atol=1e-4)


def test_pickles_of_older_numpy(tmp_path: Path) -> None:
    content = pickle.dumps(POINTS, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core" in content
    (tmp_path / "1.pkl").write_bytes(content)
    assert_array_equal(read_landmarks(tmp_path / "1.pkl"), POINTS)


def test_pickles_with_anything_else_are_refused_and_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (witness,)

    objects = np.empty(2, object)
    objects[:] = [Evil(), POINTS]
    contents = [Evil(), {"a": POINTS, "b": Evil()}, objects, "text", [], [POINTS, 3], POINTS[:7], np.float64(2)]
    for content in contents:
        (tmp_path / "1.pkl").write_bytes(pickle.dumps(content))
        assert outcome_of(tmp_path, "1") == "bad_landmarks"
    shape_bomb = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I9999999999\ntS'b'\ntR."
    for raw in (b"", b"garbage", b"cos\nsystem\n(S'true'\ntR.", shape_bomb, b"cnumpy\nndarray\n((I9\ntR."):
        (tmp_path / "1.pkl").write_bytes(raw)
        assert outcome_of(tmp_path, "1") == "bad_landmarks"
    assert not witness.exists()


def test_archives_of_numpy(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", image=np.zeros((4, 4, 3)), params=np.zeros(62), any_name=POINTS.T)
    np.savez(tmp_path / "2.npz", landmarks=POINTS, other=POINTS * 2)
    np.savez(tmp_path / "3.npz", one=POINTS, other=POINTS * 2)
    np.savez(tmp_path / "4.npz", objects=np.array([{}], dtype=object))
    (tmp_path / "5.npz").write_bytes(b"PK\x03\x04broken")
    for photo_id in "12":
        assert_array_equal(open_landmarks(tmp_path).get(photo_id)[0].points, POINTS)
    for photo_id in "345":
        assert outcome_of(tmp_path, photo_id) == "bad_landmarks"
    with pytest.raises(LandmarkError, match=r"3\.npz: expected one array .* found \{'one': \(68, 2\)"):
        open_landmarks(tmp_path).get("3")


@pytest.mark.parametrize("separator", [" ", "\t", ", "])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_lines_of_x_y(tmp_path: Path, separator: str, start: str) -> None:
    text = start + "\n".join(f"{x}{separator}{y}" for x, y in POINTS) + "\n\n"
    (tmp_path / "a.b.txt").write_text(text, encoding="utf-8")  # a dot in the name of the photo
    (found,) = open_landmarks(tmp_path).get("a.b")
    assert (found.id, found.scheme) == ("a.b", "ibug68")
    assert_allclose(found.points, POINTS)


@pytest.mark.parametrize("text", ["", "1 2\n3 4\n", "1 2 3\n" * 68, "x y\n" * 68, "1 2\n" * 67 + "nan 3\n", "1 2\n3\n"])
def test_other_text_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.txt").write_text(text)
    assert outcome_of(tmp_path, "1") == "bad_landmarks"
    (tmp_path / "1.txt").write_bytes(b"\xff\xfe\x00 1 2")
    assert outcome_of(tmp_path, "1") == "bad_landmarks"


def test_pts_counts_from_one(tmp_path: Path) -> None:
    lines = "\n".join(f"{x + 1:.6f} {y + 1:.6f}" for x, y in POINTS)
    text = f"version: 1\nn_points:  68\n{{\n{lines}\n}}\n"
    (tmp_path / "1.pts").write_text(text)
    (tmp_path / "2.txt").write_text(text)
    for photo_id in "12":
        assert_allclose(open_landmarks(tmp_path).get(photo_id)[0].points, POINTS, atol=1e-5)
    (tmp_path / "1.pts").write_text(text.replace("68", "66"))
    with pytest.raises(LandmarkError, match=r"1\.pts: says n_points: 66, but has 68"):
        open_landmarks(tmp_path).get("1")
    (tmp_path / "1.pts").write_text(lines)
    assert outcome_of(tmp_path, "1") == "bad_landmarks"


def test_the_real_text_and_arrays() -> None:
    texts = real("landmarks68/pts68")
    source = open_landmarks(texts)
    assert all(source.get(path.name[:-4])[0].scheme == "ibug68" for path in texts.iterdir())
    arrays = real("celebamask_hq_mini/landmarks")
    assert open_landmarks(arrays).get(sorted(arrays.iterdir())[0].stem)[0].points.shape == (68, 2)
