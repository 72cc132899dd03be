"""What people do in the studio, in a browser."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.studio.browser.conftest import Open

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Request

QUICK: dict[str, Any] = {
    "network": "wavelet",
    "style_layers": {"color_2": 1.0, "first_1": 1.0},
    "content_layers": {"contour_2": 1.0},
}
TINY = QUICK | {"size": 48, "sweeps": 1}
ENDLESS = QUICK | {"size": 64, "sweeps": 1_000_000}


def _recipe(options: dict[str, Any], kind: str = "render") -> dict[str, Any]:
    included = {"source": {"included": "coffee"}, "name": "coffee", "clip": False}
    style = {"source": {"included": "weave"}, "name": "weave", "clip": False, "weight": 1}
    return {"kind": kind, "content": included, "styles": [style], "options": options}


def _draft(page: Page) -> Locator:
    return page.get_by_role("img", name="Draft of the picture")


def _wait_for_draft(page: Page, before: str | None = None) -> str:
    """Wait for a draft other than the one before, and return its address."""
    from playwright.sync_api import expect

    if before is None:
        expect(_draft(page)).to_have_attribute("src", re.compile("/api/drafts/"))
    else:
        expect(_draft(page)).not_to_have_attribute("src", re.compile(re.escape(_revision(before))))
        expect(_draft(page)).to_have_attribute("src", re.compile("/api/drafts/"))
    return str(_draft(page).get_attribute("src"))


def _sent(request: Request) -> dict[str, Any]:
    """The JSON that a request has sent."""
    sent: dict[str, Any] = json.loads(request.post_data or "")
    return sent


def _is_draft(has: Callable[[dict[str, Any]], bool]) -> Callable[[Request], bool]:
    """Tell requests for a draft with such settings; ones for earlier settings may still come before."""

    def is_asked(request: Request) -> bool:
        return request.url.endswith("/api/drafts") and has(_sent(request)["settings"])

    return is_asked


def _revision(address: str) -> str:
    """A draft's address without the number of its picture."""
    return address.rpartition("/")[0] + "/"


def _post(address: str, body: object) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture(autouse=True)
def _nothing_left_running(address: str) -> Iterator[None]:
    """Discard what a test that failed has left: the next one would wait for it."""
    yield
    with urllib.request.urlopen(f"{address}api/jobs") as answer:
        for job in json.load(answer):
            if job["state"] in ("queued", "running", "paused", "stopping"):
                _post(f"{address}api/jobs/{job['id']}/discard", {})


@pytest.fixture(scope="module")
def finished(address: str) -> dict[str, Any]:
    """A picture that was made."""
    settings = {
        "content": {"included": "coffee"},
        "styles": [{"source": {"included": "weave"}}],
        "options": TINY | {"strength": 0.4},
    }
    job: dict[str, Any] = _post(
        f"{address}api/jobs", {"kind": "render", "settings": settings, "name": "small coffee"}
    )
    with urllib.request.urlopen(f"{address}api/jobs/{job['id']}/events") as events:
        for line in events:
            if line.startswith(b"data: "):
                job = json.loads(line.removeprefix(b"data: "))
                if job["state"] in ("done", "failed"):
                    break
    assert job["state"] == "done", job["error"]
    return job


def test_first_draft_takes_two_clicks(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="raccoon").click()
    page.get_by_role("button", name="swirls").click()
    _wait_for_draft(page)
    assert page.get_by_role("link", name="Make it in full size").is_enabled()


def test_uploaded_names_are_never_markup(open_page: Open, photograph: Path) -> None:
    page = open_page()
    page.locator("input[data-role=content]").set_input_files(photograph)
    page.get_by_role("button", name="woodcut").click()
    _wait_for_draft(page)
    assert page.locator(".source .name").first.inner_text() == photograph.name
    recipe = _recipe(QUICK)
    recipe["content"]["name"] = name = "<img src=x onerror=document.title='hacked'>"
    page = open_page(recipe=recipe)
    assert page.locator(".source .name").first.inner_text() == name
    assert page.title().startswith("Try")


