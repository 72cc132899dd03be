"""Choose the device of a render, and the precision of its network."""

from __future__ import annotations

import os

import torch

from tilestyle.config.enums import Precision
from tilestyle.devices.failures import is_device_failure, is_out_of_memory, reason_of, short_device_errors
from tilestyle.devices.gpu_support import unusable_reason
from tilestyle.errors import DeviceError, SettingError
from tilestyle.notices import notice

DEVICE_TYPES = ("cpu", "cuda", "mps")
DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}
FAST_BF16_VARIABLE = "TILESTYLE_FAST_BF16"  # an environment variable


def find_device(name: str) -> torch.device:
    """Return the device of this name, with its number, as tensors have it; CUDA is initialized.

    Args:
        name: A name such as "cpu" or "cuda:1", or "auto" for the first usable one of CUDA, Apple's MPS and the
            CPU.

    Raises:
        SettingError: There is no such device.
        DeviceError: The device exists but cannot be used.
    """
    if name == "auto":
        return _best_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in DEVICE_TYPES:
        raise SettingError(f"device {name!r} is unknown", hint="give auto, cpu, cuda, cuda:1 or mps")
    count = torch.cuda.device_count() if device.type == "cuda" else int(torch.backends.mps.is_available())
    if device.type != "cpu" and (device.index or 0) >= count:
        raise SettingError(f"device {name!r} is not in this machine", hint="give --device auto or cpu")
    if device.type == "cpu":
        return device
    with short_device_errors(
        "it was looked for", hint=f"check the driver, or give --device cpu instead of {name}"
    ):
        current = torch.cuda.current_device() if device.type == "cuda" else 0
        numbered = torch.device(device.type, current if device.index is None else device.index)
        reason = unusable_reason(numbered)
    if reason:
        raise DeviceError(
            f"{numbered} cannot be used: {reason}",
            hint="install a PyTorch that supports it, or give --device cpu",
        )
    return numbered


def check_device_per_rank(name: str, local_world_size: int) -> None:
    """Refuse one GPU for several processes on a machine.

    Args:
        name: The device, as set.
        local_world_size: Processes on this machine that render together.

    Raises:
        SettingError: A numbered GPU is set for several processes.
    """
    if local_world_size > 1 and name.startswith("cuda:"):
        raise SettingError(
            f"device {name} is one card for all {local_world_size} processes of this machine",
            hint="give --device cuda: then each process takes a card of its own",
        )


def _best_device() -> torch.device:
    """Return the device for "auto"; a notice names GPUs that cannot be used.

    Of several GPUs it is torch's current one, or else the first that can be used.
    """
    if not torch.cuda.is_available():
        return torch.device("mps", 0) if torch.backends.mps.is_available() else torch.device("cpu")
    reasons: list[str] = []
    device = torch.device("cpu")
    try:
        current = torch.cuda.current_device()
        for index in sorted(range(torch.cuda.device_count()), key=lambda index: (index != current, index)):
            card = torch.device("cuda", index)
            reason = unusable_reason(card)
            if not reason:
                device = card
                break
            reasons.append(reason)
    except (RuntimeError, AssertionError) as error:
        if not (is_device_failure(error) or is_out_of_memory(error)):
            raise
        reasons.append(f"the GPU cannot be started ({reason_of(error)})")
    if reasons:
        place = "the CPU" if device.type == "cpu" else str(device)
        notice(f"computing on {place}, since {' and '.join(dict.fromkeys(reasons))}")
    return device


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """Return the precision of the network: float32 or bfloat16.

    Args:
        precision: As set. AUTO is bfloat16 if the device has instructions for it, else float32, so it gives
            different pixels on different machines. What was used is saved with the picture and in checkpoints.
        device: Where the network computes.
    """
    if precision is not Precision.AUTO:
        return precision
    return Precision.BF16 if has_fast_bf16(device) else Precision.FP32


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for products of bfloat16 matrices.

    Without them bfloat16 is slower than float32. The environment variable TILESTYLE_FAST_BF16 (0 or 1)
    overrides the detection, for clusters of different machines, and for virtual machines that hide their
    features.

    Raises:
        SettingError: The variable has another value.
    """
    override = os.environ.get(FAST_BF16_VARIABLE, "")
    if override not in ("", "0", "1"):
        raise SettingError(
            f"the environment variable {FAST_BF16_VARIABLE} is {override!r}",
            hint="set it to 0 or 1, or unset it",
        )
    if override:
        return override == "1"
    if device.type == "cuda":  # torch.cuda.is_bf16_supported asks only the current device
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    # Private in older versions of torch, public in no common way.
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(bool(test()) for test in tests if test)
