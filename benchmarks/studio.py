"""How fast are drafts of the studio, and what does zooming into a running render cost?

    python -m benchmarks.studio drafts [--repeats 5] [--keep FILE]
    python -m benchmarks.studio zoom [--megapixels 100] [--keep FILE]

`drafts` starts the studio with an empty folder and measures, as a browser would: the seconds from the start of
the program to its first draft, and from a changed setting to its first draft, with uploaded pictures.

`zoom` renders a picture whose canvas is in files. While the render goes on, it alternates between looking at
nothing and asking for tiles of all levels, as fast as they come, and compares the memory of all processes of
the studio. Memory is what belongs to the processes and the parts of files that they hold in memory.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.record import report
from tilestyle.pictures import picture_path

MEBIBYTE = 2**20
CHANGES: tuple[dict[str, Any], ...] = (
    {"strength": 0.7},
    {"strength": 0.7, "style_scale": 0.5},
    {"strength": 0.7, "style_scale": 0.5, "color": "content"},
    {"strength": 0.7, "locality": 0.5},
    {"strength": 0.3, "seed": 7},
)
WINDOW_SECONDS = 20.0  # of looking at nothing, and of zooming, in turn
WINDOWS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("drafts", "zoom"))
    parser.add_argument("--repeats", type=int, default=1, help="how often to go through all changes")
    parser.add_argument("--megapixels", type=float, default=100.0)
    parser.add_argument(
        "--memory", default="1500MiB", help="limit of the render, which puts its canvas into files"
    )
    parser.add_argument("--network", default="wavelet", help="of the render that is zoomed into")
    parser.add_argument("--folder", type=Path, help="where the folder of the studio is made")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = (
            drafts(Path(folder), options.repeats) if options.what == "drafts" else zoom(Path(folder), options)
        )
    rows = [{"what": what, "value": value} for what, value in found.items()]
    report(rows, f"studio: {options.what}", options.keep)


@contextmanager
def running_studio(folder: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """Run a studio in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        "studio",
        "--root",
        str(folder / "root"),
        "--port",
        str(port),
        "--no-browser",
        "--storage",
        "200GiB",
    ]
    process = subprocess.Popen([sys.executable, "-m", "tilestyle", *words], stdout=subprocess.DEVNULL)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
    try:
        while True:
            with suppress(httpx.ConnectError):
                client.get("/api/status")
                break
            time.sleep(0.02)
        yield client, psutil.Process(process.pid)
    finally:
        client.close()
        process.terminate()
        process.wait()


class Listener:
    """Hears the drafts of a session."""

    def __init__(self, address: str, session: str) -> None:
        self._heard = threading.Condition()
        self._drafts: list[tuple[int, float, bool]] = []
        self._place = f"{address}/api/drafts/{session}/events"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(httpx.HTTPError), httpx.stream("GET", self._place, timeout=None) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    event = json.loads(line.removeprefix("data: "))
                    with self._heard:
                        self._drafts.append((event["revision"], time.monotonic(), bool(event.get("final"))))
                        self._heard.notify_all()

    def wait(self, revision: int, *, final: bool = False) -> float:
        """Return when the first, or the final, picture of a draft came."""

        def times() -> list[float]:
            return [when for number, when, last in self._drafts if number == revision and (last or not final)]

        with self._heard:
            self._heard.wait_for(lambda: bool(times()), 600)
            return times()[0]


