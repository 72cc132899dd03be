"""Two commands at once, and folders and files that change under a running one.

Two commands share a work folder or an output; the output's folder or the work folder is removed, renamed,
replaced by a file or made read-only in the middle; inputs are overwritten, replaced, truncated or removed;
previews and terminals go away; the output is an input. Nothing may be lost, and once everything is back in
place the command must end in the bytes of the undisturbed one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.faults.command import Command, line
from benchmarks.faults.disks import PLACE, apart, mount
from benchmarks.faults.kills import judged_again
from benchmarks.faults.moments import Fault, events_of
from benchmarks.faults.outcome import WARNED, Finding, Outcome, Ran, bad_end, worst
from benchmarks.faults.scene import (
    WORK,
    Recipe,
    Scene,
    Undisturbed,
    differing,
    is_kept,
    log_of,
    tree_of,
)

MORE = ("--work-dir", WORK, "--checkpoint-every", "0")
CLOSED = {"no stderr": 2, "no stdout": 1, "stdin closed": 0}
Seen = list[tuple[Outcome, str]]


def trial(scene: Scene, draw: random.Random) -> Finding:
    """One race of any kind."""
    kinds: list[Callable[[Scene, random.Random], Finding]] = [
        _together,
        _together,
        _place_gone,
        _place_gone,
        _work_gone,
        _read_only,
        _input_changes,
        _input_changes,
        _watchers,
        _watchers,
        _output_is_input,
    ]
    return draw.choice(kinds)(scene, draw)


def _together(scene: Scene, draw: random.Random) -> Finding:
    """Two commands at once."""
    recipe = scene.recipe(draw)
    way = draw.choice(["the same command", "other work folders", "another picture", "resume"])
    peace = scene.undisturbed(recipe, MORE)
    second, more = recipe, MORE
    if way == "other work folders":
        more = ("--work-dir", "work2", "--checkpoint-every", "0")
    elif way == "another picture":
        second = Recipe(f"{recipe.name}, other", _other(recipe.words), recipe.mapped, recipe.out)
    other = scene.undisturbed(second, MORE)
    delay = draw.choice([0.0, 0.0, draw.uniform(0, peace.seconds)])
    with scene.sandbox() as here:
        words = None
        if way == "resume":
            running = scene.start(recipe, here, MORE, Fault())
            _until_kept(running, here)
            running.send(signal.SIGKILL)
            running.wait()
            words = ["resume", WORK, "--quiet"] if is_kept(here) else None
        one = scene.start(recipe, here, () if words else MORE, words=words)
        one.sleep(delay)
        two = scene.start(second, here, () if words else more, words=words)
        rans = one.wait(), two.wait()
        findings: Seen = [bad_end(ran) or (Outcome.SAME, "") for ran in rans]
        if all(ran.code for ran in rans):
            findings.append((Outcome.LOST, f"neither writes the picture: {rans[1].last[:160]}"))
        now = tree_of(here)
        if min(len(differing(now, peace.tree)), len(differing(now, other.tree))):
            names = differing(now, peace.tree)
            wrong = recipe.out in names and now.get(recipe.out) != other.tree[recipe.out]
            outcome = Outcome.WRONG if wrong and not all(ran.code for ran in rans) else Outcome.UNTIDY
            findings.append((outcome, f"other files: {', '.join(names)[:160]}"))
    commands = [
        f"# {recipe.name}, {recipe.canvas}; the second {delay:.2f} s later",
        *(line(ran.words) for ran in rans),
    ]
    return Finding(f"two at once: {way}", *worst(findings), commands)


def _other(words: tuple[str, ...]) -> tuple[str, ...]:
    """The same command with another style."""
    return tuple({"s.png": "d.png", "s.png:#ff0000": "d.png:#ff0000"}.get(word, word) for word in words)


def _place_gone(scene: Scene, draw: random.Random) -> Finding:
    """The folder of the output goes away in the middle, and comes back."""
    recipe, more = _placed(scene.recipe(draw)), ("--work-dir", WORK, "--checkpoint-every", "0")
    way = draw.choice(["removed", "renamed", "replaced by a file"])
    peace = scene.undisturbed(recipe, more, PLACE)

    def change(here: Path) -> None:
        if way == "renamed":
            (here / PLACE).rename(here / "elsewhere")
        else:
            shutil.rmtree(here / PLACE)
        if way == "replaced by a file":
            (here / PLACE).write_bytes(b"a file of somebody's")

    def restore(here: Path) -> None:
        if (here / PLACE).is_file():
            (here / PLACE).unlink()
        if (here / "elsewhere").exists():
            (here / "elsewhere").rename(here / PLACE)
        (here / PLACE).mkdir(exist_ok=True)

    return _disturbed(scene, draw, recipe, more, peace, f"folder of the output {way}", change, restore)


def _work_gone(scene: Scene, draw: random.Random) -> Finding:
    """The work folder, or a part of it, goes away in the middle."""
    recipe = scene.recipe(draw)
    way = draw.choice(["removed", "renamed", "replaced by a file", "emptied", "without its lock"])
    peace = scene.undisturbed(recipe, MORE)

    def change(here: Path) -> None:
        work = here / WORK
        if way == "renamed":
            work.rename(here / "elsewhere")
        elif way in ("emptied", "without its lock"):
            for path in work.iterdir():
                if way == "emptied" or path.name == "lock":
                    path.unlink(missing_ok=True)
        else:
            shutil.rmtree(work, ignore_errors=True)
        if way == "replaced by a file":
            shutil.rmtree(work, ignore_errors=True)
            work.write_bytes(b"a file of somebody's")

    def restore(here: Path) -> None:
        if (here / WORK).is_file():
            (here / WORK).unlink()
        shutil.rmtree(here / "elsewhere", ignore_errors=True)

    return _disturbed(scene, draw, recipe, MORE, peace, f"work folder {way}", change, restore, kept=False)


def _read_only(scene: Scene, draw: random.Random) -> Finding:
    """The drive of output, work folder or both becomes read-only."""
    role = draw.choice(["output", "work folder"])
    recipe = scene.recipe(draw)
    more = MORE
    if role == "output":
        recipe = _placed(recipe)
    else:
        more = ("--work-dir", f"{PLACE}/{WORK}", "--checkpoint-every", "0")
    peace = scene.undisturbed(recipe, more, PLACE)

    def change(here: Path) -> None:
        for _ in range(200):  # not while a file is being written
            if mount(here / PLACE, 2**28, again=True, read_only=True):
                return

    def restore(here: Path) -> None:
        mount(here / PLACE, 2**28, again=True)

    def here_apart(chance: random.Random) -> Finding:
        work = more[1]
        return _disturbed(
            scene,
            chance,
            recipe,
            more,
            peace,
            f"drive of the {role} read-only",
            change,
            restore,
            drive=True,
            work=work,
        )

    made = apart(draw, here_apart)
    return made or Finding("no drive can be mounted here", Outcome.SAME)


def _placed(recipe: Recipe) -> Recipe:
    """The same recipe, whose output is in a folder of its own."""
    out = f"{PLACE}/{recipe.out}"
    return Recipe(recipe.name, tuple(out if w == recipe.out else w for w in recipe.words), recipe.mapped, out)


def _disturbed(
    scene: Scene,
    draw: random.Random,
    recipe: Recipe,
    more: tuple[str, ...],
    peace: Undisturbed,
    kind: str,
    change: Callable[[Path], None],
    restore: Callable[[Path], None],
    *,
    kept: bool = True,
    drive: bool = False,
    work: str = WORK,
) -> Finding:
    """A command under which something changes; then all is as it was, and the command goes on."""
    seconds = draw.uniform(0.05, 1.0) * peace.seconds
    with scene.sandbox() as here:
        if PLACE in recipe.out or PLACE in work:
            (here / PLACE).mkdir()
            if drive and not mount(here / PLACE, 2**28):
                return Finding("no drive can be mounted here", Outcome.SAME)
        running = scene.start(recipe, here, more, Fault("", event=10**9))
        running.sleep(seconds)
        over = not running.running()
        try:
            if not over:
                change(here)
        except OSError:
            over = True
        ran = running.wait()
        had = any(event.kept for event in events_of(log_of(here)))
        findings: Seen = [bad_end(ran, lines=WARNED + 1) or (Outcome.SAME, "")]
        restore(here)
        commands = [f"# {kind} after {seconds:.2f} s; {recipe.name}, {recipe.canvas}", line(ran.words)]
        done = not differing(tree_of(here), peace.tree)
        if kept and had and not done and ran.code and not is_kept(here, work):
            findings.append((Outcome.LOST, f"the checkpoint is gone: {ran.last[:160]}"))
        if not done and not over:
            again = ["resume", work, "--quiet"] if is_kept(here, work) else [*recipe.words, *more]
            second = scene.run(recipe, here, words=again)
            commands.append(line(second.words))
            findings.append(judged_again(second, here, peace))
        elif over and not done:
            findings.append(judged_again(ran, here, peace))
    return Finding(kind, *worst(findings), commands)


def _input_changes(scene: Scene, draw: random.Random) -> Finding:
    """The content or the style is changed while it is rendered."""
    recipe = scene.recipe(draw, draw.choice(["plain", "large file", "mask", "windows"]))
    file = draw.choice(["s.png", "c.tif" if recipe.name == "large file" else "c.png"])
    way = draw.choice(["overwritten", "replaced", "cut", "removed", "emptied"])
    peace = scene.undisturbed(recipe, MORE)
    seconds = draw.uniform(0.0, 0.9) * peace.seconds
    with scene.sandbox() as here:
        path = here / file
        old = path.read_bytes()
        new = (here / ("d.tif" if file.endswith("tif") else "d.png")).read_bytes()
        running = scene.start(recipe, here, MORE)
        running.sleep(seconds)
        if way == "replaced":
            (here / "new").write_bytes(new)
            (here / "new").rename(path)
        elif way == "removed":
            path.unlink()
        else:
            path.write_bytes({"overwritten": new, "cut": old[: len(old) // 2], "emptied": b""}[way])
        ran = running.wait()
        findings: Seen = [bad_end(ran) or (Outcome.SAME, "")]
        commands = [f"# {file} {way} after {seconds:.2f} s; {recipe.name}, {recipe.canvas}", line(ran.words)]
        if ran.code == 0 and not bad_end(ran):
            made = tree_of(here).get(recipe.out)
            fresh = _of_new(scene, recipe, file, new) if way in ("overwritten", "replaced") else None
            if made not in (peace.tree[recipe.out], fresh):
                findings.append((Outcome.WRONG, "a picture of neither the old input nor the new one"))
        path.write_bytes(old)
        if tree_of(here) != peace.tree and not (ran.code == 0 and seconds < 0.2 * peace.seconds):
            again = ["resume", WORK, "--quiet"] if is_kept(here) else [*recipe.words, *MORE]
            second = scene.run(recipe, here, words=again)
            commands.append(line(second.words))
            findings.append(judged_again(second, here, peace))
    return Finding(f"an input {way}", *worst(findings), commands)


def _of_new(scene: Scene, recipe: Recipe, file: str, new: bytes) -> str | None:
    """Digest of the picture that comes of the new input from the start."""
    with scene.sandbox() as here:
        (here / file).write_bytes(new)
        ran = scene.run(recipe, here, MORE)
        return None if ran.code else tree_of(here).get(recipe.out)


def _watchers(scene: Scene, draw: random.Random) -> Finding:
    """What only watches goes away: that is no reason to end."""
    recipe = scene.recipe(draw)
    way = draw.choice(
        [
            "preview's folder removed",
            "preview's folder a file",
            "stderr on a full disk",
            "stderr a closed pipe",
            "no stderr",
            "no stdout",
            "stdin closed",
        ]
    )
    peace = scene.undisturbed(recipe, MORE)
    words = [word for word in recipe.words if word != "--quiet"]
    preview = ["--preview", "pv/now.jpg"] if way.startswith("preview") else []
    seconds = draw.uniform(0.1, 0.7) * peace.seconds

    with scene.sandbox() as here:
        if preview:
            (here / "pv").mkdir()
        running = scene.start(recipe, here, [*preview, *MORE], words=words, prepare=partial(_cut_off, way))
        if preview:
            running.sleep(seconds)
            shutil.rmtree(here / "pv", ignore_errors=True)
            if way.endswith("a file"):
                shutil.rmtree(here / "pv", ignore_errors=True)
                (here / "pv").write_bytes(b"")
        ran = running.wait()
        bad = bad_end(ran, lines=1000)
        shutil.rmtree(here / "pv", ignore_errors=True)
        (here / "pv").unlink(missing_ok=True)
        names = differing(tree_of(here), peace.tree)
        findings: Seen = [bad or (Outcome.SAME, "")]
        if ran.code:
            findings.append((Outcome.LOST, f"ends the render, exit code {ran.code}: {ran.last[:160]}"))
        elif recipe.out in names:
            findings.append((Outcome.WRONG, "other bytes, or none"))
        elif names:
            findings.append((Outcome.UNTIDY, f"left behind: {', '.join(names)[:160]}"))
    return Finding(f"{way}", *worst(findings), [f"# {way}; {recipe.name}, {recipe.canvas}", line(ran.words)])


def _cut_off(way: str) -> None:
    """Take one of the standard streams from this process, in some way."""
    if way == "stderr on a full disk" and os.path.exists("/dev/full"):
        os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
    elif way == "stderr a closed pipe":
        read, write = os.pipe()
        os.dup2(write, 2)
        os.close(read)
        os.close(write)
    elif way in CLOSED:
        os.close(CLOSED[way])


def _output_is_input(scene: Scene, draw: random.Random) -> Finding:
    """The output is the content, the style, or a link to one of them; with Ctrl-C in the middle, or without."""
    role = draw.choice(["c.png", "s.png"])
    way = draw.choice(["by name", "by another path", "by a link", "by a hard link"])
    stopped = draw.random() < 0.5
    recipe = scene.recipe(draw, "plain")
    peace = scene.undisturbed(recipe, MORE)
    with scene.sandbox() as here:
        out = {"by name": role, "by another path": f"../{here.name}/./{role}"}.get(way, "out.png")
        if way == "by a link":
            (here / out).symlink_to(role)
        elif way == "by a hard link":
            os.link(here / role, here / out)
        before = tree_of(here)
        words = [out if word == "out.png" else word for word in recipe.words]
        running = scene.start(recipe, here, MORE, words=words)
        if stopped:
            running.sleep(0.6 * peace.seconds)
            running.send(signal.SIGINT)
        ran: Ran = running.wait()
        changed = [name for name in before if tree_of(here).get(name) != before[name]]
        findings: Seen = [bad_end(ran, lines=3) or (Outcome.SAME, "")]
        if changed:
            findings.append((Outcome.LOST, f"an input was replaced: {', '.join(changed)}"))
        elif ran.code:
            findings.append((Outcome.REFUSED, ran.last[:160]))
    note = f"# {'Ctrl-C in the middle; ' if stopped else ''}the output is {role} {way}"
    return Finding("output is an input", *worst(findings), [note, line(ran.words)])


def _until_kept(running: Command, here: Path) -> None:
    """Wait for a checkpoint, or the end."""
    while running.sleep(0.02) and not is_kept(here):
        pass
