"""The site builds from the documents: every link, anchor and reference resolves, every page is in the navigation."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.docs.build_site import DOCS, PAGES, build


def pages_of(navigation: list[object]) -> list[str]:
    """Returns the pages of a navigation, nested ones included."""
    pages: list[str] = []
    for entry in navigation:
        (target,) = entry.values()  # type: ignore[attr-defined]
        pages += pages_of(target) if isinstance(target, list) else [target]
    return pages


def test_every_page_is_in_the_navigation_once() -> None:
    navigation = tomllib.loads((DOCS / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    assert sorted(pages_of(navigation)) == sorted(
        [*PAGES.values(), *(path.name for path in DOCS.glob("*.md"))]
    )


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    build(tmp_path / "site")
    client = (tmp_path / "site" / "python-client" / "index.html").read_text("utf-8")
    assert "previewops.client.client.Client.submit" in client
    assert (tmp_path / "site" / "files" / "schemas" / "preview-job.schema.json").exists()
