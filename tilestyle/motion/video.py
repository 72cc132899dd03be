"""Video in a style without flicker, after Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610).

The first frame is rendered from coarse to fine. Every later frame is rendered at the full size only. It starts
from the previous result, warped by the optical flow, and is anchored to that where the flow is reliable. What
was hidden before starts from the new frame, in the colors of the previous result. The style is measured only
twice: for the first frame and for all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from tilestyle.config.enums import FlowName
from tilestyle.config.render import RenderConfig, VideoConfig
from tilestyle.config.settings import Settings, with_settings
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.files.paths import named_path
from tilestyle.images.faces import Face, check_detector
from tilestyle.motion.clip import Clip, open_clip
from tilestyle.motion.drift import (
    NO_CALLBACKS,
    SERIES_KEYWORDS,
    PathLike,
    SeriesCallbacks,
    resize_to,
    showing_steps,
)
from tilestyle.motion.optical_flow import (
    Floats,
    FlowMethod,
    dense_inverse_search,
    estimate_flow,
    reliability_mask,
    visibility_mask,
    warp,
)
from tilestyle.motion.raft import raft_method
from tilestyle.motion.repeated_job import render_step, step_job, with_style_cache
from tilestyle.motion.series import Row, Series, open_series
from tilestyle.pipeline.estimate import Repeated
from tilestyle.pipeline.fingerprint import content_hash, render_fingerprint
from tilestyle.pipeline.prepare import outline, prepare
from tilestyle.planning.content_map import detect_faces, with_faces
from tilestyle.planning.device_choice import find_device
from tilestyle.planning.job import Job
from tilestyle.planning.sizes import picture_size

# Ridge of the color map, per pixel: a frame with few colors does not determine the map alone.
RIDGE = 1e-4
DEFAULT_VIDEO = VideoConfig()
CONTENT_WEIGHT_KEY = "content weight"  # its key in the rows of statistics


@dataclass(frozen=True)
class FrameMotion:
    """The motion from the previous frame to the current one, and where it is reliable.

    Attributes:
        previous: The previous frame [3, H, W].
        backward: Flow [H, W, 2] from the current frame to the previous, in pixels.
        visible: Mask [H, W] of 0 and 1: pixels of the current frame that the previous shows too.
        trust: Mask [H, W] of 0 and 1: pixels whose flow is reliable as well.
    """

    previous: Tensor
    backward: Floats
    visible: Floats
    trust: Floats

    @classmethod
    def estimate(cls, previous: Tensor, current: Tensor, method: FlowMethod) -> FrameMotion:
        """Estimate the motion between two frames.

        Args:
            previous: Frame [3, H, W].
            current: Frame [3, H, W].
            method: How to estimate flow.
        """
        first, second = (_to_array(frame) for frame in (previous, current))
        forward, backward = estimate_flow(first, second, method), estimate_flow(second, first, method)
        return cls(previous, backward, visibility_mask(forward, backward), reliability_mask(forward, backward))

    def warp_to_current(self, picture: Tensor) -> Tensor:
        """Warp a picture [3, H, W] of the previous frame to the current one."""
        return _to_tensor(warp(_to_array(picture), self.backward)).clamp_(0, 1)


@with_torch_state
def stylize_video(  # noqa: PLR0913
    clip: Clip | PathLike,
    style: PathLike,
    folder: PathLike,
    config: RenderConfig | None = None,
    video: VideoConfig = DEFAULT_VIDEO,
    callbacks: SeriesCallbacks = NO_CALLBACKS,
    *,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Series:
    """Render the frames of a clip in a style: numbered pictures in a folder, and statistics.

    The same call resumes a video that was stopped.

    Args:
        clip: A film, or a folder of pictures.
        style: The style picture.
        folder: Folder for the pictures 0001.png, 0002.png, ... and the statistics.
        config: Settings of the first frame, among them the `size` of the pictures; the defaults if None.
        video: Settings in which the other frames differ, and of the optical flow.
        callbacks: Called during the series.
        progress: Whether to show a progress bar.
        **settings: Fields of `RenderConfig` that replace those of `config`.

    Returns:
        The series, complete or as far as it was when it was stopped.

    Raises:
        PictureError: A frame has another size than the first.
        WorkError: The folder holds another series.
        TilestyleError: As in `render`.

    Example:
        >>> from tilestyle import stylize_video
        >>> series = stylize_video("clip.mp4", "painting.jpg", "frames", size=640, quality="draft")
    """
    config = with_settings(config, settings, keywords=SERIES_KEYWORDS)
    if config.keep_faces:
        check_detector()
    clip = clip if isinstance(clip, Clip) else open_clip(Path(clip))
    fingerprint = {
        "kind": "video",
        **video.fingerprint,
        **render_fingerprint(config, {"style": style}),
        "clip": clip_digests(clip),
    }
    with (
        open_series(named_path(folder, "the folder of the series"), fingerprint) as output,
        showing_steps(callbacks, clip.count if progress else 0, progress=progress) as callbacks,
    ):
        callbacks.on_begin(output)
        method = choose_flow_method(config, video)
        jobs = FrameJobs(style, config, video)
        previous: Tensor | None = None
        for number, frame in enumerate(clip.frames()):
            current = resize_to(_to_tensor(frame), config.size)
            if number >= output.count:
                motion = None if previous is None else FrameMotion.estimate(previous, current, method)
                last = output.last_pixels() if motion else None
                if (
                    number and CONTENT_WEIGHT_KEY in output.rows[0]
                ):  # adjusting it for every frame would cause flicker
                    jobs.fix_content_weight(float(output.rows[0][CONTENT_WEIGHT_KEY]))
                result = render_step(
                    jobs.job_for_frame(number, current, motion, last), callbacks.observer, callbacks.stop
                )
                if result is None:
                    break
                picture, terms = result
                row: Row = {"style loss": terms.style, "content loss": terms.content}
                if terms.content_weight is not None:
                    row[CONTENT_WEIGHT_KEY] = terms.content_weight
                if motion and last is not None:
                    stylized = torch.from_numpy(picture.pixels).permute(2, 0, 1)
                    row |= {
                        "anchor": terms.anchor,
                        "flicker": flicker(motion.warp_to_current(last), stylized, motion.trust),
                    }
                    row["relied on"] = float(motion.trust.mean())
                output.add(picture, row)
                callbacks.on_step(output)
            previous = current
        return output


def choose_flow_method(config: RenderConfig, video: VideoConfig) -> FlowMethod:
    """Return the method of estimating flow that is configured.

    Args:
        config: Its device runs RAFT.
        video: Names the method.
    """
    return dense_inverse_search if video.flow is FlowName.DIS else raft_method(find_device(config.device))


class FrameJobs:
    """Makes the jobs of a video's frames; the first and the later ones are each prepared once."""

    def __init__(self, style: PathLike, config: RenderConfig, video: VideoConfig) -> None:
        self._style = style
        self._config = config
        self._video = video
        self._next_job: Job | None = None
        self._faces: dict[int, tuple[Face, ...]] = {}  # of the last frames, by their numbers

    def fix_content_weight(self, weight: float) -> None:
        """Fix the content weight of all later frames to the one that was found for the first."""
        self._config = replace(self._config, content_weight=weight)

    def job_for_frame(
        self, number: int, current: Tensor, motion: FrameMotion | None, last: Tensor | None
    ) -> Job:
        """Make the job of a frame.

        Args:
            number: Number of the frame, from 0.
            current: The frame [3, h, w].
            motion: Motion from the previous frame; None for the first.
            last: Result of the previous frame [3, h, w]; None for the first.
        """
        height, width = current.shape[1:]
        config = replace(self._config, size=(width, height))
        if motion is None or last is None:
            faces = self._faces_in(number, current)
            return step_job(
                with_style_cache(prepare(self._style, config, current, faces=faces)), number, current
            )
        warped, trust = motion.warp_to_current(last), torch.from_numpy(motion.trust)[None]
        if self._next_job is None:
            config = later_config(config, self._video, warped)
            self._next_job = with_style_cache(prepare(self._style, config, current, faces=()))
        estimate = fill_disocclusions(motion.previous, last, current, motion)
        start = estimate + torch.from_numpy(motion.visible) * (warped - estimate)
        job = step_job(self._next_job, number, start, content=current, anchor=warped, trust=trust)
        if not config.keep_faces:
            return job
        # A face that is not found in a single frame is kept where it was in the frame before.
        faces_of_frames = [self._faces_in(number, current), self._faces_in(number - 1, motion.previous)]
        return with_faces(job, tuple(face for faces in faces_of_frames for face in faces or ()))

    def _faces_in(self, number: int, frame: Tensor) -> tuple[Face, ...] | None:
        """Find the faces in a frame [3, h, w], with `keep_faces`; None without."""
        if not self._config.keep_faces:
            return None
        if number not in self._faces:
            earlier = {each: faces for each, faces in self._faces.items() if each == number - 1}
            self._faces = {**earlier, number: detect_faces(frame)}
        return self._faces[number]


