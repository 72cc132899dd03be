"""Renders that the scripts here have in common."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.record import assets
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import BUILT_IN, NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.optim.loop import optimise
from tilestyle.pictures import path_of
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job

PAIRS = (("coffee", "swirls"), ("coffee", "facets"), ("astronaut", "woodcut"))  # content, style


def parser(description: str | None, size: int) -> argparse.ArgumentParser:
    """The arguments that every script takes."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--size", type=int, default=size, help="long side, pixels")
    found.add_argument("--patch", type=int, default=128, help="patch side, pixels")
    found.add_argument("--networks", nargs="+", default=["compact", "wavelet", "vgg19"], help="or vgg16")
    found.add_argument("--weights", type=Path, help="VGG weights; else those in TILESTYLE_ASSETS")
    found.add_argument("--pairs", type=int, default=len(PAIRS), help="how many pairs of pictures")
    found.add_argument("--keep", type=Path, help="JSON file for the result")
    return found


def settings(options: argparse.Namespace, network: str, **others: Any) -> RenderConfig:
    """Settings of a render, from the arguments of `parser`."""
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
    """The job of a pair of pictures that come along, its loss the same to the end."""
    content, style = pair
    found = prepare(path_of(style), config, path_of(content))
    return replace(found, weights=replace(found.weights, aim=None))


def finished(job: Job) -> Canvas:
    """The renderer's last canvas."""
    return optimise(job, lambda level: None, lambda *sweep: None, lambda: False)[0]
