from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

import tilestyle
from tests.conftest import FEW
from tilestyle.config.render import RenderConfig, VideoConfig
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.images import read_picture, read_provenance
from tilestyle.pictures import picture_path
from tilestyle.studio import convert, jobs
from tilestyle.studio.child import Channel, Message
from tilestyle.studio.deep_zoom import level_count, stored_tiles
from tilestyle.studio.jobs import Job
from tilestyle.studio.settings import JobSettings, Printing
from tilestyle.studio.worker import JobRun, Orders, Reporter

TINY: dict[str, Any] = {**FEW, "network": "wavelet", "size": "48x32", "sweeps": 3}


class Told:
    """A channel that notes what is sent, and may act on it."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, bytes]] = []
        self.react: Callable[[Message], None] = lambda message: None

    def send(self, message: Message, payload: bytes = b"") -> None:
        self.messages.append((message, payload))
        self.react(message)


def job_in(folder: Path, kind: str = "render", content: str | None = "coffee", **options: Any) -> Job:
    """A job with its folder, as the queue makes it."""
    folder.mkdir()
    style = {"source": {"included": "swirls"}, "weight": 1.0}
    settings = {"content": None, "styles": [style], "options": {**TINY, **options}}
    width, height = 48, 32
    job = Job("0" * 16, kind, "a job", settings, content, ["swirls"], "", width, height, None, 0.0)
    kept = None if content is None else {"file": "", "name": content}
    task = {"content": kept, "styles": [{"file": "", "name": "swirls"}]}
    (folder / jobs.TASK).write_text(json.dumps(task))
    (folder / jobs.RECORD).write_text(json.dumps(asdict(job)))
    return job


def run(job: Job, folder: Path, mode: str = "run", ask: str = "", told: Told | None = None) -> Message:
    """Run a job in this process; ask for something after its first patch."""
    told, orders = told or Told(), Orders(mode)
    channel = cast(Channel, told)
    report = Reporter(channel, PeakMemory(torch.device("cpu")))

    def react(message: Message) -> None:
        if ask and message.get("sweep"):
            orders.request = ask

    told.react = react
    return JobRun(job, folder, orders, channel, report, 600.0).run()


@pytest.fixture(autouse=True)
def _every_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.studio.worker.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("tilestyle.studio.worker.PICTURE_SECONDS", 0.0)


def test_a_job_makes_what_the_library_makes(tmp_path: Path) -> None:
    folder, told = tmp_path / "job", Told()
    end = run(job_in(folder), folder, told=told)
    assert end["state"] == "done" and end["complete"] and (end["width"], end["height"]) == (48, 32)
    expected = tilestyle.render(picture_path("coffee"), picture_path("swirls"), **TINY)
    made = read_picture(folder / jobs.RESULT)
    np.testing.assert_allclose(made.pixels, expected.pixels, atol=0.5 / 255 + 1e-6)
    kept = read_provenance(folder / jobs.RESULT)
    assert kept is not None and str(kept["command"]).startswith("tilestyle render coffee --style swirls")
    for name in ("tiles.dzi", "content.dzi"):
        assert stored_tiles(folder / name) is not None
    assert (folder / "thumbnail.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert not (folder / jobs.WORK).exists()
    progress = [message for message, _ in told.messages if message["do"] == "progress"]
    assert progress[-1]["share"] <= 1 and any(message.get("changed") for message in progress)
    assert max(message.get("sweep", 0) for message in progress) == 3
    assert all(
        message["memory_bytes"] <= message["memory_promised"] for message in progress if "level" in message
    )


def test_a_job_that_was_paused_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(job_in(whole), whole)
    job = job_in(parts)
    end = run(job, parts, ask="pause")
    assert end == {"state": "paused", "finished": True}
    assert not (parts / jobs.RESULT).exists() and stored_tiles(parts / "tiles.dzi") is not None
    assert (parts / jobs.WORK / "manifest.json").is_file()
    assert run(job, parts)["state"] == "done"
    assert (whole / jobs.RESULT).read_bytes() == (parts / jobs.RESULT).read_bytes()


def test_a_job_whose_server_is_gone_saves_its_work_and_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    job = job_in(folder)
    assert not run(job, folder, ask="leave")["finished"]
    assert not (folder / jobs.RESULT).exists() and (folder / jobs.WORK / "manifest.json").is_file()
    assert run(job, folder, mode="stop")["state"] == "stopped"  # what was asked for at the next start


def test_a_job_that_was_stopped_has_a_picture_and_can_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    job = job_in(folder)
    end = run(job, folder, ask="stop")
    assert end["state"] == "stopped" and end["has_result"] and not end.get("complete")
    kept = read_provenance(folder / jobs.RESULT)
    assert kept is not None and "stopped" in kept
    assert run(job, folder)["state"] == "done"
    kept = read_provenance(folder / jobs.RESULT)
    assert kept is not None and "stopped" not in kept


def test_tiles_show_the_canvas(tmp_path: Path) -> None:
    folder, told = tmp_path / "job", Told()
    job = job_in(folder)
    orders = Orders("run")
    report = Reporter(cast(Channel, told), PeakMemory(torch.device("cpu")))
    level = level_count(48, 32) - 1
    asked: list[Message] = []

    def react(message: Message) -> None:
        if message.get("sweep") and not asked:
            asked.append(message)
            for number, place in enumerate(((level, 0, 0), (0, 0, 0), (level, 9, 9))):
                orders.tiles.put({"id": number, "level": place[0], "x": place[1], "y": place[2]})
            while sum(message["do"] == "tile" for message, _ in told.messages) < 3:
                pass

    told.react = react
    JobRun(job, folder, orders, cast(Channel, told), report, 600.0).run()
    tiles = {message["id"]: content for message, content in told.messages if message["do"] == "tile"}
    assert tiles[0][:2] == tiles[1][:2] == b"\xff\xd8" and tiles[2] == b""


def test_a_texture_and_a_preview(tmp_path: Path) -> None:
    texture, preview = tmp_path / "texture", tmp_path / "preview"
    assert run(job_in(texture, "texture", None), texture)["state"] == "done"
    assert not (texture / "content.dzi").exists()
    job = job_in(preview, "preview", preview_size=64, crops=1, crop_size=16, size=96, sweeps=1)
    end = run(job, preview)
    assert (end["state"], end["width"], end["height"]) == ("done", 96, 64)
    assert [crop[2:] for crop in end["crops"]] == [[16, 16]]
    assert (preview / "crop-1.jpg").is_file() and (preview / jobs.RESULT).is_file()


def test_results_are_converted_with_their_settings(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    run(job_in(folder, depth=16, sweeps=1), folder)
    result = read_picture(folder / jobs.RESULT)
    for form in ("png", "jpg", "webp"):
        convert.convert(folder, form)
        made = read_picture(folder / f"download.{form}")
        assert made.pixels.shape == result.pixels.shape and made.depth == (16 if form == "png" else 8)
        assert read_provenance(folder / f"download.{form}") == read_provenance(folder / jobs.RESULT)
    assert np.array_equal(read_picture(folder / "download.png").pixels, result.pixels)


def test_a_film_is_stopped_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("cv2")
    folder = tmp_path / "job"
    job = job_in(folder, "video", None)
    config = RenderConfig(**FEW, size=48, sweeps=1)  # the interface has no layers for videos
    job_settings = JobSettings("video", config, Printing(), video=VideoConfig(sweeps=1))
    monkeypatch.setattr(Job, "resolved_settings", lambda self: job_settings)
    with av.open(str(folder / "content"), "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(2):
            pixels = np.full((48, 64, 3), 60 * number, np.uint8)
            pixels[:, 20 + 4 * number : 40] = 200
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    task = {"content": {"file": "content", "name": "clip.mp4"}, "styles": [{"file": "", "name": "swirls"}]}
    (folder / jobs.TASK).write_text(json.dumps(task))
    assert run(job, folder, ask="pause")["state"] == "paused"
    assert run(job, folder)["state"] == "done"
    with av.open(str(folder / jobs.FILM)) as film:
        assert sum(1 for _ in film.decode(video=0)) >= 2
    convert.convert(folder, "gif")
    assert (folder / "download.gif").read_bytes()[:3] == b"GIF"
