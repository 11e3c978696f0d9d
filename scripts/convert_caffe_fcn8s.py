"""`python scripts/convert_caffe_fcn8s.py FILE.caffemodel OUT.safetensors`: Caffe's FCN-8s as weights of ours.

Neither Caffe nor a protocol buffer library is needed. The card of the new file says how Caffe's input is made: BGR,
0 to 255, minus the mean colour.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.errors import UserError, exit_on_user_error
from common.manifest import sha256
from models.caffemodel import fcn8s_state, read_caffemodel
from models.card import make_preprocessing
from models.spec import NetworkSpec
from models.weights import Card, save_weights

EXAMPLES = """examples:
  python scripts/convert_caffe_fcn8s.py face_seg_fcn8s.caffemodel weights/nirkin_fcn8s.safetensors
  python scripts/convert_caffe_fcn8s.py face_seg_fcn8s_300.caffemodel weights/nirkin_300.safetensors --size 300

The published file is in the releases of https://github.com/YuvalNirkin/face_segmentation."""
PERSON_OF_VOC = 15


@exit_on_user_error
def main() -> None:
    """Convert one file."""
    options = parse_arguments()
    if options.target.suffix != ".safetensors":
        raise UserError(f"{options.target}: expected a name that ends in .safetensors")
    layers = read_caffemodel(options.source)
    for old, new in options.rename:
        if old not in layers:
            raise UserError(f"--rename {old}={new}: no layer {old!r}; found: {', '.join(layers)}")
        layers[new] = layers.pop(old)
    try:
        state, unused = fcn8s_state(layers)
    except UserError as error:
        raise UserError(f"{options.source}: {error}") from error
    classes = state["score_fr.weight"].shape[0]
    face = options.face_class if options.face_class is not None else (PERSON_OF_VOC if classes == 21 else 1)
    if not 1 <= face < classes:
        raise UserError(f"--face-class {face}: the network has {classes} classes, and class 0 is the background")
    spec = NetworkSpec("fcn8s", "vgg16", (), ("visible",), classes=classes, face_class=face)
    made = make_preprocessing("caffe", size=options.size, method=options.method, template="faceocc256")
    origin = {"source": options.source.name, "sha256": sha256(options.source)}
    save_weights(options.target, state, Card(spec, made, 0.5, origin))
    print(
        f"{len(layers) - len(unused)} layers, {classes} classes, face is class {face}; unused: {list(unused) or 'none'}"
    )
    print(options.target)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = argparse.ArgumentParser(
        description="Convert Caffe's FCN-8s.", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("source", type=Path, metavar="FILE", help="a .caffemodel file")
    arguments.add_argument("target", type=Path, metavar="OUT", help="a .safetensors file to write")
    arguments.add_argument("--size", type=int, default=500, help="side of the network's input, pixels (%(default)s)")
    arguments.add_argument(
        "--method", default="bbox", choices=["bbox", "pos3d", "similarity5", "none"], help="crop (%(default)s)"
    )
    arguments.add_argument("--face-class", type=int, help="which output is face (default: 15 of 21, else 1)")
    arguments.add_argument(
        "--rename",
        type=_pair,
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="call a layer by Caffe's usual name",
    )
    return arguments.parse_args()


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (separator and old and new):
        raise argparse.ArgumentTypeError(f"{text!r}: expected OLD=NEW")
    return old, new


if __name__ == "__main__":
    main()
