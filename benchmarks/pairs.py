"""How good are pictures of many pairs, by an independent judge, and how long do they take?

Renders each photograph in each style with the command itself, in several ways. The judge (judge.py) measures
how far each picture is from its style and from its photograph; lower is better. The pictures stay in a folder
so that you can look at them. Existing pictures are not rendered again.

    python -m benchmarks.pairs --contents FOLDER --styles FOLDER --pictures FOLDER
        [--way "compact" --way "wavelet: --network wavelet"] [--size 512] [--keep results.json]

Without folders, those of TILESTYLE_ASSETS are used (images/content, images/style).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.judge import find_judge
from benchmarks.record import assets, report

SUFFIXES = (".jpg", ".jpeg", ".png")


def main() -> None:
    """Render and judge the pictures, and print the table."""
    arguments = parser().parse_args()
    judge, folder = find_judge(), assets()
    if judge is None or folder is None:
        sys.exit("set TILESTYLE_ASSETS to a folder with weights/squeezenet1_0.safetensors")
    contents = pictures_in(arguments.contents or folder / "images" / "content")
    styles = pictures_in(arguments.styles or folder / "images" / "style")
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for way in arguments.way or ["compact"]:
        name, _, options = way.partition(":")
        for content in contents:
            for style in styles:
                out = arguments.pictures / f"{name}-{content.stem}-{style.stem}.png"
                seconds = rendered(content, style, out, ["--size", str(arguments.size), *shlex.split(options)])
                row = {"way": name, "content": content.stem, "style": style.stem}
                row["style distance"] = judge.style(out, style)
                row["content distance"] = judge.content(out, content)
                rows.append({**row, "seconds": seconds})
    report([*rows, *means(rows)], f"judged at {arguments.size} pixels", arguments.keep)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    argument_parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    argument_parser.add_argument("--contents", type=Path, help="folder of photographs")
    argument_parser.add_argument("--styles", type=Path, help="folder of styles")
    argument_parser.add_argument("--pictures", type=Path, required=True, help="folder for the renders")
    argument_parser.add_argument(
        "--way", action="append", help="a name, then options of tilestyle render; repeatable"
    )
    argument_parser.add_argument("--size", type=int, default=512, help="long side, pixels")
    argument_parser.add_argument("--keep", type=Path, help="JSON file for the result")
    return argument_parser


def pictures_in(folder: Path) -> list[Path]:
    """Find the picture files of a folder."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def rendered(content: Path, style: Path, out: Path, options: list[str]) -> float | None:
    """Render a picture, and return the seconds of the whole command; None if the picture exists."""
    if out.exists():
        return None
    start = time.perf_counter()
    words = [str(content), "--style", str(style), "--out", str(out), "--quiet", *options]
    subprocess.run([sys.executable, "-m", "tilestyle", "render", *words], check=True)
    return time.perf_counter() - start


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make a summary row for each way: means of distances, the median of times."""
    summaries = []
    for way in dict.fromkeys(row["way"] for row in rows):
        selection = [row for row in rows if row["way"] == way]
        seconds = [row["seconds"] for row in selection if row["seconds"] is not None]
        summary: dict[str, Any] = {"way": way, "content": "mean of", "style": f"{len(selection)} pairs"}
        for key in ("style distance", "content distance"):
            summary[key] = mean(row[key] for row in selection)
        summaries.append({**summary, "seconds": median(seconds) if seconds else None})
    return summaries


if __name__ == "__main__":
    main()
