"""Draws the pictures of the screen from the snapshots of its tests: ``python -m tests.docs.screen_pictures``.

Chromium draws them (Debian's chromium). Each has the digest of its snapshot, so that a test detects one that is
out of date.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.docs.documents import ROOT

SNAPSHOTS = ROOT / "tests" / "tui" / "__snapshots__" / "test_snapshots"
IMAGES = ROOT / "docs" / "images"
PICTURES = {"screen-overview.png": "overview-data-120x40", "screen-dead-letters.png": "dead-data-120x40"}
DIGEST = "snapshot-sha256"

_VIEW_BOX = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
)
_COLOURS = 256


def snapshot_of(picture: str) -> Path:
    """The snapshot that a picture shows."""
    (path,) = SNAPSHOTS.glob(f"*{PICTURES[picture]}*.svg")
    return path


def digest_of(picture: str) -> str:
    """The digest of the snapshot that a picture should show."""
    return hashlib.sha256(snapshot_of(picture).read_bytes()).hexdigest()


def draw(picture: str) -> None:
    """Draws a picture and writes it into docs/images."""
    chromium = shutil.which("chromium")
    assert chromium, "install Debian's chromium"
    svg = snapshot_of(picture).read_text("utf-8")
    match = _VIEW_BOX.search(svg)
    assert match is not None
    width, height = (round(float(length)) for length in match.groups())
    with tempfile.TemporaryDirectory() as folder:
        page, drawn = Path(folder) / "page.html", Path(folder) / "drawn.png"
        page.write_text(f"<style>body {{ margin: 0 }}</style>{svg}", "utf-8")
        window = (
            f"--window-size={width},{height}",
            f"--screenshot={drawn}",
            f"--user-data-dir={folder}/profile",
        )
        subprocess.run([chromium, *_ARGUMENTS, *window, page.as_uri()], check=True, capture_output=True)
        information = PngInfo()
        information.add_text(DIGEST, digest_of(picture))
        with Image.open(drawn) as image:
            small = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
            small.save(IMAGES / picture, optimize=True, pnginfo=information)


if __name__ == "__main__":
    for name in PICTURES:
        draw(name)
