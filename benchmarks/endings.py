"""Does a command that is asked to end do so in time, and does the next one give the same bytes?

    python -m benchmarks.endings [--moments 20] [--commands render video drift batch] [--keep FILE]

Each command is run once in peace. Then it is started again and gets SIGTERM at a random moment of that time,
and so on, until it has ended by itself. What counts: the exit code (143), the seconds from the signal to the
end, and whether the finished files have the bytes of the peaceful run. A signal that comes while the
interpreter starts ends the process by itself, which shells show as 143, too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import report
from tilestyle.pictures import picture_path

ASKED = (143, -signal.SIGTERM)
LOOK = (
    *("--size", "96", "--network", "wavelet", "--content-weight", "1", "--precision", "fp32"),
    *("--patch", "64", "--seed", "3"),
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "render": (
        "render",
        "photos/a.jpg",
        "style.jpg",
        "-o",
        "out.png",
        *LOOK,
        "--sweeps",
        "60",
    ),
    "video": (
        "video",
        "photos",
        "--style",
        "style.jpg",
        "-o",
        "out.gif",
        *LOOK,
        "--sweeps",
        "6",
        "--config",
        "first.toml",
    ),
    "drift": (
        "drift",
        "photos/a.jpg",
        "--style",
        "style.jpg",
        "-o",
        "out",
        *LOOK,
        "--sweeps",
        "6",
        "--cycles",
        "4",
        "--film",
        "out.gif",
        "--between",
        "2",
    ),
    "batch": ("batch", "photos", "--style", "style.jpg", "-o", "out", *LOOK, "--sweeps", "12"),
}


def main() -> None:
    """Run the trials and print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20, help="signals for each command")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--grace", type=float, default=20.0, help="seconds that --grace allows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # pictures this small are slower with more
    rng = random.Random(options.seed)
    rows = [trials(name, options.moments, options.grace, rng) for name in options.commands]
    title = f"SIGTERM at {options.moments} random moments of each command"
    report(rows, title, options.keep)
    if any(row["wrong codes"] or row["other bytes"] or row["too late"] for row in rows):
        sys.exit(1)


def trials(name: str, moments: int, grace: float, rng: random.Random) -> dict[str, Any]:
    """Ask a command to end at random moments, until it has been asked often enough."""
    words = [*COMMANDS[name], "--grace", str(grace)]
    with tempfile.TemporaryDirectory() as place:
        peaceful = filled(Path(place) / "peaceful")
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "tilestyle", *words, "-q"], cwd=peaceful, check=True)
        whole, expected = time.monotonic() - start, results(peaceful)
        asked, codes, seconds, other, runs = 0, 0, [0.0], 0, 0
        while asked < moments:
            folder = filled(Path(place) / f"trial-{runs}")
            runs += 1
            while True:
                code, took = ended(words, folder, rng.uniform(0, whole) if asked < moments else None)
                if took is None:
                    codes += code != 0
                    break
                asked += 1
                seconds.append(took)
                print(
                    f"{name}: signal {asked} of {moments}, exit code {code} after {took:.2f} s", file=sys.stderr
                )
                codes += code not in ASKED
            other += results(folder) != expected
            shutil.rmtree(folder)
    return {
        "command": name,
        "signals": asked,
        "wrong codes": codes,
        "longest s": round(max(seconds), 2),
        "too late": sum(each > grace for each in seconds),
        "finished runs": runs,
        "other bytes": other,
    }


def ended(words: list[str], folder: Path, moment: float | None) -> tuple[int, float | None]:
    """Run a command, and ask it to end after so many seconds.

    Returns:
        Its exit code, and the seconds from the signal to the end; None if it ended before.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tilestyle", *words], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        start = time.monotonic()
        process.terminate()
        _, said = process.communicate()
        if process.returncode == 0:  # it had nothing left to do
            return 0, None
        if process.returncode not in ASKED:
            print(said, file=sys.stderr)
        return process.returncode, time.monotonic() - start
    return process.returncode, None


def filled(folder: Path) -> Path:
    """A folder with a style and three small photos, which are also a clip."""
    (folder / "photos").mkdir(parents=True)
    (folder / "first.toml").write_text("sweeps = 12\n")  # of the first frame of a clip
    shutil.copy(picture_path("swirls"), folder / "style.jpg")
    for name, picture in (("a", "coffee"), ("b", "pagoda"), ("c", "coffee")):
        from PIL import Image

        with Image.open(picture_path(picture)) as image:
            image.resize((96, 64)).save(folder / "photos" / f"{name}.jpg")
    return folder


def results(folder: Path) -> dict[str, str]:
    """Digests of the pictures and films that a command has written, by name."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted([*folder.rglob("*.png"), *folder.rglob("*.gif")])
    }


if __name__ == "__main__":
    main()
