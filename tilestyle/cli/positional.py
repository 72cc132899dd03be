"""Arguments that stand for an option: `render photo.jpg painting.jpg`, where painting.jpg is a --style."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tilestyle.cli.parameters import is_typed, parameters_of
from tilestyle.errors import SettingError

if TYPE_CHECKING:
    import typer

    from tilestyle.cli.parameters import Parameter


def merge_arguments(context: typer.Context) -> None:
    """Put the words of such arguments before the values of their options, as if the options had been given.

    Raises:
        SettingError: There is no value at all, or more than the command takes.
    """
    parameters = {each.name: each for each in parameters_of(context.command.callback)}
    for each in parameters.values():
        if each.stands_for is None:
            continue
        option = parameters[each.stands_for]
        words = context.params.get(each.name) or []
        context.params[each.name] = None
        values = _merged(context, option, words)
        if not values:
            raise SettingError(
                f"no {option.name} image",
                hint=f"give it after the {_first(context)}, such as swirls; tilestyle looks PHOTO shows all"
                if option.name == "style"
                else f"give it after the {_first(context)}, or with {option.flags[0]}",
            )
        takes_many = bool(get_args(option.kind))
        if len(values) > 1 and not takes_many:
            raise SettingError(
                f"{context.command.name} takes one {option.name} image, not {len(values)}", hint="give one"
            )
        context.params[option.name] = values if takes_many else values[0]


def _merged(context: typer.Context, option: Parameter[Any], words: list[str]) -> list[Any]:
    """The values of an argument, then those of its option; those of --config only where neither was given."""
    value = context.params.get(option.name)
    by_option = list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
    if words and not is_typed(context, option):
        by_option = []
    kind = (get_args(option.kind) or (option.kind,))[0]
    return [Path(word) if kind is Path else word for word in words] + by_option


def _first(context: typer.Context) -> str:
    """What the first argument of the command is called."""
    own = parameters_of(context.command.callback)
    return next((each.label.lower() for each in own if not each.flags), "options")
