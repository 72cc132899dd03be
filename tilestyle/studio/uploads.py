"""Uploaded files: received in pieces, inspected by a process of their own, kept under names of our own."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import loads
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from tilestyle.studio import copies
from tilestyle.studio.child import Child, describe_end
from tilestyle.studio.refusals import Refused
from tilestyle.studio.root import Root, new_id, refusing_disk_errors, remove_folder, write_json

FILE, FACTS = "upload.data", "facts.json"
FIELD = "file"  # name of the field of the form
LONGEST_NAME = 100
INSPECTIONS = 2  # processes at once
_UNPRINTABLE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


@dataclass(frozen=True)
class UploadLimits:
    """What is accepted.

    Attributes:
        bytes: Of a file.
        pixels: Of a picture.
        files: Number of files that are kept.
    """

    bytes: int = 512 * 2**20
    pixels: int = 2**28
    files: int = 200


@dataclass(frozen=True)
class UploadFacts:
    """What is known of an uploaded file.

    Attributes:
        id: Its name in the studio.
        name: What its owner calls it, for show and for command lines; never a path.
        kind: "picture" or "clip".
        width: Pixels.
        height: Pixels.
        stroke: Width of its strokes, pixels; 0 without any.
        seconds: Length of a clip; None for a picture.
        created: When it came, seconds since 1970.
    """

    id: str
    name: str
    kind: str
    width: int
    height: int
    stroke: float = 0.0
    seconds: float | None = None
    created: float = 0.0


class Uploads:
    """The uploaded files of a studio."""

    def __init__(
        self, root: Root, limits: UploadLimits, make_room: Callable[[int, Collection[str]], None]
    ) -> None:
        """Load what is there.

        Args:
            root: The folder.
            limits: What is accepted.
            make_room: Called before so many bytes are stored, with the ids of what must not go for them;
                raises Refused if they do not fit.
        """
        self._root, self.limits, self._make_room = root, limits, make_room
        self._facts: dict[str, UploadFacts] = {}
        self._inspecting = asyncio.Semaphore(INSPECTIONS)
        for folder in sorted(root.uploads.iterdir()):
            if not (folder / FACTS).exists():
                remove_folder(folder)  # it was being removed when the server ended
                continue
            with suppress(OSError, ValueError, TypeError):  # what this version cannot read is left as it is
                facts = UploadFacts(**loads((folder / FACTS).read_bytes()))
                if facts.id == folder.name and (folder / FILE).is_file():
                    self._facts[facts.id] = facts

    def get(self, upload: str) -> UploadFacts:
        """Return the facts of an upload; raises Refused if there is none."""
        facts = self._facts.get(upload)
        if facts is None:
            raise Refused(404, f"there is no upload {upload}", "upload the file again")
        return facts

    def find(self, upload: str) -> UploadFacts | None:
        """Return the facts of an upload, if it is still there."""
        return self._facts.get(upload)

    def folder(self, facts: UploadFacts) -> Path:
        """Return the folder of an upload."""
        return self._root.uploads / facts.id

    def file(self, facts: UploadFacts) -> Path:
        """Return the file that was uploaded."""
        return self.folder(facts) / FILE

    def oldest_first(self) -> list[UploadFacts]:
        """Return all uploads."""
        return sorted(self._facts.values(), key=lambda facts: facts.created)

    def remove(self, upload: str) -> None:
        """Remove an upload; jobs keep their own copies of it."""
        facts = self.get(upload)
        del self._facts[upload]
        with suppress(OSError):
            (self.folder(facts) / FACTS).unlink()  # first: what is left of the rest goes at the next start
        remove_folder(self.folder(facts))
        self._root.forget(self.folder(facts))

    async def receive(self, content_type: str, pieces: AsyncIterator[bytes], length: int | None) -> UploadFacts:
        """Store the file in a form, and look at it in a process of its own.

        Args:
            content_type: Header of the request.
            pieces: Its body.
            length: Bytes of the body, if the request says so.

        Raises:
            Refused: It is no file that can be used.
        """
        try:
            return await self._receive(content_type, pieces, length)
        except Refused:
            # A browser that is still sending would see a broken connection in place of the reason.
            with suppress(Refused, ClientDisconnect):
                async for _ in pieces:
                    pass
            raise

    async def _receive(
        self, content_type: str, pieces: AsyncIterator[bytes], length: int | None
    ) -> UploadFacts:
        if len(self._facts) >= self.limits.files:
            raise Refused(
                409, f"there are {len(self._facts)} uploads, the most that are kept", "remove some of them"
            )
        self._make_room(2 * (length or 2**20), ())
        upload = new_id()
        folder = self._root.temporary / upload
        try:
            with refusing_disk_errors(self._root.path):
                folder.mkdir()
                with (folder / FILE).open("xb") as file:
                    form = FormFile(content_type, file, self.limits.bytes)
                    async for piece in pieces:
                        form.feed(piece)
                    name = form.finish()
            return await self._accept(upload, folder, display_name(name))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def adopt(self, file: Path, name: str, place: Callable[[Path, Path], None]) -> UploadFacts:
        """Make an upload of a file that a job has kept.

        Args:
            file: The file.
            name: Its name for show.
            place: Puts a copy of a file somewhere.
        """
        upload = new_id()
        folder = self._root.temporary / upload
        try:
            with refusing_disk_errors(self._root.path):
                folder.mkdir()
                place(file, folder / FILE)
            return await self._accept(upload, folder, name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _accept(self, upload: str, folder: Path, name: str) -> UploadFacts:
        async with self._inspecting:
            inspected = await inspect_in_process(
                folder / FILE, folder, self.limits.pixels, self._root.temporary
            )
        facts = UploadFacts(
            upload,
            name,
            str(inspected["kind"]),
            int(inspected["width"]),
            int(inspected["height"]),
            float(inspected.get("stroke", 0.0)),
            inspected.get("seconds"),
            time.time(),
        )
        with refusing_disk_errors(self._root.path):
            write_json(folder / FACTS, asdict(facts))
            folder.rename(self._root.uploads / upload)
        self._facts[upload] = facts
        return facts


async def inspect_in_process(file: Path, folder: Path, max_pixels: int, temporary: Path) -> dict[str, Any]:
    """Look at a file in a process that lives as long as this takes.

    Raises:
        Refused: The file cannot be used.
    """
    child = await Child.start(copies.INTAKE, str(file), str(folder), str(max_pixels), folder=temporary)
    try:
        message = await _first(child.messages(), copies.INTAKE_SECONDS)
    finally:
        child.kill()
        code = await child.wait()
    if message is None:
        raise Refused(
            422,
            f"the file could not be decoded ({describe_end(code)})",
            "it may be damaged, or made to exhaust memory: convert it to PNG, JPEG or TIFF",
        )
    if "error" in message:
        raise Refused(415, str(message["error"]), str(message["hint"]))
    return message


async def _first(
    messages: AsyncIterator[tuple[dict[str, Any], bytes]], seconds: float
) -> dict[str, Any] | None:
    async def first() -> dict[str, Any] | None:
        async for message, _ in messages:
            return message
        return None

    with suppress(TimeoutError):
        return await asyncio.wait_for(first(), seconds)
    return None


class FormFile:
    """The one file of a form, which is written as it arrives.

    Starlette's own parser would put it into the temporary folder of the system first.
    """

    def __init__(self, content_type: str, file: BinaryIO, max_bytes: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Refused(415, "the request is not a form", "send the file as multipart/form-data")
        self._file, self._max_bytes = file, max_bytes
        self._count, self._files, self._is_file, self._complete = 0, 0, False, False
        self._name = ""
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _bad_form() from error

    def feed(self, piece: bytes) -> None:
        """Take a piece of the request."""
        if not piece:
            return
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _bad_form() from error

    def finish(self) -> str:
        """Return the name that the file has with its owner."""
        if not self._complete:
            raise Refused(400, "the request ends in the middle of the form", "send the file again")
        if self._files != 1:
            raise Refused(422, f"the form has {self._files} files named {FIELD!r}", "send one file at a time")
        if not self._count:
            raise Refused(422, "the file is empty", "send another one")
        return self._name

    def _begin(self) -> None:
        self._headers, self._is_file = {}, False

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._is_file = options.get(b"name") == FIELD.encode() and b"filename" in options
        if self._is_file:
            self._files += 1
            name = options[b"filename"].decode("utf-8", "replace")
            # Browsers write these three letters so, and no other.
            self._name = re.sub("%(22|0D|0A)", "", name)
        if self._files > 1:
            raise Refused(422, "the form has more than one file", "send one file at a time")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            return
        self._count += end - start
        if self._count > self._max_bytes:
            raise Refused(413, f"the file is larger than {self._max_bytes} bytes", "send a smaller file")
        self._file.write(data[start:end])

    def _end(self) -> None:
        self._complete = True


def _bad_form() -> Refused:
    return Refused(400, "the form cannot be read", "send the file as multipart/form-data")


def display_name(name: str) -> str:
    """Return a file name as it is shown: without folders, control characters and what shells dislike."""
    bare = name.replace("\\", "/").rpartition("/")[2]
    bare = _UNPRINTABLE.sub("", bare).strip(" .-")
    bare = "".join(letter for letter in bare if letter.isprintable())
    stem, dot, suffix = bare.rpartition(".")
    if len(bare) > LONGEST_NAME:
        bare = f"{(stem if dot else bare)[: LONGEST_NAME - 8]}{dot}{suffix[:6]}" if dot else bare[:LONGEST_NAME]
    return bare or "picture"
