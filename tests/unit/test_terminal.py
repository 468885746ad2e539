"""What a terminal is taken for, by its environment."""

from __future__ import annotations

import io
import sys

import pytest

from previewops.errors import UsageError
from previewops.tui.graphics import ready
from previewops.tui.terminal import Images, images_for, images_forced

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environ", "images"),
    [
        ({}, Images.BLOCKS),
        (XTERM, Images.BLOCKS),
        ({"TERM": "xterm-kitty"}, Images.KITTY),
        ({**XTERM, "KITTY_WINDOW_ID": "3"}, Images.KITTY),
        ({"TERM": "xterm-ghostty"}, Images.KITTY),
        ({**XTERM, "TERM_PROGRAM": "ghostty"}, Images.KITTY),
        ({"TERM": "foot"}, Images.SIXEL),
        ({"TERM": "foot-extra"}, Images.SIXEL),
        ({"TERM": "xterm-sixel"}, Images.SIXEL),
        ({**XTERM, "TERM_PROGRAM": "WezTerm"}, Images.SIXEL),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app"}, Images.SIXEL),
        ({**XTERM, "WT_SESSION": "0f"}, Images.SIXEL),
        ({**XTERM, "KONSOLE_VERSION": "230800"}, Images.SIXEL),
        ({**XTERM, "KONSOLE_VERSION": "200400"}, Images.BLOCKS),
        ({**XTERM, "KONSOLE_VERSION": "new"}, Images.BLOCKS),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "3"}, Images.BLOCKS),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, Images.BLOCKS),
        ({"TERM": "xterm-kitty", "ZELLIJ": "0"}, Images.BLOCKS),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, Images.BLOCKS),
        ({"TERM": "xterm-kitty", "PREVIEW_IMAGES": "blocks"}, Images.BLOCKS),
        ({"TERM": "xterm-kitty", "PREVIEW_IMAGES": "auto"}, Images.KITTY),
        ({"TERM": "tmux", "PREVIEW_IMAGES": "Sixel"}, Images.SIXEL),
        ({**XTERM, "PREVIEW_IMAGES": "off"}, Images.OFF),
    ],
)
def test_pictures_are_drawn_as_well_as_the_terminal_is_known_to(
    environ: dict[str, str], images: Images
) -> None:
    assert images_for(environ) is images


def test_another_word_is_refused_with_those_that_are_allowed() -> None:
    with pytest.raises(
        UsageError, match="PREVIEW_IMAGES is 'ascii'; allowed is one of auto, off, blocks, kitty, sixel"
    ):
        images_for({"PREVIEW_IMAGES": "ascii"})


def test_only_a_word_of_ones_own_counts_as_forced() -> None:
    assert not images_forced({})
    assert not images_forced({"PREVIEW_IMAGES": "AUTO"})
    assert images_forced({"PREVIEW_IMAGES": "kitty"})


@pytest.mark.parametrize("images", list(Images))
def test_without_a_terminal_nothing_is_asked_and_blocks_remain(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    wanted = Images.BLOCKS if images in (Images.KITTY, Images.SIXEL) else images
    assert ready(images, forced=True) is wanted
