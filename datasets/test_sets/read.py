"""One reader a layout, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from common.cofw import cofw_photo_sizes
from common.errors import UserError
from common.image_io import UnreadableImageError, image_size
from configs.schema import EvalSet
from configs.schema.evaluation import LAYOUTS
from datasets.test_sets.celebamask_hq import read_celebamask_hq, read_with_occlusion, read_without_occlusion
from datasets.test_sets.cofw import read_cofw, read_cofw68
from datasets.test_sets.egohands import read_egohands
from datasets.test_sets.faceocc import read_faceocc_celebahq, read_faceocc_ffhq
from datasets.test_sets.folders import read_faceocc_cofw, read_folder, read_occluded_dev, read_realocc
from datasets.test_sets.identities import read_lfw, read_mfr2, read_mlfw
from datasets.test_sets.listing import read_names
from datasets.test_sets.own import read_prepared
from datasets.test_sets.part_labels import read_lapa, read_lfw_pl
from datasets.test_sets.record import Problem, Problems, Request, TestImage, note

Reader = Callable[[Request, Problems], list[TestImage]]
READERS: dict[str, Reader] = {
    "folder": read_folder,
    "realocc": read_realocc,
    "realocc_wild": read_realocc,
    "prepared": read_prepared,
    "celebamask_hq": read_celebamask_hq,
    "celebamask_hq_wo": read_without_occlusion,
    "celebamask_hq_o": read_with_occlusion,
    "cofw": read_cofw,
    "cofw68": read_cofw68,
    "faceocc_cofw": read_faceocc_cofw,
    "faceocc_ffhq": read_faceocc_ffhq,
    "faceocc_celebahq": read_faceocc_celebahq,
    "occluded_dev": read_occluded_dev,
    "lapa": read_lapa,
    "helen": read_lapa,
    "lfw_pl": read_lfw_pl,
    "lfw": read_lfw,
    "mlfw": read_mlfw,
    "mfr2": read_mfr2,
    "egohands": read_egohands,
}
assert set(READERS) == set(LAYOUTS)
IMAGE_CODINGS = ("mask", "parts", "lapa", "lfw_pl")  # truths whose size an image header tells


def register_layout(name: str, reader: Reader) -> None:
    """Make `reader` known as `layout: NAME` of every configuration; see docs/adding.md.

    Args:
        reader: returns the images of the set that a request names, and notes all that is wrong with it.

    Raises:
        ValueError: the name is taken.
    """
    if name in READERS:
        raise ValueError(f"the layout {name!r} is known already; choose another name")
    READERS[name] = reader
    LAYOUTS.append(name)


def build_test_set(section: EvalSet) -> list[TestImage]:
    """Return the images of the test set that `section` describes; each has a truth.

    Raises:
        UserError: the folder is missing or empty, or the set has faults; the message lists all of them.
    """
    records, problems = examine(section)
    note(problems, "photos without a mask of the face", (record.id for record in records if record.truth is None),
         fix="they can be looked at and predicted on (infer.py), not scored")  # fmt: skip
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(
            f"{section.root}: this test set (layout {section.layout}) is not whole; mend these and run again:\n{listed}"
        )
    return records


def read_test_set(root: Path, *, layout: str, **options: object) -> list[TestImage]:
    """Return the images of the test set in `root`; `options` are the other keys of `EvalSet`.

    Raises:
        UserError: as `build_test_set`.
    """
    return build_test_set(EvalSet.model_validate({"root": root, "layout": layout, **options}))


def examine(section: EvalSet) -> tuple[list[TestImage], Problems]:
    """Return the records of a set and everything that is wrong with it, as far as names and headers tell.

    Raises:
        UserError: a prepared folder has no manifest.
    """
    root = section.root
    if section.layout != "prepared" and not root.is_dir():  # a missing manifest has its own message
        found = "a file" if root.exists() else "nothing"
        raise UserError(f"{root}: expected the folder of a test set, found {found}")
    request = Request(root, section.images, section.masks, section.ignore, section.split)
    problems: Problems = []
    records = READERS[section.layout](request, problems)
    if section.leave_out is not None:
        left_out = set(read_names(section.leave_out, problems))
        records = [record for record in records if record.id not in left_out]
    if section.crop == "landmarks" and section.landmarks is not None:
        records = [  # COFW brings its own
            record if record.cofw else record._replace(landmarks=section.landmarks / f"{record.id}.npy")
            for record in records
        ]
    records = records[: section.limit]
    _note_missing_files(records, problems)
    _note_unequal_sizes(records, problems)
    if not records and not problems:
        problems.append(Problem(f"no photo found for layout {section.layout}; docs/data.md shows what is expected"))
    return records, problems


def _note_missing_files(records: Iterable[TestImage], problems: Problems) -> None:
    for kind in ("image", "truth", "landmarks"):
        paths = [getattr(record, kind) for record in records if record.packed is None or kind == "landmarks"]
        missing = [str(path) for path in paths if path is not None and not path.is_file()]
        note(
            problems,
            "photos that are missing" if kind == "image" else f"files of {kind} that are missing",
            missing,
        )


def _note_unequal_sizes(records: Iterable[TestImage], problems: Problems) -> None:
    """Note masks of another size than their photo, and headers that cannot be read."""
    unequal: list[str] = []
    unreadable: list[str] = []
    sizes = _PhotoSizes()
    for record in records:
        if record.packed is not None:
            continue
        try:
            size = sizes[record]
            truth = record.truth if record.coding in (*IMAGE_CODINGS, "celebamask_hq") else None
            for path in (truth, record.ignore):
                scaled = record.truth_scaled and path == record.truth
                found = size if path is None else image_size(path)
                if not (_is_fraction(found, size) if scaled else found == size):
                    unequal.append(_sizes(record, size, path, found))
        except UnreadableImageError as error:
            if error.outcome != "missing_file":  # told already
                unreadable.append(str(error))
    note(problems, "masks of another size than their photo (height x width)", unequal)
    fix = "`python -m datasets check CONFIG --quarantine FOLDER` lists them for `leave_out`"
    note(problems, "files that cannot be read", unreadable, fix=fix, damage=True)


class _PhotoSizes:
    """(height, width) of photos; a file of many is opened once."""

    def __init__(self) -> None:
        self._of_file: dict[Path, list[tuple[int, int]]] = {}

    def __getitem__(self, record: TestImage) -> tuple[int, int]:
        if record.cofw is None:
            return image_size(record.image)
        part, number = record.cofw
        if record.image not in self._of_file:
            self._of_file[record.image] = cofw_photo_sizes(record.image, part)
        return self._of_file[record.image][number - 1]


def _is_fraction(mask: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Return whether the photo is a whole number of times as large as the mask, the same for both sides."""
    return photo[0] % mask[0] == 0 and photo[0] // mask[0] * mask[1] == photo[1]


def _sizes(record: TestImage, photo: tuple[int, int], mask_path: Path | None, mask: tuple[int, int]) -> str:
    height, width = photo
    return f"{mask_path} is {mask[0]} x {mask[1]}, {record.image} is {height} x {width}"
