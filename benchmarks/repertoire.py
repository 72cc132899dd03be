"""Is memory constant in the size of the canvas whatever is asked for: masks, maps, several styles, locality?

A sweep of two levels at two sizes or more, from a content, a mask and a map as large as they are, each in a
process of its own. `beyond` is its peak above the libraries, without what arithmetic says that canvas and
pictures take: what a device would hold, and should not know the size.

    python -m benchmarks.repertoire --megapixels 1 4
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.alone import add_one, answered, measured
from benchmarks.record import report
from tilestyle.benchmark.workload import content, square
from tilestyle.pictures import path_of

MIB = 2**20
KINDS: dict[str, dict[str, Any]] = {
    "one style": {"styles": ["swirls"]},
    "two styles": {"styles": ["swirls", "facets"], "style_blend": [0.3, 0.7]},
    "a mask, two styles": {"styles": ["swirls:#0000ff", "facets:#ff0000"], "mask": "mask.png"},
    "a mask, the rest kept": {"styles": ["swirls:#0000ff"], "mask": "mask.png"},
    "a blend map": {"styles": ["swirls", "facets"], "blend_map": "map.png"},
    "locality 0.7": {"styles": ["swirls"], "locality": 0.7},
    "luminance": {"styles": ["swirls"], "color": "luminance"},
    "tileable": {"styles": ["swirls"], "tileable": "both"},
    "patches at scale 2": {"styles": ["swirls"], "scale_odds": [0.01, 0.99]},
}


def painted(folder: Path, side: int) -> None:
    """Content, mask and map of a square canvas."""
    pixels = np.round(content(side, side).pixels * 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "content.tif")
    across = np.arange(side)
    inside = np.hypot(across - side / 2, across[:, None] - side / 2) < side / 3
    mask = np.where(inside[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    Image.fromarray(mask).save(folder / "mask.png")
    ramp = np.broadcast_to(across * 255 // side, (side, side)).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "map.png")


def measure(settings: dict[str, Any]) -> dict[str, int]:
    """A sweep of two levels in this process; bytes of its peak, and of those that canvas and pictures take."""
    from tilestyle.config.enums import Color, Tileable
    from tilestyle.config.render import RenderConfig
    from tilestyle.devices.peak_memory import Peak
    from tilestyle.optim.loop import optimise
    from tilestyle.pipeline.prepare import prepare
    from tilestyle.planning.inputs import Style
    from tilestyle.planning.memory_budget import find_device

    kinds = {"color": Color, "tileable": Tileable, "scale_odds": tuple, "style_blend": tuple}
    read = {name: kinds.get(name, lambda value: value)(value) for name, value in settings.items()}
    names = [name.partition(":") for name in read.pop("styles")]
    styles = [Style(path_of(name), colour or None) for name, _, colour in names]
    folder = Path(read.pop("folder"))
    for name in {"mask", "blend_map"} & read.keys():
        read[name] = folder / read[name]
    peak = Peak(find_device("cpu"))
    # Two levels: one alone begins with planes that go later. A limit, however large, for the strict heap.
    config = RenderConfig(sweeps=1, margin=0, coarsest=round(0.7 * read["size"]), memory="1TiB", **read)
    job = prepare(styles, config, folder / "content.tif")
    optimise(job, lambda level: None, lambda *sweep: None, lambda: False)
    return {"peak": peak.bytes(), "held": job.need.held}


def main() -> None:
    """Every kind at every size; with --one, a single measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", nargs="+", type=float, default=[1.0, 4.0])
    parser.add_argument("--patch", type=int, default=256, help="patch side, pixels")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    add_one(parser)
    options = parser.parse_args()
    if answered(options, measure):
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            row: dict[str, Any] = {"kind": kind}
            for megapixels in options.megapixels:
                side = square(megapixels, 64)
                painted(Path(folder), side)
                settings = KINDS[kind] | {"size": side, "patch": options.patch, "folder": folder}
                found = measured("repertoire", settings)
                row[f"beyond, {megapixels:g} MP, MiB"] = round((found["peak"] - found["held"]) / MIB)
                row[f"held, {megapixels:g} MP, MiB"] = round(found["held"] / MIB)
            print(row, flush=True)
            rows.append(row)
    report(rows, "peak memory beyond canvas and pictures", options.keep)


if __name__ == "__main__":
    main()