def later_config(config: RenderConfig, video: VideoConfig, anchor: Tensor) -> RenderConfig:
    """Return the settings of all frames but the first.

    Args:
        config: Settings of the first frame, with the size of the pictures.
        video: In what the others differ.
        anchor: The previous result [3, h, w], warped to the frame.
    """
    return replace(
        config,
        coarsest=max(anchor.shape[1:]),
        sweeps=video.sweeps,
        learning_rate=video.learning_rate,
        anchor_weight=video.anchor_weight,
        anchor=anchor,
    )


def plan_video(clip: Clip, style: PathLike, config: RenderConfig, video: VideoConfig) -> list[Repeated]:
    """Plan the renders of a video. Nothing is rendered, and no frame is read.

    Args:
        clip: The clip.
        style: The style picture.
        config: Settings of the first frame.
        video: Settings in which the other frames differ.
    """
    height, width = picture_size(config.size, (clip.height, clip.width))
    config = replace(config, size=(width, height))
    frame = torch.zeros(3, height, width)
    first = Repeated("first frame", outline(style, config, frame))
    if clip.count < 2:
        return [first]
    later = outline(style, later_config(config, video, frame), frame)
    return [first, Repeated("later frames", later, clip.count - 1, shares_style=True)]


def fill_disocclusions(previous: Tensor, last: Tensor, current: Tensor, motion: FrameMotion) -> Tensor:
    """Estimate the result of a frame: its colors mapped as in the last result, with the style's detail added.

    The detail is what the style added to the previous frame, warped by the flow and reflected beyond the edges.
    What comes into view starts like this. Had it started as the camera saw it, that would still show after the
    few sweeps of a frame, and stay.

    Args:
        previous: The previous frame [3, h, w].
        last: The result of the previous frame [3, h, w].
        current: The current frame [3, h, w].
        motion: Motion between the frames.

    Returns:
        Pixels [3, h, w] in [0, 1].
    """
    colors = fit_color_map(previous, last)
    detail = last - apply_color_map(previous, colors)
    estimate = apply_color_map(current, colors) + _to_tensor(warp(_to_array(detail), motion.backward))
    return estimate.clamp(0, 1)