def test_what_is_no_picture_is_refused_in_one_line(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    page.locator("input[data-role=content]").set_input_files(path)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "notes.png" in alert.inner_text()
    assert page.get_by_role("heading", name="Choose a photograph").is_visible()


def test_slider_asks_for_another_draft_and_reload_keeps_it(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(recipe=_recipe(QUICK))
    first = _wait_for_draft(page)
    slider = page.get_by_role("slider", name="Strength")
    with page.expect_request(_is_draft(lambda asked: asked["options"].get("strength") == 0.8)):
        slider.fill("0.8")
    _wait_for_draft(page, first)
    page.reload()
    expect(page.get_by_role("slider", name="Strength")).to_have_value("0.8")
    _wait_for_draft(page)
    page.get_by_role("button", name="Reset strength").click()
    expect(page.get_by_role("slider", name="Strength")).to_have_value("0.5")


def test_styles_are_blended(open_page: Open) -> None:
    page = open_page(recipe=_recipe(QUICK))
    first = _wait_for_draft(page)
    page.get_by_role("button", name="Add a style").click()
    page.get_by_role("dialog").get_by_role("button", name="mosaic").click()
    with page.expect_request(
        _is_draft(lambda asked: [style["weight"] for style in asked["styles"]] == [1, 0.25])
    ):
        page.get_by_role("slider", name="Share of mosaic").fill("0.25")
    assert page.get_by_text("20%").is_visible()
    _wait_for_draft(page, first)


def test_contact_sheet_is_taken_over_by_a_click(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(recipe=_recipe(QUICK))
    page.get_by_text("Several side by side").click()
    page.get_by_label("Vary").select_option("color")
    page.get_by_role("button", name="Show side by side").click()
    cells = page.locator(".cell")
    expect(cells).to_have_count(3)
    expect(page.locator(".cell img:visible")).to_have_count(3)
    page.set_viewport_size({"width": 1280, "height": 500})  # not all have room: they are scrolled
    caption = page.locator(".cell .caption").first.bounding_box()
    below = page.locator(".cell .picture").last.bounding_box()
    assert caption is not None and below is not None
    assert caption["y"] + caption["height"] <= below["y"]
    cells.filter(has_text="Of the photograph").click()
    expect(page.get_by_role("radio", name="Of the photograph")).to_be_checked()
    expect(cells).to_have_count(0)
    _wait_for_draft(page)


def test_job_is_watched_paused_and_written(open_page: Open, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    page = open_page("#/make", _recipe(ENDLESS))
    expect(page.get_by_label("What it will take")).to_contain_text("64 × 43 px")
    page.get_by_role("button", name="Start").click()
    stage = page.locator(".stage[data-revision]")
    stage.wait_for()
    about = page.get_by_role("region", name="Progress")
    expect(about).to_contain_text("Sweep")
    expect(about).to_contain_text("promised")
    before = stage.get_attribute("data-revision")
    page.get_by_role("button", name="Zoom in").click()
    expect(stage).not_to_have_attribute("data-revision", str(before))  # it is painted on
    page.get_by_role("button", name="Pause").click()
    expect(about).to_contain_text("Paused")
    address = page.url
    page.reload()
    expect(about).to_contain_text("Paused")
    assert page.url == address
    page.get_by_role("button", name="Resume").click()
    expect(about).to_contain_text("Rendering")
    assert page.locator("#running").is_visible()
    page.get_by_role("button", name="Stop and discard").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Stop and write").click()
    expect(about).to_contain_text("Stopped early")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    download.value.save_as(tmp_path / "result.png")
    with Image.open(tmp_path / "result.png") as picture:
        assert picture.size == (64, 43)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("#/pictures"))


def test_discarding_is_asked_before(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page("#/make", _recipe(ENDLESS))
    page.get_by_label("Name").fill("not wanted")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop and discard").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop and discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard", exact=True).click()
    expect(page).to_have_url(re.compile("#/pictures"))
    expect(page.get_by_text("not wanted")).to_have_count(0)


def test_result_is_compared_with_the_photograph(open_page: Open, finished: dict[str, Any]) -> None:
    from playwright.sync_api import expect

    page = open_page(f"#/picture/{finished['id']}")
    page.get_by_label("Compare with").select_option("content")
    expect(page.locator(".stage[data-layers='2']")).to_be_visible()
    line = page.get_by_role("slider", name="Line between the two pictures")
    line.focus()
    for _ in range(5):
        page.keyboard.press("PageDown")
    assert line.get_attribute("aria-valuenow") == "0"
    all_right = page.locator(".deep").screenshot()
    page.keyboard.press("End")
    expect(line).to_have_attribute("aria-valuenow", "100")
    assert page.locator(".deep").screenshot() != all_right
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("link", name="Back to small coffee").click()
    page.get_by_role("heading", name="small coffee").wait_for()


def test_gallery_recalls_settings(open_page: Open, finished: dict[str, Any]) -> None:
    from playwright.sync_api import expect

    page = open_page("#/pictures")
    card = page.get_by_role("listitem").filter(has_text="small coffee")
    expect(card).to_contain_text("strength 0.4")
    card.get_by_role("link").click()
    page.get_by_text("Settings", exact=True).click()
    expect(page.get_by_label("As a command")).to_contain_text("tilestyle render coffee")
    expect(page.get_by_label("As a file (TOML)")).to_contain_text("strength = 0.4")
    expect(page.locator("dl").filter(has_text="Style layers")).to_contain_text("color_2 1, first_1 1")
    page.get_by_role("button", name="More like this").click()
    expect(page.get_by_role("slider", name="Strength")).to_have_value("0.4")
    _wait_for_draft(page)


def test_downloads_every_format(open_page: Open, finished: dict[str, Any], tmp_path: Path) -> None:
    page = open_page(f"#/picture/{finished['id']}")
    page.get_by_role("link", name="Download PNG").wait_for()
    for link in page.locator("a[download]").all():
        with page.expect_download() as download:
            link.click()
        name = download.value.suggested_filename
        download.value.save_as(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert max(picture.size) == 48
    assert len(list(tmp_path.iterdir())) == len(finished["formats"])


def test_refused_download_says_why(open_page: Open, finished: dict[str, Any]) -> None:
    page = open_page(f"#/picture/{finished['id']}")
    problem = {"error": "the disk is full", "hint": "delete pictures"}
    page.route("**/download?**", lambda route: route.fulfill(status=507, json=problem))
    page.get_by_role("link", name="Download PNG").click()
    alert = page.get_by_role("alert").filter(has_text="disk")
    alert.wait_for()
    assert alert.inner_text().startswith("The disk is full. Delete pictures.")


def test_print_says_what_it_takes(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page("#/make", _recipe(QUICK))
    page.get_by_role("radio", name="Paper").check()
    page.get_by_role("combobox", name="Paper").select_option("A4")
    page.get_by_label("Bleed").fill("3")
    page.get_by_label("Stroke width").fill("4")
    takes = page.get_by_label("What it will take")
    # 297 x 210 mm at 300 dots per inch, and 35 pixels of bleed at every edge.
    expect(takes).to_contain_text("3,578 × 2,550 px")
    assert page.get_by_text("297 mm", exact=True).is_visible()
    page.get_by_role("radio", name="Screen").check()
    page.get_by_label("Long side").fill("50")
    expect(takes).to_contain_text("50 × 33 px")


def test_texture_needs_no_photograph(open_page: Open) -> None:
    page = open_page(recipe=_recipe(QUICK, "texture") | {"content": None})
    _wait_for_draft(page)
    assert page.get_by_role("slider", name="Strength").is_hidden()
    assert page.get_by_text("Repeats").is_visible()


def test_phone_shows_everything_below_the_picture(
    open_page: Open, photograph: Path, finished: dict[str, Any]
) -> None:
    page = open_page(phone=True)
    page.locator("input[data-role=content]").set_input_files(photograph)
    page.get_by_role("button", name="inkwash").tap()
    _wait_for_draft(page)
    picture, strength = page.locator(".stage").bounding_box(), page.get_by_label("Strength").last.bounding_box()
    assert picture is not None and strength is not None
    assert picture["y"] + picture["height"] <= strength["y"]
    for path in ("try", "make", "pictures", f"picture/{finished['id']}", f"compare/{finished['id']}/content"):
        page.evaluate("path => { location.hash = `#/${path}`; }", path)
        page.locator(f".view.{path.partition('/')[0]}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_keyboard_is_enough(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page()
    page.get_by_role("button", name="coffee").wait_for()
    _tab_to(page, "coffee")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Choose a style").wait_for()
    _tab_to(page, "pastel")
    page.keyboard.press("Enter")
    first = _wait_for_draft(page)
    _tab_to(page, "Strength")
    page.keyboard.press("End")
    _wait_for_draft(page, first)
    expect(page.get_by_role("slider", name="Strength")).to_have_value("1")
    _tab_to(page, "Make it in full size")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Start").wait_for()
    _tab_to(page, "Start")


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(
            "name => { const e = document.activeElement;"
            " return [e.textContent, e.ariaLabel, ...[...(e.labels ?? [])].map(label => label.textContent)]"
            ".some(text => text?.trim() === name); }",
            name,
        ):
            return
    raise AssertionError(f"{name} cannot be reached")


def test_unknown_addresses_lead_somewhere(open_page: Open) -> None:
    page = open_page("#/picture/0000000000000000")
    page.get_by_role("heading", name="This picture is not there").wait_for()
    page.get_by_role("link", name="All pictures").click()
    page.locator(".view.pictures").wait_for()
    page.goto(f"{page.url.partition('#')[0]}#/nonsense/%E0%A4%A")
    page.get_by_role("link", name="Try").click()
    page.get_by_role("heading", name="Choose a photograph").wait_for()
