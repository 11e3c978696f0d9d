"""How crops are cut, beside method and template: what a network must see again at prediction time."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class CutOptions:
    """Settings of an alignment that few need; each matters to one method, see `face_align.crop.photo_to_crop`.

    Attributes:
        box_scale: of `box`: side of the crop / longer side of the box.
        legacy_offsets: of `pos3d`: as FaceOcc's code has it.
        legacy_clip: of `bbox`: as published, clipped and stretched.
    """

    box_scale: float = 1.3
    legacy_offsets: bool = False
    legacy_clip: bool = False

    def changed(self) -> dict[str, float | bool]:
        """Return the settings that are not as usual, by name."""
        usual = asdict(USUAL)
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    def of_method(self, method: str) -> CutOptions:
        """Return the settings that matter to a method, all others as usual."""
        name = {"box": "box_scale", "pos3d": "legacy_offsets", "bbox": "legacy_clip"}.get(method)
        return USUAL if name is None else CutOptions(**{name: getattr(self, name)})


USUAL = CutOptions()