def fit_color_map(frame: Tensor, stylized: Tensor) -> Tensor:
    """Fit an affine map from the colors of a frame to those of its result, by least squares.

    Args:
        frame: Frame [3, h, w].
        stylized: Its result [3, h, w].

    Returns:
        The map [4, 3]; its last row is the offset.
    """
    inputs = torch.cat([frame.flatten(1), torch.ones(1, frame[0].numel())]).double()  # [4, n]
    ridge = RIDGE * inputs.shape[1] * torch.eye(4, dtype=torch.float64)
    solution: Tensor = torch.linalg.solve(inputs @ inputs.mT + ridge, inputs @ stylized.flatten(1).double().mT)
    return solution.float()


def apply_color_map(frame: Tensor, color_map: Tensor) -> Tensor:
    """Apply a map [4, 3] to the colors of a frame [3, h, w]."""
    inputs = torch.cat([frame.flatten(1), torch.ones(1, frame[0].numel())])  # [4, h * w]
    recolored: Tensor = (color_map.mT @ inputs).reshape(frame.shape)  # [3, h, w]
    return recolored


def flicker(warped: Tensor, stylized: Tensor, trust: Floats) -> float:
    """Measure flicker: the mean absolute difference from the previous result, where the flow is reliable.

    Args:
        warped: Previous result [3, h, w], warped to the current frame.
        stylized: Current result [3, h, w].
        trust: Mask [h, w] of 0 and 1: where the flow is reliable.
    """
    weight = torch.from_numpy(trust)
    return float(((stylized - warped).abs().mean(0) * weight).sum() / weight.sum().clamp(min=1))


def clip_digests(clip: Clip) -> Any:
    """Return the digest of a film, or those of the pictures of a folder, as JSON."""
    return [content_hash(file) for file in clip.files] if clip.files else content_hash(clip.path)


def _to_array(pixels: Tensor) -> Floats:
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _to_tensor(pixels: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
