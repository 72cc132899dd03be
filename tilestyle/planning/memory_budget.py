"""Choose the device, and what fits into its memory: patch size, canvas and history."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf

import torch

from tilestyle.config.byte_size import format_bytes, parse_bytes
from tilestyle.config.enums import Precision
from tilestyle.config.render import RenderConfig
from tilestyle.devices import device_memory
from tilestyle.devices.failures import is_device_failure, is_out_of_memory, reason_of, short_device_errors
from tilestyle.devices.gpu_support import unusable_reason
from tilestyle.devices.host_memory import available_memory
from tilestyle.errors import DeviceError, MemoryLimit, SettingError
from tilestyle.kernels.support import has_kernels
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.vgg import Vgg
from tilestyle.notices import notice
from tilestyle.planning.memory_model import READING_BYTES, MemoryEstimate

# Patch sides to choose from; they affect the pixels. On a CPU the largest is modest, so that nearly every
# machine has the memory for it and chooses the same; cost per pixel and quality hardly depend on it. Precision
# affects the pixels, too, and depends on the CPU: see `find_dtype`.
PATCH_SIDES = {
    "cpu": (512, 384, 256, 192, 128),
    "cuda": (2048, 1536, 1024, 768, 512, 384, 256, 128),
    "mps": (512, 384, 256, 128),
}
SMALL_PATCH_SIDES = (448, 320, 224, 160, 96, 64)  # further choices if a memory limit is set
# Fraction of the free memory that patches may take; the rest is for the canvas and other programs.
PATCH_MEMORY_SHARE = 0.5
# Share of a device's free memory that a render may take with passes that are kept as CUDA graphs.
CAPTURE_SHARE = 0.8
# Fraction of the free RAM that canvas, optimizer and pictures may take.
RAM_SHARE = 0.7
# Content features are cached if they cost at least this fraction of a sweep's multiply-adds.
MIN_CONTENT_SHARE = 0.1
# Histories of L-BFGS to choose from: longer ones hardly help, shorter ones cost iterations.
HISTORIES = (10, 7, 5, 3)
FAST_BF16_VARIABLE = "TILESTYLE_FAST_BF16"  # an environment variable
MIN_RECEPTIVE_FIELDS = 4  # smallest patch side for cached content features, in receptive fields


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
    if device.type not in PATCH_SIDES:
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


def find_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the floating-point type of the network.

    Args:
        precision: As set. AUTO is bfloat16 if the device has instructions for it, else float32, so it gives
            different pixels on different machines. What was used is saved with the picture and in checkpoints.
        device: Where the network computes.
    """
    if precision is Precision.AUTO:
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    return torch.bfloat16 if precision is Precision.BF16 else torch.float32


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


