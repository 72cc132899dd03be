"""Devices, their memory, and the patch that fits it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf

import torch

from tilestyle.config.byte_size import bytes_of, size_of
from tilestyle.config.enums import Precision
from tilestyle.config.render import RenderConfig
from tilestyle.devices import device_memory
from tilestyle.devices.failures import in_one_line, is_device_failure, is_out_of_memory, reason_of
from tilestyle.devices.gpu_support import obstacle
from tilestyle.devices.host_memory import available_memory
from tilestyle.errors import DeviceError, MemoryLimit, SettingError
from tilestyle.networks.base import FeatureNetwork
from tilestyle.notices import notice
from tilestyle.planning.memory_model import READING, Footprint

# Patch sides to choose from. The side changes the pixels. The largest on a CPU is modest, so that nearly every
# machine has the memory for it and chooses the same; cost per pixel and quality hardly depend on it. Precision
# changes the pixels, too, and differs between CPUs: see `find_dtype`.
SIDES = {
    "cpu": (512, 384, 256, 192, 128),
    "cuda": (2048, 1536, 1024, 768, 512, 384, 256, 128),
    "mps": (512, 384, 256, 128),
}
SMALL_SIDES = (448, 320, 224, 160, 96, 64)  # to choose from as well, where a limit was given
# Share of the free memory that patches may take: the rest is the canvas's, and other programs'.
SHARE = 0.5
# Share of the free RAM that canvas, optimiser and pictures may take.
HELD = 0.7
# Share of a sweep's multiply-adds that content must cost for its features to be kept.
WORTH_KEEPING = 0.1
# Histories of L-BFGS to choose from: longer ones hardly help, shorter ones cost iterations.
HISTORIES = (10, 7, 5, 3)
FAST_BF16 = "TILESTYLE_FAST_BF16"  # an environment variable
FIELDS = 4  # and receptive fields of it that a patch must be long


def find_device(name: str) -> torch.device:
    """The device of this name; `auto` is the first of CUDA, Apple's MPS and the CPU that can be used.

    All but the CPU have their number, as those of tensors have; CUDA is initialised.

    Raises:
        SettingError: There is no such device.
        DeviceError: The device is there and cannot be used.
    """
    if name == "auto":
        return _best_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in SIDES:
        raise SettingError(f"device {name!r} is not known", hint="give auto, cpu, cuda, cuda:1 or mps")
    count = torch.cuda.device_count() if device.type == "cuda" else int(torch.backends.mps.is_available())
    if device.type != "cpu" and (device.index or 0) >= count:
        raise SettingError(f"device {name!r} is not in this machine", hint="give --device auto or cpu")
    if device.type == "cpu":
        return device
    with in_one_line("it was looked for", hint=f"check the driver, or give --device cpu instead of {name}"):
        current = torch.cuda.current_device() if device.type == "cuda" else 0
        found = torch.device(device.type, current if device.index is None else device.index)
        reason = obstacle(found)
    if reason:
        raise DeviceError(
            f"{found} cannot be used: {reason}", hint="install a torch that has them, or give --device cpu"
        )
    return found


def check_own_card(name: str, beside: int) -> None:
    """Refuse one card for several processes of a machine.

    Args:
        name: The device, as set.
        beside: Processes on this machine that render together.
    """
    if beside > 1 and name.startswith("cuda:"):
        raise SettingError(
            f"device {name} is one card for all {beside} processes of this machine",
            hint="give --device cuda: then each takes a card of its own",
        )


def _best_device() -> torch.device:
    """What `auto` stands for; GPUs that cannot be used are left out, with a notice.

    Of several cards that is the current one, as torch calls it, or the first that can be used.
    """
    if not torch.cuda.is_available():
        return torch.device("mps", 0) if torch.backends.mps.is_available() else torch.device("cpu")
    reasons: list[str] = []
    found = torch.device("cpu")
    try:
        current = torch.cuda.current_device()
        for index in sorted(range(torch.cuda.device_count()), key=lambda index: (index != current, index)):
            card = torch.device("cuda", index)
            reason = obstacle(card)
            if not reason:
                found = card
                break
            reasons.append(reason)
    except (RuntimeError, AssertionError) as error:
        if not (is_device_failure(error) or is_out_of_memory(error)):
            raise
        reasons.append(f"the GPU cannot be started ({reason_of(error)})")
    if reasons:
        place = "the CPU" if found.type == "cpu" else str(found)
        notice(f"computing on {place}, since {' and '.join(dict.fromkeys(reasons))}")
    return found


def find_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the arithmetic of the network.

    Args:
        precision: As set. AUTO is bfloat16 where the device has instructions for it, else float32. So it gives
            other pixels on other machines; what was used is kept with the picture and in checkpoints.
        device: Where the network computes.
    """
    if precision is Precision.AUTO:
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    return torch.bfloat16 if precision is Precision.BF16 else torch.float32


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for products of bfloat16 matrices.

    Without them bfloat16 is slower than float32. The environment variable TILESTYLE_FAST_BF16 (0 or 1) answers
    instead of the device: for clusters of unlike machines, and for virtual ones that hide what they can do.

    Raises:
        SettingError: The variable has another value.
    """
    told = os.environ.get(FAST_BF16, "")
    if told not in ("", "0", "1"):
        raise SettingError(
            f"the environment variable {FAST_BF16} is {told!r}", hint="set it to 0 or 1, or unset it"
        )
    if told:
        return told == "1"
    if device.type == "cuda":  # torch.cuda.is_bf16_supported answers for the current device
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    # Private in older versions of torch, public in no common way.
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(bool(test()) for test in tests if test)


def free_bytes(device: torch.device) -> int:
    """Memory of the device that this process may still take; what torch keeps for it counts as free."""
    return available_memory() if device.type == "cpu" else device_memory.free_bytes(device)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes to stay within; None: none was given."""

    memory: int | None = None  # of the device, or on a CPU of all
    host: int | None = None

    @classmethod
    def of(cls, config: RenderConfig) -> Limits:
        """The limits of these settings."""
        memory, host = (None if x is None else bytes_of(x) for x in (config.memory, config.host_memory))
        return cls(memory, host)

    def check_reading(self, pixels: int, device: torch.device) -> None:
        """Refuse pictures that cannot be read within the limits, before they are."""
        limits = [("host-memory", self.host), ("memory", self.memory if device.type == "cpu" else None)]
        for name, limit in limits:
            if limit is not None and READING * pixels > limit:
                raise MemoryLimit(
                    f"pictures of {pixels / 1e6:.1f} MP need {size_of(READING * pixels)} to be read, "
                    f"--{name} is {size_of(limit)}",
                    hint="give more, or smaller pictures",
                )


