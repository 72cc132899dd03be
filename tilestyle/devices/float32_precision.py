"""Products and convolutions of float32 numbers in float32, whatever the program around lets torch round.

GPUs multiply float32 as TF32 where they may, with 10 bits of mantissa. `--precision fp32` is to mean float32,
and L-BFGS compares losses whose differences TF32 would drown. What is bfloat16 is fast as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tilestyle.devices.quiet_warnings import Quiet

# Some versions of torch warn, once, that there is a newer way to say it; older ones do not have that way.
_quiet = Quiet(r"tilestyle\.exactness")


def float32_exactly() -> Callable[[], None]:
    """Let no product and no convolution of float32 numbers be rounded from now on, in the whole process.

    torch has two ways to say how exact they are, and refuses to answer in one what was said in the other: both
    are set.

    Returns:
        What restores the settings as they were found.
    """
    with _quiet():
        places = _places()
        before = []
        for place in places:  # those that others fall back to come first: then each tells its own
            before.append(place.fp32_precision)
            place.fp32_precision = "none"
        for place in places:
            place.fp32_precision = "ieee"
        products = torch.get_float32_matmul_precision()
        convolutions = _convolutions_rounded()
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        for place in places:
            place.fp32_precision = "ieee"

    def restore() -> None:
        with _quiet():
            torch.set_float32_matmul_precision(products)
            torch.backends.cudnn.allow_tf32 = convolutions
            for place, precision in zip(places, before, strict=True):
                place.fp32_precision = precision

    return restore


def _places() -> list[Any]:
    """Where the newer settings are: of everything, of CUDA, then of kinds of operations."""
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return []
    found = [backends, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul]
    return found + [getattr(backends.mkldnn, kind) for kind in ("matmul", "conv", "rnn")]


def _convolutions_rounded() -> bool:
    """Whether the older setting lets cuDNN round, where the newer ones say that it must not."""
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # the two do not agree
        return True
