from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from common.errors import UserError
from datasets import extract as extracting
from datasets.extract import extract, main

FILES = {"set/images/a.jpg": b"one", "set/masks/a.png": b"two" * 100, "set/empty/": b""}


def make_zip(path: Path, files: dict[str, bytes], *, modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (modes or {}).get(name, 0) << 16
            content.writestr(entry, text)
    return path


def make_tar(path: Path, files: dict[str, bytes], *, kinds: dict[str, bytes] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as content:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = (kinds or {}).get(name, tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE)
            entry.size = len(text)
            entry.linkname = "/etc/passwd" if entry.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            content.addfile(entry, io.BytesIO(text))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_everything_comes_out_as_it_went_in(tmp_path: Path, make, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    archive = make(tmp_path / "archive", FILES)
    main([str(archive), str(tmp_path / "out"), "--dry-run"])
    assert not (tmp_path / "out").exists()
    main([str(archive), str(tmp_path / "out")])
    assert contents(tmp_path / "out") == {name: text for name, text in FILES.items() if text}
    assert (tmp_path / "out/set/empty").is_dir()
    assert "2 files" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}


BAD_NAMES = ("/etc/cron.d/x", "../x", "a/../../x", "a/..", "C:/x", "..\\x", "\\x")


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, make, name: str) -> None:  # type: ignore[no-untyped-def]
    archive = make(tmp_path / "archive", {"good": b"1", name: b"2"})
    with pytest.raises(UserError, match=r"1 of 2 members are refused and nothing was unpacked"):
        extract(archive, tmp_path / "inner/out")
    assert {path.name for path in tmp_path.iterdir()} == {"archive"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = make_tar(tmp_path / "a.tar.gz", {"link": b""}, kinds={"link": kind})
    with pytest.raises(UserError, match=r"'link': is a (link|device)"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    archive = make_zip(tmp_path / "a.zip", {"link": b"/etc/passwd"}, modes={"link": kind | 0o777})
    with pytest.raises(UserError, match=r"'link': is a (link|device)"):
        extract(archive, tmp_path / "out")


def test_names_that_one_disk_holds_once_are_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {"A.jpg": b"1", "a.JPG": b"2"})
    with pytest.raises(UserError, match="stands twice"):
        extract(archive, tmp_path / "out")


def test_a_small_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int = 1000
        used: int = 800
        free: int = 200

    archive = make_zip(tmp_path / "a.zip", FILES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with pytest.raises(UserError, match=r"needs .* GB unpacked"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_archives_leave_nothing(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 40, "b": b"2"})
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF  # in the first member's data
    archive.write_bytes(bytes(content))
    with pytest.raises(UserError, match="is damaged"):
        extract(archive, tmp_path / "out")
    cut = tmp_path / "b.tar.gz"
    cut.write_bytes(make_tar(tmp_path / "whole", {"a": bytes(100_000)}).read_bytes()[:-30])
    with pytest.raises(UserError, match="is damaged"):
        extract(cut, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_other_files_and_full_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    with pytest.raises(UserError, match="7z x"):
        extract(tmp_path / "a.7z", tmp_path / "out")
    with pytest.raises(UserError, match="found nothing"):
        extract(tmp_path / "none.zip", tmp_path / "out")
    archive = make_zip(tmp_path / "a.zip", FILES)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(UserError, match="new or an empty folder"):
        extract(archive, tmp_path / "full")
    assert contents(tmp_path / "full") == {"mine": b"mine"}


def test_an_interrupted_run_is_begun_again(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "half").write_bytes(b"")
    extract(archive, tmp_path / "out")
    assert "half" not in contents(tmp_path / "out")


def test_encrypted_members_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 8] |= extracting.ENCRYPTED
    archive.write_bytes(bytes(content))
    with pytest.raises(UserError, match="is encrypted"):
        extract(archive, tmp_path / "out")
