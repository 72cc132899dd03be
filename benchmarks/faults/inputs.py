"""Mutated pictures, masks, weights, profiles and settings, through `info` and `render`.

Each file is a sound one, generated here or taken from `--pictures`, in which nothing, one thing or a few
things are changed. It is given to a small render in one of the roles of a file, which must write a picture or
refuse in one line. For a content picture `info` and `render` must agree: on its size, and on whether it can be
used. Half of all pictures are rendered twice, with new memory filled with another value, to show reads of
uninitialized memory.
"""

from __future__ import annotations

import ctypes
import random
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from PIL import Image

from benchmarks.faults import material
from benchmarks.faults.command import line, run
from benchmarks.faults.outcome import Finding, Outcome, Ran, bad_end, worst
from benchmarks.faults.scene import Scene, differing, tree_of
from benchmarks.faults.structures import changed

SIZE = 32
PERTURB = -6  # of mallopt(3): what new memory holds
SMALL = ("--size", str(SIZE), "--sweeps", "1", "--quiet")
ROLES = {
    "content": 60,
    "style": 10,
    "mask": 4,
    "style mask": 4,
    "blend map": 4,
    "init": 5,
    "weights": 5,
    "profile": 4,
    "settings": 6,
}


def trial(scene: Scene, draw: random.Random) -> Finding:
    """One file in one role."""
    role = draw.choices(list(ROLES), list(ROLES.values()))[0]
    name, data = _sound(role, draw, _more(scene.pictures))
    notes = []
    for _ in range(draw.choices([0, 1, 2, 4], [12, 60, 20, 8])[0]):
        data, how = changed(data, draw)
        notes.append(how)
    file = f"input{Path(name).suffix.lower()}"
    with scene.sandbox() as here:
        (here / file).write_bytes(data)
        before = tree_of(here)
        render = run(_words(role, file), here, prepare=_filled(0x55))
        commands = [line(render.words)]
        findings = [
            bad_end(render) or (Outcome.SAME if not render.code else Outcome.REFUSED, render.last[:160])
        ]
        if role in ("content", "style"):
            info = run(["info", file], here)
            commands.insert(0, line(info.words))
            findings.append(bad_end(info) or (Outcome.SAME, ""))
            if role == "content" and not bad_end(info) and not bad_end(render):
                findings.append(_agree(info, render, here))
        if not render.code and not bad_end(render):
            if draw.random() < 0.5:
                findings.append(_again(role, file, here))
        elif (here / "out.png").exists():
            findings.append((Outcome.UNTIDY, "refused, and a picture was written"))
        changes = [name for name in differing(before, tree_of(here)) if name not in ("out.png", "again.png")]
        if changes:
            findings.append((Outcome.UNTIDY, f"left behind or changed: {', '.join(changes)[:160]}"))
        outcome, detail = worst(findings)
        if outcome in (
            Outcome.UNTIDY,
            Outcome.TRACEBACK,
            Outcome.CRASH,
            Outcome.WRONG,
            Outcome.MEMORY,
            Outcome.HANG,
        ):
            kept = _keep(scene, here / file)
            commands.insert(0, f"# {file}, kept as {kept}" if kept else f"# {file}")
    commands.insert(0, f"# {name}: {', '.join(notes) or 'nothing changed'}")
    return Finding(role, outcome, detail, commands)


def _sound(role: str, draw: random.Random, more: list[Path]) -> tuple[str, bytes]:
    """A file for a role."""
    if role == "weights":
        return "weights.safetensors", material.weights(draw)
    if role == "profile":
        return "press.icc", material.profile(draw)
    if role == "settings":
        return "settings.toml", material.settings(draw)
    if role in ("mask", "style mask", "blend map") and draw.random() < 0.7:
        return material.flat(draw, gray=role == "blend map")
    return material.picture(draw, more)


def _words(role: str, file: str, out: str = "out.png") -> list[str]:
    """The command that reads it."""
    two = ["--style", "s.png:#ff0000", "--style", "c.png:#0000ff"]
    words = {
        "content": [file, "--style", "s.png"],
        "style": ["c.png", "--style", file],
        "mask": ["c.png", *two, "--mask", file],
        "style mask": ["c.png", "--style", f"s.png:{file}", "--mask", "m.png"],
        "blend map": ["c.png", "--style", "s.png", "--style", "c.png", "--blend-map", file],
        "init": ["c.png", "--style", "s.png", "--init", file],
        "weights": ["c.png", "--style", "s.png", "--network", "vgg19", "--weights", file, "--patch", "64"],
        "profile": ["c.png", "--style", "s.png", "--proof", file],
        "settings": ["c.png", "--style", "s.png", "--config", file],
    }[role]
    layers = ["--style-layer", "conv1_1", "--style-layer", "conv2_1", "--content-layer", "conv2_2"]
    return ["render", *words, *(layers if role == "weights" else []), *SMALL, "-o", out]


def _filled(value: int) -> Callable[[], None]:
    """What fills all memory that the C library gives out from now on."""

    def fill() -> None:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt:
            mallopt(PERTURB, value)

    return fill


# How `info` says that it has read no more than the head of a large file.
UNSEEN = "not measured"


def _again(role: str, file: str, here: Path) -> tuple[Outcome, str]:
    """Whether the same picture comes when unwritten memory holds something else."""
    ran = run(_words(role, file, "again.png"), here, prepare=_filled(0xD3))
    bad = bad_end(ran)
    if bad:
        return bad[0], f"the second time: {bad[1]}"
    if ran.code:
        return Outcome.WRONG, f"refused the second time only: {ran.last[:160]}"
    with Image.open(here / "out.png") as one, Image.open(here / "again.png") as other:
        same = one.size == other.size and one.tobytes() == other.tobytes()
    return (Outcome.SAME, "") if same else (Outcome.WRONG, "another picture the second time: unwritten memory")


def _agree(info: Ran, render: Ran, here: Path) -> tuple[Outcome, str]:
    """Whether `info` and `render` say the same of a picture."""
    if info.code:
        return (Outcome.SAME, "") if render.code else (Outcome.UNTIDY, "info refuses it, render does not")
    size = re.search(r"^size\s+(\d+) x (\d+)", info.out, re.MULTILINE)
    if size is None:
        return Outcome.UNTIDY, "info says no size"
    width, height = map(int, size.groups())
    if render.code:
        reason = "".join(render.last.removeprefix("tilestyle: ").split(";")[0].split())
        is_told = reason in "".join((info.out + info.err).split()) or min(width, height) < SIZE
        is_told = is_told or UNSEEN in info.out
        return (
            (Outcome.SAME, "")
            if is_told
            else (Outcome.UNTIDY, f"info exits 0, render refuses it: {render.last[:120]}")
        )
    with Image.open(here / "out.png") as out:
        made = out.size
    expected = [max(1, SIZE * side / max(width, height)) for side in (width, height)]
    if any(abs(one - other) > 1 for one, other in zip(made, expected, strict=True)):
        return Outcome.WRONG, f"info says {width} x {height}, the picture is {made[0]} x {made[1]}"
    return Outcome.SAME, ""


def _keep(scene: Scene, file: Path) -> str:
    """Keep a file that failed, where that is wanted; answers its place."""
    if scene.kept is None:
        return ""
    scene.kept.mkdir(parents=True, exist_ok=True)
    place = scene.kept / f"{sha256(file.read_bytes()).hexdigest()[:12]}{file.suffix}"
    place.write_bytes(file.read_bytes())
    return str(place)


@lru_cache(1)
def _more(folder: Path | None) -> list[Path]:
    return material.pictures(folder)
