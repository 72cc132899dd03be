"""Where commands run: small pictures, recipes of renders, and what undisturbed ones come to."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults import command
from benchmarks.faults.moments import Event, Fault, Recorder, events_of
from benchmarks.faults.outcome import Ran

WORK = "work"
# What the user has beside the picture, and where a program could take it for its own.
BELONGINGS = {"letters.npz": b"not yours", "holiday.plane": b"nor this", "notes.part": b"nor that"}
OLDER = b"an older picture, which the user still has"
# Two levels even of a picture this small. With smaller patches `compact` would go on where memory runs out, and
# make another picture; those of `wavelet` cannot be halved here.
SETTINGS = 'coarsest = 48\nnetwork = "wavelet"\n'

Tree = dict[str, str]  # digests of all files under a folder


@dataclass(frozen=True)
class Recipe:
    """A render that is disturbed."""

    name: str
    words: tuple[str, ...]
    mapped: bool  # canvases in files
    out: str

    @property
    def canvas(self) -> str:
        """Where its canvas is, in words."""
        return "canvas in files" if self.mapped else "canvas in memory"


BASE = ("c.png", "--style", "s.png", "--size", "64", "--sweeps", "1", "--config", "set.toml")
PATCHES = ("--patch", "64")
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("out.png", ("render", *BASE)),
    "sixteen bits": ("out.tif", ("render", *BASE, "--depth", "16")),
    "jpeg": ("out.jpg", ("render", *BASE)),
    "tiles": ("out.dzi", ("render", *BASE)),
    "windows": ("out.png", ("render", *BASE, "--sampler", "windows", "--sweeps", "2")),
    "alpha, luminance": ("out.png", ("render", "a.png", *BASE[1:], "--color", "luminance")),
    "texture": ("out.webp", ("texture", "s.png", *BASE[3:], "--tileable", "both")),
    "large file": ("out.png", ("render", "c.tif", *BASE[1:])),
    "lbfgs": ("out.png", ("render", *BASE, "--optimizer", "lbfgs")),
    "mask": (
        "out.tif",
        (
            "render",
            "c.png",
            "--style",
            "s.png:#ff0000",
            "--style",
            "c.png:#0000ff",
            "--mask",
            "m.png",
            *BASE[3:],
        ),
    ),
}


ALWAYS = ("plain", "texture")  # in every campaign: those that take little time
SOME = 2  # of the others, by the seed: a short campaign has no time for the undisturbed renders of all


@dataclass(frozen=True)
class Undisturbed:
    """What a recipe comes to in peace."""

    tree: Tree
    events: list[Event]
    calls: int
    seconds: float

    @property
    def kept(self) -> int:
        """Calls until there is a checkpoint; more than there are if there never is."""
        return next((event.calls for event in self.events if event.kept), self.calls + 1)

    @property
    def kept_events(self) -> list[int]:
        """Numbers of the events at which a checkpoint is there."""
        return [number for number, event in enumerate(self.events, 1) if event.kept]


def paint(folder: Path) -> None:
    """Pictures and settings for all recipes."""
    draw = np.random.default_rng(1)
    rows, columns = np.mgrid[0:60, 0:80] / 80
    content = np.stack([rows, columns, (rows * 9).round() % 2 * 0.5 + 0.2], 2)
    content[10:30, 20:50] = (0.9, 0.3, 0.1)
    style = np.stack([np.sin(columns * 25), np.cos(rows * 31), np.sin((rows + columns) * 40)], 2) / 2 + 0.5
    style = np.clip(style + draw.normal(0, 0.1, style.shape), 0, 1)
    mask = np.zeros((60, 80, 3))
    mask[:, :40, 0] = mask[:, 40:, 2] = 1
    alpha = np.dstack([content, np.clip(columns * 2, 0, 1)])
    for name, pixels in (("c", content), ("s", style), ("m", mask), ("a", alpha), ("d", content[::-1])):
        Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{name}.png")
    for name, pixels in (("c", content), ("d", content[::-1])):
        Image.fromarray((pixels * 255).astype(np.uint8)).resize((640, 480)).save(folder / f"{name}.tif")
    (folder / "set.toml").write_text(SETTINGS)
    for name, found in BELONGINGS.items():
        (folder / name).write_bytes(found)


def tree_of(folder: Path) -> Tree:
    """Digests of all files under a folder, by name; of what is no file, its kind."""
    tree: Tree = {}
    for path in sorted(folder.rglob("*")):
        kind = path.lstat().st_mode
        name = str(path.relative_to(folder))
        if stat.S_ISREG(kind):
            tree[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        elif stat.S_ISLNK(kind):
            tree[name] = f"link to {os.readlink(path)}"
        elif stat.S_ISDIR(kind):
            if not any(path.iterdir()):
                tree[name] = "an empty folder"
        else:
            tree[name] = "special"
    return tree


def differing(one: Tree, other: Tree) -> list[str]:
    """Names of files that are not the same in both."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def force_files() -> None:
    """Put small canvases in files, too, so that they can be disturbed in seconds."""
    from tilestyle.canvas import storage
    from tilestyle.planning.memory_budget import MemoryBudget

    storage.MIN_MAPPED_PIXELS = 0
    MemoryBudget.should_memory_map = lambda *facts: True  # type: ignore[method-assign]


