"""How many crops a second a device does, from memory to memory, and how near the network is to its roofline.

    python scripts/measure_crop_speed.py --device cuda

For each way to run the network, and each batch size:
    network     crops/s of the network alone, from uint8 crops to uint8 masks that lie on the device
    of seen     its share of the roofline by the peaks that this device is seen to reach (a large matrix product in the
                same precision, a copy within its memory)
    of sheet    its share of the roofline by the maker's data sheet, where the device is known
    end to end  crops/s from uint8 crops in memory to uint8 masks in memory, see `models.mask_stream`
The roofline is that of `models.roofline`: the sum over convolutions of the longer of computing and memory traffic.
Batch sizes are tried without compilation; the compiled ways then run with the best of them. Weights are random, since
they change no time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import exit_on_user_error
from configs.schema.network import ModelSection
from models.card import Card, make_preprocessing
from models.device import pick_device, pick_precision, trying_kernels
from models.folding import fold_batch_norm
from models.mask_stream import MaskStream
from models.network import build_spec, make_network
from models.roofline import DATA_SHEETS, LayerCost, Peaks, fastest_s, layer_costs, measure_peaks, roofline_s
from models.spec import NetworkSpec
from scripts.measuring import machine_line, names_of

SECTIONS = {
    "mobilenet_v2": ModelSection(encoder="mobilenet_v2", decoder_channels=(128, 64, 32, 24, 16)),
    "resnet18": ModelSection(encoder="resnet18"),
}
PRECISIONS = ("32", "bf16")
EAGER = "eager"
MODES = (EAGER, "default", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
USUAL_MODES = MODES[:3]  # the others try kernels for minutes
BATCHES = {"cuda": (32, 64, 128, 256, 512), "cpu": (1, 8)}
CROPS = {"cuda": 4096, "cpu": 32}
PEAKS_BY = {"cuda": (8192, 1 << 30), "cpu": (1024, 1 << 27)}  # side of the matrices; bytes that are copied
END_TO_END_TRIALS = 3

EXAMPLES = """  python scripts/measure_crop_speed.py --device cuda
  python scripts/measure_crop_speed.py --device cuda --encoder resnet18 --batches 128,256 --modes eager,default
  python scripts/measure_crop_speed.py --device cpu --precision 32 --modes eager --batches 1"""


class Case(NamedTuple):
    """One way to run the network.

    Attributes:
        mode: of `MODES`.
        batch_size: crops at once.
    """

    mode: str
    batch_size: int


class Speed(NamedTuple):
    """Crops per second of the network alone and from memory to memory, and the seconds until the first batch."""

    network: float
    end_to_end: float
    start_s: float


@exit_on_user_error
def main() -> None:
    """Print one line a case, as it is measured."""
    options = parse_arguments()
    device = pick_device(options.device)
    batches = options.batches or BATCHES[device.type]
    if options.dry_run:
        print(f"would measure {', '.join(options.modes)} with batches of {', '.join(map(str, batches))} on {device}")
        return
    spec = build_spec(SECTIONS[options.encoder].model_copy(update={"outputs": ("visible", "full")}))
    card = Card(spec, make_preprocessing("imagenet", size=options.size, method="pos3d", template="faceocc256"))
    precision = options.precision or ("bf16" if pick_precision("auto", device.type) == "bf16-mixed" else "32")
    costs = costs_of(spec, size=options.size, precision=precision)
    peaks = peaks_of(device, precision)
    print_head(device, options, precision, costs, peaks)
    crops = np.random.default_rng(0).integers(
        0, 256, (options.n or CROPS[device.type], options.size, options.size, 3), dtype=np.uint8
    )

    def speed_of(case: Case) -> float:
        """Print and return the speed of the network alone."""
        return print_case(case, card, crops, precision=precision, device=options.device, costs=costs, peaks=peaks)

    eager = {batch: speed_of(Case(EAGER, batch)) for batch in batches if EAGER in options.modes}
    best = max(eager, key=lambda batch: eager[batch], default=batches[-1])
    for mode in options.modes:
        if mode != EAGER:
            speed_of(Case(mode, best))


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser(__doc__ or "", EXAMPLES)
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    arguments.add_argument("--encoder", choices=SECTIONS, default="mobilenet_v2", help="of the U-Net (%(default)s)")
    arguments.add_argument("--size", type=int, default=256, metavar="PX", help="side of the crops (%(default)s)")
    arguments.add_argument("--precision", choices=PRECISIONS, help="default: bf16 where the device computes in it")
    arguments.add_argument("--batches", type=_numbers, metavar="N,...", help=f"batch sizes (a GPU: {BATCHES['cuda']})")
    arguments.add_argument(
        "--modes", type=names_of(MODES), default=USUAL_MODES, help=f"of {','.join(MODES)} ({','.join(USUAL_MODES)})"
    )
    arguments.add_argument("-n", type=int, metavar="N", help=f"crops from memory to memory (a GPU: {CROPS['cuda']})")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be measured, and stop")
    return arguments.parse_args()


def costs_of(spec: NetworkSpec, *, size: int, precision: str) -> Callable[[int], list[LayerCost]]:
    """Return what tells the layers' costs for a batch size; the network is counted as it runs, without batch norms."""
    folded = fold_batch_norm(make_network(spec).eval(), torch.zeros(1, 3, size, size)).to("meta")
    bytes_each = 2 if precision == "bf16" else 4

    def costs(batch: int) -> list[LayerCost]:
        return layer_costs(folded, torch.empty(batch, 3, size, size, device="meta"), bytes_each=bytes_each)

    return costs


