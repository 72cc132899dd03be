"""How much does a video flicker, compared with frames rendered separately? Two clips of known motion.

Flicker is the mean absolute difference of a result from the previous one, warped by the true flow, outside
areas that were hidden before. Separate frames are rendered with the same seed, or with a different seed each.

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
from tilestyle.motion.clip import open_clip
from tilestyle.motion.film import quantize_frame
from tilestyle.motion.optical_flow import reliability_mask, warp
from tilestyle.motion.series import read_pixels
from tilestyle.motion.video import flicker, stylize_video
from tilestyle.pictures import picture_path
from tilestyle.pipeline.api import render

Floats = NDArray[np.float32]
HEIGHT, WIDTH = 240, 320
PAN = 3  # pixels per frame
PATCH, STEP = 80, 4  # side of the moving object in pixels, and its pixels per frame


def pan(count: int) -> tuple[list[Floats], list[Floats]]:
    """Make frames [h, w, 3] of a panning camera, and the flow [h, w, 2] from each to the previous one."""
    pixels = read_picture(picture_path("coffee")).pixels
    frames = [
        np.ascontiguousarray(pixels[60 : 60 + HEIGHT, 100 + PAN * number :][:, :WIDTH])
        for number in range(count)
    ]
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = PAN
    return frames, [flow] * count


def moving(count: int) -> tuple[list[Floats], list[Floats]]:
    """Make the same of an object that moves in front of a still background."""
    pixels = read_picture(picture_path("coffee")).pixels
    sprite = read_picture(picture_path("astronaut")).pixels[20:][:PATCH, 180:][:, :PATCH]
    frames, flows = [], []
    for number in range(count):
        frame = np.ascontiguousarray(pixels[60 : 60 + HEIGHT, 100 : 100 + WIDTH])
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        area = slice(80, 80 + PATCH), slice(60 + STEP * number, 60 + STEP * number + PATCH)
        frame[area], flow[area] = sprite, (-STEP, 0)
        frames.append(frame)
        flows.append(flow)
    return frames, flows


CLIPS = {"pan": pan, "something moves": moving}


def between(pictures: list[Tensor], flows: list[Floats]) -> float:
    """Compute the mean flicker of pictures [3, h, w], from the flow of each to the previous one."""
    values = []
    for previous, current, flow in zip(pictures, pictures[1:], flows[1:], strict=False):
        warped = warp(np.ascontiguousarray(previous.permute(1, 2, 0).numpy()), flow)
        values.append(
            flicker(torch.from_numpy(warped).permute(2, 0, 1), current, reliability_mask(-flow, flow))
        )
    return float(np.mean(values))


def together(frames: list[Floats], style: Path, config: RenderConfig) -> list[Tensor]:
    """Render the frames as a clip, like `tilestyle video`."""
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip"
        clip.mkdir()
        for number, frame in enumerate(frames):
            Image.fromarray(quantize_frame(frame)).save(clip / f"{number:03}.png")
        output = stylize_video(open_clip(clip), style, Path(name) / "out", config, VideoConfig())
        return [read_pixels(file) for file in output.picture_paths]


def apart(frames: list[Floats], style: Path, config: RenderConfig, *, seeds: bool) -> list[Tensor]:
    """Render the frames separately; `seeds` gives each its own seed."""
    pictures = []
    for number, frame in enumerate(frames):
        settings = RenderConfig(quality=config.quality, seed=number if seeds else 0)
        pictures.append(torch.from_numpy(render(frame, style, settings).pixels).permute(2, 0, 1))
    return pictures


def main() -> None:
    """Measure both clips, rendered in three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--style", default="swirls", help="a bundled picture")
    parser.add_argument("--quality", type=Quality, default=Quality.NORMAL, help="draft normal best")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    config, style = RenderConfig(quality=options.quality), picture_path(options.style)
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
