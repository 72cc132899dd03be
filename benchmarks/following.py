"""A command of tilestyle whose time left is followed.

python -m benchmarks.following FILE WORD...

runs `tilestyle WORD...` and writes to FILE, as JSON, its seconds, and the seconds left that it has shown by the
seconds that it had taken.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tilestyle.__main__ import program
from tilestyle.cli import display
from tilestyle.pipeline.events import Event, Finished, SweepDone


def main() -> None:
    """Run the command."""
    file = Path(sys.argv.pop(1))
    plain = display.watcher

    def watcher(*parts: Any, **options: Any) -> Any:
        rows: list[tuple[float, float]] = []

        def watch(event: Event) -> None:
            if isinstance(event, SweepDone):
                rows.append((event.seconds, event.seconds_left))
            elif isinstance(event, Finished):
                file.write_text(json.dumps({"seconds": event.seconds, "left": rows}))

        return display.combined([plain(*parts, **options), watch])

    display.watcher = watcher
    program()


if __name__ == "__main__":
    main()
