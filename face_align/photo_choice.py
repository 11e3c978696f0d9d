"""Which photos of a set are taken: those that a folder or a list names, or all but those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.image_io import SUFFIXES, list_images

SHOWN = 5


@dataclass(frozen=True)
class PhotoChoice:
    """Photos by name, without suffix.

    Attributes:
        only: take these alone; None: all.
        leave_out: do not take these.
    """

    only: frozenset[str] | None = None
    leave_out: frozenset[str] = frozenset()

    def takes(self, name: str) -> bool:
        """Return whether the photo is taken."""
        return (self.only is None or name in self.only) and name not in self.leave_out

    def check(self, names: set[str], *, told: Path) -> None:
        """Refuse a choice that names photos which are not there.

        Args:
            names: of all photos.
            told: where they lie, for the message.

        Raises:
            UserError: a photo of `only` is missing, or none is left.
        """
        missing = sorted((self.only or frozenset()) - names)
        if missing:
            raise UserError(
                f"{told}: source.only names {len(missing)} photos that are not there, e.g. {missing[:SHOWN]}; add the "
                "photos, or mend the folder or list"
            )
        if names and not any(self.takes(name) for name in names):
            raise UserError(f"{told}: source.only and source.leave_out leave none of the {len(names)} photos")


EVERY_PHOTO = PhotoChoice()


def read_choice(only: Path | None, leave_out: Path | None) -> PhotoChoice:
    """Return the choice that two folders or lists describe.

    Raises:
        UserError: one of them is missing or empty.
    """
    return PhotoChoice(
        None if only is None else read_names(only), frozenset() if leave_out is None else read_names(leave_out)
    )


def read_names(path: Path) -> frozenset[str]:
    """Return the names, without suffix, of the images below a folder, or of the lines of a list.

    Raises:
        UserError: there is no such folder or list, or it is empty.
    """
    if path.is_dir():
        names = [image.relative_to(path).as_posix() for image in list_images(path, recursive=True)]
    elif path.is_file():
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        raise UserError(f"{path}: expected a folder of images or a list with a name a line, found nothing")
    if not names:
        raise UserError(f"{path}: expected names of photos, found an empty {'folder' if path.is_dir() else 'list'}")
    return frozenset(_without_suffix(name) for name in names)


def _without_suffix(name: str) -> str:
    path = Path(name)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else name
