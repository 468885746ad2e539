"""Texts that describe the pictures of a bundle, for the ``alt`` attribute, and titles of its chapters.

They consist of the payload's own words, and of labels in its language where it has none.
"""

from __future__ import annotations

import unicodedata

from previewops.worker.render.storyboard import Step, Storyboard
from previewops.worker.render.text.segmentation import grapheme_clusters

_ALT_MAX_CHARS = 250  # screen readers cannot pause within a text
_TITLE_MAX_CHARS = 100
_TITLE_MAX_BYTES = 255  # of a chapter in MP4 (box chpl)
_ELLIPSIS = "…"


def describe_card(storyboard: Storyboard, number: int) -> str:
    """Returns the alternative text of a card: title and text, else the titles of its pictures, else a label."""
    if number == 0:
        return _joined(storyboard.heading, storyboard.description)
    step = storyboard.steps[number - 1]
    if step.title or step.text:
        return _joined(step.title, step.text)
    shown = ", ".join(asset.title for asset in storyboard.pictures_of(step) if asset.title)
    return shorten(shown or storyboard.step_heading(step), _ALT_MAX_CHARS)


def card_title(storyboard: Storyboard, number: int) -> str:
    """Returns the title of a card as a chapter: one line of at most 100 characters and 255 bytes."""
    step: Step | None = storyboard.steps[number - 1] if number else None
    title = shorten(storyboard.step_heading(step) if step else storyboard.heading, _TITLE_MAX_CHARS)
    length = _TITLE_MAX_CHARS
    while len(title.encode("utf-8", "replace")) > _TITLE_MAX_BYTES:
        length -= 5
        title = shorten(title, length)
    return title


def shorten(text: str, limit: int) -> str:
    """Returns ``text`` in one line of at most ``limit`` characters, cut between words where it has some."""
    line = " ".join(text[: 4 * limit].split())
    if len(line) <= limit:
        return line
    kept = ""
    for cluster in grapheme_clusters(line[: limit + 1]):
        if len(kept) + len(cluster) > limit - len(_ELLIPSIS):
            break
        kept += cluster
    words = kept.rpartition(" ")[0]
    return (words if len(words) > limit // 2 else kept).rstrip() + _ELLIPSIS


def _joined(title: str, text: str) -> str:
    title, text = title.strip(), text.strip()
    if not title or not text:
        return shorten(title or text, _ALT_MAX_CHARS)
    ends_itself = unicodedata.category(title[-1]).startswith("P")
    return shorten(f"{title}{' ' if ends_itself else ': '}{text}", _ALT_MAX_CHARS)
