"""The pictures of the studio in the documentation, made again.

Starts a studio, opens it in Chromium, and photographs two views:

    python -m benchmarks.studio_screens                    # docs/pictures/studio-try.jpg, studio-watch.jpg
    python -m benchmarks.studio_screens --all --out shots  # every view, dark and light, desktop and phone

It needs `pip install '.[studio,test]'` and a Chromium of the system. The two pictures take some minutes.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.running_studio import find_chromium, running_studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[1]
PATIENCE = 900_000  # milliseconds
LARGEST = 400_000  # bytes of a picture in the documentation
DESKTOP, PHONE = {"width": 1360, "height": 850}, {"width": 390, "height": 844}


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--all", action="store_true", help="every view, instead of the two of the documentation"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="folder of the pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        running_studio(Path(folder)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        if options.all:
            for device in ("desktop", "phone"):
                for scheme in ("light", "dark"):
                    _every_view(_page(browser, address, device, scheme), options.out, f"{device}-{scheme}")
        else:
            _documentation(_page(browser, address, "desktop", "light"), options.out)
        browser.close()


def _page(browser: Browser, address: str, device: str, scheme: str) -> Page:
    phone = device == "phone"
    context = browser.new_context(
        viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
        is_mobile=phone,
        has_touch=phone,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    return page


def _save(page: Page, path: Path) -> None:
    """Photograph a page as a JPEG that is small enough."""
    with Image.open(io.BytesIO(page.screenshot())) as screen:
        picture = screen.convert("RGB")
    for quality in range(88, 40, -6):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= LARGEST:
            break
    print(f"{path}: {path.stat().st_size // 1000} kB")


def _choose(page: Page, content: str, style: str) -> None:
    page.get_by_role("button", name=content).click()
    page.get_by_role("button", name=style).click()


def _final_draft(page: Page) -> None:
    """Wait for the best draft there will be."""
    page.get_by_text(re.compile(r"^Draft, \d+ × \d+$")).wait_for()


def _documentation(page: Page, out: Path) -> None:
    _choose(page, "raccoon", "swirls")
    page.get_by_role("slider", name="Strength").fill("0.4")
    _final_draft(page)
    _save(page, out / "studio-try.jpg")
    page.get_by_role("link", name="Make it in full size").click()
    page.get_by_label("Long side").fill("720")
    page.get_by_role("radio", name="Quick").check()
    page.get_by_role("button", name="Start").click()
    # Late enough that there is something to see.
    page.locator(".head .share", has_text=re.compile(r"^[6-9]\d%$")).wait_for()
    page.locator(".stage[data-revision]").wait_for()
    _save(page, out / "studio-watch.jpg")


def _every_view(page: Page, out: Path, name: str) -> None:
    def shot(view: str) -> None:
        page.wait_for_timeout(700)
        page.screenshot(path=out / f"{name}-{view}.png", full_page="phone" in name)

    page.get_by_role("button", name="raccoon").wait_for()
    page.wait_for_load_state("networkidle")
    shot("1-empty")
    page.get_by_role("button", name="raccoon").click()
    shot("2-style")
    page.get_by_role("button", name="swirls").click()
    shot("3-first")
    page.locator(".frame:not(.empty)").wait_for()
    page.wait_for_timeout(6000)
    shot("4-draft")
    page.get_by_text("Several side by side").click()
    page.get_by_label("Vary").select_option("color")
    page.get_by_role("button", name="Show side by side").click()
    page.get_by_text("Choose the one you like").wait_for()
    shot("5-sheet")
    page.locator(".cell").first.click()
    page.get_by_role("link", name="Make it in full size").click()
    page.get_by_role("radio", name="Paper").check()
    page.get_by_label("Bleed").fill("5")
    page.locator(".takes:not(.old) dl").wait_for()
    shot("6-paper")
    page.get_by_role("radio", name="Screen").check()
    page.get_by_label("Long side").fill("320")
    page.get_by_role("radio", name="Quick").check()
    page.get_by_role("button", name="Start").click()
    page.locator(".stage[data-revision]").wait_for()
    shot("7-watch")
    page.get_by_role("link", name="Download PNG").wait_for()
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("As a command").wait_for()
    shot("8-done")
    page.get_by_label("Compare with").select_option("content")
    page.locator(".stage[data-layers='2']").wait_for()
    shot("9-compare")
    page.get_by_role("link", name="Pictures").click()
    shot("10-pictures")


if __name__ == "__main__":
    main()