def drafts(folder: Path, repeats: int) -> dict[str, Any]:
    """Measure the seconds to drafts."""
    start = time.monotonic()
    with running_studio(folder) as (client, _):
        answered = time.monotonic()
        listener = Listener(str(client.base_url).rstrip("/"), "benchmark")
        uploads = [
            client.post("/api/uploads", files={"file": (f"{name}.jpg", picture_path(name).read_bytes())})
            .raise_for_status()
            .json()["id"]
            for name in ("raccoon", "swirls")
        ]
        settings: dict[str, Any] = {
            "content": {"upload": uploads[0]},
            "styles": [{"source": {"upload": uploads[1]}}],
            "options": {},
        }

        def ask() -> int:
            request = {"session": "benchmark", "settings": settings}
            return int(client.post("/api/drafts", json=request).raise_for_status().json()["revision"])

        first = listener.wait(ask()) - start
        best = listener.wait(1, final=True) - start
        changed = []
        for options in CHANGES * repeats:
            settings["options"] = options
            time.sleep(0.5)  # the draft before is being refined
            asked = time.monotonic()
            changed.append(listener.wait(ask()) - asked)
    return {
        "seconds until the page answers": answered - start,
        "seconds to the first draft": first,
        "seconds to the best draft": best,
        "seconds from a change to its draft": changed,
        "median of them": statistics.median(changed),
        "largest of them": max(changed),
    }


def zoom(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the memory of zooming into a canvas in files."""
    width = round((options.megapixels * 1e6 * 1.5) ** 0.5)
    size = f"{width}x{round(width / 1.5)}"
    settings = {
        "content": {"included": "coffee"},
        "styles": [{"source": {"included": "swirls"}}],
        "options": {
            "size": size,
            "sweeps": 50,
            "network": options.network,
            "coarsest": width,  # one level: the canvas has its full size at once
            "memory": options.memory,
        },
    }
    with running_studio(folder) as (client, server):
        answer = client.post("/api/jobs", json={"kind": "render", "settings": settings}).json()
        if "id" not in answer:
            sys.exit(f"{answer['error']}; {answer['hint']}")
        job = answer["id"]
        while client.get(f"/api/jobs/{job}").json()["progress"]["sweep"] < 1:
            time.sleep(0.5)
            assert client.get(f"/api/jobs/{job}").json()["state"] in ("queued", "running"), "the render failed"
        planes = list((folder / "root" / "jobs" / job / "work").glob("*.plane"))
        alone, zooming, waits = [], [], []
        for _ in range(WINDOWS):
            alone.append(peak_memory(server, lambda: time.sleep(0.2)))
            zooming.append(peak_memory(server, lambda: waits.append(look(client, job))))
        state = client.get(f"/api/jobs/{job}").json()
        in_files = sum(plane.stat().st_blocks * 512 for plane in planes)
        client.post(f"/api/jobs/{job}/discard")
    return {
        "picture": size,
        "canvas in files, MiB": round(in_files / MEBIBYTE),
        "state": state["state"],
        "memory of the render alone, MiB": [round(each) for each in alone],
        "memory while zooming, MiB": [round(each) for each in zooming],
        "more, MiB": round(statistics.median(zooming) - statistics.median(alone)),
        "tiles": len(waits),
        "seconds for a tile, median": statistics.median(waits),
        "seconds for a tile, largest": max(waits),
    }


def look(client: httpx.Client, job: str) -> float:
    """Ask for a tile of any level, and return the seconds until it came."""
    tiles = client.get(f"/api/jobs/{job}/tiles").raise_for_status().json()
    level = random.randrange(tiles["levels"])
    factor = 2 ** (tiles["levels"] - 1 - level)
    columns, rows = (max(1, side // factor // tiles["tile"]) for side in (tiles["width"], tiles["height"]))
    start = time.monotonic()
    place = f"/api/jobs/{job}/tiles/{level}/{random.randrange(columns)}_{random.randrange(rows)}.jpg"
    client.get(place).raise_for_status()
    return time.monotonic() - start


def peak_memory(server: psutil.Process, act: Any) -> float:
    """Return the most memory of a studio's processes during some seconds of doing something, MiB."""
    peak, end = [0.0], time.monotonic() + WINDOW_SECONDS
    watching = threading.Event()

    def watch() -> None:
        while not watching.is_set():
            peak[0] = max(peak[0], memory(server))
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    while time.monotonic() < end:
        act()
    watching.set()
    thread.join()
    return peak[0]


def memory(server: psutil.Process) -> float:
    """Return the memory of a studio's processes, MiB."""
    total = 0
    for process in [server, *server.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / MEBIBYTE


if __name__ == "__main__":
    main()
