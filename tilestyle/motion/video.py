"""Video: frames in a style that stay together, after Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610).

The first frame is rendered from coarse to fine. Every other begins, at the full size alone, as the one before,
moved along the optical flow, and is anchored to that where the flow can be relied on; what comes into sight
begins as the new frame, in the colours of the last picture. The style is looked at twice in all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilestyle.config.enums import FlowName
from tilestyle.config.render import RenderConfig, VideoConfig
from tilestyle.devices.torch_state import isolated
from tilestyle.motion.clip import Footage
from tilestyle.motion.drift import NOBODY, PathLike, Watch, sized
from tilestyle.motion.optical_flow import (
    Floats,
    FlowMethod,
    dense_inverse_search,
    flow,
    moved,
    reliable,
    visible,
)
from tilestyle.motion.raft import raft
from tilestyle.motion.repeated_job import finished, step_job, with_style_cache
from tilestyle.motion.series import Row, Series, series
from tilestyle.pipeline.api import identity
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.inputs import digest
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import find_device

# Of the colours' squares, added where a frame has too few of them to say how they map.
RIDGE = 1e-4
WEIGHT = "content weight"  # of a frame, in the statistics


@dataclass(frozen=True)
class Motion:
    """From the frame before to the next: where pixels come from, and where that can be relied on."""

    before: Tensor  # the frame before, [3, H, W]
    backward: Floats  # [H, W, 2]
    visible: Floats  # [H, W], 0 or 1: what was there before, too
    trust: Floats  # [H, W], 0 or 1: where the flow can be relied on besides

    @classmethod
    def of(cls, before: Tensor, now: Tensor, method: FlowMethod) -> Motion:
        """Between two frames [3, h, w]."""
        first, second = (_array(frame) for frame in (before, now))
        forward, backward = flow(first, second, method), flow(second, first, method)
        return cls(before, backward, visible(forward, backward), reliable(forward, backward))

    def carried(self, picture: Tensor) -> Tensor:
        """A picture [3, h, w] of the frame before, where it is in the next."""
        return _tensor(moved(_array(picture), self.backward)).clamp_(0, 1)


@isolated
def stylise(
    clip: Footage,
    style: PathLike,
    folder: PathLike,
    config: RenderConfig,
    video: VideoConfig,
    watch: Watch = NOBODY,
) -> Series:
    """The frames of a clip in a style: numbered pictures in a folder, and statistics.

    `config` is how the first frame is rendered, `video` how the others differ. The same call again goes on
    where it was stopped. Raises WorkError for a folder of another video.
    """
    about = {"kind": "video", **video.about, **identity(config, {"style": style}), "clip": digests(clip)}
    with series(Path(folder), about) as done:
        method = flow_method(config, video)
        jobs = Jobs(style, config, video)
        before: Tensor | None = None
        for number, frame in enumerate(clip.frames()):
            now = sized(_tensor(frame), config.size)
            if number >= done.count:
                motion = None if before is None else Motion.of(before, now, method)
                last = done.last() if motion else None
                if number and WEIGHT in done.rows[0]:  # adjusted for every frame anew, it would be flicker
                    jobs.hold(float(done.rows[0][WEIGHT]))
                found = finished(jobs.of(number, now, motion, last), watch.observer, watch.stop)
                if found is None:
                    break
                picture, terms = found
                row: Row = {"style loss": terms.style, "content loss": terms.content}
                if terms.content_weight is not None:
                    row[WEIGHT] = terms.content_weight
                if motion and last is not None:
                    made = torch.from_numpy(picture.pixels).permute(2, 0, 1)
                    row |= {
                        "anchor": terms.anchor,
                        "flicker": flicker(motion.carried(last), made, motion.trust),
                    }
                    row["relied on"] = float(motion.trust.mean())
                done.add(picture, row)
                watch.tell(done)
            before = now
        return done


def flow_method(config: RenderConfig, video: VideoConfig) -> FlowMethod:
    """The way of finding flow that is asked for."""
    return dense_inverse_search if video.flow is FlowName.DIS else raft(find_device(config.device))


class Jobs:
    """The renders of a video's frames; each of the two kinds is prepared once."""

    def __init__(self, style: PathLike, config: RenderConfig, video: VideoConfig) -> None:
        self._style = style
        self._config = config
        self._video = video
        self._next: Job | None = None

    def hold(self, weight: float) -> None:
        """Give the content of all other frames the weight that the first came to."""
        self._config = replace(self._config, content_weight=weight)

    def of(self, number: int, now: Tensor, motion: Motion | None, last: Tensor | None) -> Job:
        """The job of a frame [3, h, w]; `last` is the picture that was made of the one before."""
        size = now.shape[1], now.shape[2]
        config = replace(self._config, size=size)
        if motion is None or last is None:
            return step_job(with_style_cache(prepare(self._style, config, now)), number, now)
        carried, trust = motion.carried(last), torch.from_numpy(motion.trust)[None]
        if self._next is None:
            video = self._video
            config = replace(
                config,
                coarsest=max(size),
                sweeps=video.sweeps,
                learning_rate=video.learning_rate,
                anchor_weight=video.anchor_weight,
                anchor=carried,
            )
            self._next = with_style_cache(prepare(self._style, config, now))
        new = imagined(motion.before, last, now, motion)
        start = new + torch.from_numpy(motion.visible) * (carried - new)
        return step_job(self._next, number, start, content=now, anchor=carried, trust=trust)


def imagined(before: Tensor, last: Tensor, now: Tensor, motion: Motion) -> Tensor:
    """A frame [3, h, w] in the colours of the last picture, with what the style has put into that nearby.

    What comes into sight begins like this: as the camera saw it, it would still show after a few sweeps, and be
    kept from then on. Beyond the edge the last picture is reflected.
    """
    colours = palette(before, last)
    put_in = last - recoloured(before, colours)
    found = recoloured(now, colours) + _tensor(moved(_array(put_in), motion.backward))
    return found.clamp(0, 1)


def palette(frame: Tensor, made: Tensor) -> Tensor:
    """The affine map [4, 3] of least squares from a frame's colours to those that were made of them."""
    given = torch.cat([frame.flatten(1), torch.ones(1, frame[0].numel())]).double()  # [4, n]
    ridge = RIDGE * given.shape[1] * torch.eye(4, dtype=torch.float64)
    found: Tensor = torch.linalg.solve(given @ given.mT + ridge, given @ made.flatten(1).double().mT)
    return found.float()


def recoloured(frame: Tensor, colours: Tensor) -> Tensor:
    """A frame [3, h, w] with a map [4, 3] applied to its colours."""
    given = torch.cat([frame.flatten(1), torch.ones(1, frame[0].numel())])
    found: Tensor = (colours.mT @ given).reshape(frame.shape)
    return found


def flicker(carried: Tensor, made: Tensor, trust: Floats) -> float:
    """Mean absolute difference of a picture from the one before, moved along; where the flow is relied on."""
    weight = torch.from_numpy(trust)
    return float(((made - carried).abs().mean(0) * weight).sum() / weight.sum().clamp(min=1))


def digests(clip: Footage) -> Any:
    """What a clip is, as JSON."""
    return [digest(file) for file in clip.files] if clip.files else digest(clip.path)


def _array(pixels: Tensor) -> Floats:
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _tensor(pixels: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
