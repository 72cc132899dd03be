"""Full float32 precision of products and convolutions, whatever the calling program has set in torch.

GPUs may multiply float32 as TF32, with 10 bits of mantissa. `--precision fp32` has to mean float32, and L-BFGS
compares losses whose differences TF32 would hide. What is bfloat16 is fast anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

from tilestyle.devices.quiet_warnings import SilencedWarnings

# Some versions of torch warn, once, that there is a newer interface, which older ones do not have.
_quiet = SilencedWarnings(re.escape(__name__))


def disable_reduced_precision() -> Callable[[], None]:
    """Disable reduced precision in products and convolutions of float32, for the whole process.

    torch has an older and a newer interface for this, and raises an error when a setting that was made with one
    is read with the other: both are set.

    Returns:
        A function that restores the previous settings.
    """
    with _quiet():
        settings = _precision_settings()
        previous = []
        for setting in settings:  # fallbacks of others come first, so that each returns its own value
            previous.append(setting.fp32_precision)
            setting.fp32_precision = "none"
        for setting in settings:
            setting.fp32_precision = "ieee"
        products = torch.get_float32_matmul_precision()
        convolutions = _cudnn_rounds()
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        for setting in settings:
            setting.fp32_precision = "ieee"

    def restore() -> None:
        with _quiet():
            torch.set_float32_matmul_precision(products)
            torch.backends.cudnn.allow_tf32 = convolutions
            for setting, precision in zip(settings, previous, strict=True):
                setting.fp32_precision = precision

    return restore


def _precision_settings() -> list[Any]:
    """Return where the newer settings are: in general, of CUDA, then of kinds of operations."""
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return []
    settings = [backends, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul]
    return settings + [getattr(backends.mkldnn, kind) for kind in ("matmul", "conv", "rnn")]


def _cudnn_rounds() -> bool:
    """Return whether the older setting lets cuDNN round although the newer ones forbid it."""
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # the two disagree
        return True
