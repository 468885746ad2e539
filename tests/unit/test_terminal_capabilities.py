"""Terminal capabilities from the environment."""

from __future__ import annotations

import io
import sys

import pytest

from previewops.errors import UsageError
from previewops.tui.terminal.capabilities import ImageMode, detect_image_mode, is_image_mode_forced
from previewops.tui.terminal.graphics import prepare_graphics

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environ", "images"),
    [
        ({}, ImageMode.BLOCKS),
        (XTERM, ImageMode.BLOCKS),
        ({"TERM": "xterm-kitty"}, ImageMode.KITTY),
        ({**XTERM, "KITTY_WINDOW_ID": "3"}, ImageMode.KITTY),
        ({"TERM": "xterm-ghostty"}, ImageMode.KITTY),
        ({**XTERM, "TERM_PROGRAM": "ghostty"}, ImageMode.KITTY),
        ({"TERM": "foot"}, ImageMode.SIXEL),
        ({"TERM": "foot-extra"}, ImageMode.SIXEL),
        ({"TERM": "xterm-sixel"}, ImageMode.SIXEL),
        ({**XTERM, "TERM_PROGRAM": "WezTerm"}, ImageMode.SIXEL),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app"}, ImageMode.SIXEL),
        ({**XTERM, "WT_SESSION": "0f"}, ImageMode.SIXEL),
        ({**XTERM, "KONSOLE_VERSION": "230800"}, ImageMode.SIXEL),
        ({**XTERM, "KONSOLE_VERSION": "200400"}, ImageMode.BLOCKS),
        ({**XTERM, "KONSOLE_VERSION": "new"}, ImageMode.BLOCKS),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "3"}, ImageMode.BLOCKS),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, ImageMode.BLOCKS),
        ({"TERM": "xterm-kitty", "ZELLIJ": "0"}, ImageMode.BLOCKS),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, ImageMode.BLOCKS),
        ({"TERM": "xterm-kitty", "PREVIEW_IMAGES": "blocks"}, ImageMode.BLOCKS),
        ({"TERM": "xterm-kitty", "PREVIEW_IMAGES": "auto"}, ImageMode.KITTY),
        ({"TERM": "tmux", "PREVIEW_IMAGES": "Sixel"}, ImageMode.SIXEL),
        ({**XTERM, "PREVIEW_IMAGES": "off"}, ImageMode.OFF),
    ],
)
def test_image_mode_per_environment(environ: dict[str, str], images: ImageMode) -> None:
    assert detect_image_mode(environ) is images


def test_an_invalid_image_mode_is_rejected_with_the_allowed_ones() -> None:
    with pytest.raises(
        UsageError, match="PREVIEW_IMAGES: found 'ascii', allowed auto, off, blocks, kitty, sixel"
    ):
        detect_image_mode({"PREVIEW_IMAGES": "ascii"})


def test_only_an_explicit_mode_is_forced() -> None:
    assert not is_image_mode_forced({})
    assert not is_image_mode_forced({"PREVIEW_IMAGES": "AUTO"})
    assert is_image_mode_forced({"PREVIEW_IMAGES": "kitty"})


@pytest.mark.parametrize("images", list(ImageMode))
def test_without_a_terminal_blocks_are_used(images: ImageMode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    expected = ImageMode.BLOCKS if images in (ImageMode.KITTY, ImageMode.SIXEL) else images
    assert prepare_graphics(images, forced=True) is expected
