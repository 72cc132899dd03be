"""What super-resolution by style puts into a picture, against interpolation.

A part of a picture is averaged down by four and enlarged again, with another part of it as the reference.
Printed are how far the result agrees with the small picture (dB), how far with the truth (dB), how much detail
it has of that of the truth (energy finer than three pixels), and how different it looks: the distance of LPIPS
(Zhang et al. 2018, arXiv 1801.03924, section 3, all channels weighing one) in SqueezeNet, with which no render
here is made. Without weights/squeezenet1_0.safetensors in TILESTYLE_ASSETS that column is left out.

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
from tilestyle.config.render import UPSCALE
from tilestyle.geometry.boxes import Box
from tilestyle.losses.anchor import averaged
from tilestyle.pictures import path_of
from tilestyle.pipeline.run import as_picture
from tilestyle.recipes.upscale import agreement, interpolated, pixels_of, side_by_side, upscale

FACTOR = 4
Measure = Callable[[Tensor, Tensor], float]
# Of SqueezeNet 1.0, after which features are compared: every scale, and what comes between.
LAYERS = (1, 4, 6, 8, 10, 11, 12)


@dataclass(frozen=True)
class Case:
    """A picture that comes along; the part of it that is enlarged, and the reference, a part beside that."""

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
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=UPSCALE.sweeps)
    parser.add_argument("--upright", action="store_true", help="do not see the reference turned, too")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    parser.add_argument("--sheets", type=Path, help="folder for pictures: bicubic, Lanczos, result, truth")
    options = parser.parse_args()
    config = replace(UPSCALE, sweeps=options.sweeps, turn_style=not options.upright)
    looks, rows = judge(), list[dict[str, Any]]()
    for case in CASES:
        for row in measured(case, config, looks, options.sheets):
            rows.append(row)
            print(row, flush=True)
    ours = [row["agreement, dB"] for row in rows if row["method"] == "tilestyle"]
    report(rows, f"super-resolution, {FACTOR} times; agreement at least {min(ours):.1f} dB", options.keep)


def measured(case: Case, config: Any, looks: Measure | None, sheets: Path | None) -> Iterator[dict[str, Any]]:
    """Interpolations of a case, and the result."""
    whole = pixels_of(path_of(case.name))
    truth, reference = (
        whole[:, box.top : box.top + box.height, box.left : box.left + box.width]
        for box in (case.truth, case.reference)
    )
    low = averaged(truth, FACTOR)
    made = {**interpolated(low, FACTOR), "tilestyle": upscale(low, reference, FACTOR, config).picture}
    if sheets:
        sheets.mkdir(parents=True, exist_ok=True)
        side_by_side([*made.values(), as_picture(truth)]).save(sheets / f"{case.name}.png")
    for method, picture in made.items():
        found = pixels_of(picture)
        row = {
            "picture": case.name,
            "method": method,
            "agreement, dB": agreement(found, low),
            "truth, dB": agreement(found, truth),
            "detail": detail(found) / detail(truth),
        }
        yield row if looks is None else {**row, "distance": looks(found, truth)}


def detail(pixels: Tensor) -> float:
    """Energy of what is finer than three pixels."""
    mean = torch.nn.functional.avg_pool2d(pixels, 3, 1, 1)
    return float((pixels - mean)[:, 4:-4, 4:-4].square().mean())


def judge() -> Measure | None:
    """The distance of two pictures [3, h, w] in SqueezeNet; None without its weights."""
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

    def seen(pixels: Tensor) -> Iterator[Tensor]:
        found = (pixels[None] - mean) / deviation
        for index, layer in enumerate(network.features):
            found = layer(found)
            if index in LAYERS:
                yield found / found.norm(dim=1, keepdim=True).clamp(min=1e-8)

    def distance(one: Tensor, other: Tensor) -> float:
        with torch.no_grad():
            pairs = zip(seen(one), seen(other), strict=True)
            return sum(float((a - b).square().sum(1).mean()) for a, b in pairs)

    return distance


if __name__ == "__main__":
    main()
