"""Weights as the repository ships them: `python scripts/ship_weights.py WEIGHTS OUT --threshold T`.

Numbers of 16 bits, half the file; the threshold is the one that validation chose. PyTorch computes in 32 bits as
before, since loading widens them.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.manifest import sha256
from models.state_files import State
from models.weights import load_weights, save_weights

EXAMPLES = """  python scripts/ship_weights.py runs/default/anneal/checkpoints/latest.safetensors \\
      weights/occface_mobile.safetensors --threshold 0.5"""


@exit_on_user_error
def main() -> None:
    """Write the smaller file and say what it is."""
    arguments = parser("Write weights in 16 bits, with a threshold.", EXAMPLES)
    arguments.add_argument("weights", type=Path, metavar="WEIGHTS", help="a file of train.py")
    arguments.add_argument("out", type=Path, metavar="OUT", help="file to write")
    arguments.add_argument("--threshold", type=_share, required=True, metavar="T", help="chosen on validation, 0..1")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    options = arguments.parse_args()
    network, card = load_weights(options.weights)
    state = in_half(network.state_dict())
    if options.dry_run:
        print(f"would write {sum(tensor.nbytes for tensor in state.values()) / 1e6:.1f} MB into {options.out}")
        return
    save_weights(options.out, state, dataclasses.replace(card, threshold=options.threshold))
    print(f"{options.out}: {options.out.stat().st_size} bytes, SHA-256 {sha256(options.out)}")


def in_half(state: State) -> State:
    """Return the tensors with 16 instead of 32 bits; whole numbers stay as they are.

    Raises:
        UserError: a number is too large for 16 bits.
    """
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    broken = [name for name, tensor in half.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise UserError(f"numbers beyond 16 bits in {', '.join(broken)}; ship the file as it is")
    return half


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, found {text!r}")
    return value


if __name__ == "__main__":
    main()
