"""Does a fixed strength keep the distance from the content more constant over many pairs than a fixed weight?

    python -m benchmarks.strengths --contents photographs --styles paintings --pairs 30 --judge judge.py

Every content is rendered in another style, at every size. Three distances from the content are measured:

- `look`: the distance that strength controls (tilestyle/networks/perceptual_distance.py).
- `content`: the renderer's own content loss at its last sweep.
- `judged`: the number `content` of the mapping that the function `judge(out, style, content)` of a Python file
  returns, for instance from an independent network.

Their spread should be small with a fixed strength, compared with that of a fixed weight.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch

from benchmarks.record import report
from tilestyle import RenderConfig, render
from tilestyle.canvas.resize import resize
from tilestyle.config.toml import load_settings, merge_settings
from tilestyle.geometry.boxes import Box
from tilestyle.networks.perceptual_distance import SIDE, PerceptualFeatures
from tilestyle.pictures import picture_path
from tilestyle.pipeline.events import SweepDone
from tilestyle.recipes.upscale import picture_tensor

CONTENTS, STYLES = ("astronaut", "coffee"), ("swirls", "facets", "woodcut", "weave")
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
MEASURES = ("look", "content", "judged")
Judge = Callable[[str, str, str], Mapping[str, float]]


def pictures(folder: Path | None, names: Sequence[str]) -> list[Path]:
    """Find the pictures of a folder, in the order of their names; without a folder, bundled ones."""
    if folder is None:
        return [picture_path(name) for name in names]
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)


def pairs(contents: Sequence[Path], styles: Sequence[Path], count: int) -> list[tuple[Path, Path]]:
    """Pair `count` contents, evenly spaced among all, each with the next style."""
    step = max(1, len(contents) // count)
    return [
        (contents[number * step % len(contents)], styles[number % len(styles)])
        for number in range(min(count, len(contents) * len(styles)))
    ]


def perceptual_distance(content: Path, made: Any) -> float | None:
    """Measure the perceptual distance of a picture from its content."""
    share = min(1.0, SIDE / max(made.height, made.width))
    size = Box(0, 0, *(max(1, round(share * side)) for side in (made.height, made.width)))
    pixels = torch.from_numpy(made.pixels.copy()).permute(2, 0, 1)
    original, result = (resize(picture, size) for picture in (picture_tensor(content), pixels))
    return PerceptualFeatures(original).distance(PerceptualFeatures(result))


def measured(pair: tuple[Path, Path], config: RenderConfig, judge: Judge | None) -> dict[str, Any]:
    """Render a pair, and measure its distances from the content."""
    content, style = pair
    last_sweep: list[SweepDone] = []

    def note(event: Any) -> None:
        if isinstance(event, SweepDone):
            last_sweep[:] = [event]

    picture = render(content, style, config, observer=note)
    row: dict[str, Any] = {"look": perceptual_distance(content, picture), "content": last_sweep[-1].content}
    weight = last_sweep[-1].content_weight
    row["weight"] = config.content_weight if weight is None else weight
    if judge:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "picture.png"
            picture.save(file)
            row["judged"] = judge(str(file), str(style), str(content))["content"]
    return row


def judge_of(file: Path | None) -> Judge | None:
    """Load the function `judge` of a Python file; return None without a file."""
    if file is None:
        return None
    spec = importlib.util.spec_from_file_location("judge", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Judge = module.judge
    return function


def spread(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> dict[str, float]:
    """Compute the mean and the standard deviation of every measure for each kind.

    Args:
        rows: The table.
        kinds: Values of its column `by`; the ratio of the last one's deviation to the first one's is added.
    """
    figures: dict[str, float] = {}
    for measure in MEASURES:
        deviations = []
        for kind in kinds:
            values = [row[measure] for row in rows if row["by"] == kind and row.get(measure) is not None]
            if values:
                deviations.append(pstdev(values))
                figures[f"{measure}, {kind}: mean"] = fmean(values)
                figures[f"{measure}, {kind}: deviation"] = deviations[-1]
        if len(deviations) == len(kinds) and deviations[0]:
            figures[f"{measure}: deviation, of the weight's"] = deviations[-1] / deviations[0]
    return figures


def main() -> None:
    """Render every pair at every size, by weight and by strength, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", type=Path, help="folder of contents; default: bundled pictures")
    parser.add_argument("--styles", type=Path, help="folder of styles; default: bundled pictures")
    parser.add_argument("--pairs", type=int, default=8, help="number of pairs")
    parser.add_argument("--size", nargs="+", type=int, default=[256], help="long sides, pixels")
    parser.add_argument("--config", type=Path, help="TOML file of settings: the network, its layers, sweeps")
    parser.add_argument("--weight", type=float, help="content weight; default: that of the network")
    parser.add_argument("--strength", type=float, default=RenderConfig().strength)
    parser.add_argument("--judge", type=Path, help="Python file with a function judge(out, style, content)")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    config = merge_settings(
        {"quality": "draft"}, load_settings(options.config).settings if options.config else {}
    )
    judge = judge_of(options.judge)
    weight = options.weight
    if weight is None:
        from tilestyle.networks.registry import load_network

        weight = load_network(config).content_weight
    kinds = {
        "weight": replace(config, content_weight=weight),
        "strength": replace(config, content_weight=None, strength=options.strength),
    }
    contents, styles = pictures(options.contents, CONTENTS), pictures(options.styles, STYLES)
    rows = [
        {"pair": f"{pair[0].stem}, {pair[1].stem}", "size": size, "by": kind}
        | measured(pair, replace(settings, size=size), judge)
        for pair in pairs(contents, styles, options.pairs)
        for size in options.size
        for kind, settings in kinds.items()
    ]
    report(rows, "How far pictures end from their contents", options.keep, spread(rows, list(kinds)))


if __name__ == "__main__":
    main()
