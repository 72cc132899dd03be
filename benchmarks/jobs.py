"""The arguments, settings and jobs that the scripts share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.record import assets
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import BUILT_IN, NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.optim.loop import optimize
from tilestyle.pictures import picture_path
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job

PAIRS = (("coffee", "swirls"), ("coffee", "facets"), ("astronaut", "woodcut"))  # content, style


def parser(description: str | None, size: int) -> argparse.ArgumentParser:
    """Make a parser with the common arguments.

    Args:
        description: Description of the script.
        size: Default long side of the pictures, in pixels.
    """
    argument_parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    argument_parser.add_argument("--size", type=int, default=size, help="long side, pixels")
    argument_parser.add_argument("--patch", type=int, default=128, help="patch side, pixels")
    argument_parser.add_argument(
        "--networks", nargs="+", default=["compact", "wavelet", "vgg19"], help="or vgg16"
    )
    argument_parser.add_argument("--weights", type=Path, help="VGG weights; default: those in TILESTYLE_ASSETS")
    argument_parser.add_argument("--pairs", type=int, default=len(PAIRS), help="number of pairs of pictures")
    argument_parser.add_argument("--keep", type=Path, help="JSON file for the result")
    return argument_parser


def settings(options: argparse.Namespace, network: str, **others: Any) -> RenderConfig:
    """Make the settings of a render.

    Args:
        options: Arguments of `parser`.
        network: Name of the network.
        others: Other settings.
    """
    folder = assets()
    weights = options.weights or (folder and folder / "weights" / "vgg19_slim.safetensors")
    return RenderConfig(
        size=options.size,
        patch=options.patch,
        network=NetworkName(network),
        weights=None if network in BUILT_IN else weights,
        **others,
    )


def job(pair: tuple[str, str], config: RenderConfig) -> Job:
    """Prepare the job of a pair of bundled pictures, with a fixed content weight."""
    content, style = pair
    prepared = prepare(picture_path(style), config, picture_path(content))
    return replace(prepared, weights=replace(prepared.weights, target_distance=None))


def finished(job: Job) -> Canvas:
    """Render a job, and return its final canvas."""
    return optimize(job, lambda level: None, lambda *sweep: None, lambda: False)[0]
