"""The pictures that settings name: uploaded ones, and those that come with tilestyle."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from json import loads
from pathlib import Path
from typing import Any

from tilestyle.config.enums import MAX_INPUT_PIXELS
from tilestyle.pictures import NAMES, picture_path
from tilestyle.studio import copies
from tilestyle.studio.child import Message
from tilestyle.studio.models import Settings, Source
from tilestyle.studio.refusals import Refused
from tilestyle.studio.root import Root, refusing_disk_errors, write_json
from tilestyle.studio.uploads import FACTS, UploadFacts, Uploads
from tilestyle.version import __version__

INCLUDED = "included"


@dataclass(frozen=True)
class Chosen:
    """A picture that settings name.

    Attributes:
        file: The picture.
        folder: Where its small copies are.
        facts: Its size and kind.
        name: What it is called on a command line: its file name, or the name of an included picture.
        included: Whether it comes with tilestyle.
    """

    file: Path
    folder: Path
    facts: UploadFacts
    name: str
    included: bool

    def message(self, weight: float = 1.0) -> Message:
        """Return it as the process of the drafts reads it (stand_in.py)."""
        return {
            "file": str(self.folder / copies.SMALL),
            "width": self.facts.width,
            "height": self.facts.height,
            "name": self.name,
            "stroke": self.facts.stroke,
            "weight": weight,
        }


class Sources:
    """All pictures of a studio."""

    def __init__(self, root: Root, uploads: Uploads) -> None:
        self._root, self._uploads = root, uploads
        self._included: dict[str, UploadFacts] = {}
        self._locks = {name: asyncio.Lock() for name in NAMES}

    async def choose(self, source: Source) -> Chosen:
        """Return a picture; raises Refused if there is none."""
        if source.upload is not None:
            facts = self._uploads.get(source.upload)
            folder = self._uploads.folder(facts)
            return Chosen(self._uploads.file(facts), folder, facts, facts.name, included=False)
        return await self.included(source.included or "")

    async def included(self, name: str) -> Chosen:
        """Return an included picture by its name; raises Refused if there is none."""
        if name not in NAMES:
            raise Refused(404, "no picture of this name comes with tilestyle", f"there are {', '.join(NAMES)}")
        file, folder = picture_path(name), self._folder(name)
        async with self._locks[name]:
            if name not in self._included:
                self._included[name] = await self._prepare(name, file, folder)
        return Chosen(file, folder, self._included[name], name, included=True)

    async def _prepare(self, name: str, file: Path, folder: Path) -> UploadFacts:
        """Make the small copies of an included picture, once for this version of tilestyle."""
        try:
            return UploadFacts(**loads((folder / FACTS).read_bytes()))
        except (OSError, ValueError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
        with refusing_disk_errors(self._root.path):
            folder.mkdir(parents=True)
            # Pictures of our own need no process of their own.
            inspected = await asyncio.to_thread(_inspect, file, folder)
        facts = UploadFacts(name, name, "picture", inspected["width"], inspected["height"], inspected["stroke"])
        with refusing_disk_errors(self._root.path):
            write_json(folder / FACTS, asdict(facts))
        return facts

    def _folder(self, name: str) -> Path:
        return self._root.path / INCLUDED / __version__ / name

    async def of(self, settings: Settings) -> tuple[Chosen | None, list[tuple[Chosen, float]]]:
        """Return the content and the styles of settings, with the weights of the styles."""
        content = None if settings.content is None else await self.choose(settings.content)
        styles = [(await self.choose(style.source), style.weight) for style in settings.styles]
        for chosen, _ in styles:
            if chosen.facts.kind != "picture":
                raise Refused(422, f"{chosen.name} is a film and cannot be a style", "choose a picture")
        return content, styles

    async def command(
        self, kind: str, settings: Settings, look_style: str = "", *, clips: bool = False
    ) -> tuple[Message, Chosen | None, Sequence[Chosen]]:
        """Return settings as the process of the drafts reads them, with the pictures.

        Args:
            kind: What is made.
            settings: The settings.
            look_style: The style of the look, if none was chosen.
            clips: Whether the content may be a film, whose first frame counts.

        Raises:
            Refused: A picture is missing, or does not suit.
        """
        content, styles = await self.of(settings)
        if look_style and not styles:
            styles = [(await self.included(look_style), 1.0)]
        _check_pictures(kind, content, len(styles), clips=clips)
        command = {
            "kind": kind,
            "options": settings.options,
            "content": None if content is None or kind == "texture" else content.message(),
            "styles": [chosen.message(weight) for chosen, weight in styles],
        }
        return command, (None if kind == "texture" else content), [chosen for chosen, _ in styles]


def _inspect(file: Path, folder: Path) -> dict[str, Any]:
    from tilestyle.studio.intake import inspect_upload  # takes a second that the first answer need not wait for

    return inspect_upload(file, folder, MAX_INPUT_PIXELS)


def _check_pictures(kind: str, content: Chosen | None, styles: int, *, clips: bool) -> None:
    if not styles:
        raise Refused(422, "there is no style", "choose one or several, or a look")
    if kind == "texture":
        return
    if content is None:
        raise Refused(422, "there is no photograph", "choose one, or make a texture of the style alone")
    if kind == "video" and content.facts.kind != "clip":
        raise Refused(422, f"{content.name} is not a film", "choose a film, or render a picture")
    if kind != "video" and content.facts.kind == "clip" and not clips:
        raise Refused(422, f"{content.name} is a film", "make a video of it, or choose a photograph")
    if kind == "video" and styles > 1:
        raise Refused(422, "a video has one style", "choose one")
