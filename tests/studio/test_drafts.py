from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.conftest import FEW
from tilestyle.errors import TilestyleError
from tilestyle.pictures import picture_path
from tilestyle.studio import drafts
from tilestyle.studio.child import Channel, Message
from tilestyle.studio.copies import SMALL
from tilestyle.studio.drafts import Drafts, full_size, plan, small_inputs
from tilestyle.studio.intake import inspect_upload
from tilestyle.studio.settings import resolve
from tilestyle.studio.stand_in import SmallPicture

TINY: dict[str, Any] = {**FEW, "network": "wavelet", "coarsest": 32}


class Told:
    """A channel that notes what is sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, bytes]] = []

    def send(self, message: Message, payload: bytes = b"") -> None:
        self.messages.append((message, payload))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Message]:
    """A photograph and a style, as the server describes them."""
    described = {}
    for name in ("coffee", "swirls"):
        folder = tmp_path_factory.mktemp(name)
        facts = inspect_upload(picture_path(name), folder, 2**24)
        described[name] = {"file": str(folder / SMALL), "name": name, "weight": 1.0} | {
            key: facts[key] for key in ("width", "height", "stroke")
        }
    return described


@pytest.fixture(autouse=True)
def _small_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "STAGES", ((32, 2), (40, 1), (48, 1)))
    monkeypatch.setattr(drafts, "SHEET_STAGE", (32, 1))
    monkeypatch.setattr(drafts, "FIRST_LOOK", 1)


def command(pictures: dict[str, Message], what: str, revision: int = 1, **more: Any) -> Message:
    base = {"do": what, "session": "a", "revision": revision, "kind": "render", "options": TINY}
    return base | {"content": pictures["coffee"], "styles": [pictures["swirls"]]} | more


def work(loop: Drafts) -> None:
    """Work until nothing is left to do."""
    while loop._commands or loop._tasks:
        commands = list(loop._commands)
        loop._commands.clear()
        for each in commands:
            loop._begin(each)
        loop._step()


def test_a_draft_becomes_better_in_stages(pictures: dict[str, Message]) -> None:
    told = Told()
    loop = Drafts(cast(Channel, told))
    loop._commands.append(command(pictures, "draft"))
    work(loop)
    shown = [message for message, _ in told.messages]
    assert [message["width"] for message in shown] == [32, 32, 40, 48]
    assert [message["n"] for message in shown] == [0, 1, 2, 3]
    assert [message["final"] for message in shown] == [False, False, False, True]
    assert all(content[:2] == b"\xff\xd8" for _, content in told.messages)


def test_a_small_picture_needs_fewer_stages(pictures: dict[str, Message]) -> None:
    told = Told()
    loop = Drafts(cast(Channel, told))
    loop._commands.append(command(pictures, "draft", options=TINY | {"size": 36}))
    work(loop)
    assert [message["width"] for message, _ in told.messages] == [32, 32, 36]


def test_a_change_cancels_the_draft_before(pictures: dict[str, Message]) -> None:
    told = Told()
    loop = Drafts(cast(Channel, told))
    loop._begin(command(pictures, "draft", 1))
    send, told.send = told.send, None  # type: ignore[assignment]

    def interrupting(message: Message, payload: bytes = b"") -> None:
        send(message, payload)
        if message["revision"] == 1 and not loop._commands:
            loop._commands.append(command(pictures, "draft", 2, options=TINY | {"strength": 0.9}))

    told.send = interrupting  # type: ignore[method-assign]
    work(loop)
    revisions = [message["revision"] for message, _ in told.messages]
    assert revisions == [1, 2, 2, 2, 2]


def test_styles_are_measured_once(pictures: dict[str, Message], monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Drafts(cast(Channel, Told()))
    changes: tuple[dict[str, Any], ...] = ({}, {"strength": 0.7}, {"seed": 3})
    for revision, options in enumerate(changes, 1):
        loop._commands.append(command(pictures, "draft", revision, options=TINY | options))
        work(loop)
    assert len(loop._style_caches) == len(drafts.STAGES)
    loop._commands.append(command(pictures, "draft", 9, options=TINY | {"style_scale": 0.5}))
    work(loop)
    assert len(loop._style_caches) == 2 * len(drafts.STAGES)


def test_a_remembered_style_gives_the_same_draft(pictures: dict[str, Message]) -> None:
    told = Told()
    loop = Drafts(cast(Channel, told))
    for revision, strength in enumerate((0.3, 0.8, 0.3), 1):
        loop._commands.append(command(pictures, "draft", revision, options=TINY | {"strength": strength}))
        work(loop)
    last = {message["revision"]: content for message, content in told.messages if message["final"]}
    assert last[1] == last[3] != last[2]


def test_a_sheet_has_a_picture_for_each_setting(pictures: dict[str, Message]) -> None:
    told = Told()
    loop = Drafts(cast(Channel, told))
    loop._commands.append(
        command(pictures, "sheet", vary={"color": ["style", "luminance"], "style_scale": [0.3, 1.0]})
    )
    work(loop)
    assert [message["index"] for message, _ in told.messages] == [0, 1, 2, 3]
    assert len({content for _, content in told.messages}) == 4


def test_what_is_wrong_is_one_message(pictures: dict[str, Message]) -> None:
    told = Told()
    loop = Drafts(cast(Channel, told))
    loop._commands.append(command(pictures, "draft", options={"style_layers": {"nothing_9": 1.0}}))
    loop._commands.append(command(pictures, "plan", id=5, options={"size": 200_000, "memory": "1MiB"}))
    work(loop)
    first, second = (message for message, _ in sorted(told.messages, key=lambda each: "id" in each[0]))
    assert first["do"] == second["do"] == "problem" and first["revision"] == 1 and second["id"] == 5
    assert first["error"] and second["error"] and second["hint"]


def test_nothing_is_downloaded(pictures: dict[str, Message], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "downloaded_file", lambda network: None)
    with pytest.raises(TilestyleError, match="not on this machine"):
        plan(command(pictures, "plan", id=1, options={"network": "vgg19"}))


def test_a_plan_says_what_a_print_takes(pictures: dict[str, Message]) -> None:
    options = {"network": "wavelet", "paper": "A5", "dpi": 100, "bleed": "3mm"}
    answer = plan(command(pictures, "plan", id=1, options=options | {"stroke": "3mm"}))
    assert (answer["width"], answer["height"], answer["dpi"]) == (827 + 24, 583 + 24, 100)
    assert answer["memory_bytes"] > 0 and answer["device"] == "cpu"
    preview = plan(command(pictures, "plan", id=1, kind="preview", options={"network": "wavelet", "size": 900}))
    assert (preview["width"], preview["height"]) == (900, 600)


def test_a_draft_shows_strokes_and_crop_of_the_full_picture(pictures: dict[str, Message]) -> None:
    content, style = SmallPicture.of(pictures["coffee"]), SmallPicture.of(pictures["swirls"])
    own = max(style.width, style.height)
    for options in ({"size": 4 * own}, {"size": 4 * own, "style_scale": 0.1}, {"paper": "A2", "stroke": "5mm"}):
        job_settings = resolve("render", options, [1.0])
        height, width = full_size(job_settings, content)
        small = small_inputs(job_settings, content, [style], 96)
        assert max(small.height, small.width) == 96
        assert small.height / small.width == pytest.approx(height / width, abs=0.02)
        # Long side of the style as a share of the picture's; it is never enlarged beyond its own pixels.
        share = min(job_settings.config.style_scale, own / max(height, width))
        if "stroke" in options:
            share = (5 / 25.4 * 300 / style.stroke) * own / max(height, width)
        assert small.config.style_scale == pytest.approx(share, rel=0.15)


def test_a_texture_is_drafted_at_the_size_of_its_forms(pictures: dict[str, Message]) -> None:
    style = SmallPicture.of(pictures["swirls"])
    job_settings = resolve("texture", {"size": 4096, "network": "wavelet"}, [1.0])
    small = small_inputs(job_settings, None, [style], 64)
    shown = small.config.style_scale * max(style.picture.height, style.picture.width)
    assert shown / 64 == pytest.approx(max(style.width, style.height) / 4096)


def test_stand_ins_have_the_true_size(pictures: dict[str, Message]) -> None:
    source = SmallPicture.of(pictures["coffee"] | {"width": 6000, "height": 4000}).stand_in()
    assert (source.height, source.width) == (4000, 6000)
    window, small = source.window(2000, 3000, 20, 30), source.downsample(40, 60)
    assert window.pixels.shape == (20, 30, 3) and small.pixels.shape == (40, 60, 3)
    assert source.downsample(1200, 1800).pixels.shape == (1200, 1800, 3)
    assert np.isfinite(window.pixels).all() and source.conversion_bytes() == 0


def test_uploads_are_inspected(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(picture_path("coffee").read_bytes())
    facts = inspect_upload(tmp_path / "file", tmp_path, 2**24)
    assert (facts["kind"], facts["width"], facts["height"]) == ("picture", 600, 400) and facts["stroke"] > 0
    with pytest.raises(Exception, match="more than the limit"):
        inspect_upload(tmp_path / "file", tmp_path, 1000)
