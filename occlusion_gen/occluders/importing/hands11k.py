"""11k Hands: photos of hands on white, several of each subject.

    HandInfo.csv                            id,age,...,imageName,irregularities (the subjects)
    Hands/Hand_0000002.jpg                  1600 x 1200, on white; also directly below, or in images/
    masks/Hand_0000002.png                  optional; also beside the photos. Without: cut out by colour

Source: Afifi, "11K Hands: gender recognition and biometric identification using a large dataset of hand images", 2019.
"""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError
from common.image_io import list_images
from occlusion_gen.occluders.groups import groups_of
from occlusion_gen.occluders.importing.outlines import MaskFile, OnWhite
from occlusion_gen.occluders.importing.records import CutoutRecord, require

TREE = """
HandInfo.csv
Hands/Hand_0000002.jpg
masks/Hand_0000002.png   (optional)
"""
JPEG = (".jpg", ".jpeg")


def read_hands11k(source: Path, *, masks: bool = True, tight: bool = False) -> list[CutoutRecord]:
    """Return one record a photo, in the order of their names.

    Args:
        masks: use the masks where there are any; else every hand is cut out by colour.
        tight: the photos are cut to the hands' boxes.

    Raises:
        UserError: there are no photos, or some have masks and some have not.
    """
    folder = next((folder for name in ("Hands", "images", ".") if (folder := source / name).is_dir()), source)
    photos = [path for path in list_images(folder) if path.suffix.lower() in JPEG]
    require(source, layout="11k Hands", tree=TREE, missing=[] if photos else ["any .jpg"])
    found = _masks_of(source, folder) if masks else {}
    lone = [path.name for path in photos if path.stem not in found]
    if found and lone:
        raise UserError(
            f"{source}: {len(lone)} of {len(photos)} photos have no mask, e.g. {lone[:3]}; add them, or cut all "
            "hands out by colour (--ignore-masks)"
        )
    # The table of subjects is looked for beside the photos and one folder above.
    groups = groups_of(folder, photos)
    return [
        CutoutRecord(
            id=path.stem,
            image=path,
            outline=MaskFile(found[path.stem]) if found else OnWhite(tight),
            group=group,
            category="hand",
        )
        for path, group in zip(photos, groups, strict=True)
    ]


def _masks_of(source: Path, photos: Path) -> dict[str, Path]:
    """Return photo stem -> mask, from masks/ or from beside the photos."""
    folder = source / "masks" if (source / "masks").is_dir() else photos
    return {path.stem: path for path in list_images(folder) if path.suffix.lower() not in JPEG}
