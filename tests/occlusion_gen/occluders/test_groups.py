from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from occlusion_gen.occluders.groups import group_of, groups_of, one_side


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("cup_127_671466.png", "wine_glass_127_1.png", True),
        ("cup_127_671466.png", "cup_128_671466.png", False),
        ("cup_val2431_3.png", "cake_val2431_14.jpeg", True),
        ("cup_val2431_3.png", "cup_2431_3.png", False),
        ("CARDS_COURTYARD_B_T_frame_0011_partner_left.png", "CARDS_COURTYARD_B_T_frame_2200_own_right.png", True),
        ("CARDS_COURTYARD_B_T_frame_0011.jpg", "CARDS_COURTYARD_T_B_frame_0011.jpg", False),
        ("banded_0002.jpg", "banded_0016.jpg", False),
        ("a.png", "a.jpg", False),
    ],
)
def test_names_tell_what_belongs_together(one: str, other: str, together: bool) -> None:
    assert (group_of(Path(one)) == group_of(Path(other))) == together


def test_hands_without_a_table_go_by_runs_of_numbers(tmp_path: Path) -> None:
    files = [tmp_path / f"Hand_{number:07d}.jpg" for number in (2, 3, 40, 81, 200, 239)]
    groups = groups_of(tmp_path, files)
    assert groups[0] == groups[1] == groups[2]
    assert groups[4] == groups[5]
    assert len({groups[0], groups[3], groups[4]}) == 3
    assert groups_of(tmp_path, files[::-1]) == groups[::-1]


@pytest.mark.parametrize("place", ["above", "beside", "images"])
def test_the_table_of_11k_hands_tells_the_subjects(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "Hands"
    (folder / "images").mkdir(parents=True)
    table = {"above": tmp_path, "beside": folder, "images": folder / "images"}[place] / "HandInfo.csv"
    table.write_text(
        "id,age,gender,skinColor,accessories,nailPolish,aspectOfHand,imageName,irregularities\n"
        '"0000000",27,"male","fair",0,0,"dorsal right","Hand_0000079.jpg",0\n'
        '"0000559",20,"female","dark",0,0,"dorsal right","Hand_0000080.jpg",0\n'
        '"0000000",27,"male","fair",0,0,"dorsal right","Hand_0005000.jpg",0\n'
    )
    files = [folder / "images" / f"Hand_{number}.jpg" for number in ("0000079", "0000080", "0005000")]
    assert groups_of(folder, files) == ["0000000", "0000559", "0000000"]


def test_a_table_of_groups_comes_before_names(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("file,group\ncup_1_1.png,x\ncup_1_2.png,x\nb/ü ä.png,x\n", encoding="utf-8")
    (tmp_path / "groups.csv").write_text("\ufefffile,group,note\ncup_1_2.png,y,\n", encoding="utf-8")
    files = [tmp_path / name for name in ("cup_1_1.png", "cup_1_2.png", "cup_1_3.png", "b/ü ä.png")]
    assert groups_of(tmp_path, files) == ["x", "y", "image 1", "x"]


def test_an_index_without_groups_is_no_mistake_and_a_broken_table_is(tmp_path: Path) -> None:
    files = [tmp_path / "a.png"]
    (tmp_path / "index.csv").write_text("file,class\na.png,cup\n")
    assert groups_of(tmp_path, files) == ["a.png"]
    (tmp_path / "groups.csv").write_text("name,group\na.png,x\n")
    with pytest.raises(UserError, match=r"groups\.csv: has no column file; its columns: name, group"):
        groups_of(tmp_path, files)
    (tmp_path / "groups.csv").write_text("file,group\na.png,x\na.png,y\n")
    with pytest.raises(UserError, match=r"puts a\.png into the groups 'x' and 'y'"):
        groups_of(tmp_path, files)
    (tmp_path / "groups.csv").write_bytes(b"file,group\n\xff\xfe,x\n")
    with pytest.raises(UserError, match=r"groups\.csv: cannot be read as a CSV table"):
        groups_of(tmp_path, files)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.floats(0.05, 0.95))
def test_no_group_is_on_both_sides_and_no_file_is_lost(images: list[int], share: float) -> None:
    folder = Path("occluders")
    files = sorted({folder / f"cup_{image}_{k}.png" for k, image in enumerate(images)})
    sides: dict[str, list[Path]] = {"train": [], "validation": []}
    for side, chosen in sides.items():
        with contextlib.suppress(UserError):  # a side may be empty
            chosen += one_side(folder, files, split=side, holdout_share=share)  # type: ignore[arg-type]
    assert sorted(sides["train"] + sides["validation"]) == files
    assert not {group_of(path) for path in sides["train"]} & {group_of(path) for path in sides["validation"]}
    assert sides["validation"]
