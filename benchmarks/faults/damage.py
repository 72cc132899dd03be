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
import shutil
from pathlib import Path

from benchmarks.faults.command import line
from benchmarks.faults.moments import Fault
from benchmarks.faults.mutate import MUTATIONS, edited
from benchmarks.faults.outcome import Finding, Outcome, bad_end, worst
from benchmarks.faults.scene import WORK, Recipe, Scene, Tree, differing, is_kept, tree_of

MORE = ("--work-dir", WORK, "--checkpoint-every", "0")
MANIFEST = "manifest.json"
# What every run changes, and nobody misses.
PASSING = ("lock", "owner.json", "mark")
STAGES = 4  # folders that are kept for each recipe, from the first checkpoint to the last


def left_by_kill(scene: Scene, found: Recipe, stage: int, *, other: bool = False) -> Path | None:
    """A work folder that a killed render left, made once; with `other`, that of a render with another style.

    None if the render was done before the moment of the kill.
    """
    words = tuple({"s.png": "d.png"}.get(word, word) for word in found.words) if other else found.words
    made = Recipe(f"{found.name}{' (another)' if other else ''}", words, found.mapped, found.out)
    place = scene.folder / f"left-{abs(hash_of(made.words))}-{found.mapped}-{stage}"
    if not place.exists():
        peace = scene.undisturbed(made, MORE)
        moments = peace.kept_events
        if not moments:
            return None
        event = moments[len(moments) * (2 * stage + 1) // (2 * STAGES)]
        with scene.sandbox() as here:
            scene.run(made, here, MORE, Fault("SIGKILL", event=event))
            if not is_kept(here):
                return None
            partly = place.with_name(f"{place.name}.{os.getpid()}")
            shutil.copytree(here / WORK, partly)
        try:
            partly.rename(place)
        except OSError:  # another worker was faster
            shutil.rmtree(partly)
    return place


def hash_of(words: tuple[str, ...]) -> int:
    """A number for words, the same in every process."""
    import zlib

    return zlib.crc32("\0".join(words).encode())


def trial(scene: Scene, draw: random.Random) -> Finding:
    """Damage one file and go on."""
    found = scene.recipe(draw)
    peace = scene.undisturbed(found, MORE)
    stage = draw.randrange(STAGES)
    left = left_by_kill(scene, found, stage)
    if left is None:
        return Finding("nothing was left to damage", Outcome.SAME)
    with scene.sandbox() as here:
        work = here / WORK
        shutil.copytree(left, work)
        _moved(work, here)
        files = sorted(path.name for path in work.iterdir())
        if draw.random() < 0.35:
            kind, note = "manifest edited", _edit(work / MANIFEST, draw)
        else:
            names = [name for name in files if not name.endswith(".part")]
            name = draw.choice([name for name in names if name not in PASSING or draw.random() < 0.1])
            other = left_by_kill(scene, found, draw.randrange(STAGES), other=True)
            earlier = left_by_kill(scene, found, draw.randrange(STAGES))
            kind, note = f"damaged {_role(name)}", _damage(work, name, draw, other, earlier)
        before = tree_of(here)
        words = ["resume", WORK, "--quiet"] if draw.random() < 0.7 else [*found.words, *MORE]
        ran = scene.run(found, here, words=words)
        after = tree_of(here)
        outcome, detail = worst(
            [bad_end(ran) or (Outcome.SAME, ""), _judged(ran.code, before, after, peace.tree)]
        )
        if outcome is Outcome.SAME and ran.code:
            outcome, detail = Outcome.REFUSED, ran.last[:160]
        elif outcome in (Outcome.TRACEBACK, Outcome.LOST, Outcome.UNTIDY):
            detail = f"{detail}; {ran.last[:160]}"
    commands = [
        f"# killed at stage {stage} of {STAGES}: {found.name}, {found.canvas}",
        line([*found.words, *MORE]),
    ]
    return Finding(f"{kind}, {found.canvas}", outcome, detail, [*commands, f"# {note}", line(ran.words)])


def _judged(code: int, before: Tree, after: Tree, peace: Tree) -> tuple[Outcome, str]:
    """What became of the files."""
    if code:
        changed = [n for n in differing(before, after) if n not in {f"{WORK}/{name}" for name in PASSING}]
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


def _moved(work: Path, here: Path) -> None:
    """Let a work folder that was made in another place belong here: the command's folder is in it."""
    path = work / MANIFEST
    text = path.read_text()
    kept = json.loads(text).get("command", {}).get("folder")
    if kept:
        path.write_text(text.replace(json.dumps(kept), json.dumps(str(here.resolve()))))


def _role(name: str) -> str:
    """What a file of a work folder is, without its number and size."""
    if name.endswith(".plane"):
        return "plane"
    return {".npz": "archive", ".journal": "journal"}.get(Path(name).suffix, name)


def _edit(manifest: Path, draw: random.Random) -> str:
    """Change one value of the manifest."""
    found, what = edited(json.loads(manifest.read_text()), draw)
    manifest.write_text(json.dumps(found, indent=1))
    return f"{WORK}/{MANIFEST}: {what}"


def _damage(work: Path, name: str, draw: random.Random, other: Path | None, earlier: Path | None) -> str:
    """Damage a file, and say how."""
    path = work / name
    ways = ["bytes"] * 8 + ["removed", "folder", "fifo", "link"]
    ways += ["that of another render", "that of an earlier checkpoint"] * 2
    way = draw.choice(ways)
    source = other if way == "that of another render" else earlier
    if way.startswith("that of") and source is not None:
        same = [found for found in source.iterdir() if found.suffix == path.suffix and found.is_file()]
        if same:
            chosen = draw.choice(same)
            shutil.copyfile(chosen, path)
            return f"{name} is {way}, {chosen.name}"
        way = "bytes"
    if way in ("removed", "folder", "fifo", "link"):
        path.unlink()
        if way == "folder":
            path.mkdir()
        elif way == "fifo":
            os.mkfifo(path)
        elif way == "link":
            path.symlink_to("../letters.npz")
        return f"{name} is {'removed' if way == 'removed' else f'a {way}'}"
    mutation = draw.choice(MUTATIONS)
    path.write_bytes(mutation(path.read_bytes(), draw))
    return f"{name}: {mutation.__name__}"
