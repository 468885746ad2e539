"""Pictures that are printed among lines of text, in each way that a terminal shows them."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from previewops.stores.port import ArtifactFile
from previewops.tui.terminal import printed_picture
from previewops.tui.terminal.bundle_images import PictureUnreadable
from previewops.tui.terminal.capabilities import ImageMode

COLUMNS = 40


@pytest.fixture
def picture(tmp_path: Path) -> ArtifactFile:
    image = Image.new("RGB", (200, 100), (250, 10, 10))
    image.paste((10, 10, 250), (0, 50, 200, 100))
    image.save(tmp_path / "sheet.png")
    return ArtifactFile.at(tmp_path / "sheet.png")


def printed(picture: ArtifactFile, images: ImageMode, *, max_rows: int = 50) -> str:
    file = io.StringIO()
    console = Console(file=file, width=COLUMNS, force_terminal=True, color_system="truecolor")
    printed_picture.print_picture(console, picture, images, max_rows=max_rows)
    return file.getvalue()


def test_half_blocks_fill_the_width_or_the_rows(picture: ArtifactFile) -> None:
    lines = printed(picture, ImageMode.BLOCKS).splitlines()
    assert len(lines) == 10
    assert "38;2;250;10;10;48;2;250;10;10" in lines[0]
    assert "10;10;250" in lines[-1]
    assert len(printed(picture, ImageMode.BLOCKS, max_rows=4).splitlines()) == 4


def test_kitty_gets_the_picture_and_its_cells(picture: ArtifactFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed_picture, "_cell_pixels", lambda: (10, 20))
    text = printed(picture, ImageMode.KITTY)
    assert text.startswith("\x1b_Gi=")
    assert ",c=20,r=5,C=1,q=2\x1b\\" in text
    assert text.endswith("\\" + "\n" * 5)


def test_sixel_is_drawn_by_the_library(picture: ArtifactFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    importlib.import_module("textual_image.widget")
    text = printed(picture, ImageMode.SIXEL)
    assert "\x1bP" in text
    assert text.endswith("\x1b\\\x1b8")


def test_nothing_is_printed_without_images(picture: ArtifactFile) -> None:
    assert printed(picture, ImageMode.OFF) == ""


def test_a_damaged_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sheet.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PictureUnreadable):
        printed(ArtifactFile.at(tmp_path / "sheet.png"), ImageMode.BLOCKS)
