"""A studio, and a browser that looks at it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.running_studio import find_chromium, running_studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG = 180_000  # milliseconds until something counts as never coming: a machine may be slow
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a studio that runs."""
    for library in ("fastapi", "uvicorn", "playwright"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    if find_chromium() is None:
        pytest.skip("chromium is not installed")
    with running_studio(tmp_path_factory.mktemp("studio")) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    """Chromium as the system has it."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=LONG)

    with sync_playwright() as playwright:
        # Without the sandbox, which root and most containers cannot have: it opens nothing but the studio.
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(address: str, browser: Browser) -> Iterator[Open]:
    """Open the studio in a browser that remembers nothing; fails for errors in the page at the end."""
    contexts, errors = [], []

    def open_one(path: str = "", recipe: dict[str, Any] | None = None, *, phone: bool = False) -> Page:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            is_mobile=phone,
            has_touch=phone,
            accept_downloads=True,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(LONG)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if is_violation(said.text) else None)
        if recipe is not None:
            page.goto(f"{address}page/icon.svg")
            page.evaluate("recipe => localStorage.setItem('tilestyle.recipe', JSON.stringify(recipe))", recipe)
        page.goto(f"{address}{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not errors


def is_violation(text: str) -> bool:
    """Whether the browser has refused something for the Content-Security-Policy."""
    return "Content Security Policy" in text


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A small picture, in a file whose name would be another if it were taken as HTML."""
    from PIL import Image

    path = tmp_path / "photo &amp; more.png"
    Image.linear_gradient("L").resize((96, 64)).convert("RGB").save(path)
    return path
