"""The public Python functions: `render`, `texture` and `invert` take pictures and return a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

from tilestyle import images
from tilestyle.config.consistency import inversion_config
from tilestyle.config.render import FILE_FIELDS, RenderConfig
from tilestyle.config.settings import Settings, with_settings
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import PictureError
from tilestyle.files.ownership import logging_temporaries
from tilestyle.files.paths import named_path
from tilestyle.images import Picture
from tilestyle.pipeline.checkpoint import WorkDirCheckpointer
from tilestyle.pipeline.events import Observer
from tilestyle.pipeline.fingerprint import render_fingerprint
from tilestyle.pipeline.prepare import prepare
from tilestyle.pipeline.progress import showing_progress
from tilestyle.pipeline.provenance import RenderFacts, call_provenance
from tilestyle.pipeline.run import render_job
from tilestyle.pipeline.shared_statistics import with_shared_statistics
from tilestyle.pipeline.workdir import LockedWorkDir, Work, translating_errors
from tilestyle.planning.inputs import as_styles
from tilestyle.planning.style_assignment import labelled_images

if TYPE_CHECKING:
    from tilestyle.pipeline.prepare import Source, Styles

Save = Callable[[Picture], object]
CALL_KEYWORDS = ("config", "observer", "stop", "work", "save", "progress")
"""Keywords of the functions here that are not settings."""


@with_torch_state
def render(  # noqa: PLR0913
    content: Source,
    style: Styles,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
    save: Save | None = None,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Picture:
    """Render the content in the style.

    The picture has the size of the content, unless `size` is set.

    Args:
        content: The picture to render: a path, a PIL image, an array [H, W(, C)] or a tensor [C, H, W] (uint8
            values, or floats in [0, 1]), or an `images.ImageSource`, which is read in windows.
        style: One style, or a list of styles that are blended by `style_blend`. Each is given like the content,
            or as a `Style`, which adds a mask for the regions of `mask`.
        config: The settings; the defaults if None.
        observer: Called with an event after every patch, sweep and level (`pipeline.events`). If it raises an
            exception, it is not called again: a RuntimeWarning says so, and the render continues. Settings of
            torch that it changes are as they were after it.
        stop: Called after every patch. When it returns True, the picture is returned as far as it has got, at
            its full size.
        work: Folder for checkpoints, or a `Work` with more options; it is created if need be. The render is
            saved there every ten minutes, and canvases too large for memory are kept there. The same call
            resumes a render that was killed. The folder is removed at the end. Processes that render together
            (`distributed`) pass the same folder and their communicator.
        save: Called with the picture before the work folder is removed. If it raises an exception, the folder
            stays, and the same call returns the picture at once.
        progress: Whether to show a progress bar, in the terminal or notebook.
        **settings: Fields of `RenderConfig`, such as `size=1024` or `quality="draft"`; they replace those of
            `config`.

    Returns:
        The finished picture, with the settings that made it as its `provenance`. Of several processes, only the
        first one's is complete.

    Raises:
        TilestyleError: An input, a setting or a device cannot be used (`errors`).

    Example:
        >>> from tilestyle import render
        >>> picture = render("photo.jpg", "painting.jpg", size=2048, strength=0.6, work="poster.work")
        >>> picture.save("poster.png")
    """
    _check_not_none(content=content, style=style)
    config = with_settings(config, settings, keywords=CALL_KEYWORDS)
    sources = {**labelled_images(as_styles(style)), "content": content}
    call = _Call(observer, stop, work, save, progress)
    return call.run(style, config, content, sources)


@with_torch_state
def texture(  # noqa: PLR0913
    style: Styles,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
    save: Save | None = None,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Picture:
    """Synthesize a texture of the style alone, starting from noise.

    The picture has 512 x 512 pixels, unless `size` is set. The style is shown at its own size times
    `style_scale`.

    Args:
        style: One style or a list of styles, as for `render`.
        config: The settings; the defaults if None.
        observer: Called with events, as for `render`.
        stop: Asked whether to stop, as for `render`.
        work: Folder for checkpoints, as for `render`.
        save: Called with the picture before the work folder is removed, as for `render`.
        progress: Whether to show a progress bar.
        **settings: Fields of `RenderConfig` that replace those of `config`.

    Returns:
        The finished texture.

    Raises:
        TilestyleError: An input, a setting or a device cannot be used.

    Example:
        >>> from tilestyle import texture
        >>> texture("bricks.jpg", size=(1024, 768), tileable="both").save("wall.png")
    """
    _check_not_none(style=style)
    config = with_settings(config, settings, keywords=CALL_KEYWORDS)
    sources = labelled_images(as_styles(style))
    call = _Call(observer, stop, work, save, progress)
    return call.run(style, config, None, sources)


@with_torch_state
def invert(  # noqa: PLR0913
    content: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
    save: Save | None = None,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Picture:
    """Reconstruct the content from its activations in `content_layers` alone, starting from noise.

    What these layers do not respond to is missing from the picture; `tv_weight` smooths it. The method is that
    of Mahendran and Vedaldi 2015 (arXiv 1412.0035).

    Args:
        content: The picture to reconstruct, as for `render`.
        config: The settings; the defaults if None. The content weight is 1 unless it is set.
        observer: Called with events, as for `render`.
        stop: Asked whether to stop, as for `render`.
        work: Folder for checkpoints, as for `render`.
        save: Called with the picture before the work folder is removed, as for `render`.
        progress: Whether to show a progress bar.
        **settings: Fields of `RenderConfig` that replace those of `config`.

    Returns:
        The reconstructed picture.

    Raises:
        TilestyleError: An input, a setting or a device cannot be used.

    Example:
        >>> from tilestyle import invert
        >>> invert("photo.jpg", content_layers={"relu3_1": 1.0}).save("inverted.png")
    """
    _check_not_none(content=content)
    config = inversion_config(with_settings(config, settings, keywords=CALL_KEYWORDS))
    sources = {"content": content}
    call = _Call(observer, stop, work, save, progress)
    return call.run(None, config, content, sources)


@dataclass(frozen=True)
class _Call:
    """How a picture is made: who watches, what stops it, where work and picture are kept."""

    observer: Observer | None
    stop: Callable[[], bool] | None
    work: Work | str | os.PathLike[str] | None
    save: Save | None
    progress: bool

    def run(
        self, style: Styles | None, config: RenderConfig, content: Source | None, sources: Mapping[str, object]
    ) -> Picture:
        """Make it, of these sources by their roles."""
        with (
            open_checkpoints(self.work, lambda: render_fingerprint(config, sources)) as checkpoints,
            ExitStack() as stack,
        ):
            if checkpoints:
                for source in [*sources.values(), *(getattr(config, name) for name in FILE_FIELDS)]:
                    if isinstance(source, images.ImageSource):
                        stack.enter_context(source.converting_into(checkpoints.path))
            observer, facts = self.observer, RenderFacts()
            if self.progress:
                observer = stack.enter_context(showing_progress(observer))
            job = with_shared_statistics(prepare(style, config, content, checkpoints))
            picture = render_job(job, facts.then(observer), self.stop, checkpoints)
            del job  # frees the network and the input pictures before the result is saved
            provenance_json = call_provenance(config, content, as_styles(style))
            picture = replace(picture, provenance=provenance_json | facts.mark | {"machine": facts.machine})
            if self.save is not None and (checkpoints is None or checkpoints.ranks.is_rank_zero):
                self.save(picture)
            return picture


def _check_not_none(**pictures: object) -> None:
    """Raise PictureError for None, which OpenCV and other libraries return for files they cannot read."""
    for role, picture in pictures.items():
        if picture is None:
            raise PictureError(
                f"the {role} is None", hint="give a picture, and check whether its file was read"
            )


@contextmanager
def open_checkpoints(
    work: Work | str | os.PathLike[str] | None, fingerprint: Callable[[], Mapping[str, Any]]
) -> Iterator[WorkDirCheckpointer | None]:
    """Open a work folder and yield its checkpointer, which resumes what is saved there; None without a folder.

    The folder is removed if the block ends without an exception and the render is complete, so the block must
    put the rendered picture in a safe place before it ends. The folder is also removed if nothing was saved.
    After an exception the checkpoint stays.

    Args:
        work: The folder, and how to use it.
        fingerprint: Returns what the render is made of (`render_fingerprint`), unless the work says it.

    Raises:
        WorkError: The folder is in use, damaged, not a work folder, or belongs to another render.
    """
    if work is None:
        yield None
        return
    work = work if isinstance(work, Work) else Work(named_path(work, "the work folder"))
    ranks = work.ranks
    # An unreadable input is refused before the folder is created.
    facts = (work.about or fingerprint)() if ranks.is_rank_zero else {}
    folder = LockedWorkDir(work.path, ranks)
    checkpoints, succeeded = None, False
    try:
        if work.restart and ranks.is_rank_zero:
            with translating_errors(folder.path):
                folder.clear()
        checkpoints = WorkDirCheckpointer(folder, facts, work)
        agree = work.agree or (lambda resume_point: True)
        if checkpoints.resume_point and not ranks.broadcast(
            ranks.is_rank_zero and agree(checkpoints.resume_point)
        ):
            if ranks.is_rank_zero:
                with translating_errors(folder.path):
                    folder.clear()
            checkpoints = WorkDirCheckpointer(folder, facts, work)
        with logging_temporaries(folder.path):
            yield checkpoints
        succeeded = True
    finally:
        try:
            if checkpoints is not None:
                checkpoints.close()
        finally:
            finished = succeeded and checkpoints is not None and checkpoints.complete
            folder.close(remove=not work.keep and (finished or not folder.has_checkpoint))
