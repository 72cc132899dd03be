"""How an option or argument is declared, and how a command is made of them.

A command lists its parameters and takes their values:

    @command(CONTENT, OUT, SEED, base=RenderConfig())
    def render(values: Values) -> None:
        ...values[OUT]...

A parameter of a setting (`setting`) names the field of RenderConfig that it sets. Its default is that of the
command's base config, and `config_of` (config_options.py) puts all of them together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, cast, get_args, get_type_hints

import typer

from tilestyle.cli.conversion import convert
from tilestyle.cli.file_roles import Reads, Writes
from tilestyle.config.render import RenderConfig

T = TypeVar("T")
Role = Reads | Writes | None
REQUIRED: Any = ...
DEFAULT_CONFIG = RenderConfig()
METAVARS = {Path: "FILE", float: "NUMBER", int: "NUMBER", str: "TEXT"}


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Parameter(Generic[T]):
    """One option or argument of the command line, declared once for all commands that have it.

    Attributes:
        name: Of the parameter: what files of settings call it, too.
        kind: The type that its words are converted to.
        help: Its text in `--help`.
        flags: Such as `("--out", "-o")`; empty for an argument.
        aliases: Other spellings of the flag, which help does not show.
        default: Its value if it is not given; REQUIRED: it must be.
        shown: What help calls the default, if it is None or not a word; False for the default itself.
        panel: The group of options in `--help` that it belongs to.
        metavar: What `--help` calls the value.
        limits: Smallest and largest number.
        callback: Called with the context and the value before the command begins; may replace the value.
        eager: Whether the callback is called before those of others.
        files: The role of the file that it names.
        field: The field of RenderConfig that it sets, if it does.
        parse: From its value to that of the field.
        unparse: From a value of the field to one of its own, for the default.
        basic: Whether `--help` of a command with many options shows it, not only `--help-all`.
        complete: Values that the shell completes, besides the choices of its kind.
        stands_for: The option whose values an argument gives (positional.py).
        affects_result: Whether it affects the pixels, the format or the place of the result. Options that do
            not are stored neither in the picture nor by --save-config.
    """

    name: str
    kind: Any
    help: str
    flags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    default: Any = REQUIRED
    shown: str | bool = False
    panel: str | None = None
    metavar: str | None = None
    limits: tuple[int | None, int | None] = (None, None)
    callback: Callable[[typer.Context, Any], Any] | None = None
    eager: bool = False
    files: Role = None
    field: str | None = None
    parse: Callable[[Any], Any] = _same
    unparse: Callable[[Any], Any] = _same
    basic: bool = False
    complete: Callable[[typer.Context], Iterable[str]] | None = None
    stands_for: str | None = None
    affects_result: bool = True

    def with_changes(self, **changes: Any) -> Parameter[T]:
        """The same parameter as another command has it: with another default, text or check."""
        return replace(self, **changes)

    def with_default_of(self, base: RenderConfig) -> Parameter[T]:
        """The parameter of a setting, with its default from a config."""
        if self.field is None:
            return self
        usual, default = (self.unparse(getattr(config, self.field)) for config in (DEFAULT_CONFIG, base))
        # `shown` explains the default None; a base with a value of its own is shown as it is.
        return self.with_changes(
            default=default, shown=self.shown if usual is not None or default is None else False
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Every flag and alias that stands for it; of `--a/--no-a` both."""
        return tuple(part for flag in (*self.flags, *self.aliases) for part in flag.split("/"))

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the flag."""
        return self.kind is not bool

    @property
    def is_list(self) -> bool:
        """Whether it can be given more than once."""
        return bool(get_args(self.kind))

    @property
    def item_kind(self) -> Any:
        """The type of one of its words."""
        return get_args(self.kind)[0] if self.is_list else self.kind

    @property
    def label(self) -> str:
        """What messages call it: its flag, or its name in capitals."""
        long = [flag for flag in self.names if flag.startswith("--")]
        return long[0] if long else self.metavar or self.name.upper()

    def annotation(self) -> Any:
        """The annotation that typer reads: text, which is converted here (conversion.py)."""
        hint: Any = bool if self.kind is bool else list[str] if self.is_list else str
        hint = hint | None if self.typer_default is None else hint
        extras = [self._declaration(), self, *([self.files] if self.files else [])]
        return Annotated[(hint, *extras)]

    @property
    def typer_default(self) -> Any:
        """The default that is passed to typer."""
        return self.default if self.kind is bool or self.default is REQUIRED else None

    def _declaration(self) -> Any:
        common: dict[str, Any] = {
            "help": self.help,
            "metavar": self.metavar,
            "callback": self._converted(),
            "is_eager": self.eager,
            "autocompletion": self._completed(),
        }
        return typer.Option(*self.flags, **common) if self.flags else typer.Argument(**common)

    def _converted(self) -> Callable[[typer.Context, Any], Any]:
        """A callback that converts the words before that of the parameter is called."""

        def converted(context: typer.Context, value: Any) -> Any:
            if self.kind is not bool:
                absent = value in (None, (), [])
                value = self.default if absent else convert(self, value, _flags_of(context.command))
            return self.callback(context, value) if self.callback else value

        return converted

    def _completed(self) -> Callable[[typer.Context, str], list[str]] | None:
        """What the shell completes; None where that is a file."""
        choices = self.item_kind if issubclass(self.item_kind, StrEnum) else ()
        if not choices and self.complete is None:
            return None

        def completed(context: typer.Context, incomplete: str) -> list[str]:
            words = [each.value for each in choices] + list(self.complete(context) if self.complete else ())
            return [word for word in words if word.startswith(incomplete)]

        return completed


def option(
    name: str, kind: type[T], text: str, *flags: str, default: T = REQUIRED, **more: Any
) -> Parameter[T]:
    """An option; without a default, one that must be given."""
    return Parameter(
        name=name, kind=kind, help=text, default=default, **_flags_and_metavar(name, kind, flags) | more
    )


def optional(name: str, kind: type[T], text: str, *flags: str, **more: Any) -> Parameter[T | None]:
    """An option that need not be given, and then is None."""
    return Parameter(
        name=name, kind=kind, help=text, default=None, **_flags_and_metavar(name, kind, flags) | more
    )


def switch(name: str, text: str, *flags: str, **more: Any) -> Parameter[bool]:
    """An option without a value, off unless it is given."""
    return Parameter(
        name=name, kind=bool, help=text, default=False, **_flags_and_metavar(name, bool, flags) | more
    )


def setting(name: str, kind: Any, text: str, *flags: str, **more: Any) -> Parameter[Any]:
    """An option that sets a field of RenderConfig, by default the one of its name."""
    return Parameter(
        name=name, kind=kind, help=text, **{"field": name} | _flags_and_metavar(name, kind, flags) | more
    )


def argument(name: str, kind: type[T], text: str, **more: Any) -> Parameter[T]:
    """A value without a flag."""
    return Parameter(name=name, kind=kind, help=text, **{"metavar": name.upper()} | more)


def optional_argument(name: str, kind: type[T], text: str, **more: Any) -> Parameter[T | None]:
    """A value without a flag that need not be given, and then is None."""
    return Parameter(name=name, kind=kind, help=text, default=None, **{"metavar": name.upper()} | more)


def _flags_and_metavar(name: str, kind: Any, flags: tuple[str, ...]) -> dict[str, Any]:
    """Flags and metavar of an option that says nothing of them."""
    long = f"--{name.replace('_', '-')}"
    if not any(flag.startswith("--") for flag in flags):
        flags = (long, *flags)
    inner = get_args(kind)[0] if get_args(kind) else kind
    is_choice = isinstance(inner, type) and issubclass(inner, StrEnum)
    return {"flags": flags, "metavar": "CHOICE" if is_choice else METAVARS.get(inner)}


def _show_all(context: typer.Context, wanted: bool) -> bool:
    if wanted and not context.resilient_parsing:
        from tilestyle.cli.help_pages import print_help

        print_help(context, full=True)
        raise typer.Exit
    return wanted


HELP_ALL = switch("help_all", "Show all options.", eager=True, callback=_show_all, affects_result=False)
"""Of every command."""


def without(words: Iterable[str], *parameters: Parameter[Any]) -> list[str]:
    """The words of a command without these options and their values; what follows a "--" stays."""
    rest = list(words)
    remaining: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*remaining, word, *rest]
        name, equals, _ = word.partition("=")
        parameter = next((each for each in parameters if name in each.names), None)
        if parameter is None:
            remaining.append(word)
        elif parameter.takes_value and not equals and rest:
            rest.pop(0)
    return remaining


class Values:
    """The values of a command's parameters: `values[OUT]`."""

    def __init__(self, context: typer.Context, base: RenderConfig) -> None:
        self.context = context
        self.base = base  # the config that the command begins with

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """The value of a parameter; its default where the command does not have it."""
        if parameter.name not in self.context.params and parameter.default is REQUIRED:
            raise KeyError(parameter.name)
        return cast(T, self.context.params.get(parameter.name, parameter.default))

    @property
    def parameters(self) -> tuple[Parameter[Any], ...]:
        """The parameters of the command."""
        return parameters_of(self.context.command.callback)

    def given(self, parameter: Parameter[Any]) -> bool:
        """Whether a parameter was given on the command line or in the environment."""
        return is_typed(self.context, parameter)


