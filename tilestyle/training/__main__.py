"""`python -m tilestyle.training`: train the weights of the network `compact`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from tilestyle.errors import TilestyleError
from tilestyle.training.distillation import DistillationConfig, DistillationPaths, distill
from tilestyle.training.gradient_descent import DescentSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    pictures: Annotated[list[Path], typer.Option(help="Folder of photographs. Repeat for several.")],
    paintings: Annotated[
        list[Path], typer.Option(help="Folder of paintings and textures. Repeat for several.")
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")] = Path("compact.safetensors"),
    work: Annotated[Path, typer.Option(help="Folder for the state; distill again to resume.")] = Path(
        "training"
    ),
    teacher: Annotated[
        Path | None,
        typer.Option(help="Weights of a VGG-16: .safetensors, .pth or Keras's .onnx. Default: torchvision's."),
    ] = None,
    renders: Annotated[
        list[Path] | None, typer.Option(help="Folder of stylized pictures. Repeat for several.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Steps of gradient descent.")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, help="Crops per step.")] = 8,
    side: Annotated[
        int, typer.Option(min=32, help="Height and width of a crop in pixels, a multiple of 16.")
    ] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    bf16: Annotated[bool, typer.Option(help="Train in bfloat16 mixed precision.")] = False,
) -> None:
    """Distil a VGG-16 into the small network that is bundled with tilestyle."""
    course = DistillationConfig(
        photographs=tuple(pictures),
        paintings=tuple(paintings),
        renders=tuple(renders or ()),
        side=side,
        seed=seed,
        descent=DescentSettings(steps=steps, batch=batch, seed=seed, autocast=bf16),
    )
    distill(
        course, DistillationPaths(teacher=teacher, work=work, out=out, device=torch.device(device)), report=_say
    )


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    try:
        app()
    except TilestyleError as error:
        typer.echo(f"tilestyle.training: {error}", err=True)
        sys.exit(2)
