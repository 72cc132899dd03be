"""`tilestyle again`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.help_pages import print_repeated
from tilestyle.cli.parameters import Values, argument, command
from tilestyle.cli.remembered import remembered_settings
from tilestyle.errors import SettingError

PICTURE = argument(
    "picture", Path, "Picture that tilestyle made. It comes before all options.", files=file_roles.DESCRIBED
)

REPEATABLE = ("render", "texture", "invert", "upscale", "preview", "sheet")
"""Commands that can make a picture again; they take --config."""


@command(PICTURE, opt.DEBUG)
def again(values: Values) -> None:
    """Make a picture again from the settings stored in it, larger or with other options.

    After PICTURE, any option of the command that made it replaces the stored value: `tilestyle again PICTURE
    --help-all` lists them. Without --out the result gets a new name, and no file is replaced.
    """
    from tilestyle.cli.app import main

    if any(word.startswith("--help-all=") for word in values.context.args):
        raise SettingError("--help-all takes no value", hint="give it without one")
    picture = values[PICTURE]
    name = remembered_settings(picture).command
    if name not in REPEATABLE:
        made_by = f"was made by 'tilestyle {name}'" if name else "does not say how it was made"
        raise SettingError(f"{picture} {made_by} and cannot be made again", hint="run that command again")
    if "--help-all" in values.context.args:
        group: Any = values.context.find_root().command
        print_repeated(group.commands[name], name, str(picture))
        return
    debug = ["--debug"] if values[opt.DEBUG] else []
    sys.argv[1:] = [name, "--config", str(picture), *values.context.args, *debug]
    main()