class Scene:
    """A folder with what trials share; each trial has a folder of its own, which is removed."""

    def __init__(
        self, folder: Path, seed: int = 0, pictures: Path | None = None, keep: Path | None = None
    ) -> None:
        """`pictures` is the user's folder of more pictures, `keep` one for inputs that fail."""
        self.folder, self.pictures, self.kept = folder, pictures, keep
        others = [kind for kind in KINDS if kind not in ALWAYS]
        self.kinds = [*ALWAYS, *random.Random(f"{seed} kinds").sample(others, SOME)]
        self.inputs = folder / "inputs"
        if not self.inputs.exists():
            self.inputs.mkdir(parents=True)
            paint(self.inputs)

    def recipe(self, draw: random.Random, kind: str | None = None) -> Recipe:
        """A recipe by chance, of those of this campaign."""
        kind = kind or draw.choice(self.kinds)
        mapped = draw.random() < 0.5 and kind != "lbfgs"  # whose canvases are never in files
        out, words = KINDS[kind]
        patches = () if kind == "lbfgs" else PATCHES
        return Recipe(kind, (*words, *patches, "-o", out, "--quiet"), mapped, out)

    @contextmanager
    def sandbox(self, *, same: bool = False) -> Iterator[Path]:
        """A folder with the pictures, for one trial; the `same` one for trials of this process in turn.

        A work folder says where its command ran: a copy of one can be resumed only there.
        """
        place = self.folder / f"same-{os.getpid()}"
        if not same:
            place = Path(tempfile.mkdtemp(dir=self.folder, prefix="trial-"))
        try:
            yield self.fill(place / "here")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def fill(self, folder: Path) -> Path:
        """Put the pictures into a new folder."""
        folder.parent.mkdir(exist_ok=True)
        shutil.copytree(self.inputs, folder)
        return folder

    def start(
        self,
        recipe: Recipe,
        here: Path,
        more: Sequence[str] = (),
        fault: Fault | None = None,
        *,
        words: Sequence[str] | None = None,
        prepare: Callable[[], None] = lambda: None,
        seconds: float = command.SECONDS,
    ) -> command.Command:
        """Start a recipe's command (or other words) with a fault; its log lies beside the folder."""

        def ready() -> None:
            if recipe.mapped:
                force_files()
            prepare()
            if fault is not None:
                Recorder(here, log_of(here), fault).arm()

        return command.Command([*(words or recipe.words), *more], here, prepare=ready, seconds=seconds)

    def run(
        self,
        recipe: Recipe,
        here: Path,
        more: Sequence[str] = (),
        fault: Fault | None = None,
        *,
        words: Sequence[str] | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> Ran:
        """The same, to its end."""
        return self.start(recipe, here, more, fault, words=words, prepare=prepare).wait()

    def undisturbed(
        self, recipe: Recipe, more: Sequence[str] = (), place: str = "", *, calls: bool = False
    ) -> Undisturbed:
        """What a recipe comes to in peace; done once, and kept for all trials.

        `place` is a folder inside that of the trial, which is made before. Calls are counted only if they are
        asked for: that takes time.
        """
        name = hashlib.sha256(repr((recipe, tuple(more), place, calls)).encode()).hexdigest()[:16]
        file = self.folder / f"undisturbed-{name}.json"
        if not file.exists():
            with self.sandbox() as here:
                if place:
                    (here / place).mkdir()
                ran = self.run(recipe, here, more, Fault(counted=calls))
                if ran.code or ran.lines:
                    raise SystemExit(f"{command.line(ran.words)} fails undisturbed: {ran.err}")
                events = events_of(log_of(here))
                if recipe.mapped and not any(event.path.endswith(".plane") for event in events):
                    raise SystemExit("no canvas was in a file: force_files does not know this program")
                count = max((event.calls for event in events), default=0)
                tree = tree_of(here)
            partly = file.with_suffix(f".{os.getpid()}")
            partly.write_text(
                json.dumps([tree, [list(asdict(e).values()) for e in events], count, ran.seconds])
            )
            partly.replace(file)
        tree, events, count, seconds = json.loads(file.read_text())
        return Undisturbed(tree, [Event(*event) for event in events], count, seconds)


def log_of(here: Path) -> Path:
    """Where a command that runs here is logged."""
    return here.parent / "log"


def is_kept(here: Path, work: str = WORK) -> bool:
    """Whether a checkpoint is there."""
    return (here / work / "manifest.json").exists()
