"""From settings to a written picture: what `render`, `texture` and `demo` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tilestyle.cli import signals
from tilestyle.cli.chosen import Kept
from tilestyle.cli.filming import Film
from tilestyle.cli.guarding import over_input
from tilestyle.cli.keeping import Keeping
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.roles import SETTINGS
from tilestyle.cli.terminal import say
from tilestyle.config.byte_size import size_of
from tilestyle.config.enums import Compression, Format
from tilestyle.config.render import RenderConfig
from tilestyle.errors import TilestyleError
from tilestyle.version import __version__

if TYPE_CHECKING:
    from tilestyle.devices.peak_memory import Peak
    from tilestyle.distributed import Ranks
    from tilestyle.images import Json, Picture, Source
    from tilestyle.pipeline.checkpoint import Checkpoints
    from tilestyle.pipeline.events import Event, Finished, Observer
    from tilestyle.planning.job import Job
    from tilestyle.recipes.printing import Printing, Ready


# Settings that are pictures over the canvas.
GUIDES = ("mask", "blend_map")
# Options that say how a render is kept and watched.
WITH_VALUE = (
    "--work-dir",
    "--checkpoint-every",
    "--preview",
    "--frames",
    "--save-config",
    "--film",
    "--fps",
    "--codec",
    "--film-step",
)
WITHOUT_VALUE = ("--yes", "-y", "--restart", "--keep", "--overwrite-input", "--quiet", "-q", "--debug")


@dataclass(frozen=True)
class Output:
    """Where the picture goes and how."""

    path: Path
    form: Format | None = None  # None: as the path says
    depth: int = 8
    quality: int = 95
    compression: Compression = Compression.DEFLATE
    preview: Path | None = None
    frames: Path | None = None
    quiet: bool = False
    settings: Kept | None = None  # where they go
    film: Film | None = None

    def write(self, source: Source, dpi: float | None, made: dict[str, Json]) -> None:
        """Write the finished picture with its settings, in strips."""
        from tilestyle.canvas.storage import relieved
        from tilestyle.images import WriteOptions, write_stream

        options = WriteOptions(
            depth=self.depth,
            quality=self.quality,
            compression=self.compression,
            dpi=dpi,
            provenance=made,
        )
        strips = relieved(source.strips())
        write_stream(self.file, source.height, source.width, strips, options=options, name=source.name)

    @property
    def file(self) -> Path:
        """The file, with the suffix of its format."""
        from tilestyle.images import named

        return named(self.path, self.form)

    def check(self, file: Path, height: int, width: int, dpi: float | None) -> None:
        """Raise what writing a picture of this size would, before it is rendered."""
        from tilestyle.files.atomic import check_place
        from tilestyle.images import WriteOptions, check_writable, disk_bytes
        from tilestyle.motion.snapshots import check_folder
        from tilestyle.pipeline.workdir import check_disk

        WriteOptions(depth=self.depth, quality=self.quality, dpi=dpi)
        check_writable(file, height, width, self.depth, self.compression)
        check_disk(file.parent, disk_bytes(file, height, width, 3, self.depth), "the picture")
        if self.preview:
            check_writable(self.preview, height, width)
        if self.frames:
            check_folder(self.frames)
        if self.film:
            self.film.check()
        if self.settings:
            check_place(self.settings.file)


@contextmanager
def readied(
    styles: Sequence[StyleFile],
    config: RenderConfig,
    printing: Printing | None,
    content: Path | None,
    convert_into: Path | None = None,
) -> Iterator[Ready]:
    """Open the pictures and make them ready for their paper; closed at the end.

    With a folder to convert them into, they may be larger than memory.
    """
    from tilestyle.images import open_source, pixel_limit
    from tilestyle.planning.inputs import Style
    from tilestyle.recipes.printing import ready

    with pixel_limit(config.max_input_pixels), ExitStack() as opened:

        def source(file: Path) -> Source:
            return opened.enter_context(open_source(file, convert_into))

        canvas = None if content is None else source(content)
        given = [
            Style(source(each.path), source(each.mask) if isinstance(each.mask, Path) else each.mask)
            for each in styles
        ]
        guides: dict[str, Any] = {
            name: source(file) for name in GUIDES if isinstance(file := getattr(config, name), Path)
        }
        yield ready(replace(config, **guides), given or None, canvas, printing)


def produce(
    styles: Sequence[StyleFile],
    config: RenderConfig,
    output: Output,
    keeping: Keeping,
    printing: Printing | None = None,
    content: Path | None = None,
    finish: Callable[[Picture], Picture] = lambda picture: picture,
    after: Callable[[], None] = lambda: None,
) -> bool:
    """Render, show progress, write the picture with its settings, say what was done.

    Of several ranks that torchrun has started, the first one speaks and writes. The work folder is removed when
    all has been written, by `after` too.

    Args:
        styles: The pictures whose style is taken.
        config: The settings of the render.
        output: Where the picture goes.
        keeping: Where the work is kept.
        printing: How it is printed, if it is.
        content: The content, if there is one.
        finish: Makes what is written of what was rendered.
        after: Writes what else there is to write.

    Returns:
        Whether the render ran to its end.
    """
    from tilestyle.devices.torch_state import needed
    from tilestyle.distributed import joined

    with joined() as ranks, needed():
        if not ranks.first:
            output = replace(output, quiet=True, preview=None, frames=None, film=None, settings=None)
        return _produce(styles, config, output, keeping, printing, content, finish, after, ranks)


def _produce(
    styles: Sequence[StyleFile],
    config: RenderConfig,
    output: Output,
    keeping: Keeping,
    printing: Printing | None,
    content: Path | None,
    finish: Callable[[Picture], Picture],
    after: Callable[[], None],
    ranks: Ranks,
) -> bool:
    from tilestyle.cli.display import obey, stop_on_interrupt, together, warn
    from tilestyle.cli.filming import filmed
    from tilestyle.devices.peak_memory import Peak
    from tilestyle.images import source_from
    from tilestyle.pipeline.api import working
    from tilestyle.pipeline.observers import guarded
    from tilestyle.pipeline.prepare import prepare
    from tilestyle.pipeline.run import run
    from tilestyle.planning.memory_budget import find_device

    peak = Peak(find_device(config.device))
    with readied(styles, config, printing, content) as found:  # refuse what cannot be, before a folder is made
        if ranks.first:
            output.check(output.file, found.height, found.width, found.dpi)
        size = found.height, found.width
    seen = Seen()
    observe = observer(output, size, peak, seen)

    work = keeping.work(output.file, ranks)
    signals.kept_by(lambda: "" if work is None else continued(work.path))
    with (
        working(work, lambda: identity(styles, config, content, printing), keeping.agree) as checkpoints,
        readied(styles, config, printing, content, checkpoints.path if checkpoints else None) as found,
        stop_on_interrupt(quiet=not ranks.first, keeps=work is not None and ranks.count == 1) as stop,
    ):
        if not output.quiet:
            tell_strokes(found, printing)
        job = prepare(found.styles or None, found.config, found.content, checkpoints)
        if output.settings:
            guarded(keep_settings, f"writing {output.settings.file}", warn)(output.settings, config, job)
        finest = job.levels[-1].extent.picture
        with told_what_is_kept(checkpoints, lambda: seen.end is not None):
            with filmed(output.film, finest.height, finest.width, checkpoints) as observers:
                picture = run(job, together([observe, *observers, obey]), stop, checkpoints)
            if not ranks.first:
                return True
            # A partial picture does not replace an original.
            spared = not seen.complete and over_input(output.file, inputs_of(styles, config, content))
            if not spared:
                picture = finish(picture)
                made = provenance(styles, found.config, content)
                made["machine"] = job.machine | ({"patch": seen.side} if seen.side else {})
                output.write(found.printed(source_from(picture)), found.dpi, made)
                signals.wrote(output.file)
                after()
        left = checkpoints is not None and checkpoints.any and not checkpoints.complete
    folder = work.path if left and work else None
    if spared or not output.quiet:
        report(output.file, None if spared else picture, seen, peak.bytes(), folder)
    if spared:
        raise typer.Exit(130)
    return seen.complete


@dataclass
class Seen:
    """What was seen of a render that matters after it."""

    end: Finished | None = None
    side: int | None = None  # of patches, where memory ran out

    @property
    def complete(self) -> bool:
        """Whether it ran to its end."""
        return self.end is not None and self.end.complete


def observer(output: Output, size: tuple[int, int], peak: Peak, seen: Seen) -> Observer:
    """What watches a render: progress, preview and frames; and notes what matters after it."""
    from tilestyle.cli.display import together, warn, watcher
    from tilestyle.motion.snapshots import Frames
    from tilestyle.pipeline.events import Finished, PatchHalved
    from tilestyle.pipeline.observers import guarded

    watch = watcher(quiet=output.quiet, preview=output.preview, peak=peak.bytes)
    if output.frames:
        frames = Frames(output.frames, *size)
        watch = together([watch, guarded(frames, f"writing frames into {output.frames}", warn)])

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            seen.end = event
        elif isinstance(event, PatchHalved):
            seen.side = event.side
        watch(event)

    return observe


def report(file: Path, picture: Picture | None, seen: Seen, peak: int, folder: Path | None) -> None:
    """Say what was written, and with a folder how to continue; without a picture, why none was."""
    from tilestyle.cli.display import clock

    if picture is None:
        say(f"stopped early: {file} is an input and was left as it was")
    else:
        assert seen.end is not None, "a picture was rendered"
        stopped = "" if seen.complete else "stopped early, "
        unit = "h" if round(seen.end.seconds) >= 3600 else "min"
        say(
            f"wrote {file}: {picture.width} x {picture.height}, {stopped}"
            f"{clock(seen.end.seconds)} {unit}, peak {size_of(peak)}"
        )
    if folder is not None:
        say(f"to continue: {continued(folder)}")


@contextmanager
def told_what_is_kept(checkpoints: Checkpoints | None, rendered: Callable[[], bool]) -> Iterator[None]:
    """Say how the picture can be had after all, whatever goes wrong in the block.

    Args:
        checkpoints: Where the render is kept, if anywhere.
        rendered: Whether rendering had ended, so that what failed is the writing.
    """
    try:
        yield
    except BaseException as error:
        said = "" if checkpoints is None else kept(checkpoints)
        if said and isinstance(error, TilestyleError):
            if rendered():
                error.args = (f"{error}; {said}",)
        elif said and not isinstance(error, signals.Interrupted):  # which says it itself
            say(f"tilestyle: {said}")
        raise


def kept(checkpoints: Checkpoints) -> str:
    """What is left of a render that could not be written, and the command that finishes it."""
    if checkpoints.finished:
        return f"nothing is lost: tilestyle resume {checkpoints.path} writes the picture"
    if checkpoints.any:
        return f"tilestyle resume {checkpoints.path} continues from the last checkpoint"
    return ""


def continued(folder: Path) -> str:
    """The command that continues what a work folder keeps; "" if it keeps nothing."""
    from tilestyle.pipeline.workdir import MANIFEST

    return f"tilestyle resume {folder}" if (folder / MANIFEST).is_file() else ""


def inputs_of(styles: Sequence[StyleFile], config: RenderConfig, content: Path | None) -> list[object]:
    """Everything that a render reads, files among them."""
    settings = [getattr(config, name) for name in SETTINGS]
    return [*(part for each in styles for part in (each.path, each.mask)), content, *settings]


def keep_settings(kept: Kept, config: RenderConfig, job: Job) -> None:
    """Write all settings of the command at work, those too that were left to this machine's memory."""

    from tilestyle.config.toml import save

    settled = replace(config, **{"keep_content": None, "history": None, **job.settled})
    save(kept.file, settled, kept.command, kept.run)


