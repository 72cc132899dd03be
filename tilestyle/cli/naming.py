"""Names of outputs that were not given: `photo-painting.png` for `render photo.jpg painting.jpg`.

The output goes to the working directory and never replaces a file: while a name is taken, the next number is
tried, `photo-painting-2.png`. The unfinished work of the same command does not take a name: it is resumed.
The name is chosen when the command begins, and once more when its settings are known, because only then can the
work in a folder be recognized.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli.file_checks import check_files, existing_output, is_continued
from tilestyle.cli.terminal import say
from tilestyle.config.enums import FILM_SUFFIXES, SUFFIXES, Format
from tilestyle.errors import OutputError, TilestyleError

if TYPE_CHECKING:
    import typer

    from tilestyle.cli.parameters import Values

ENDINGS = {
    "render": "",
    "texture": "-texture",
    "invert": "-invert",
    "upscale": "-upscale",
    "preview": "-preview",
    "paper": "-paper",
    "sheet": "-sheet",
    "looks": "-looks",
    "video": "",
    "drift": "-drift",
    "zoom": "-zoom",
}
"""What follows the names of the inputs, by the command."""

FOLDERS = ("drift", "zoom")  # commands whose output is a folder
LONGEST = 120  # bytes of a name, of which file systems allow 255: work folders and numbers are added
_FIRST = "tilestyle.first_name"  # key in the meta of a context


@dataclass(frozen=True)
class AutomaticName:
    """The name of an output that was not given.

    Attributes:
        context: The context of the command; its parameter `out` is the name chosen so far.
        first: The name without a number.
    """

    context: typer.Context
    first: Path

    @classmethod
    def of(cls, values: Values) -> AutomaticName | None:
        """That of a command; None if --out was given."""
        first = values.context.meta.get(_FIRST)
        return None if first is None else cls(values.context, first)

    def choose(self, is_own: Callable[[Path], bool], work_name: Callable[[], Path | None]) -> Path:
        """Choose the name, now that the work of the command can be recognized.

        Args:
            is_own: Whether a work folder holds unfinished work of this very command.
            work_name: The name under which the work in a given --work-dir began; None if there is none.
        """
        params = self.context.params
        if params.get("overwrite"):
            return self.first
        if params.get("work_dir") is not None:
            return work_name() or next(name for name in numbered(self.first) if not self._is_used(name))
        for name in numbered(self.first):
            work = work_folder(_with_suffix(name, params))
            if is_own(work) if work.exists() else not self._is_used(name):
                return name
            if work.exists() and _is_unused(work) and not self._is_used(name):
                return name
        raise AssertionError("there are more numbers than files")

    def take(self, name: Path) -> Path:
        """Use a name, after a check of all files of the command with it."""
        self.context.params["out"] = name
        check_files(self.context)
        return name

    def _is_used(self, name: Path) -> bool:
        return existing_output(self.context, name) is not None


def name_output(context: typer.Context) -> None:
    """Name the output of a command, if it was not given."""
    params, command = context.params, context.command.name or ""
    if command not in ENDINGS or params.get("out") is not None:
        return
    first = automatic_name(command, params)
    context.meta[_FIRST] = first
    for name in numbered(first):
        params["out"] = name
        if params.get("overwrite") or is_continued(context) or existing_output(context, name) is None:
            return
        if work_folder(_with_suffix(name, params)).exists():
            return


def automatic_name(command: str, params: Mapping[str, Any]) -> Path:
    """The name of an output, without a number: from the names of its inputs."""
    from tilestyle.cli.parsing import parse_styles

    main = [
        params[each] for each in ("content", "low", "start", "clip", "picture") if params.get(each) is not None
    ][:1]
    if command == "zoom":
        main = []
    styles = params.get("style") or params.get("like") or []
    styles = styles if isinstance(styles, list | tuple) else [styles]
    files = [*map(Path, main), *(each.path for each in parse_styles([str(style) for style in styles]))]
    stem = "-".join(part for file in files if (part := file.stem.strip(" .-"))) or "tilestyle"
    while len(stem.encode(errors="surrogateescape")) > LONGEST:
        stem = stem[:-1]
    name = f"{stem}{ENDINGS[command]}"
    if command in FOLDERS:
        return Path(name)
    if command == "video":
        clip = Path(params["clip"])
        suffix = clip.suffix.lower() if clip.suffix.lower() in FILM_SUFFIXES else ".mp4"
        return Path(name if clip.is_dir() else f"{name}{suffix}")
    form = params.get("form") or (Format.PDF if command == "paper" else Format.PNG)
    return Path(name + next(suffix for suffix, each in SUFFIXES.items() if each is form))


def numbered(first: Path) -> Iterator[Path]:
    """A name, and the same with the numbers 2, 3, ..."""
    yield first
    for number in count(2):
        yield first.with_name(f"{first.stem}-{number}{first.suffix}")


def free_name(path: Path) -> Path:
    """The first numbered name that no file has."""
    return next(name for name in numbered(path) if not name.exists() and not name.is_symlink())


def aside(path: Path) -> Path:
    """The next free name, for an output whose name somebody else has taken since the command began."""
    name = free_name(path)
    say(f"{path} was created by another program in the meantime: writing {name}")
    return name


def series_names(values: Values, out: Path) -> Iterator[Path]:
    """The outputs to try for a series: --out alone, or automatic names until one is not taken."""
    automatic = AutomaticName.of(values)
    if automatic is None:
        yield out
        return
    for name in numbered(automatic.first):
        with suppress(OutputError):  # a film of this name exists
            yield automatic.take(name)


def work_folder(file: Path) -> Path:
    """The work folder of an output, unless --work-dir names another."""
    return file.with_name(f"{file.name}.work")


def holds_render(folder: Path, identity: Callable[[], Mapping[str, Any]]) -> bool:
    """Whether a work folder holds the checkpoint of a render with these settings and inputs."""
    from tilestyle.config.reuse import with_current_names
    from tilestyle.pipeline.workdir import load_manifest

    try:
        stored = load_manifest(folder)
    except TilestyleError:
        return False
    return stored is not None and with_current_names(stored.about) == json.loads(json.dumps(identity()))


def stored_name(folder: Path) -> Path | None:
    """The output of the render in a work folder, if its name was automatic."""
    from tilestyle.pipeline.workdir import load_manifest

    with suppress(TilestyleError):
        if stored := load_manifest(folder):
            names = [word.removeprefix("--out=") for word in stored.words if word.startswith("--out=")]
            return Path(names[-1]) if names else None
    return None


def with_options(words: list[str], *more: str) -> list[str]:
    """The words of a command with more options, before the "--" that ends options."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], *more, *words[end:]]


def _with_suffix(name: Path, params: Mapping[str, Any]) -> Path:
    from tilestyle.images import with_format_suffix

    return with_format_suffix(name, params.get("form"))


def _is_unused(folder: Path) -> bool:
    """Whether a work folder holds no work and is not in use: its command ended before the first checkpoint."""
    from tilestyle.pipeline.workdir import is_unused

    return is_unused(folder)
