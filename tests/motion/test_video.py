"""Video: flow and where it holds, frames that stay together, sound, stopped and gone on with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.test_app import folder  # noqa: F401
from tests.support.cli import run_cli
from tilestyle.config.enums import FlowName, NetworkName, Precision, Quality
from tilestyle.config.render import SCHEDULES, FilmConfig, RenderConfig, Schedule, VideoConfig
from tilestyle.errors import NetworkError, OutputError, PictureError
from tilestyle.images.faces import Face
from tilestyle.motion import raft, video
from tilestyle.motion.clip import open_clip
from tilestyle.motion.drift import SeriesCallbacks
from tilestyle.motion.film import open_film, quantize_frame
from tilestyle.motion.film_sound import check_audio
from tilestyle.motion.optical_flow import (
    dense_inverse_search,
    estimate_flow,
    interpolate_frames,
    reliability_mask,
    warp,
)
from tilestyle.motion.series import read_pixels
from tilestyle.motion.video import FrameJobs, FrameMotion, flicker, stylize_video
from tilestyle.pictures import picture_path
from tilestyle.pipeline.api import render

LAYERS = {"color_2": 1.0, "first_1": 1.0, "first_2": 1.0, "second_2": 1.0}
CONFIG = RenderConfig(
    sweeps=(26, 20),
    size=(104, 80),
    coarsest=74,
    margin=8,
    palette_weight=0,
    precision=Precision.FP32,
    style_layers=LAYERS,
    network=NetworkName.WAVELET,
)
SMALL = replace(CONFIG, style_layers={"color_2": 1, "first_2": 1}, content_layers={"contour_2": 1}, sweeps=3)


def clip(kind: str, count: int = 4) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Frames [80, 104, 3], and the flow [80, 104, 2] from each of them to the one before."""
    with Image.open(picture_path("coffee")) as image:
        photograph = np.asarray(image.convert("RGB").resize((160, 107))).astype(np.float32) / 255
    backward = np.zeros((80, 104, 2), np.float32)
    frames = []
    for number in range(count):
        if kind == "pan":
            frames.append(photograph[4:84, 4 + 3 * number : 108 + 3 * number])
            backward[:] = 3, 0
        else:  # something moves before what stands still
            frame = photograph[4:84, 4:108].copy()
            frame[30:60, 10 + 4 * number : 40 + 4 * number] = photograph[60:90, 100:130]
            frames.append(frame)
    if kind == "object":
        left = 10 + 4 * (count - 1)
        backward[30:60, left : left + 30] = -4, 0
    return frames, backward


def kept_in(folder: Path, frames: list[np.ndarray[Any, Any]]) -> Path:  # noqa: F811
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(quantize_frame(frame)).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.parametrize("kind", ["pan", "object"])
def test_flow_is_found_and_known_where_it_is_not(kind: str) -> None:
    frames, truth = clip(kind)
    backward, forward = estimate_flow(frames[-1], frames[-2]), estimate_flow(frames[-2], frames[-1])
    trust = reliability_mask(forward, backward)
    assert 0.5 < trust.mean() < 1
    off = np.abs(backward - truth).sum(2)[trust > 0]
    assert np.median(off) < 0.3
    assert np.abs(warp(frames[-2], backward) - frames[-1])[trust > 0].mean() < 0.02
    if kind == "pan":
        assert trust[:, -2:].mean() < 0.2  # what comes in is new
    else:
        left = 10 + 4 * 3
        assert trust[32:58, left - 3 : left].mean() < 0.3  # what was behind the thing that moved
    exact = reliability_mask(-truth, truth)
    assert 0.8 < exact.mean() < 1


@pytest.mark.parametrize("kind", ["pan", "object"])
def test_frames_stay_together(kind: str, tmp_path: Path) -> None:
    frames, truth = clip(kind, 3)
    source = open_clip(kept_in(tmp_path / "clip", frames))
    done = stylize_video(source, picture_path("swirls"), tmp_path / "out", CONFIG, VideoConfig(sweeps=8))
    made = [read_pixels(file) for file in done.picture_paths]
    apart = [
        torch.from_numpy(render(frame, picture_path("swirls"), replace(CONFIG, seed=number)).pixels).permute(
            2, 0, 1
        )
        for number, frame in enumerate(frames[-2:])
    ]
    trust = reliability_mask(-truth, truth)

    def between_frames(one: torch.Tensor, other: torch.Tensor) -> float:
        along = warp(np.ascontiguousarray(one.permute(1, 2, 0).numpy()), truth)
        return flicker(torch.from_numpy(along).permute(2, 0, 1), other, trust)

    together, alone = between_frames(made[-2], made[-1]), between_frames(apart[0], apart[1])
    assert together < 0.5 * alone
    assert together > 0.001  # it is rendered, not only moved
    assert done.rows[-1]["style loss"] < 2.5 * done.rows[0]["style loss"]
    new = torch.from_numpy(frames[-1]).permute(2, 0, 1)
    assert (made[-1] - new).abs().mean() > 0.05


def test_a_video_goes_on_to_the_same_pictures(tmp_path: Path) -> None:
    source = open_clip(kept_in(tmp_path / "clip", clip("pan")[0]))
    video = VideoConfig(sweeps=2)
    expected = stylize_video(source, picture_path("swirls"), tmp_path / "a", SMALL, video)
    asked = iter(range(1000))
    watch = SeriesCallbacks(stop=lambda: next(asked) >= 9)
    assert 0 < stylize_video(source, picture_path("swirls"), tmp_path / "b", SMALL, video, watch).count < 4
    done = stylize_video(source, picture_path("swirls"), tmp_path / "b", SMALL, video)
    assert [read_pixels(file).numpy().tobytes() for file in done.picture_paths] == [
        read_pixels(file).numpy().tobytes() for file in expected.picture_paths
    ]


