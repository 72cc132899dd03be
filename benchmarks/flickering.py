"""How much does a video flicker, against its frames rendered apart? Two clips whose motion is known exactly.

Flicker is the mean absolute difference of a picture from the one before, moved along the true flow, outside
what was hidden before. Apart, frames are rendered from one seed, or from a seed each.

    python -m benchmarks.flickering --keep flickering.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.record import report
from tilestyle.config.enums import Quality
from tilestyle.config.render import RenderConfig, VideoConfig
from tilestyle.images import read_picture
from tilestyle.motion.clip import footage
from tilestyle.motion.film import frame_of
from tilestyle.motion.optical_flow import moved, reliable
from tilestyle.motion.series import pixels_of
from tilestyle.motion.video import flicker, stylise
from tilestyle.pictures import path_of
from tilestyle.pipeline.api import render

Floats = NDArray[np.float32]
HEIGHT, WIDTH = 240, 320
PAN = 3  # pixels a frame
PATCH, STEP = 80, 4  # side of the thing that moves, pixels a frame


def pan(count: int) -> tuple[list[Floats], list[Floats]]:
    """Frames [h, w, 3] of a camera that turns, and the flow [h, w, 2] from each to the one before."""
    pixels = read_picture(path_of("coffee")).pixels
    frames = [
        np.ascontiguousarray(pixels[60 : 60 + HEIGHT, 100 + PAN * at :][:, :WIDTH]) for at in range(count)
    ]
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = PAN
    return frames, [flow] * count


def moving(count: int) -> tuple[list[Floats], list[Floats]]:
    """The same of something that moves before what stands still."""
    pixels = read_picture(path_of("coffee")).pixels
    thing = read_picture(path_of("astronaut")).pixels[20:][:PATCH, 180:][:, :PATCH]
    frames, flows = [], []
    for number in range(count):
        frame = np.ascontiguousarray(pixels[60 : 60 + HEIGHT, 100 : 100 + WIDTH])
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        place = slice(80, 80 + PATCH), slice(60 + STEP * number, 60 + STEP * number + PATCH)
        frame[place], flow[place] = thing, (-STEP, 0)
        frames.append(frame)
        flows.append(flow)
    return frames, flows


CLIPS = {"pan": pan, "something moves": moving}


def between(pictures: list[Tensor], flows: list[Floats]) -> float:
    """Mean flicker of pictures [3, h, w]."""
    found = []
    for before, now, flow in zip(pictures, pictures[1:], flows[1:], strict=False):
        along = moved(np.ascontiguousarray(before.permute(1, 2, 0).numpy()), flow)
        found.append(flicker(torch.from_numpy(along).permute(2, 0, 1), now, reliable(-flow, flow)))
    return float(np.mean(found))


def together(frames: list[Floats], style: Path, config: RenderConfig) -> list[Tensor]:
    """Pictures of a clip, as `tilestyle video` makes them."""
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip"
        clip.mkdir()
        for number, frame in enumerate(frames):
            Image.fromarray(frame_of(frame)).save(clip / f"{number:03}.png")
        done = stylise(footage(clip), style, Path(name) / "out", config, VideoConfig())
        return [pixels_of(file) for file in done.files]


def apart(frames: list[Floats], style: Path, config: RenderConfig, *, seeds: bool) -> list[Tensor]:
    """Pictures of frames that know nothing of each other."""
    made = []
    for number, frame in enumerate(frames):
        one = RenderConfig(quality=config.quality, seed=number if seeds else 0)
        made.append(torch.from_numpy(render(frame, style, one).pixels).permute(2, 0, 1))
    return made


def main() -> None:
    """Both clips, three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--style", default="swirls", help="one of the pictures that come along")
    parser.add_argument("--quality", type=Quality, default=Quality.NORMAL, help="draft normal best")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    config, style = RenderConfig(quality=options.quality), path_of(options.style)
    rows: list[dict[str, Any]] = []
    for name, clip in CLIPS.items():
        frames, flows = clip(options.frames)
        row: dict[str, Any] = {"clip": name}
        row["together"] = between(together(frames, style, config), flows)
        row["apart, one seed"] = between(apart(frames, style, config, seeds=False), flows)
        row["apart, a seed each"] = between(apart(frames, style, config, seeds=True), flows)
        row["of one seed"] = row["together"] / row["apart, one seed"]
        row["of a seed each"] = row["together"] / row["apart, a seed each"]
        print(row, flush=True)
        rows.append(row)
    report(rows, "flicker of flow-aligned frames", options.keep)


if __name__ == "__main__":
    main()
