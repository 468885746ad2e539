"""Layout of frames that are too small for words beside pictures: thumbnails of the size of an icon.

A picture fills its frame. A frame without one has its title if all of it can be read, else a monogram or its number.
Such frames have no badge, progress bar, logo or footer: these would hide the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.contract.limits import TITLE_CARD_MS
from previewops.worker.render.layout.frames import FrameLayout, centred_text
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.layout.picture_grid import PicturePlacer
from previewops.worker.render.storyboard import Asset, Step, Storyboard
from previewops.worker.render.text.characters import SOFT_HYPHEN
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.paragraphs import normalise
from previewops.worker.render.text.segmentation import grapheme_clusters
from previewops.worker.render.text.typesetting import TextBlock

_SIGN_SHARE = 0.5  # of the short side: size of a monogram or number


@dataclass(frozen=True, slots=True)
class TinyFrames:
    """Lays out the tiny frames of one storyboard."""

    storyboard: Storyboard
    placer: PicturePlacer

    def title_card(self, hero: Asset | None) -> FrameLayout:
        """Lays out the title card: its picture ``hero``, else the title, else the initials of the title."""
        if hero is not None:
            return FrameLayout(TITLE_CARD_MS, placements=(self.placer.alone(hero),))
        heading = self.storyboard.heading
        return self._words(TITLE_CARD_MS, heading, initials(heading))

    def step(self, step: Step) -> FrameLayout:
        """Lays out a step: its pictures, else its title, else its number."""
        pictures = self.storyboard.pictures_of(step)
        if not pictures:
            title = self.storyboard.step_heading(step) if self.storyboard.captions else ""
            return self._words(step.duration_ms, title, str(step.number))
        if len(pictures) == 1:
            return FrameLayout(step.duration_ms, placements=(self.placer.alone(pictures[0]),))
        area = Box(0, 0, *self.storyboard.size).inset(1)
        placed = self.placer.place(pictures, area, step.layout)
        texts = tuple(text for text in placed.texts if text.block.lines)
        return FrameLayout(step.duration_ms, placements=placed.placements, texts=texts, more_box=placed.more)

    def _words(self, duration_ms: int, title: str, sign: str) -> FrameLayout:
        """Lays out the title if all of it fits, else the sign, a few characters that stand for it."""
        metrics = self.placer.metrics
        area = metrics.safe
        block = self._fit(title, area, metrics.statement, max_lines=3)
        text = centred_text(block, area, "ink")
        if not title or not _shows(block, title):
            size = round(metrics.size.short * _SIGN_SHARE)
            text = centred_text(self._fit(sign, area, size, max_lines=1), area, "accent_ink")
        return FrameLayout(duration_ms, texts=(text,))

    def _fit(self, text: str, area: Box, size: int, max_lines: int) -> TextBlock:
        return self.placer.typesetter.fit(
            text,
            FontWeight.BOLD,
            width=area.width,
            height=area.height,
            size=size,
            min_size=self.placer.metrics.heading_min,
            max_lines=max_lines,
        )


def _shows(block: TextBlock, text: str) -> bool:
    """Whether all of ``text`` is in ``block``, without a hyphen or an ellipsis."""
    expected = normalise(text).replace(SOFT_HYPHEN, "")
    return "".join(expected.split()) == "".join("".join(line.text for line in block.lines).split())


def initials(title: str) -> str:
    """Returns one or two characters that stand for a title: two only of alphabets with capitals."""
    clusters = [grapheme_clusters(word) for word in title.split()]
    firsts = [next((cluster for cluster in word if cluster[0].isalnum()), "") for word in clusters]
    signs = list(filter(None, firsts))[:2] or [clusters[0][0]]
    if not all(sign.upper() != sign.lower() for sign in signs):
        signs = signs[:1]
    return "".join(signs).upper()
