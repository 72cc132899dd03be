"""Is memory independent of the canvas's size with every feature: masks, maps, several styles, locality?

Runs a sweep of two levels at two or more sizes, each in its own process, with a content, a mask and a map of
the same size. `beyond` is the peak above the libraries, minus the predicted memory of canvas and pictures: the
part that a device would hold, which should not depend on the size.

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
from tilestyle.benchmark.workload import content_picture, square_side
from tilestyle.pictures import picture_path

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
    """Write content, mask and map of a square canvas to a folder."""
    pixels = np.round(content_picture(side, side).pixels * 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "content.tif")
    across = np.arange(side)
    inside = np.hypot(across - side / 2, across[:, None] - side / 2) < side / 3
    mask = np.where(inside[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    Image.fromarray(mask).save(folder / "mask.png")
    ramp = np.broadcast_to(across * 255 // side, (side, side)).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "map.png")


def measure(settings: dict[str, Any]) -> dict[str, int]:
    """Run a sweep of two levels in this process.

    Args:
        settings: Settings of the render, and the folder with its pictures.

    Returns:
        Bytes of the peak, and the predicted bytes of canvas and pictures.
    """
    from tilestyle.config.enums import Color, Tileable
    from tilestyle.config.render import RenderConfig
    from tilestyle.devices.peak_memory import PeakMemory
    from tilestyle.optim.loop import optimize
    from tilestyle.pipeline.prepare import prepare
    from tilestyle.planning.device_choice import find_device
    from tilestyle.planning.inputs import Style

    kinds = {"color": Color, "tileable": Tileable, "scale_odds": tuple, "style_blend": tuple}
    read = {name: kinds.get(name, lambda value: value)(value) for name, value in settings.items()}
    names = [name.partition(":") for name in read.pop("styles")]
    styles = [Style(picture_path(name), color or None) for name, _, color in names]
    folder = Path(read.pop("folder"))
    for name in {"mask", "blend_map"} & read.keys():
        read[name] = folder / read[name]
    peak = PeakMemory(find_device("cpu"))
    # Two levels, since the first one's planes are freed later. Any memory limit makes the heap strict.
    config = RenderConfig(sweeps=1, margin=0, coarsest=round(0.7 * read["size"]), memory="1TiB", **read)
    job = prepare(styles, config, folder / "content.tif")
    optimize(job, lambda level: None, lambda *sweep: None, lambda: False)
    return {"peak": peak.bytes(), "held": job.memory_estimate.resident}


def main() -> None:
    """Measure every kind at every size; with --one, run a single measurement."""
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
                side = square_side(megapixels, 64)
                painted(Path(folder), side)
                settings = KINDS[kind] | {"size": side, "patch": options.patch, "folder": folder}
                result = measured("repertoire", settings)
                row[f"beyond, {megapixels:g} MP, MiB"] = round((result["peak"] - result["held"]) / MIB)
                row[f"held, {megapixels:g} MP, MiB"] = round(result["held"] / MIB)
            print(row, flush=True)
            rows.append(row)
    report(rows, "peak memory beyond canvas and pictures", options.keep)


if __name__ == "__main__":
    main()
