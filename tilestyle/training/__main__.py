"""`python -m tilestyle.training`: make the weights of the network `compact`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from tilestyle.errors import TilestyleError
from tilestyle.training.distillation import Course, Setup, run
from tilestyle.training.gradient_descent import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    pictures: Annotated[list[Path], typer.Option(help="Folder of photographs. Repeat for several.")],
    paintings: Annotated[
        list[Path], typer.Option(help="Folder of paintings and textures. Repeat for several.")
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")] = Path("compact.safetensors"),
    work: Annotated[Path, typer.Option(help="Folder that keeps the state; run again to continue.")] = Path(
        "training"
    ),
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Weights of a VGG-16: .safetensors, .pth or Keras's as .onnx. Default: torchvision's."
        ),
    ] = None,
    renders: Annotated[
        list[Path] | None, typer.Option(help="Folder of stylised pictures to train on as well.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Steps of gradient descent.")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, help="Crops in a step.")] = 8,
    side: Annotated[
        int, typer.Option(min=32, help="Height and width of a crop, pixels, a multiple of 16.")
    ] = 128,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    bf16: Annotated[bool, typer.Option(help="Multiply in bfloat16.")] = False,
) -> None:
    """Distil a VGG-16 into the small network that comes with tilestyle."""
    course = Course(
        photographs=tuple(pictures),
        paintings=tuple(paintings),
        renders=tuple(renders or ()),
        side=side,
        seed=seed,
        descent=Settings(steps=steps, batch=batch, seed=seed, autocast=bf16),
    )
    run(course, Setup(teacher=teacher, work=work, out=out, device=torch.device(device)), report=_say)


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    try:
        app()
    except TilestyleError as error:
        typer.echo(f"tilestyle.training: {error}", err=True)
        sys.exit(2)
