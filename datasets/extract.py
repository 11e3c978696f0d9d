"""`python -m datasets extract ARCHIVE OUT`: unpack a zip or tar that somebody else made.

Every member is judged before anything is written. Refused are absolute paths, "..", links, devices, names that stand
twice, encrypted members, and archives that need more than the free disk. What passes goes into a folder beside OUT,
through the standard library's own filters, and is renamed when it is whole.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from common.cli import parser
from common.errors import UserError, exit_on_user_error

EXAMPLES = """  python -m datasets extract RealOcc.zip data/RealOcc
  python -m datasets extract dtd-r1.0.1.tar.gz data --dry-run"""
SPARE_SHARE = 0.05  # of the disk's free space that stays free
SHOWN = 8
ENCRYPTED = 0x1  # bit of a zip member's flags
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError)


class Member(NamedTuple):
    """One thing in an archive.

    Attributes:
        name: its path as the archive has it.
        size_bytes: when unpacked.
        refusal: why it is not unpacked; "" for an ordinary file or folder.
        is_folder: whether it is a folder, which may stand twice.
    """

    name: str
    size_bytes: int
    refusal: str
    is_folder: bool


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Unpack one archive.

    Args:
        words: the command line behind `extract`.
    """
    arguments = parser("Unpack a zip or tar archive safely; nothing is written before all of it was judged.", EXAMPLES)
    arguments.prog = "python -m datasets extract"
    arguments.add_argument("archive", type=Path, metavar="ARCHIVE", help=".zip, .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz")
    arguments.add_argument("out", type=Path, metavar="OUT", help="new or empty folder")
    arguments.add_argument("--dry-run", action="store_true", help="judge the archive, say what is in it, and stop")
    options = arguments.parse_args(list(words))
    members = judged_members(options.archive, options.out)
    files = [member for member in members if not member.is_folder]
    told = f"{len(files)} files, {sum(member.size_bytes for member in files) / 1e6:.1f} MB"
    if options.dry_run:
        print(f"would unpack {told} into {options.out}")
        return
    extract(options.archive, options.out)
    print(f"{options.out}: {told}")


def extract(archive: Path, out: Path) -> None:
    """Unpack `archive` into the new or empty folder `out`, whole or not at all.

    Raises:
        UserError: a member is refused (all are listed), the disk is too small, the archive is damaged or of an unknown
            kind, or `out` holds something.
    """
    members = judged_members(archive, out)
    partial = out.with_name(f".{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)  # what an interrupted run left
    partial.mkdir(parents=True)
    try:
        with tqdm(desc="unpack", total=len(members), unit="file") as bar:
            for _ in _unpack(archive, partial):
                bar.update()
    except DAMAGED as error:
        shutil.rmtree(partial)
        raise UserError(f"{archive}: is damaged ({error}); download it again") from error
    if out.exists():
        out.rmdir()
    partial.replace(out)


def judged_members(archive: Path, out: Path) -> list[Member]:
    """Return what is in the archive, all of it fit to be unpacked into `out`.

    Raises:
        UserError: as `extract`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: expected a new or an empty folder; give another, or remove it")
    members = _list(archive)
    problems = [f"{member.name!r}: {member.refusal}" for member in members if member.refusal]
    names = [str(PurePosixPath(member.name)).lower() for member in members if not member.is_folder]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    problems += [f"{name!r}: stands twice (where upper and lower case are the same)" for name in repeated]
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        listed = "\n  ".join(problems[:SHOWN])
        raise UserError(
            f"{archive}: {len(problems)} of {len(members)} members are refused and nothing was unpacked:\n  {listed}"
            f"{more}\nan archive of photos needs none of these: get it from its authors again"
        )
    _check_disk(archive, out, sum(member.size_bytes for member in members))
    return members


def _list(archive: Path) -> list[Member]:
    kind = _kind(archive)
    try:
        if kind == "zip":
            with zipfile.ZipFile(archive) as content:
                return [_zip_member(entry) for entry in content.infolist()]
        with tarfile.open(archive) as content:
            return [_tar_member(entry) for entry in content]
    except DAMAGED as error:
        raise UserError(f"{archive}: is damaged ({error}); download it again") from error


def _kind(archive: Path) -> str:
    if not archive.is_file():
        raise UserError(f"{archive}: expected an archive, found {'a folder' if archive.is_dir() else 'nothing'}")
    try:
        if zipfile.is_zipfile(archive):
            return "zip"
        if tarfile.is_tarfile(archive):
            return "tar"
    except DAMAGED as error:
        raise UserError(f"{archive}: is damaged ({error}); download it again") from error
    hint = f"; unpack it with `7z x {archive}`" if archive.suffix.lower() in (".7z", ".rar") else ""
    raise UserError(f"{archive}: is neither a zip nor a tar archive{hint}")


def _zip_member(entry: zipfile.ZipInfo) -> Member:
    mode = entry.external_attr >> 16
    refusal = _refused_name(entry.filename)
    if stat.S_ISLNK(mode):
        refusal = "is a link"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        refusal = "is a device or another special file"
    elif entry.flag_bits & ENCRYPTED:
        refusal = "is encrypted"
    return Member(entry.filename, entry.file_size, refusal, entry.filename.endswith("/"))


def _tar_member(entry: tarfile.TarInfo) -> Member:
    refusal = _refused_name(entry.name)
    if entry.issym() or entry.islnk():
        refusal = f"is a link to {entry.linkname!r}"
    elif not (entry.isreg() or entry.isdir()):
        refusal = "is a device or another special file"
    return Member(entry.name, entry.size, refusal, entry.isdir())


def _refused_name(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return "is an absolute path"
    if ".." in parts:
        return "leaves the folder by '..'"
    if not name or "\0" in name:
        return "is no name"
    return ""


def _check_disk(archive: Path, out: Path, needed: int) -> None:
    existing = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free * (1 - SPARE_SHARE):
        raise UserError(
            f"{archive}: needs {needed / 1e9:.2f} GB unpacked, {existing} has {free / 1e9:.2f} GB free; free some "
            "space, or give a folder on another disk"
        )


def _unpack(archive: Path, folder: Path) -> Iterator[str]:
    """Yield the name of each member after it was written below `folder`."""
    if _kind(archive) == "zip":
        with zipfile.ZipFile(archive) as content:
            for entry in content.infolist():
                content.extract(entry, folder)  # checks the CRC, and reads no more than the size that was judged
                yield entry.filename
        return
    with tarfile.open(archive) as content:
        for member in content:
            content.extract(member, folder, filter="data")
            yield member.name