def check_held(height: int, width: int) -> None:
    """Raise MemoryLimit for a picture of this size that free memory cannot hold, before it is made."""
    need, free = 3 * 4 * height * width, free_bytes(torch.device("cpu"))
    if need > free:
        raise MemoryLimit(
            f"a picture of {width} x {height} pixels needs {size_of(need)} of memory, {size_of(free)} is free",
            hint="give a smaller --size",
        )


def worth_keeping(
    network: FeatureNetwork, layers: Collection[str], content: Collection[str], side: int
) -> bool:
    """Whether content features should be kept, if there is room.

    They should where computing them with every patch is a tenth of the cost of a sweep or more, and patches
    are large enough for most cells not to feel their padding.
    """
    names = network.octaves(layers).get(1, {})
    near = [name for layer, name in names.items() if layer in content]
    if not near or side < FIELDS * max(network.layers[layer].receptive_field for layer in near):
        return False
    share = network.multiply_adds_per_pixel(near) / (2 * network.multiply_adds_per_pixel(names.values()))
    return share >= WORTH_KEEPING


def fitting_side(
    device: torch.device,
    limits: Limits,
    need: Callable[[int], Footprint],
    least: int,
    given: int | None,
    beside: int = 1,
) -> int:
    """The largest patch side that fits; `given` is the only one to choose from, if the user gave it.

    `need` answers what a render with patches of a side takes; `beside` processes like this one share the RAM,
    while each has a device of its own. Raises MemoryLimit with what would be enough, SettingError where no side
    is large enough for the layers and the overlap.
    """
    sides = [given] if given else [side for side in SIDES[device.type] if side >= least]
    if given is None and limits.memory is not None:
        sides = sorted({*sides, *(side for side in SMALL_SIDES if side >= least), least}, reverse=True)
    if not sides:
        raise SettingError(
            f"for this overlap and these layers patches are {least} pixels or more, too large to be chosen",
            hint="give a smaller --overlap, shallower layers, or a --patch",
        )
    free = free_bytes(device) * SHARE / (beside if device.type == "cpu" else 1)
    for side in sides:
        if fits(device, limits, need(side), free if given is None else inf):
            return side
    raise _too_small(device, limits, need(sides[-1]), sides[-1], free)


