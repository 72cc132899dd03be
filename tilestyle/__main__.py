"""`python -m tilestyle`, and the console script."""

from __future__ import annotations

from tilestyle.cli.app import main

if __name__ == "__main__":
    main()
