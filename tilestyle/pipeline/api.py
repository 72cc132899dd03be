"""Render and texture, from Python: pictures in, a picture out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.config.consistency import inverting
from tilestyle.config.enums import Init
from tilestyle.config.render import FILES, RenderConfig
from tilestyle.devices.torch_state import isolated
from tilestyle.errors import NetworkError, PictureError
from tilestyle.files.ownership import noting
from tilestyle.images import Picture
from tilestyle.networks.registry import RANDOM
from tilestyle.pipeline.checkpoint import Checkpoints, Left
from tilestyle.pipeline.events import Observer
from tilestyle.pipeline.prepare import prepare
from tilestyle.pipeline.run import run
from tilestyle.pipeline.workdir import Work, WorkFolder, translated
from tilestyle.planning.inputs import digest, style_list
from tilestyle.planning.style_assignment import roles

if TYPE_CHECKING:
    from tilestyle.pipeline.prepare import Source, Styles


@isolated
def render(
    content: Source,
    style: Styles,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Picture:
    """The content in the style: a picture of `config.size`, by default the content's own.

    `content` and `style` are paths, PIL images, arrays [H, W(, C)] or tensors [C, H, W] (uint8, or
    floats in [0, 1]), or a Source that is read by windows (images). A list of styles is blended by
    `config.style_blend`; a `Style` has a mask, for the regions of `config.mask`. `observer` is told of every
    level and sweep (events.py); one that raises an exception is not called again, with a RuntimeWarning, and
    the render goes on. `stop` is asked after every patch; once it answers True, the picture is returned as far
    as it got, at its full size.

    With `work`, a folder that is made, the render is kept there every ten minutes: killed, and called again in
    the same way, it goes on. What memory does not hold is there, too. It is removed at the end. Processes that
    render together (distributed.py) give the same folder, with their `ranks`; the picture is then the first
    one's.

    Raises TilestyleError (errors.py) when an input, a setting or a device cannot be used.
    """
    _check_given(content=content, style=style)
    config = config or RenderConfig()
    sources = {**roles(style_list(style)), "content": content}
    with working(work, lambda: identity(config, sources)) as checkpoints:
        return run(prepare(style, config, content, checkpoints), observer, stop, checkpoints)


@isolated
def texture(
    style: Styles,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Picture:
    """A picture of `config.size` (512 pixels square by default) with the style alone, from noise.

    Arguments and errors as in `render`. The style is seen at its own size times `config.style_scale`.
    """
    _check_given(style=style)
    config = config or RenderConfig()
    with working(work, lambda: identity(config, roles(style_list(style)))) as checkpoints:
        return run(prepare(style, config, None, checkpoints), observer, stop, checkpoints)


@isolated
def invert(
    content: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Picture:
    """The content made anew from its activations in `config.content_layers` alone, from noise.

    Mahendran and Vedaldi 2015 (arXiv 1412.0035): what a layer does not see is not in the picture;
    `config.tv_weight` smooths it. Arguments and errors as in `render`. The content's weight is 1 unless given.
    """
    _check_given(content=content)
    config = inverting(config or RenderConfig())
    with working(work, lambda: identity(config, {"content": content})) as checkpoints:
        return run(prepare(None, config, content, checkpoints), observer, stop, checkpoints)


def _check_given(**pictures: object) -> None:
    """Raise PictureError for None, which OpenCV and others return for files they cannot read."""
    for role, picture in pictures.items():
        if picture is None:
            raise PictureError(
                f"the {role} is None", hint="give a picture, and check whether its file was read"
            )


@contextmanager
def working(
    work: Work | str | os.PathLike[str] | None,
    about: Callable[[], Mapping[str, Any]],
    agree: Callable[[Left], bool] = lambda left: True,
) -> Iterator[Checkpoints | None]:
    """Checkpoints in a work folder, made or gone on from; None without a folder.

    The folder is removed when the block ends without an exception and the render is complete, so that the block
    must end with what was rendered in a safe place. It is removed, too, where nothing has been kept. Whatever
    exception passes, a checkpoint stays.

    Args:
        work: The folder, and how it is used.
        about: Says what the render is of (`identity`).
        agree: Is asked whether to continue what was kept; else the render begins anew.

    Raises:
        WorkError: The folder is in use, damaged, not ours, or was left by another render.
    """
    if work is None:
        yield None
        return
    work = work if isinstance(work, Work) else Work(Path(work))
    ranks = work.ranks
    facts = about() if ranks.first else {}  # an input that cannot be read is refused before a folder is made
    folder = WorkFolder(work.path, ranks)
    checkpoints, ended = None, False
    try:
        if work.restart and ranks.first:
            with translated(folder.path):
                folder.clear()
        checkpoints = Checkpoints(folder, facts, work)
        if checkpoints.left and not ranks.told(ranks.first and agree(checkpoints.left)):
            if ranks.first:
                with translated(folder.path):
                    folder.clear()
            checkpoints = Checkpoints(folder, facts, work)
        with noting(folder.path):
            yield checkpoints
        ended = True
    finally:
        try:
            if checkpoints is not None:
                checkpoints.close()
        finally:
            done = ended and checkpoints is not None and checkpoints.complete
            folder.close(remove=not work.keep and (done or not folder.keeps))


def identity(config: RenderConfig, sources: Mapping[str, object]) -> dict[str, Any]:
    """What a render is of, as JSON: its settings, and digests of what comes in.

    A file counts by what is in it, however its name is given. Raises TilestyleError where it cannot be read.
    """
    limits = ("memory", "host_memory", "max_input_pixels")  # decide where things are, not what becomes of them
    settings = {
        each.name: getattr(config, each.name) for each in fields(config) if each.name not in (*limits, *FILES)
    }
    settings |= {name: _content_of(name, getattr(config, name)) for name in sorted(FILES)}
    return {"settings": settings, **{role: digest(source) for role, source in sources.items()}}


def _content_of(name: str, value: object) -> str | None:
    """A setting that may name a file, as JSON: a digest of what is in it, or the word that it is."""
    if value is None or isinstance(value, Init):
        return value
    if name == "weights" and value == RANDOM:
        return RANDOM
    try:
        return digest(value)
    except OSError as error:
        if name == "weights":
            raise NetworkError(
                f"cannot read the weights file {value} ({error.strerror})", hint="check --weights"
            ) from error
        shown = name.replace("_", "-")
        raise PictureError(
            f"cannot read the {shown} {value} ({error.strerror})", hint="check the path"
        ) from error
