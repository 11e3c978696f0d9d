"""DTD: the Describable Textures Dataset, 47 classes of 120 textures.

    images/{class}/{class}_{nnnn}.jpg

The files are copied into a folder a class, as the texture library reads them; each is a group of its own.

Source: Cimpoi et al., "Describing textures in the wild", 2014.
"""

from __future__ import annotations

from pathlib import Path

from common.image_io import list_images
from occlusion_gen.occluders.importing.records import TextureRecord, require

TREE = "images/{class}/{class}_{nnnn}.jpg   e.g. images/banded/banded_0002.jpg"


def read_dtd(source: Path) -> list[TextureRecord]:
    """Return one record a texture, in the order of classes and names.

    Raises:
        UserError: there are no textures.
    """
    folder = source / "images"
    files = [path for path in list_images(folder, recursive=True) if path.parent != folder] if folder.is_dir() else []
    require(source, layout="DTD", tree=TREE, missing=[] if files else ["any image in a folder below images/"])
    return [
        TextureRecord(id=f"{path.parent.name}/{path.stem}", image=path, group=path.name, category=path.parent.name)
        for path in files
    ]
