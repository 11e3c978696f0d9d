"""What a reader of a data set returns: one record an image, and what it found wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from common.image_io import SUFFIXES
from datasets.packed import Packed

# How the file of a truth is read; see `datasets.test_sets.truth`.
Coding = Literal[
    "mask", "parts", "celebamask_hq", "lapa", "lfw_pl", "faceocc",
]  # fmt: skip
SHOWN = 8  # names a problem; the message counts the rest


class TestImage(NamedTuple):
    """One photo of a data set with its truth.

    Attributes:
        id: unique name, relative and without suffix.
        image: the photo, or the file that it lies in; read it by `read_photo`.
        truth: a mask of the visible face or a label map of parts; None where the set has none.
        coding: how `truth` is read.
        ignore: mask of the pixels not to score.
        landmarks: `.npy` with the landmarks in pixels of the photo.
        subject: person, video or source photo, where known: splits never share one.
        split: name of the split, where the set has one.
        occlusion_types: names such as hand, object, sunglasses; () where there are none or nobody knows.
        coverage: hidden share of the face, 0..1, where the set tells it without a mask of the full face.
        truth_scaled: whether `truth` may be smaller than the photo by a whole factor.
        before: label map before an occluder was put on, of sets by `occlusion_gen`.
        hidden: hidden share of each pixel, 0..255, where an occluder is translucent.
        full_known: whether `before` says what the whole face is.
        occluder: RGBA file whose alpha marks what hides the face of `truth`.
        cofw: part ("train" or "test") and number from 1 of the photo in COFW's file `image`.
        packed: arrays that hold the files of this record, and the place in them.
        sha256: of image, label, parts and hidden, where a manifest tells it; content that has changed is refused.
    """

    id: str
    image: Path
    truth: Path | None = None
    coding: Coding = "mask"
    ignore: Path | None = None
    landmarks: Path | None = None
    subject: str | None = None
    split: str | None = None
    occlusion_types: tuple[str, ...] = ()
    coverage: float | None = None
    truth_scaled: bool = False
    before: Path | None = None
    hidden: Path | None = None
    full_known: bool = True
    occluder: Path | None = None
    cofw: tuple[str, int] | None = None
    packed: tuple[Packed, int] | None = None
    sha256: Mapping[str, str] = MappingProxyType({})

    @property
    def truth_is_label(self) -> bool:
        """Whether `truth` is a label map of parts, read by the face policy, and not a mask."""
        return self.coding != "mask"


TestImage.__test__ = False  # type: ignore[attr-defined]  # pytest takes classes of such a name for tests


class Request(NamedTuple):
    """What of a data set is wanted; None of the names means those of the layout.

    Attributes:
        root: folder of the set.
        images: sub-folder of the photos.
        masks: sub-folder of the masks or label maps, or a folder elsewhere.
        ignore: sub-folder of the masks of pixels not to score.
        split: name of the split, or of the file that lists it.
    """

    root: Path
    images: str | None = None
    masks: str | None = None
    ignore: str | None = None
    split: str | None = None


class Problem(NamedTuple):
    """One thing that is wrong with a set.

    Attributes:
        what: in words that follow a count, e.g. "photos without a mask in FOLDER".
        names: of all files, ids or lines that it is true of.
        fix: what to do, "" where that is plain.
        damage: whether it is about single files that cannot be read, which a user may decide to leave out.
    """

    what: str
    names: tuple[str, ...] = ()
    fix: str = ""
    damage: bool = False

    def __str__(self) -> str:
        text = self.what
        if self.names:
            more = f" and {len(self.names) - SHOWN} more" if len(self.names) > SHOWN else ""
            text = f"{len(self.names)} {self.what}: {', '.join(self.names[:SHOWN])}{more}"
        return f"{text}; {self.fix}" if self.fix else text


Problems = list[Problem]


def note(problems: Problems, what: str, names: Iterable[str], *, fix: str = "", damage: bool = False) -> None:
    """Add one problem for all `names`, if there are any."""
    ordered = tuple(sorted(names))
    if ordered:
        problems.append(Problem(what, ordered, fix, damage))


def without_suffix(name: str) -> str:
    """Return a line of a split file as a name: both `val_3` and `val_3.jpg` are in use; other dots stay."""
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in SUFFIXES else name