def identity(
    styles: Sequence[StyleFile], config: RenderConfig, content: Path | None, printing: Printing | None
) -> dict[str, Any]:
    """What a render is of: settings, paper and ink, and what is in the files."""
    from tilestyle.pipeline import api
    from tilestyle.planning.inputs import Style
    from tilestyle.planning.style_assignment import roles

    files = roles([Style(each.path, each.mask) for each in styles])
    files |= {} if content is None else {"content": content}
    asked = (
        {} if printing is None else {field.name: getattr(printing, field.name) for field in fields(printing)}
    )
    if printing is not None and printing.proof is not None:
        asked["proof"] = [sha256(printing.proof.profile).hexdigest(), printing.proof.intent]
    if printing is not None and printing.paper is not None:
        asked["paper"] = asdict(printing.paper)
    return {**api.identity(config, files), **asked}


def tell_strokes(found: Ready, printing: Printing | None) -> None:
    """Say what a width of strokes came to."""
    if printing is not None and printing.stroke is not None:
        shown = f"strokes of {printing.stroke}: style scale {found.config.style_scale:.3g}"
        shown += f", {found.enlarged:.1f} times the style's own pixels" if found.enlarged > 1 else ""
        say(shown)


def provenance(styles: Sequence[StyleFile], config: RenderConfig, content: Path | None) -> dict[str, Json]:
    """What made a picture: version, command and settings; file names without their folders."""
    defaults = RenderConfig()
    names: list[Json] = [each.path.name for each in styles]
    settings = {
        field.name: _plain(getattr(config, field.name))
        for field in fields(config)
        if getattr(config, field.name) != getattr(defaults, field.name) or field.name == "seed"
    }
    return {
        "version": __version__,
        "command": " ".join(["tilestyle", *map(_bare, deciding(sys.argv[1:]))]),
        "content": None if content is None else content.name,
        "style": names[0] if len(names) == 1 else names or None,
        "settings": settings,
    }


def deciding(words: list[str]) -> list[str]:
    """The words of a command that decide the picture, not how it is kept and watched."""
    found, rest = [], iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name in WITH_VALUE and not equals:
            next(rest, None)
        elif name not in (*WITH_VALUE, *WITHOUT_VALUE):
            found.append(word)
    return found


def _bare(word: str) -> str:
    """A word of the command line without folders, also behind --option=."""
    option, equals, value = word.rpartition("=")
    return option + equals + ":".join(Path(part).name or part for part in value.split(":"))


def _plain(value: Any) -> Json:
    """A setting as JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    from tilestyle.images import Source

    value = Path(value.name) if isinstance(value, Source) else value
    return Path(value).name if isinstance(value, PathLike) else value
