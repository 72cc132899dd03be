"""How far pictures end from their contents: over many pairs, for one content weight and for one strength.

    python -m benchmarks.strengths --contents photographs --styles paintings --pairs 30 --judge judge.py

Every content is taken with another style, at every size. `look` is the distance that strength goes by
(tilestyle/networks/perceptual_distance.py); `content` the renderer's own content loss at its last sweep;
`judged` what is found by a Python file whose function `judge(out, style, content)` answers a mapping with the
number `content`: by an independent network, say. What is wanted is a spread that is small beside that of a
weight.
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
from tilestyle.canvas.canvas import resized
from tilestyle.config.toml import config_of, load
from tilestyle.geometry.boxes import Box
from tilestyle.networks.perceptual_distance import SIDE, Looks
from tilestyle.pictures import path_of
from tilestyle.pipeline.events import SweepDone
from tilestyle.recipes.upscale import pixels_of

CONTENTS, STYLES = ("astronaut", "coffee"), ("swirls", "facets", "woodcut", "weave")
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
MEASURES = ("look", "content", "judged")
Judge = Callable[[str, str, str], Mapping[str, float]]


def pictures(folder: Path | None, names: Sequence[str]) -> list[Path]:
    """Those of a folder, in order of their names; or of those that come along."""
    if folder is None:
        return [path_of(name) for name in names]
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)


def pairs(contents: Sequence[Path], styles: Sequence[Path], count: int) -> list[tuple[Path, Path]]:
    """So many contents, evenly from all there are, each with the next style."""
    step = max(1, len(contents) // count)
    return [
        (contents[number * step % len(contents)], styles[number % len(styles)])
        for number in range(min(count, len(contents) * len(styles)))
    ]


def looked(content: Path, made: Any) -> float | None:
    """How far a picture looks from its content."""
    share = min(1.0, SIDE / max(made.height, made.width))
    size = Box(0, 0, *(max(1, round(share * side)) for side in (made.height, made.width)))
    pixels = torch.from_numpy(made.pixels.copy()).permute(2, 0, 1)
    one, other = (resized(each, size) for each in (pixels_of(content), pixels))
    return Looks(one).distance(Looks(other))


def measured(pair: tuple[Path, Path], config: RenderConfig, judge: Judge | None) -> dict[str, Any]:
    """One render, and how far it ends."""
    content, style = pair
    last: list[SweepDone] = []

    def note(event: Any) -> None:
        if isinstance(event, SweepDone):
            last[:] = [event]

    made = render(content, style, config, observer=note)
    found: dict[str, Any] = {"look": looked(content, made), "content": last[-1].content}
    weight = last[-1].content_weight
    found["weight"] = config.content_weight if weight is None else weight
    if judge:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "made.png"
            made.save(file)
            found["judged"] = judge(str(file), str(style), str(content))["content"]
    return found


def judge_of(file: Path | None) -> Judge | None:
    """The function `judge` of a Python file."""
    if file is None:
        return None
    spec = importlib.util.spec_from_file_location("judge", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Judge = module.judge
    return found


def spread(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> dict[str, float]:
    """Mean and standard deviation of every measure for each kind, and the deviations' ratio to the first's."""
    found: dict[str, float] = {}
    for measure in MEASURES:
        deviations = []
        for kind in kinds:
            values = [row[measure] for row in rows if row["by"] == kind and row.get(measure) is not None]
            if values:
                deviations.append(pstdev(values))
                found[f"{measure}, {kind}: mean"] = fmean(values)
                found[f"{measure}, {kind}: deviation"] = deviations[-1]
        if len(deviations) == len(kinds) and deviations[0]:
            found[f"{measure}: deviation, of the weight's"] = deviations[-1] / deviations[0]
    return found


def main() -> None:
    """Every pair at every size, by weight and by strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", type=Path, help="folder of contents; else those that come along")
    parser.add_argument("--styles", type=Path, help="folder of styles; else those that come along")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--size", nargs="+", type=int, default=[256])
    parser.add_argument("--config", type=Path, help="TOML file of settings: the network, its layers, sweeps")
    parser.add_argument("--weight", type=float, help="the content's weight; else the network's own")
    parser.add_argument("--strength", type=float, default=RenderConfig().strength)
    parser.add_argument("--judge", type=Path, help="Python file with a function judge(out, style, content)")
    parser.add_argument("--keep", type=Path, help="JSON file to keep it in")
    asked = parser.parse_args()
    config = config_of({"quality": "draft"}, load(asked.config).settings if asked.config else {})
    judge = judge_of(asked.judge)
    weight = asked.weight
    if weight is None:
        from tilestyle.networks.registry import load_network

        weight = load_network(config).content_weight
    kinds = {
        "weight": replace(config, content_weight=weight),
        "strength": replace(config, content_weight=None, strength=asked.strength),
    }
    contents, styles = pictures(asked.contents, CONTENTS), pictures(asked.styles, STYLES)
    rows = [
        {"pair": f"{pair[0].stem}, {pair[1].stem}", "size": size, "by": kind}
        | measured(pair, replace(settings, size=size), judge)
        for pair in pairs(contents, styles, asked.pairs)
        for size in asked.size
        for kind, settings in kinds.items()
    ]
    report(rows, "How far pictures end from their contents", asked.keep, spread(rows, list(kinds)))


if __name__ == "__main__":
    main()