def sounding(path: Path, frames: list[np.ndarray[Any, Any]], codec: str = "aac") -> None:
    """A film with a tone."""
    import av

    silent = path.with_name("silent" + path.suffix)
    with open_film(silent, FilmConfig(fps=10)) as film:
        for frame in frames:
            film.add(quantize_frame(frame))
    with av.open(str(silent)) as given, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(given.streams.video[0])
        audio: Any = out.add_stream(codec, rate=48000)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for start in range(0, 19200, 960):
            tone = np.sin(np.arange(start, start + 960) / 20).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts = 48000, start
            out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    silent.unlink()


def test_a_film_keeps_its_sound_and_its_rate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    import av

    monkeypatch.setitem(SCHEDULES, Quality.DRAFT, Schedule(coarsest_sweeps=4, ratio=0.75, min_sweeps=2))
    sounding(folder / "in.mp4", clip("pan")[0])
    words = ["video", "in.mp4", "--style", "style.png", "--size", "64", "--quality", "draft", "--sweeps", "1"]
    done = run_cli(folder, *words, "-o", "out.mp4")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 pictures" in done.stderr
    assert not (folder / "out.mp4.frames").exists()
    with av.open(str(folder / "out.mp4")) as found, av.open(str(folder / "in.mp4")) as given:
        assert found.streams.video[0].average_rate == 10
        sounds = [
            [bytes(packet) for packet in container.demux(audio=0) if packet.size]
            for container in (given, found)
        ]
    assert sounds[0] == sounds[1] != []
    assert open_clip(folder / "out.mp4").count == 4
    with pytest.raises(OutputError, match="cannot hold the clip's sound, aac"):
        check_audio(folder / "in.mp4", folder / "out.webm")


def test_what_is_no_clip(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="there is no file"):
        open_clip(tmp_path / "no.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(PictureError, match="not a film that can be read"):
        open_clip(tmp_path / "bad.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match="no picture"):
        open_clip(tmp_path / "empty")
    frames = kept_in(tmp_path / "mixed", clip("pan", 2)[0])
    Image.new("RGB", (30, 30)).save(frames / "999.png")
    with pytest.raises(PictureError, match=r"frame 3 of .* is 30 x 30 pixels, but the first is 104 x 80"):
        list(open_clip(frames).frames())


def test_raft_takes_weights_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(NetworkError, match="use --flow dis"):
        raft.raft_method(torch.device("cpu"))
    (tmp_path / "checkpoints").mkdir()
    name = Path(Raft_Small_Weights.DEFAULT.url).name
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "checkpoints" / name)
    frames, _ = clip("pan", 2)
    found = raft.raft_method(torch.device("cpu"))(frames[0], frames[1])
    assert found.shape == (80, 104, 2)
    assert VideoConfig(flow=FlowName.RAFT).fingerprint["flow"] == "raft"


def test_pictures_between_two() -> None:
    frames, _ = clip("pan", 3)
    (middle,) = interpolate_frames(frames[0], frames[2], [0.5])
    inner = np.s_[10:-10, 15:-15]
    faded = (frames[0] + frames[2]) / 2
    off, apart = (np.abs(found - frames[1])[inner].mean() for found in (middle, faded))
    assert off < 0.3 * apart


def test_the_faces_of_a_frame_are_those_in_it_and_in_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [torch.from_numpy(frame.transpose(2, 0, 1).copy()) for frame in clip("pan", 3)[0]]
    looked_at: list[int] = []

    def detect(frame: torch.Tensor) -> tuple[Face, ...]:
        number = next(index for index, each in enumerate(frames) if torch.equal(each, frame))
        looked_at.append(number)
        return () if number == 2 else (Face(0.1 + 0.4 * number, 0.1 + 0.4 * number, 0.2, 0.2),)

    monkeypatch.setattr(video, "detect_faces", detect)
    gray = np.full((4, 4, 3), 0.25, np.float32)
    config = replace(SMALL, keep_faces=True, content_map=gray, strength=0.8)
    jobs = FrameJobs(picture_path("swirls"), config, VideoConfig(sweeps=1))
    first = jobs.job_for_frame(0, frames[0], None, None)
    maps = [first.content_map]
    for number in (1, 2):
        motion = FrameMotion.estimate(frames[number - 1], frames[number], dense_inverse_search)
        maps.append(jobs.job_for_frame(number, frames[number], motion, frames[number - 1]).content_map)
    assert looked_at == [0, 1, 2]
    one, both, last = (plane[0] for plane in maps if plane is not None)
    height, width = one.shape
    inside = (height * 2 // 10, width * 2 // 10), (height * 6 // 10, width * 6 // 10)
    assert [[float(plane[place]) > 1 for place in inside] for plane in (one, both, last)] == [
        [True, False],
        [True, True],
        [False, True],
    ]
    # A video that is continued at its last frame looks at the frame before again.
    again = FrameJobs(picture_path("swirls"), config, VideoConfig(sweeps=1))
    continued = again.job_for_frame(2, frames[2], motion, frames[1]).content_map
    assert continued is not None and torch.equal(continued[0], last)
