"""`tilestyle studio`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tilestyle.cli import options as opt
from tilestyle.cli.parameters import Values, command, option, optional, switch
from tilestyle.cli.terminal import say
from tilestyle.config.byte_size import parse_bytes
from tilestyle.errors import SettingError

LIBRARIES = ("fastapi", "uvicorn", "python_multipart")

ROOT = optional(
    "root",
    Path,
    "Folder for uploads, jobs and results; created if it does not exist.",
    shown="in your user data",
    metavar="FOLDER",
    basic=True,
)
STORAGE = option(
    "storage",
    str,
    "Most disk space that the folder may take. When it is full, the oldest finished jobs are removed.",
    default="20GiB",
    metavar="SIZE",
    basic=True,
)
PORT = optional(
    "port", int, "Port of the address.", shown="8420, or any that is free", limits=(0, 65535), basic=True
)
HOST = option(
    "host",
    str,
    "Address to listen on. 0.0.0.0: also for other devices in your network, such as a phone, which then need "
    "the token in the printed address.",
    default="127.0.0.1",
    metavar="ADDRESS",
    basic=True,
)
NO_BROWSER = switch("no_browser", "Do not open a browser.", basic=True)


@command(ROOT, STORAGE, PORT, HOST, NO_BROWSER, opt.DEBUG)
def studio(values: Values) -> None:
    """Try looks, watch renders, compare and print, in your browser.

    Everything stays on this computer. Ctrl-C stops the studio; unfinished renders go on at the next start.
    """
    storage = parse_bytes(values[STORAGE], "storage")
    if any(find_spec(name) is None for name in LIBRARIES):
        raise SettingError(
            "the studio needs libraries that are not installed", hint="pip install 'tilestyle[studio]'"
        )
    from tilestyle.studio.root import default_root
    from tilestyle.studio.server import ServerOptions, serve

    root = values[ROOT] or default_root()
    serve(ServerOptions(root, storage, values[HOST], values[PORT], browser=not values[NO_BROWSER]), say)
