from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.image_io import read_image, read_mask, write_image
from inference import open_model
from tests.infer_runs import Run, failure, files_of, infer, make_photos, make_run, rows_of
from tests.stand_ins import ColourPredictor, FixedDetector, face_at


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return make_run(monkeypatch, tmp_path)


def test_every_kind_of_file_is_read(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "good.png")
    colours = read_image(photos / "good.png")
    Image.fromarray(colours[..., 0]).save(photos / "grey.jpg")
    Image.fromarray(np.dstack([colours, np.full((90, 120), 7, np.uint8)])).save(photos / "transparent.png")
    Image.fromarray(colours[..., 0].astype(np.uint16) * 257).save(photos / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: upright it is 120 high and 90 wide
    Image.fromarray(colours).save(photos / "turned.jpg", exif=exif)
    (photos / "cut.jpg").write_bytes((photos / "turned.jpg").read_bytes()[:-400])
    (photos / "empty.png").write_bytes(b"")
    assert run(photos, tmp_path / "out", "--aligned", "--batch-size", 3) == 3
    rows = rows_of(tmp_path / "out")
    assert {name for name, row in rows.items() if row["outcome"] == "ok"} == {
        "good.png", "grey.jpg", "transparent.png", "sixteen.png", "turned.jpg",
    }  # fmt: skip
    assert rows["cut.jpg"]["outcome"] == rows["empty.png"]["outcome"] == "unreadable_image"
    assert read_mask(tmp_path / "out" / "visible" / "turned.png").shape == (120, 90)
    assert read_mask(tmp_path / "out" / "visible" / "sixteen.png")[40, 60]
    assert not (tmp_path / "out" / "visible" / "cut.png").exists()
    message = capsys.readouterr().err
    assert "2 photos could not be used" in message
    assert "cut.jpg" in message
    assert "empty.png" in message


def test_nothing_readable_ends_with_2(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no photo")
    assert "none of the 1 photos" in failure(run, capsys, tmp_path / "photos", tmp_path / "out", "--aligned")


def test_equal_stems_are_refused_before_any_work(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "sub/a.jpg", "sub/a.png")
    assert "sub/a.jpg and sub/a.png" in failure(run, capsys, photos, tmp_path / "out", "--aligned")
    assert not (tmp_path / "out").exists()


def test_bad_folders_and_options(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign" / "visible").mkdir(parents=True)
    assert "no image found" in failure(run, capsys, tmp_path / "empty", tmp_path / "out", "--aligned")
    assert "no such file or folder" in failure(run, capsys, tmp_path / "none", tmp_path / "out", "--aligned")
    assert "choose another folder" in failure(run, capsys, photos, tmp_path / "foreign", "--aligned")
    assert "found a file" in failure(run, capsys, photos, tmp_path / "weights.safetensors", "--aligned")
    assert "known: visible" in failure(run, capsys, photos, tmp_path / "out", "--save", "visble")
    assert "file or folder with" in failure(run, capsys, photos, tmp_path / "out", "--landmarks", tmp_path / "none")
    monkeypatch.setattr(open_model, "open_predictor", ColourPredictor.loader("visible"))
    assert "predict visible only" in failure(run, capsys, photos, tmp_path / "out", "--aligned", "--save", "full")
    assert not (tmp_path / "out").exists()


def test_missing_default_weights_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    monkeypatch.setattr(open_model, "DEFAULT_WEIGHTS", tmp_path / "none.safetensors")
    monkeypatch.setattr(sys, "argv", ["infer.py", str(photos), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as caught:
        infer.main()
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "--weights" in message
    assert "scripts/quickstart.sh" in message


def test_cmyk_and_palette_are_read_and_unknown_formats_say_what_to_do(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_photos(tmp_path / "photos", "good.png")
    picture = Image.fromarray(read_image(photos / "good.png"))
    picture.convert("CMYK").save(photos / "print.jpg")
    picture.convert("P").save(photos / "palette.png")
    picture.save(photos / "moving.gif", save_all=True, append_images=[picture.rotate(5)])
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert run(photos, tmp_path / "out", "--aligned") == 3
    outcomes = {name: row["outcome"] for name, row in rows_of(tmp_path / "out").items()}
    assert outcomes == {
        "good.png": "ok", "print.jpg": "ok", "palette.png": "ok",
        "moving.gif": "unsupported_format", "phone.heic": "unsupported_format",
    }  # fmt: skip
    assert "magick IN.heic OUT.png" in capsys.readouterr().err
    assert "magick IN.gif" in failure(run, capsys, photos / "moving.gif", tmp_path / "one", "--aligned")


def test_odd_names_and_folders(run: Run, tmp_path: Path) -> None:
    """A directory called x.jpg, a link to a folder above, a link to itself, a dead link, a line feed in a name."""
    photos = make_photos(tmp_path / "photos", "x.jpg/inner.png", "two\nlines.png")
    (photos / "loop").symlink_to(photos)
    (photos / "self.png").symlink_to(photos / "self.png")
    (photos / "dead.png").symlink_to(tmp_path / "nowhere.png")
    for source in (photos, photos / "**" / "*.png"):
        output = tmp_path / f"out{len(str(source))}"
        assert run(source, output, "--aligned", "--save", "visible") == 0
        assert set(rows_of(output)) == {"x.jpg/inner.png", "two\nlines.png"}
        assert read_mask(output / "visible" / "two\nlines.png").any()
        assert read_mask(output / "visible" / "x.jpg" / "inner.png").any()


def test_two_hundred_faces(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.zeros((400, 800, 3), np.uint8)
    centres = [(20 + 40 * column, 20 + 40 * row) for row in range(10) for column in range(20)]
    for x, y in centres:
        photo[y - 9 : y + 9, x - 9 : x + 9, 0] = 255
    write_image(tmp_path / "photos" / "crowd.png", photo)
    monkeypatch.setattr(FixedDetector, "faces", tuple(face_at(x, y, width=20) for x, y in centres))
    assert run(tmp_path / "photos", tmp_path / "out", "--batch-size", 7) == 0
    visible = read_mask(tmp_path / "out" / "visible" / "crowd.png")
    assert all(visible[y, x] for x, y in centres)
    assert len(rows_of(tmp_path / "out")["crowd.png"]["faces"]) == 200
    assert run(tmp_path / "photos", tmp_path / "few", "--max-faces", 3) == 0
    assert len(rows_of(tmp_path / "few")["crowd.png"]["faces"]) == 3
    assert run(tmp_path / "photos", tmp_path / "large", "--min-size", 21) == 0
    assert rows_of(tmp_path / "large")["crowd.png"]["outcome"] == "no_face"


def test_one_in_a_hundred_is_broken(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = make_photos(tmp_path / "photos", "000.png") / "000.png"
    for index in range(1, 100):
        shutil.copy(first, tmp_path / "photos" / f"{index:03d}.png")
    (tmp_path / "photos" / "057.png").write_bytes(first.read_bytes()[:-100])
    assert run(tmp_path / "photos", tmp_path / "out", "--aligned", "--save", "visible") == 3
    assert "99 ok" in (told := capsys.readouterr()).out
    assert "057.png: cannot be read" in told.err
    assert len(list((tmp_path / "out" / "visible").iterdir())) == 99


def test_too_large_is_refused_before_it_is_decoded(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("1", (20_000, 10_000)).save(tmp_path / "photos" / "large.png")
    Image.new("1", (70_000, 10)).save(tmp_path / "photos" / "long.png")
    message = failure(run, capsys, tmp_path / "photos", tmp_path / "out", "--aligned")
    assert "above the limit of 128000000" in message or "exceeds limit" in message
    assert "sides above 65500 px" in message


def test_list_of_photos(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "sub/b.png", "c.png")
    (tmp_path / "list.txt").write_text(f"photos/a.png\r\n\n{photos / 'sub' / 'b.png'}\nphotos/gone.png\n")
    assert run(tmp_path / "list.txt", tmp_path / "out", "--aligned", "--save", "visible") == 3
    outcomes = {name: row["outcome"] for name, row in rows_of(tmp_path / "out").items()}
    assert outcomes == {"a.png": "ok", "gone.png": "missing_file", "sub/b.png": "ok"}
    (tmp_path / "list.txt").write_text("\n")
    assert "path of a photo on each line" in failure(run, capsys, tmp_path / "list.txt", tmp_path / "no", "--aligned")


def test_output_that_cannot_be_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written" in failure(run, capsys, photos, tmp_path / "file" / "out", "--aligned")
    run(photos, tmp_path / "out", "--aligned", "--save", "full")
    make_photos(tmp_path / "photos", "b.png")
    shutil.rmtree(tmp_path / "out" / "full")
    (tmp_path / "out" / "full").write_bytes(b"in the way of the folder")
    message = failure(run, capsys, photos, tmp_path / "out", "--aligned", "--save", "full")
    assert "cannot be written" in message
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_nothing_is_half_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when a file is about to get its name leaves no such file."""
    photos = make_photos(tmp_path / "photos", "a.png")
    rename = Path.replace

    def full_disk(path: Path, target: Path) -> Path:
        if target.suffix == ".png":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full_disk)
        assert run(photos, tmp_path / "out", "--aligned") == 2
    assert set(files_of(tmp_path / "out")) == {"infer.json", "faces.jsonl"}
    assert run(photos, tmp_path / "out", "--aligned") == 0


def test_weights_of_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    torch.save({"state_dict": {"layer.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    monkeypatch.setattr(
        sys,
        "argv",
        ["infer.py", str(photos), str(tmp_path / "out"), "--aligned", "--weights", str(tmp_path / "other.pth")],
    )
    with pytest.raises(SystemExit) as caught:
        infer.main()
    assert caught.value.code == 2
    assert "holds no card of this project" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