def peaks_of(device: torch.device, precision: str) -> dict[str, Peaks]:
    """Return the peaks by where they come from: seen, and sheet where the device is known and computes in bfloat16."""
    side, copied = PEAKS_BY[device.type]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    peaks = {"seen": measure_peaks(device, side=side, copied_bytes=copied, dtype=dtype)}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return peaks | ({"sheet": DATA_SHEETS[name]} if name in DATA_SHEETS and precision == "bf16" else {})


def print_head(
    device: torch.device,
    options: argparse.Namespace,
    precision: str,
    costs: Callable[[int], list[LayerCost]],
    peaks: dict[str, Peaks],
) -> None:
    """Print the machine, what the network costs, and the head of the table."""
    print(machine_line(device.type))
    one = costs(1)
    print(f"U-Net {options.encoder}, {options.size} px, {precision}: {sum(c.flops for c in one) / 1e9:.2f} GFLOP and "
          f"{sum(c.bytes for c in one) / 1e6:.1f} MB of memory traffic a crop in {len(one)} convolutions")  # fmt: skip
    for name, peak in peaks.items():
        print(f"peaks {name:6} {peak.flops_per_s / 1e12:8.1f} TFLOP/s {peak.bytes_per_s / 1e9:8.0f} GB/s")
    columns = "".join(f"{'of ' + name:>10}" for name in peaks)
    print(f"{'mode':27}{'batch':>6}{'network':>10}{columns}{'end to end':>12}{'start':>9}", flush=True)


def print_case(
    case: Case,
    card: Card,
    crops: np.ndarray,
    *,
    precision: str,
    device: str,
    costs: Callable[[int], list[LayerCost]],
    peaks: dict[str, Peaks],
) -> float:
    """Print a line of the table, and return crops per second of the network alone, 0 where it cannot be run."""
    try:
        speed = measure(case, card, crops, precision=precision, device=device)
    except RuntimeError as error:  # too little memory, or no compiler
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        print(f"{case.mode:27}{case.batch_size:6d}  failed: {reason}", flush=True)
        return 0.0
    least_s = {name: roofline_s(costs(case.batch_size), peak) for name, peak in peaks.items()}
    shares = "".join(f"{speed.network * seconds / case.batch_size:10.1%}" for seconds in least_s.values())
    print(f"{case.mode:27}{case.batch_size:6d}{speed.network:10.0f}{shares}{speed.end_to_end:12.0f}"
          f"{speed.start_s:8.1f}s", flush=True)  # fmt: skip
    return speed.network


@torch.no_grad()
def measure(case: Case, card: Card, crops: np.ndarray, *, precision: str, device: str) -> Speed:
    """Return the speed of a case."""
    torch.manual_seed(0)
    torch.compiler.reset()  # what was compiled for other batch sizes counts against a limit
    start_s = time.perf_counter()
    stream = MaskStream(
        make_network(card.network).eval(),
        card,
        device=device,
        batch_size=case.batch_size,
        precision="bf16" if precision == "bf16" else "32",
        compile_mode=None if case.mode == EAGER else case.mode,
    )
    masks = np.zeros((len(crops), len(stream.outputs), *crops.shape[1:3]), np.uint8)
    stream.masks(crops[: case.batch_size], out=masks[: case.batch_size])
    start_s = time.perf_counter() - start_s
    batch = stream.empty_batch()
    with trying_kernels():
        seconds = fastest_s(lambda: stream.network(batch), stream.device)
    trials = []
    for _ in range(END_TO_END_TRIALS):
        begun_s = time.perf_counter()
        stream.masks(crops, out=masks)
        trials.append(time.perf_counter() - begun_s)
    return Speed(case.batch_size / seconds, len(crops) / min(trials), start_s)


def _numbers(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers from 1 with commas between, found {text!r}")
    return tuple(map(int, words))


if __name__ == "__main__":
    main()