def fits(device: torch.device, limits: Limits, found: Footprint, free: float) -> bool:
    """Whether this much is within the limits, or where there is none, its patch within `free` bytes."""
    if limits.memory is not None:
        within = needed(found, device, torch.device("cpu")) <= limits.memory
    else:
        within = found.patch <= free
    return within and found.host <= (limits.host or found.host)


def belongs_in_files(
    device: torch.device, limits: Limits, found: Footprint, filed: Footprint | None = None
) -> bool:
    """Whether what grows with the picture should be in files, since RAM, or what may be used, is too small.

    `filed` is what is needed then: of small pictures more, and then it should not.
    """
    limit = limits.host
    if device.type == "cpu":
        limit = min((x for x in (limits.host, limits.memory) if x is not None), default=None)
    if limit is None:
        return max(found.held + found.style, found.between) > HELD * available_memory()
    here, there = ((each.together if device.type == "cpu" else each.host) for each in (found, filed or found))
    return here > limit and (filed is None or there < here)


def fitting_history(
    device: torch.device, limits: Limits, need: Callable[[int], Footprint], given: int | None
) -> int:
    """The longest history of L-BFGS that RAM, or what may be used of it, has room for beside the canvas.

    `need` answers what a render with a history takes. Raises MemoryLimit where even the shortest does not fit.
    """
    for history in (given,) if given else HISTORIES:
        found = need(history)
        if not belongs_in_files(device, limits, found):
            return history
    need_here = found.together if device.type == "cpu" else found.host
    raise MemoryLimit(
        f"L-BFGS with a history of {history} needs {size_of(need_here)} of RAM, more than it may have",
        hint="give a smaller --size, or --optimiser adam, whose canvas may lie in files",
    )


def fitting_home(device: torch.device, limits: Limits, found: Footprint) -> torch.device:
    """Where canvases live: on the device, where it has room for them beside the patches, else on the host."""
    if device.type == "cpu":
        return device
    limit = limits.memory if limits.memory is not None else (1 - SHARE) * free_bytes(device)
    return device if found.together <= limit else torch.device("cpu")


def needed(found: Footprint, device: torch.device, home: torch.device) -> int:
    """Bytes that `--memory` bounds; `home` is where canvases live."""
    return found.together if home == device else found.device


def _too_small(device: torch.device, limits: Limits, found: Footprint, side: int, free: float) -> MemoryLimit:
    """What to say when patches of `side`, the smallest, do not fit."""
    if limits.host is not None and found.host > limits.host:
        return MemoryLimit(
            f"canvas and pictures need {size_of(found.host)}, --host-memory is {size_of(limits.host)}",
            hint="give more, or a smaller --size",
        )
    if limits.memory is not None:
        need = size_of(needed(found, device, torch.device("cpu")))
        return MemoryLimit(
            f"patches of {side} pixels need {need}, --memory is {size_of(limits.memory)}",
            hint="give more, or a smaller --size or --patch, or fewer layers",
        )
    return MemoryLimit(
        f"a patch of {side} pixels needs {size_of(found.patch)}, {size_of(free)} of "
        f"{device.type} memory is to be had",
        hint="close other programs, choose fewer or shallower layers, or give a smaller --patch",
    )