def free_bytes(device: torch.device) -> int:
    """Return the bytes of memory that this process can still allocate, including what torch has cached."""
    return available_memory() if device.type == "cpu" else device_memory.free_bytes(device)


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Memory limits in bytes; None: no limit.

    Attributes:
        memory: Limit of the device; on a CPU, of the process without its libraries.
        host: Limit of RAM for canvas, optimizer and pictures.
    """

    memory: int | None = None
    host: int | None = None

    @classmethod
    def from_config(cls, config: RenderConfig) -> MemoryLimits:
        """Return the limits of these settings."""
        memory, host = (None if x is None else parse_bytes(x) for x in (config.memory, config.host_memory))
        return cls(memory, host)

    def check_reading(self, pixels: int, device: torch.device) -> None:
        """Refuse pictures that cannot be read within the limits, before they are read.

        Args:
            pixels: Pixels of all pictures.
            device: Device of the render.

        Raises:
            MemoryLimit: They need more than a limit.
        """
        limits = [("host-memory", self.host), ("memory", self.memory if device.type == "cpu" else None)]
        for name, limit in limits:
            if limit is not None and READING_BYTES * pixels > limit:
                raise MemoryLimit(
                    f"pictures of {pixels / 1e6:.1f} MP need {format_bytes(READING_BYTES * pixels)} to be "
                    "read, "
                    f"--{name} is {format_bytes(limit)}",
                    hint="raise the limit, or give smaller pictures",
                )


def check_picture_fits(height: int, width: int) -> None:
    """Refuse a picture too large for the free memory, before it is created.

    Raises:
        MemoryLimit: There is too little free memory.
    """
    need, free = 3 * 4 * height * width, free_bytes(torch.device("cpu"))
    if need > free:
        raise MemoryLimit(
            f"a picture of {width} x {height} pixels needs {format_bytes(need)} of memory, "
            f"but only {format_bytes(free)} is free",
            hint="give a smaller --size",
        )


def should_cache_content(
    network: FeatureNetwork, layers: Collection[str], content: Collection[str], side: int
) -> bool:
    """Return whether content features should be cached, if there is room.

    They should if computing them for every patch is a tenth of the cost of a sweep or more, and patches are
    large enough that most cells are not affected by their padding.

    Args:
        network: The network.
        layers: All layers in use.
        content: The content layers.
        side: Patch side, pixels.
    """
    names = network.scale_groups(layers).get(1, {})
    full_scale = [name for layer, name in names.items() if layer in content]
    if not full_scale or side < MIN_RECEPTIVE_FIELDS * max(
        network.layers[layer].receptive_field for layer in full_scale
    ):
        return False
    share = network.multiply_adds_per_pixel(full_scale) / (2 * network.multiply_adds_per_pixel(names.values()))
    return share >= MIN_CONTENT_SHARE


def choose_patch_side(
    device: torch.device,
    limits: MemoryLimits,
    estimate: Callable[[int], MemoryEstimate],
    min_side: int,
    fixed_side: int | None,
    local_world_size: int = 1,
) -> int:
    """Return the largest patch side that fits into memory.

    Args:
        device: Device of the render.
        limits: Memory limits.
        estimate: Returns the memory that a render with patches of a side needs.
        min_side: Smallest side for the layers and the overlap, pixels.
        fixed_side: The only side to choose from, if it is set.
        local_world_size: Processes like this one that share the RAM. Each has a GPU of its own.

    Raises:
        MemoryLimit: No side fits; the message says what would be enough.
        SettingError: No side is large enough for the layers and the overlap.
    """
    sides = [fixed_side] if fixed_side else [side for side in PATCH_SIDES[device.type] if side >= min_side]
    if fixed_side is None and limits.memory is not None:
        sides = sorted(
            {*sides, *(side for side in SMALL_PATCH_SIDES if side >= min_side), min_side}, reverse=True
        )
    if not sides:
        raise SettingError(
            f"with this overlap and these layers, patches need at least {min_side} pixels a side, "
            "more than is chosen automatically",
            hint="give a smaller --overlap, shallower layers, or a --patch",
        )
    free = free_bytes(device) * PATCH_MEMORY_SHARE / (local_world_size if device.type == "cpu" else 1)
    for side in sides:
        if fits(device, limits, estimate(side), free if fixed_side is None else inf):
            return side
    raise _patch_too_large(device, limits, estimate(sides[-1]), sides[-1], free)


def fits(device: torch.device, limits: MemoryLimits, estimate: MemoryEstimate, free: float) -> bool:
    """Return whether an estimate is within the limits, or without a limit, its patch within the free memory.

    Args:
        device: Device of the render.
        limits: Memory limits.
        estimate: What the render needs.
        free: Bytes available for a patch.
    """
    if limits.memory is not None:
        fits_device = device_bytes(estimate, device, torch.device("cpu")) <= limits.memory
    else:
        fits_device = estimate.patch <= free
    return fits_device and estimate.host_total <= (limits.host or estimate.host_total)


def should_memory_map(
    device: torch.device,
    limits: MemoryLimits,
    estimate: MemoryEstimate,
    mapped_estimate: MemoryEstimate | None = None,
) -> bool:
    """Return whether what grows with the picture should be memory-mapped, because RAM is too small.

    Args:
        device: Device of the render.
        limits: Memory limits.
        estimate: What the render needs in memory.
        mapped_estimate: What it needs memory-mapped. For small pictures this can be more, and then it should
            not be.
    """
    limit = limits.host
    if device.type == "cpu":
        limit = min((x for x in (limits.host, limits.memory) if x is not None), default=None)
    if limit is None:
        return (
            max(estimate.resident + estimate.style_extra, estimate.transitions) > RAM_SHARE * available_memory()
        )
    in_memory, memory_mapped = (
        (each.unified_total if device.type == "cpu" else each.host_total)
        for each in (estimate, mapped_estimate or estimate)
    )
    return in_memory > limit and (mapped_estimate is None or memory_mapped < in_memory)


def choose_history(
    device: torch.device,
    limits: MemoryLimits,
    estimate: Callable[[int], MemoryEstimate],
    fixed_history: int | None,
) -> int:
    """Return the longest history of L-BFGS that fits into RAM, or its limit, together with the canvas.

    Args:
        device: Device of the render.
        limits: Memory limits.
        estimate: Returns the memory that a render with a history needs.
        fixed_history: The only history to choose from, if it is set.

    Raises:
        MemoryLimit: Even the shortest does not fit.
    """
    for history in (fixed_history,) if fixed_history else HISTORIES:
        footprint = estimate(history)
        if not should_memory_map(device, limits, footprint):
            return history
    required = footprint.unified_total if device.type == "cpu" else footprint.host_total
    raise MemoryLimit(
        f"L-BFGS with a history of {history} needs {format_bytes(required)} of RAM, more than is available",
        hint="give a smaller --size, or --optimizer adam, whose canvas can be memory-mapped",
    )


def choose_canvas_device(device: torch.device, limits: MemoryLimits, estimate: MemoryEstimate) -> torch.device:
    """Return the device of the canvas: the GPU if it has room for it besides the patches, else the CPU."""
    if device.type == "cpu":
        return device
    limit = limits.memory if limits.memory is not None else (1 - PATCH_MEMORY_SHARE) * free_bytes(device)
    return device if estimate.unified_total <= limit else torch.device("cpu")


def should_capture(network: FeatureNetwork, limits: MemoryLimits, total: int) -> bool:
    """Return whether passes of the network are kept as CUDA graphs: where kernels work and memory is plentiful.

    Within a limit that somebody set, memory is better spent on larger patches.

    Args:
        network: The network, on its device.
        limits: Memory limits.
        total: Bytes on the device with the graphs.
    """
    if not isinstance(network, Vgg) or network.device.type != "cuda" or limits.memory is not None:
        return False
    return has_kernels(network.device) and total <= CAPTURE_SHARE * free_bytes(network.device)


def device_bytes(estimate: MemoryEstimate, device: torch.device, canvas_device: torch.device) -> int:
    """Return the bytes that `--memory` limits.

    Args:
        estimate: What the render needs.
        device: Device of the render.
        canvas_device: Where the canvas is.
    """
    return estimate.unified_total if canvas_device == device else estimate.device_total


def _patch_too_large(
    device: torch.device, limits: MemoryLimits, estimate: MemoryEstimate, side: int, free: float
) -> MemoryLimit:
    """Return the error for patches that do not fit.

    Args:
        device: Device of the render.
        limits: Memory limits.
        estimate: What the render needs.
        side: The smallest patch side, pixels.
        free: Bytes available for a patch.
    """
    if limits.host is not None and estimate.host_total > limits.host:
        return MemoryLimit(
            f"canvas and pictures need {format_bytes(estimate.host_total)}, --host-memory is "
            f"{format_bytes(limits.host)}",
            hint="raise the limit, or give a smaller --size",
        )
    if limits.memory is not None:
        required = format_bytes(device_bytes(estimate, device, torch.device("cpu")))
        return MemoryLimit(
            f"patches of {side} pixels need {required}, --memory is {format_bytes(limits.memory)}",
            hint="raise the limit, or give a smaller --size or --patch, or fewer layers",
        )
    return MemoryLimit(
        f"a patch of {side} pixels needs {format_bytes(estimate.patch)}, but only {format_bytes(free)} of "
        f"{device.type} memory is available",
        hint="close other programs, choose fewer or shallower layers, or give a smaller --patch",
    )
