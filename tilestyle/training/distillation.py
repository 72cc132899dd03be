"""The whole course: choose channels, fit kernels in closed form, descend, write the file."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from tilestyle.errors import OutputError, PictureError
from tilestyle.files.atomic import replacing
from tilestyle.networks.vgg import Vgg
from tilestyle.training import export, gradient_descent
from tilestyle.training.channel_selection import Channels, choose
from tilestyle.training.crops import Crops, pictures_in
from tilestyle.training.evaluation import explained
from tilestyle.training.initial_weights import initial
from tilestyle.training.student import WIDTHS, convolutions, network
from tilestyle.training.teacher import load_teacher
from tilestyle.version import __version__

HELD_OUT = 10  # every so many photographs are kept for the test at the end
CROPS = 4  # in a batch for whatever is in closed form
SHARES = {"photographs": 0.6, "paintings": 0.32, "renders": 0.08}
STATE = "state.pt"
EVERY = 200  # steps from one saved state to the next


@dataclass(frozen=True)
class Course:
    """Everything that decides the weights, besides the pictures and the teacher."""

    photographs: tuple[Path, ...]  # folders
    paintings: tuple[Path, ...]
    renders: tuple[Path, ...] = ()
    side: int = 128  # of a crop, pixels
    seed: int = 0
    batches: int = 60  # for whatever is in closed form
    descent: gradient_descent.Settings = field(default_factory=gradient_descent.Settings)


@dataclass(frozen=True)
class Setup:
    """Where the work is done."""

    teacher: Path | None
    work: Path
    out: Path
    device: torch.device


def run(course: Course, setup: Setup, report: Callable[[str], None]) -> None:
    """Train the student and write its weights; continue from the state in the work folder, if there is one.

    Args:
        course: What to do.
        setup: Where.
        report: Takes lines about progress.

    Raises:
        TilestyleError: When a folder has no pictures, the teacher is missing, or something cannot be written.
    """
    teacher, teacher_is = load_teacher(setup.teacher)
    photographs = pictures_in(course.photographs)
    random.Random(course.seed).shuffle(photographs)
    held_out, photographs = photographs[::HELD_OUT], [p for i, p in enumerate(photographs) if i % HELD_OUT]
    if not photographs:
        raise PictureError("two photographs are the least to train on", hint="give a folder of more")
    groups = {"photographs": photographs, "paintings": pictures_in(course.paintings)}
    if course.renders:
        groups["renders"] = pictures_in(course.renders)
    crops = Crops([(SHARES[name], files) for name, files in groups.items()], course.side, course.seed)

    kept = _kept(setup.work / STATE)
    if "channels" not in kept:
        kept["channels"] = choose(teacher, (crops.batch(CROPS) for _ in range(course.batches)), convolutions())
        _keep(setup.work / STATE, kept)
        report("channels are chosen")
    channels: dict[str, Channels] = kept["channels"]
    if "weights" not in kept:
        batches = [crops.batch(CROPS) for _ in range(course.batches)]
        kept["weights"] = initial(teacher, batches, channels, course.seed)
        _keep(setup.work / STATE, kept)
        report("kernels are fitted")
    weights = _descended(course, setup, teacher, crops, kept, report)

    weights = export.balanced(weights, channels)
    facts = {
        "network": "compact",
        "version": __version__,
        "widths": WIDTHS,
        "teacher": f"VGG-16 (Simonyan and Zisserman 2014, CC BY 4.0), {teacher_is}",
        "pictures": {name: len(files) for name, files in groups.items()},
        "seed": course.seed,
        "side": course.side,
        "descent": asdict(course.descent),
    }
    shares = _tested(teacher, channels, weights, held_out, course)
    facts["explained"] = {layer: [round(share, 3) for share in pair] for layer, pair in shares.items()}
    try:
        export.write(weights, setup.out, facts)
    except OSError as error:
        raise OutputError(f"cannot write {setup.out} ({error.strerror})", hint="give another --out") from error
    for layer, (direct, mapped) in shares.items():
        report(f"{layer}: {direct:.1%} of the chosen channels, {mapped:.1%} of all by a linear map")
    report(f"wrote {setup.out}")


def _descended(
    course: Course,
    setup: Setup,
    teacher: Vgg,
    crops: Crops,
    kept: dict[str, Any],
    report: Callable[[str], None],
) -> gradient_descent.Weights:
    """The weights at the end of the descent."""
    settings = course.descent
    fast = torch.bfloat16 if settings.autocast else torch.float32
    goals = gradient_descent.Goals(teacher.to(setup.device, fast), kept["channels"], setup.device)
    walk = gradient_descent.Descent(goals, kept["weights"], settings, setup.device)
    memory = gradient_descent.Memory(settings.kept)
    for _ in range(-(-min(settings.kept, 20 * settings.batch) // settings.batch)):
        for row in goals.of(crops.batch(settings.batch)):
            memory.add(row)
    if "walk" in kept:
        walk.load(kept["walk"])
        report(f"continuing at step {walk.step}")
    else:
        walk.fit_maps(memory)
        walk.begin()
    began = time.monotonic() - walk.seconds

    def told(step: int, seconds: float, log: dict[str, float]) -> None:
        if step % EVERY == 0:
            kept["walk"] = walk.state()
            _keep(setup.work / STATE, kept)
            left = (time.monotonic() - began) / step * (settings.steps - step) / 60
            missing = " ".join(f"{layer} {error:.3f}" for layer, error in log.items())
            report(f"step {step} of {settings.steps}, {left:.0f} min left; not explained: {missing}")

    walk.descend(crops, memory, told)
    return walk.weights()


def _tested(
    teacher: Vgg,
    channels: dict[str, Channels],
    weights: gradient_descent.Weights,
    held_out: Sequence[Path],
    course: Course,
) -> dict[str, tuple[float, float]]:
    """What the student explains of photographs that it has not been trained on."""
    student = network(weights)
    unseen = Crops([(1.0, held_out)], course.side, course.seed + 1)
    fit, test = ([unseen.plain(CROPS) for _ in range(count)] for count in (30, 15))
    return explained(student, teacher.to(torch.device("cpu"), torch.float32), channels, fit, test)


def _kept(file: Path) -> dict[str, Any]:
    """What an earlier run of the same course has left. Raises OutputError for a folder that cannot be made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make {file.parent} ({error.strerror})", hint="give another --work"
        ) from error
    if not file.exists():
        return {}
    with torch.serialization.safe_globals([Channels]):
        found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return found


def _keep(file: Path, kept: dict[str, Any]) -> None:
    with replacing(file) as whole:
        torch.save(kept, whole)
