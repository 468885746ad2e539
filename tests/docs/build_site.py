"""Builds the documents as a site in ``site/``: ``python -m tests.docs.build_site``, or ``make docs``.

README.md becomes the first page. Files that a page links to are copied below ``files/``; a link to a folder becomes
plain text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.documents import CHANGELOG, CONTRIBUTING, README, ROOT

DOCS = ROOT / "docs"
SITE = ROOT / "site"
PAGES = {README: "index.md", CONTRIBUTING: "contributing.md", CHANGELOG: "changelog.md"}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def stage(folder: Path) -> None:
    """Writes the pages, and every file that they link to, into ``folder``."""
    for path in DOCS.rglob("*"):
        if path.is_file() and path.suffix not in (".md", ".toml"):
            _copy(path, folder / path.relative_to(DOCS))
    for path in [*PAGES, *sorted(DOCS.glob("*.md"))]:
        text = _LINK.sub(lambda match, path=path: _link(match, path, folder), path.read_text("utf-8"))
        (folder / _page(path)).write_text(text, "utf-8")


def build(site: Path) -> None:
    """Builds the site into the folder ``site``.

    Raises:
        subprocess.CalledProcessError: a link or a reference on a page resolves to nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        (project / "docs").mkdir()
        stage(project / "docs")
        # The docstrings are read from here, whichever copy is installed.
        paths = f'\n[project.plugins.mkdocstrings.handlers.python]\npaths = ["{ROOT}"]\n'
        (project / "zensical.toml").write_text((DOCS / "zensical.toml").read_text("utf-8") + paths, "utf-8")
        zensical = Path(sys.executable).with_name("zensical")
        subprocess.run([zensical, "build", "--strict", "--clean"], cwd=project, check=True)
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(project / "site", site)


def _page(path: Path) -> str:
    return PAGES.get(path, path.name)


def _link(match: re.Match[str], page: Path, folder: Path) -> str:
    """Returns a link as on the site."""
    picture, text, target = match.groups()
    if target.startswith(("https://", "#")):
        return match[0]
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve()
    if path.is_dir():
        return text
    if path in PAGES or (path.parent == DOCS and path.suffix == ".md"):
        new = _page(path)
    elif path.is_relative_to(DOCS):
        new = path.relative_to(DOCS).as_posix()
    else:
        new = f"files/{path.relative_to(ROOT).as_posix()}"
        new = f"{new}.txt" if "." not in path.name or path.suffix in (".md", ".toml") else new
        _copy(path, folder / new)
    return f"{picture}[{text}]({new}{'#' if anchor else ''}{anchor})"


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


if __name__ == "__main__":
    build(SITE)
