"""Damage to every file of a work folder, which is then resumed.

A work folder is made by killing a render. Then one of its files is damaged, truncated, emptied, removed,
lengthened, or replaced by a file of another render or by something that is not a file; or a value in the
manifest is edited, which stays valid JSON. The render must either end in the same bytes, or be refused in one
line with everything in the folder as it was.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import zlib
from pathlib import Path

from benchmarks.faults.command import line
from benchmarks.faults.moments import Fault
from benchmarks.faults.mutate import MUTATIONS, edited
from benchmarks.faults.outcome import Finding, Outcome, bad_end, worst
from benchmarks.faults.scene import WORK, Recipe, Scene, Tree, differing, tree_of

MORE = ("--work-dir", WORK, "--checkpoint-every", "0")
MANIFEST = "manifest.json"
# What every run changes, and nobody misses.
PASSING = ("lock", "owner.json", ".tilestyle-work")
HALF_WRITTEN = re.compile(re.escape(f"{WORK}/") + r"\.tilestyle-[0-9a-f]{24}\.part")  # by the kill
STAGES = 4  # folders that are kept for each recipe, from the first checkpoint to the last


def left_by_kill(scene: Scene, recipe: Recipe, stage: int, *, other: bool = False) -> Path | None:
    """A work folder as a kill would leave it, at some stage; with `other`, that of a render with another style.

    Those of all stages are copied from one render, once in each process. None if there are no checkpoints.
    """
    words = tuple({"s.png": "d.png"}.get(word, word) for word in recipe.words) if other else recipe.words
    made = Recipe(f"{recipe.name}{' (another)' if other else ''}", words, recipe.mapped, recipe.out)
    name = zlib.crc32("\0".join(words).encode())
    places = [scene.folder / f"left-{os.getpid()}-{name}-{recipe.mapped}-{each}" for each in range(STAGES)]
    moments = scene.undisturbed(made, MORE).kept_events
    if not moments:
        return None
    if not places[stage].exists():
        events = tuple(moments[len(moments) * (2 * each + 1) // (2 * STAGES)] for each in range(STAGES))
        with scene.sandbox(same=True) as here:
            scene.run(made, here, MORE, Fault(copies=events))
            for event, place in zip(events, places, strict=True):
                (here.parent / f"copy-{event}").rename(place)
    return places[stage]


def trial(scene: Scene, draw: random.Random) -> Finding:
    """Damage one file and go on."""
    recipe = scene.recipe(draw)
    peace = scene.undisturbed(recipe, MORE)
    stage = draw.randrange(STAGES)
    work_left = left_by_kill(scene, recipe, stage)
    if work_left is None:
        return Finding("nothing was left to damage", Outcome.SAME)
    borrowed = draw.choice([""] * 6 + ["another render", "another checkpoint"])
    source = None
    if borrowed:
        source = left_by_kill(scene, recipe, draw.randrange(STAGES), other=borrowed == "another render")
    with scene.sandbox(same=True) as here:
        work = here / WORK
        shutil.copytree(work_left, work)
        files = sorted(path.name for path in work.iterdir())
        if source is None and draw.random() < 0.4:
            kind, note = "manifest edited", _edit(work / MANIFEST, draw)
        else:
            names = [name for name in files if not name.endswith(".part")]
            name = draw.choice([name for name in names if name not in PASSING or draw.random() < 0.1])
            kind, note = f"damaged {_role(name)}", _damage(work, name, draw, source, borrowed)
        before = tree_of(here)
        words = ["resume", WORK, "--quiet"] if draw.random() < 0.7 else [*recipe.words, *MORE]
        ran = scene.run(recipe, here, words=words)
        after = tree_of(here)
        outcome, detail = worst(
            [bad_end(ran) or (Outcome.SAME, ""), _judged(ran.code, before, after, peace.tree)]
        )
        if outcome is Outcome.SAME and ran.code:
            outcome, detail = Outcome.REFUSED, ran.last[:160]
        elif outcome in (Outcome.TRACEBACK, Outcome.LOST, Outcome.UNTIDY):
            detail = f"{detail}; {ran.last[:160]}"
    commands = [
        f"# killed at stage {stage + 1} of {STAGES}: {recipe.name}, {recipe.canvas}",
        line([*recipe.words, *MORE]),
    ]
    return Finding(f"{kind}, {recipe.canvas}", outcome, detail, [*commands, f"# {note}", line(ran.words)])


def _judged(code: int, before: Tree, after: Tree, peace: Tree) -> tuple[Outcome, str]:
    """What became of the files."""
    if code:
        passing = {f"{WORK}/{name}" for name in PASSING}
        changed = [
            name
            for name in differing(before, after)
            if name not in passing and not HALF_WRITTEN.fullmatch(name)
        ]
        if changed:
            return Outcome.LOST, f"changed though refused: {', '.join(changed)[:160]}"
        return Outcome.SAME, ""
    names = differing(after, peace)
    wrong = [name for name in names if name in peace]
    if wrong:
        return Outcome.WRONG, f"other bytes: {', '.join(wrong)[:160]}"
    inside = [name for name in names if not name.startswith(f"{WORK}/") and name != WORK]
    if inside:
        return Outcome.UNTIDY, f"left behind: {', '.join(inside)[:160]}"
    return Outcome.SAME, ""  # what is not the program's own may stay in the work folder


def _role(name: str) -> str:
    """What a file of a work folder is, without its number and size."""
    if name.endswith(".plane"):
        return "plane"
    return {".npz": "archive", ".journal": "journal"}.get(Path(name).suffix, name)


def _edit(manifest: Path, draw: random.Random) -> str:
    """Change one value of the manifest."""
    values, what = edited(json.loads(manifest.read_text()), draw)
    manifest.write_text(json.dumps(values, indent=1))
    return f"{WORK}/{MANIFEST}: {what}"


def _damage(work: Path, name: str, draw: random.Random, source: Path | None, borrowed: str) -> str:
    """Damage a file, or replace it by one of another folder, and say how."""
    path = work / name
    same = [each for each in source.iterdir() if each.suffix == path.suffix] if source else []
    if same:
        chosen = draw.choice(same)
        shutil.copyfile(chosen, path)
        return f"{name} is that of {borrowed}, {chosen.name}"
    way = draw.choice([*["bytes"] * 8, "removed", "a folder", "a fifo", "a link"])
    if way == "bytes":
        mutation = draw.choice(MUTATIONS)
        path.write_bytes(mutation(path.read_bytes(), draw))
        return f"{name}: {mutation.__name__}"
    path.unlink()
    if way == "a folder":
        path.mkdir()
    elif way == "a fifo":
        os.mkfifo(path)
    elif way == "a link":
        path.symlink_to("../letters.npz")
    return f"{name} is {way}"
