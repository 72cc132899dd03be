"""A process that converts the result of a job into another format.

It is started as `python -m tilestyle.studio.convert FOLDER FORMAT` and sends one message: `done`, or `error`
and `hint`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tilestyle.errors import TilestyleError
from tilestyle.images import WriteOptions, check_writable, open_source, read_provenance, write_stream
from tilestyle.studio import jobs
from tilestyle.studio.child import Channel
from tilestyle.studio.refusals import split_message


def main(folder: Path, form: str) -> None:
    """Convert, and say how it went."""
    channel = Channel()
    try:
        convert(folder, form)
        channel.send({"done": True})
    except TilestyleError as error:
        problem, hint = split_message(error)
        channel.send({"error": problem.replace(f"{folder}/", ""), "hint": hint})


def convert(folder: Path, form: str) -> None:
    """Write the result of a job in a format, with its settings."""
    out = folder / f"download.{form}"
    if form in jobs.FILM_FORMATS and (folder / jobs.FILM).is_file():
        from tilestyle.studio.worker import write_job_film

        write_job_film(folder, out)
        return
    result = folder / jobs.RESULT
    with open_source(result) as source:
        depth = source.depth if form == "png" else 8
        check_writable(out, source.height, source.width, depth)
        dpi = source.dpi[0] if source.dpi else None
        options = WriteOptions(depth=depth, dpi=dpi, provenance=read_provenance(result))
        write_stream(out, source.height, source.width, source.strips(), options=options)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
