"""Hooks of mkdocs.yml: the README is the first page, and what pages link to outside docs/ is included."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OUTSIDE = "repository"  # folder of the site with files from outside docs/
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
FOLDER_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README, and what it and the pages link to outside docs/."""
    pending = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    known = set(pending)
    while pending:
        page = pending.pop()
        text = page.read_text()
        if not page.is_relative_to(DOCS):
            files.append(File.generated(config, site_path(page), content=with_site_links(text, page)))
        for target in linked_files(text, page):
            if target in known or target.is_relative_to(DOCS):
                continue
            known.add(target)
            if target.suffix == ".md":
                pending.append(target)
            else:
                files.append(File.generated(config, site_path(target), abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page in docs/ to where the files are in the site."""
    source = Path(page.file.abs_src_path or "")
    return with_site_links(markdown, source) if source.is_relative_to(DOCS) else markdown


def linked_files(text: str, page: Path) -> list[Path]:
    """Return the files that a page links to."""
    targets = [(page.parent / match[1]).resolve() for match in LINK.finditer(text)]
    return [target for target in targets if target.is_file()]


def with_site_links(text: str, page: Path) -> str:
    """Return a page with links as they are in the site; a link to a folder becomes plain text."""
    folder = Path(site_path(page)).parent

    def moved(match: re.Match[str]) -> str:
        target = (page.parent / match[1]).resolve()
        if not target.is_relative_to(ROOT):
            return match[0]
        return Path(os.path.relpath(site_path(target), folder)).as_posix() + (match[2] or "")

    def unlinked(match: re.Match[str]) -> str:
        return match[1] if (page.parent / match[2]).is_dir() else match[0]

    return LINK.sub(moved, FOLDER_LINK.sub(unlinked, text))


def site_path(file: Path) -> str:
    """Return the path of a file of the repository in the site."""
    if file == ROOT / "README.md":
        return "index.md"
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS).as_posix()
    return f"{OUTSIDE}/{file.relative_to(ROOT).as_posix()}"
