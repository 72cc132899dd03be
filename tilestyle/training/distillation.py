"""Distil the teacher into the student: choose channels, fit kernels in closed form, then train them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from tilestyle.errors import OutputError, PictureError
from tilestyle.files.atomic import atomic_write
from tilestyle.networks.vgg import Vgg
from tilestyle.training import export, gradient_descent
from tilestyle.training.channel_selection import Channels, choose_channels
from tilestyle.training.crops import CropStream, pictures_in
from tilestyle.training.evaluation import explained_variance
from tilestyle.training.initial_weights import fit_initial_weights
from tilestyle.training.student import WIDTHS, convolutions, student_network
from tilestyle.training.teacher import load_teacher
from tilestyle.version import __version__

HELD_OUT_EVERY = 10  # one photograph in this many is held out for the final evaluation
CLOSED_FORM_BATCH = 4  # crops in a batch for the channel choice, the closed-form fits and the evaluation
GROUP_SHARES = {"photographs": 0.6, "paintings": 0.32, "renders": 0.08}  # of the crops
STATE_FILE = "state.pt"
SAVE_EVERY = 200  # steps between saved states


@dataclass(frozen=True)
class DistillationConfig:
    """Settings of a distillation. With the teacher and the pictures they determine the weights.

    Attributes:
        photographs: Folders of photographs.
        paintings: Folders of paintings and textures.
        renders: Folders of stylized pictures.
        side: Height and width of a crop, in pixels.
        seed: Seed of all random choices.
        batches: Number of batches for the channel choice, and again for the closed-form fits.
        descent: Settings of the gradient descent.
    """

    photographs: tuple[Path, ...]
    paintings: tuple[Path, ...]
    renders: tuple[Path, ...] = ()
    side: int = 128
    seed: int = 0
    batches: int = 60
    descent: gradient_descent.DescentSettings = field(default_factory=gradient_descent.DescentSettings)


@dataclass(frozen=True)
class DistillationPaths:
    """Paths and the device of a distillation.

    Attributes:
        teacher: Weights of the teacher; None: torchvision's.
        work: Folder for the state.
        out: The .safetensors file to write.
        device: Where the gradient descent runs.
    """

    teacher: Path | None
    work: Path
    out: Path
    device: torch.device


def distill(config: DistillationConfig, paths: DistillationPaths, report: Callable[[str], None]) -> None:
    """Train the student and write its weights; resume from the state in the work folder, if there is one.

    Args:
        config: Settings.
        paths: Paths and the device.
        report: Called with each line of progress.

    Raises:
        NetworkError: The teacher cannot be loaded.
        OutputError: The work folder or the weights cannot be written.
        PictureError: There are too few pictures.
    """
    teacher, teacher_name = load_teacher(paths.teacher)
    photographs = pictures_in(config.photographs)
    random.Random(config.seed).shuffle(photographs)
    held_out, photographs = (
        photographs[::HELD_OUT_EVERY],
        [p for i, p in enumerate(photographs) if i % HELD_OUT_EVERY],
    )
    if not photographs:
        raise PictureError("training needs at least 2 photographs", hint="give a folder of more photographs")
    groups = {"photographs": photographs, "paintings": pictures_in(config.paintings)}
    if config.renders:
        groups["renders"] = pictures_in(config.renders)
    crops = CropStream(
        [(GROUP_SHARES[name], files) for name, files in groups.items()], config.side, config.seed
    )

    state = _load_state(paths.work / STATE_FILE)
    if "channels" not in state:
        state["channels"] = choose_channels(
            teacher, (crops.batch(CLOSED_FORM_BATCH) for _ in range(config.batches)), convolutions()
        )
        _save_state(paths.work / STATE_FILE, state)
        report("chose the channels")
    channels: dict[str, Channels] = state["channels"]
    if "weights" not in state:
        batches = [crops.batch(CLOSED_FORM_BATCH) for _ in range(config.batches)]
        state["weights"] = fit_initial_weights(teacher, batches, channels, config.seed)
        _save_state(paths.work / STATE_FILE, state)
        report("fitted the kernels")
    weights = _train_student(config, paths, teacher, crops, state, report)

    weights = export.balance_channels(weights, channels)
    facts = {
        "network": "compact",
        "version": __version__,
        "widths": WIDTHS,
        "teacher": f"VGG-16 (Simonyan and Zisserman 2014, CC BY 4.0), {teacher_name}",
        "pictures": {name: len(files) for name, files in groups.items()},
        "seed": config.seed,
        "side": config.side,
        "descent": asdict(config.descent),
    }
    shares = _evaluate(teacher, channels, weights, held_out, config)
    facts["explained"] = {layer: [round(share, 3) for share in pair] for layer, pair in shares.items()}
    try:
        export.write_weights(weights, paths.out, facts)
    except OSError as error:
        raise OutputError(f"cannot write {paths.out} ({error.strerror})", hint="use another --out") from error
    for layer, (direct, mapped) in shares.items():
        report(f"{layer}: explains {direct:.1%} of the chosen channels, {mapped:.1%} of all by a linear map")
    report(f"wrote {paths.out}")


def _train_student(
    config: DistillationConfig,
    paths: DistillationPaths,
    teacher: Vgg,
    crops: CropStream,
    state: dict[str, Any],
    report: Callable[[str], None],
) -> gradient_descent.Weights:
    """Train the student by gradient descent, and return its weights.

    Args:
        config: Settings.
        paths: Paths and the device.
        teacher: The network to imitate.
        crops: Training crops.
        state: State of the distillation, with channels and initial weights; saved every 200 steps.
        report: Called with each line of progress.
    """
    settings = config.descent
    dtype = torch.bfloat16 if settings.autocast else torch.float32
    targets = gradient_descent.TeacherTargets(teacher.to(paths.device, dtype), state["channels"], paths.device)
    trainer = gradient_descent.StudentTrainer(targets, state["weights"], settings, paths.device)
    buffer = gradient_descent.ReplayBuffer(settings.kept)
    for _ in range(-(-min(settings.kept, 20 * settings.batch) // settings.batch)):
        for entry in targets.compute(crops.batch(settings.batch)):
            buffer.add(entry)
    if "walk" in state:
        trainer.load_state_dict(state["walk"])
        report(f"resuming at step {trainer.step}")
    else:
        trainer.fit_maps(buffer)
        trainer.make_optimizer()
    start = time.monotonic() - trainer.seconds

    def report_step(step: int, seconds: float, log: dict[str, float]) -> None:
        if step % SAVE_EVERY == 0:
            state["walk"] = trainer.state_dict()
            _save_state(paths.work / STATE_FILE, state)
            minutes = (time.monotonic() - start) / step * (settings.steps - step) / 60
            errors = " ".join(f"{layer} {error:.3f}" for layer, error in log.items())
            report(f"step {step} of {settings.steps}, {minutes:.0f} min left; unexplained variance: {errors}")

    trainer.train(crops, buffer, report_step)
    return trainer.weights()


def _evaluate(
    teacher: Vgg,
    channels: dict[str, Channels],
    weights: gradient_descent.Weights,
    held_out: Sequence[Path],
    config: DistillationConfig,
) -> dict[str, tuple[float, float]]:
    """Measure the variance that the student explains on photographs that it was not trained on.

    Args:
        teacher: The network that it imitates.
        channels: Chosen channels of each convolution.
        weights: The student's weights.
        held_out: The photographs.
        config: Settings.

    Returns:
        The shares of `explained_variance`.
    """
    student = student_network(weights)
    crops = CropStream([(1.0, held_out)], config.side, config.seed + 1)
    fit, test = ([crops.unaltered_batch(CLOSED_FORM_BATCH) for _ in range(count)] for count in (30, 15))
    return explained_variance(student, teacher.to(torch.device("cpu"), torch.float32), channels, fit, test)


def _load_state(file: Path) -> dict[str, Any]:
    """Load the state of an earlier run, or make its folder; raise OutputError if that cannot be made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create the folder {file.parent} ({error.strerror})", hint="use another --work"
        ) from error
    if not file.exists():
        return {}
    with torch.serialization.safe_globals([Channels]):
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def _save_state(file: Path, state: dict[str, Any]) -> None:
    with atomic_write(file) as handle:
        torch.save(state, handle)
