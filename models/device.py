"""Which device to compute on, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from common.errors import UserError

BF16_CAPABILITIES = ("amx_bf16", "avx512_bf16")


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is the first GPU, or the CPU.

    Raises:
        UserError: the name is unknown or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device {name!r} is unknown; use auto, cpu, cuda or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r}: this machine has no CUDA GPU that PyTorch can use; use cpu or auto")
    return device


def pick_precision(name: str, device_type: str) -> str:
    """Return the name of a precision of Lightning Fabric.

    "auto" is bf16-mixed where the device multiplies matrices in bfloat16: GPUs that support it, and CPUs with AMX or
    AVX-512 BF16. On other CPUs bfloat16 is emulated and slower than 32 bits.
    """
    if name != "auto":
        return name
    if device_type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16-mixed" if any(capabilities.get(name, False) for name in BF16_CAPABILITIES) else "32-true"


@contextlib.contextmanager
def trying_kernels() -> Iterator[None]:
    """Let cuDNN time its kernels for each new shape and keep the fastest; all its other settings stay.

    Unlike `torch.backends.cudnn.flags`, which switches cuDNN off unless it is told otherwise.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def use_threads(count: int) -> None:
    """Let one call of a network on the CPU use so many cores; several calls at once then share the machine."""
    torch.set_num_threads(count)
