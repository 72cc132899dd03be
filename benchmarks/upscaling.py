"""How does super-resolution by style compare with interpolation?

A part of a picture is averaged down by four and enlarged again, with another part of it as the reference. Four
numbers are printed: the agreement of the result with the small picture (dB), that with the original (dB), its
detail (energy finer than three pixels) over that of the original, and the perceptual distance from it. The last
is the distance of LPIPS (Zhang et al. 2018, arXiv 1801.03924, section 3, with all channel weights 1) in
SqueezeNet, which no render here uses. It is left out without weights/squeezenet1_0.safetensors in
TILESTYLE_ASSETS.

    python -m benchmarks.upscaling [--sweeps 60] [--keep FILE] [--sheets FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import squeezenet1_0

from benchmarks.record import assets, report
from tilestyle.config.render import UPSCALE_DEFAULTS
from tilestyle.geometry.boxes import Box
from tilestyle.losses.anchor import box_downsample
from tilestyle.pictures import picture_path
from tilestyle.pipeline.finished_picture import as_picture
from tilestyle.recipes.upscale import (
    downsampled_psnr,
    interpolation_baselines,
    picture_tensor,
    side_by_side,
    upscale,
)

FACTOR = 4
Measure = Callable[[Tensor, Tensor], float]
# Layers of SqueezeNet 1.0 whose outputs are compared: some at every scale.
LAYERS = (1, 4, 6, 8, 10, 11, 12)


@dataclass(frozen=True)
class Case:
    """A test case.

    Attributes:
        name: A bundled picture.
        truth: Part of it that is shrunk and enlarged again.
        reference: Another part of it that serves as the reference.
    """

    name: str
    truth: Box
    reference: Box


CASES = (
    Case("swirls", Box(100, 40, 256, 256), Box(0, 300, 768, 724)),
    Case("facets", Box(100, 40, 256, 256), Box(0, 300, 768, 724)),
    Case("woodcut", Box(100, 40, 256, 256), Box(0, 300, 768, 724)),
    Case("astronaut", Box(0, 100, 256, 256), Box(256, 0, 256, 512)),
    Case("coffee", Box(100, 0, 256, 256), Box(0, 256, 400, 344)),
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=UPSCALE_DEFAULTS.sweeps)
    parser.add_argument("--upright", action="store_true", help="do not use the rotated reference")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    parser.add_argument("--sheets", type=Path, help="folder for pictures: bicubic, Lanczos, result, truth")
    options = parser.parse_args()
    config = replace(UPSCALE_DEFAULTS, sweeps=options.sweeps, turn_style=not options.upright)
    looks, rows = judge(), list[dict[str, Any]]()
    for case in CASES:
        for row in measured(case, config, looks, options.sheets):
            rows.append(row)
            print(row, flush=True)
    ours = [row["agreement, dB"] for row in rows if row["method"] == "tilestyle"]
    report(rows, f"super-resolution, {FACTOR} times; agreement at least {min(ours):.1f} dB", options.keep)


def measured(case: Case, config: Any, looks: Measure | None, sheets: Path | None) -> Iterator[dict[str, Any]]:
    """Enlarge a case by interpolation and by style, and yield a row for each.

    Args:
        case: The case.
        config: Settings of the enlargement.
        looks: The perceptual distance, if available.
        sheets: Folder for the pictures, if they are to be written.
    """
    whole = picture_tensor(picture_path(case.name))
    truth, reference = (
        whole[:, box.top : box.top + box.height, box.left : box.left + box.width]
        for box in (case.truth, case.reference)
    )
    low = box_downsample(truth, FACTOR)
    enlarged = {
        **interpolation_baselines(low, FACTOR),
        "tilestyle": upscale(low, reference, FACTOR, config).picture,
    }
    if sheets:
        sheets.mkdir(parents=True, exist_ok=True)
        side_by_side([*enlarged.values(), as_picture(truth)]).save(sheets / f"{case.name}.png")
    for method, picture in enlarged.items():
        pixels = picture_tensor(picture)
        row = {
            "picture": case.name,
            "method": method,
            "agreement, dB": downsampled_psnr(pixels, low),
            "truth, dB": downsampled_psnr(pixels, truth),
            "detail": detail(pixels) / detail(truth),
        }
        yield row if looks is None else {**row, "distance": looks(pixels, truth)}


def detail(pixels: Tensor) -> float:
    """Compute the energy of detail finer than three pixels in a picture [3, h, w]."""
    mean = torch.nn.functional.avg_pool2d(pixels, 3, 1, 1)
    return float((pixels - mean)[:, 4:-4, 4:-4].square().mean())


def judge() -> Measure | None:
    """Return a function that measures the distance of two pictures [3, h, w] in SqueezeNet.

    Returns:
        The function; None if the weights are missing.
    """
    folder = assets()
    weights = folder and folder / "weights" / "squeezenet1_0.safetensors"
    if weights is None or not weights.exists():
        return None
    network = squeezenet1_0()
    network.load_state_dict(load_file(weights))
    network.eval()
    mean, deviation = (
        torch.tensor(values)[None, :, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )

    def features(pixels: Tensor) -> Iterator[Tensor]:
        values = (pixels[None] - mean) / deviation
        for index, layer in enumerate(network.features):
            values = layer(values)
            if index in LAYERS:
                yield values / values.norm(dim=1, keepdim=True).clamp(min=1e-8)

    def distance(one: Tensor, other: Tensor) -> float:
        with torch.no_grad():
            pairs = zip(features(one), features(other), strict=True)
            return sum(float((a - b).square().sum(1).mean()) for a, b in pairs)

    return distance


if __name__ == "__main__":
    main()