def is_typed(context: typer.Context, parameter: Parameter[Any]) -> bool:
    """Whether a parameter was given on the command line or in the environment."""
    source = context.get_parameter_source(parameter.name)
    # By name: typer brings a click of its own, or uses the one that is installed.
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def command(
    *parameters: Parameter[Any], base: RenderConfig | None = None
) -> Callable[[Callable[[Values], None]], Callable[..., None]]:
    """Make a function that takes values into one with a signature that typer reads.

    Args:
        parameters: In the order of arguments and of `--help`.
        base: The config that options, presets and files of settings change; by default RenderConfig().
    """
    base = base or RenderConfig()
    own = [each.with_default_of(base) for each in (*parameters, HELP_ALL)]

    def decorate(run: Callable[[Values], None]) -> Callable[..., None]:
        def wrapper(context: typer.Context, **words: Any) -> None:
            run(Values(context, base))

        hints = {"context": typer.Context, **{each.name: each.annotation() for each in own}}
        defaults = {
            each.name: inspect.Parameter.empty if each.default is REQUIRED else each.typer_default
            for each in own
        }
        signature = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name, inspect.Parameter.empty),
                annotation=hint,
            )
            for name, hint in hints.items()
        ]
        wrapper.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {**hints, "return": None}
        wrapper.__name__, wrapper.__doc__, wrapper.__module__ = run.__name__, run.__doc__, run.__module__
        return wrapper

    return decorate


def _flags_of(command: Any) -> list[str]:
    """The flags of all options of a command."""
    options = (each for each in command.params if each.param_type_name == "option")
    return [flag for each in options for flag in (*each.opts, *each.secondary_opts)]


@cache  # resolving the annotations of sixty options takes milliseconds, and every option asks
def parameters_of(callback: Callable[..., Any] | None) -> tuple[Parameter[Any], ...]:
    """The parameters of a command, by its function."""
    return tuple(_extras(callback, Parameter)) if callback else ()


def roles_of(callback: Callable[..., Any]) -> dict[str, Reads | Writes]:
    """The roles of the files that a command's parameters name, by the names of the parameters."""
    return {each.name: each.files for each in parameters_of(callback) if each.files}


def _extras(callback: Callable[..., Any], kind: type[T]) -> Iterator[T]:
    for hint in get_type_hints(inspect.unwrap(callback), include_extras=True).values():
        yield from (extra for extra in get_args(hint) if isinstance(extra, kind))
