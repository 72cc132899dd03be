"""Run a batch: the renders that are missing, one after the other, and what to say about them."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.app import said
from tilestyle.cli.batch_ledger import Ledger, State, identity_of
from tilestyle.cli.batch_plan import Item, find_pictures, plan_items
from tilestyle.cli.batch_report import DONE, FAILED, SKIPPED, Row, check_report, write_report
from tilestyle.cli.batch_words import RenderWords
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run import needs_of, print_total
from tilestyle.cli.inputs import Inputs, printing_of
from tilestyle.cli.naming import automatic_name, work_folder
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Parameter, Values
from tilestyle.cli.parsing import parse_styles
from tilestyle.cli.progress import Parts, open_display
from tilestyle.cli.render_to_file import make_render, render_part
from tilestyle.cli.sizes import RelativeSize, parse_any_size
from tilestyle.cli.terminal import say
from tilestyle.cli.typer_app import make_ready, one_line
from tilestyle.cli.viewer import show
from tilestyle.config.enums import SUFFIXES
from tilestyle.config.render import RenderConfig
from tilestyle.config.suggestions import nearest
from tilestyle.errors import OutputError, PictureError, SettingError, TilestyleError, WorkError
from tilestyle.files.folders import created_folder
from tilestyle.pictures import STYLES

if TYPE_CHECKING:
    from tilestyle.cli.dry_run import Needs

SOME_FAILED = 1  # exit code
MAPS = (opt.MASK, opt.BLEND_MAP, opt.CONTENT_MAP)  # pictures that are not for being rendered
SECONDS_BETWEEN_REPORTS = 10.0


@dataclass
class Task:
    """One result and what became of it."""

    item: Item
    row: Row
    overwrite: bool = False


@dataclass(frozen=True)
class Render:
    """What a render command was asked for."""

    inputs: Inputs
    config: RenderConfig
    output: Output
    checkpoints: CheckpointOptions


class Batch:
    """The renders of one command."""

    def __init__(
        self,
        values: Values,
        sources: Parameter[Any],
        styles: Parameter[list[str]],
        out: Parameter[Path],
        report: Parameter[Path | None],
    ) -> None:
        """Find the pictures and name the results.

        Raises:
            TilestyleError: A setting is wrong, there is no picture, or two results would have the same name.
        """
        self._values, self._context = values, values.context
        config = config_of(values)
        words = [str(style) for style in values[styles] or []]
        if not words:
            # Of several words, the style is likely the one that is no file or folder.
            likely_styles = [each for each in values[sources] if not Path(str(each)).exists()] or values[
                sources
            ]
            likely_style = nearest(str(likely_styles[-1]), STYLES) or likely_styles[-1]
            meant = f"--style {likely_style}" if len(values[sources]) > 1 else "--style, such as swirls"
            raise SettingError("no style image", hint=f"give it with {meant}; tilestyle looks PHOTO shows all")
        style_files = parse_styles(words)
        files = [each.path for each in style_files]
        self._report, self._quiet, self._overwrite = values[report], values[opt.QUIET], values[opt.OVERWRITE]
        if self._report:
            check_report(self._report, overwrite=self._overwrite)
        self._out = values[out] or _automatic_folder(values[sources][0], words)
        if self._out.exists() and not self._out.is_dir():
            raise OutputError(f"out: {self._out} is not a folder", hint="give another --out")
        if not self._out.exists() and self._out.suffix.lower() in SUFFIXES:
            raise OutputError(f"out: {self._out} looks like a picture", hint="give a folder for the results")
        self._ledger = Ledger(self._out)
        # Results whose size depends on that of their picture take a time that does, too.
        is_relative = isinstance(parse_any_size(values[opt.SIZE]), RelativeSize)
        self._alike = values[opt.PAPER] is not None or (config.size is not None and not is_relative)
        uses_all_styles = bool(config.style_blend) or config.mask is not None or config.blend_map is not None
        uses_all_styles = uses_all_styles or not values.given(styles)
        maps = {each.label.lstrip("-").replace("-", " "): values[each] for each in MAPS if values[each]}
        maps |= {f"mask of {each.path}": each.mask for each in style_files if isinstance(each.mask, Path)}
        pictures = find_pictures(values[sources], self._out, maps)
        items = plan_items(pictures, words, self._context.params, uses_all_styles=uses_all_styles)
        self._renders = RenderWords(_own_words(), values.parameters, self._out)
        self._tasks = [
            Task(
                item,
                Row(
                    str(item.picture),
                    "; ".join(file.name for number, file in enumerate(files) if item.style in (None, number)),
                    str(self._out / item.name),
                ),
            )
            for item in items
        ]
        self._reported = 0.0
        self._done_before = 0

    def run(self) -> None:
        """Render what is missing.

        Raises:
            TilestyleError: There are results with other settings.
            typer.Exit: A picture failed, or Ctrl-C came.
        """
        self._check_common()
        todo = self._missing()
        if self._values[opt.DRY_RUN]:
            self._print_needs(todo)
            raise typer.Exit(self._failed_code())
        if self._report is not None:
            self._write_report(last=True)
        if self._done_before and not self._quiet:
            say(f"{self._done_before} of {len(self._tasks)} pictures were finished before")
        signals.kept_by(self._how_to_continue)
        stopped = False
        try:
            work = self._values[opt.WORK_DIR] or self._out
            with created_folder(self._out), created_folder(work):
                stopped = self._render(todo)
        finally:
            self._write_report(last=True)
            self._say_failures()
        if not self._quiet:
            say(f"{self._out}: {self._count(DONE, SKIPPED)} of {len(self._tasks)} pictures")
        if stopped:
            say(f"stopped; to continue: {self._how_to_continue()}")
            raise typer.Exit(signals.INTERRUPTED)
        if self._values[opt.OPEN]:
            show(self._out)
        raise typer.Exit(self._failed_code())

    # --- What is there ---

    def _check_common(self) -> None:
        """Raise what is wrong with options and files that all pictures share, before any is rendered."""
        from tilestyle.files.atomic import check_output_path

        for option in (opt.SAVE_CONFIG, opt.WORK_DIR):
            place = self._values[option]
            if place is not None and place.exists() and place.is_dir() != (option.metavar == "FOLDER"):
                kind = "not a folder" if option is opt.WORK_DIR else "a folder"
                raise OutputError(f"{option.label[2:]}: {place} is {kind}", hint=f"give another {option.label}")
        for task in self._tasks:
            try:
                file_roles.CONTENT.check("content", task.item.picture)
            except (TilestyleError, OSError):
                continue  # of this picture alone
            with self._parse_render(task, overwrite=True) as render:
                if render.output.film:
                    render.output.film.check()
                if render.output.settings:
                    check_output_path(render.output.settings.file)
                with suppress(PictureError), render.inputs.opened(render.config):
                    pass  # this raises SettingError for a wrong length, say
            return

    def _missing(self) -> list[Task]:
        """The results that are to be rendered.

        Raises:
            OutputError: Some exist that were made otherwise.
        """
        others: list[tuple[str, str]] = []
        todo: list[Task] = []
        for task in self._tasks:
            judged = State.MISSING
            try:
                judged, reason = self._judge(task)
            except (TilestyleError, OSError) as error:  # a picture that cannot be read
                self._fail(task, error)
                continue
            if judged is State.OTHER and not self._overwrite:
                others.append((task.row.result, reason))
            elif judged is State.FINISHED:
                self._done_before += 1
            else:
                task.overwrite = judged is not State.MISSING
                todo.append(task)
        if others:
            (result, reason), more = others[0], len(others) - 1
            also = f", and {more} more like it" if more else ""
            raise OutputError(
                f"{result} {reason}{also}",
                hint="give another --out, or --overwrite to render them again and replace them",
            )
        return todo

    def _judge(self, task: Task) -> tuple[State, str]:
        """Find out what is there of a result, and note it if it is finished."""
        from tilestyle.pipeline.workdir import remove_finished

        result = self._out / task.item.name

        def identity() -> dict[str, Any]:
            with self._parse_render(task, overwrite=True) as render:
                return identity_of(render.inputs, render.config, render.output.run)

        judged = self._ledger.judge(task.item.name, identity, overwrite=self._overwrite)
        if judged.state is State.FINISHED and judged.record is not None:
            row, record = task.row, judged.record
            row.state, row.width, row.height, row.seconds = SKIPPED, record.width, record.height, record.seconds
            if not self._values[opt.KEEP] and (work := self._work_of(task, result)).exists():
                remove_finished(work)
        return judged.state, judged.reason

    def _work_of(self, task: Task, result: Path) -> Path:
        folder = self._values[opt.WORK_DIR]
        stem = "-".join(task.item.name.with_suffix("").parts)
        return work_folder(result) if folder is None else folder / stem

    @contextmanager
    def _parse_render(self, task: Task, *, overwrite: bool) -> Iterator[Render]:
        """What the render command of a result asks for; inside the block it is the command of this process."""
        words = self._renders.of(task.item, overwrite=overwrite)
        group: Any = self._context.find_root()
        previous_argv = sys.argv
        sys.argv = [previous_argv[0], *words]
        try:
            with (
                one_line(),
                group.command.commands["render"].make_context("render", words[1:], group) as context,
            ):
                make_ready(context)
                values = Values(context, self._values.base)
                inputs = Inputs(parse_styles(values[opt.STYLES]), values[opt.CONTENT], printing_of(values))
                output, checkpoints = Output.of(values), CheckpointOptions.of(values)
                yield Render(inputs, config_of(values), output, checkpoints)
        finally:
            sys.argv = previous_argv

    # --- Rendering ---

    def _render(self, todo: Sequence[Task]) -> bool:
        """Render results; return whether Ctrl-C has stopped it."""
        from tilestyle.pipeline.shared_statistics import sharing_style_statistics

        with (
            open_display(quiet=self._quiet, verbose=self._values[opt.VERBOSE]) as display,
            sharing_style_statistics(),
        ):
            parts = Parts(display, [self._weight(task) for task in todo])
            for number, task in enumerate(todo):
                signals.more_to_do()
                failed = self._count(FAILED)
                parts.begin(
                    number,
                    f"picture {number + 1} of {len(todo)}{f' ({failed} failed)' if failed else ''}: "
                    f"{task.item.picture.name}",
                )
                try:
                    self._render_one(task, parts)
                except Exception as error:
                    self._fail(task, error)
                    parts.abandon()
                    if self._values[opt.DEBUG]:
                        for line in traceback.format_exc().splitlines():
                            say(line)
                self._write_report()
                if signals.was_asked():
                    return number + 1 < len(todo)
        return False

    def _render_one(self, task: Task, parts: Parts) -> None:
        """Render one result, unless another process has finished it in the meantime."""
        from tilestyle.pipeline.workdir import is_locked

        if not task.overwrite and self._judge(task)[0] is State.FINISHED:
            return
        start = time.monotonic()
        with self._parse_render(task, overwrite=task.overwrite) as render:
            identity = identity_of(render.inputs, render.config, render.output.run)
            work = self._work_of(task, self._out / task.item.name)
            if is_locked(work):  # the record is that of the other process
                raise WorkError(f"{work} is in use", hint="another process makes this picture: wait for it")
            (self._out / task.item.name).parent.mkdir(parents=True, exist_ok=True)
            begun = self._ledger.begin(task.item.name, identity)
            try:
                record, _ = render_part(
                    make_render,
                    render.inputs,
                    render.config,
                    render.output,
                    render.checkpoints,
                    parts,
                    in_batch=True,
                )
            except Exception:
                self._ledger.forget(task.item.name)
                raise
        assert record.size is not None and record.file is not None, "the picture was written"
        seconds = record.seconds if record.finished else time.monotonic() - start
        row = task.row
        row.state, (row.width, row.height), row.seconds = DONE, record.size, round(seconds, 3)
        row.result = str(record.file)
        if record.file == self._out / task.item.name:
            self._ledger.finish(task.item.name, begun, record.size, round(seconds, 3))

    def _weight(self, task: Task) -> float:
        """The work of a render, in pixels as far as they are known."""
        from tilestyle.images import inspect_picture

        if self._alike:
            return 1.0
        with suppress(TilestyleError, OSError):
            info = inspect_picture(task.item.picture)
            return float(info.height * info.width)
        return 1.0

    # --- What to say ---

    def _fail(self, task: Task, error: BaseException) -> None:
        task.row.state, task.row.reason = FAILED, _reason(error)

    def _count(self, *states: str) -> int:
        return sum(task.row.state in states for task in self._tasks)

    def _failed_code(self) -> int:
        return SOME_FAILED if self._count(FAILED) else 0

    def _say_failures(self) -> None:
        failed = [task.row for task in self._tasks if task.row.state == FAILED]
        if len(failed) == len(self._tasks) > 1 and len({row.reason for row in failed}) == 1:
            say(f"tilestyle: all {len(failed)} pictures failed: {failed[0].reason}")
            return
        if failed:
            say(f"tilestyle: {len(failed)} of {len(self._tasks)} pictures failed:")
        for row in failed:
            say(f"  {row.picture}: {row.reason}")

    def _how_to_continue(self) -> str:
        """What continues the batch; "" if nothing is there yet."""
        done = self._count(DONE, SKIPPED)
        begun = any(self._work_of(task, self._out / task.item.name).exists() for task in self._tasks)
        if not done and not begun:
            return ""
        return f"run the same command again ({done} of {len(self._tasks)} pictures are finished)"

    def _write_report(self, *, last: bool = False) -> None:
        """Write the report, at the end or if the last time was a while ago."""
        now = time.monotonic()
        if self._report is None or (not last and now - self._reported < SECONDS_BETWEEN_REPORTS):
            return
        self._reported = now
        try:
            write_report(self._report, [task.row for task in self._tasks])
        except OSError as error:
            say(f"tilestyle: the report {self._report} cannot be written ({error.strerror or error})")

    def _print_needs(self, todo: Sequence[Task]) -> None:
        """Print what all renders will take; those alike are planned once."""
        planned: dict[object, Needs] = {}
        needs: list[Needs] = []
        for task in todo:
            try:
                with (
                    self._parse_render(task, overwrite=True) as render,
                    render.inputs.opened(render.config) as prepared,
                ):
                    render.output.check(render.output.file, prepared.height, prepared.width, prepared.dpi)
                    content = prepared.content
                    read = (
                        None
                        if content is None
                        else (getattr(content, "height", 0), getattr(content, "width", 0))
                    )
                    key = (prepared.height, prepared.width, read, task.item.style)
                    if key not in planned:
                        planned[key] = needs_of(prepared, render.output)
                    needs.append(planned[key])
            except (TilestyleError, OSError) as error:
                self._fail(task, error)
        print_total(needs, self._out, len(self._tasks), done=self._done_before)
        self._say_failures()


def _own_words() -> list[str]:
    """The words of this command behind its name."""
    words = sys.argv[1:]
    return words[words.index("batch") + 1 :] if "batch" in words else words


def _automatic_folder(source: str, styles: list[str]) -> Path:
    """The output folder, named after the folder of the pictures and the styles."""
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    name = folder.resolve().name or "batch"
    return automatic_name("render", {"content": f"{name}.png", "style": styles}).with_suffix("")


def _reason(error: BaseException) -> str:
    """Why a picture failed, in one line."""
    try:
        return said(error)
    except Exception:
        return f"this is a bug of tilestyle: {type(error).__name__}: {' '.join(str(error).split())}"
