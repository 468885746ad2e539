"""Chapters of the animation: one per card, with its title."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from previewops.worker.render.alt_texts import card_title
from previewops.worker.render.storyboard import Storyboard


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter; times in ms from the start of the animation."""

    start_ms: int
    end_ms: int
    title: str


def list_chapters(storyboard: Storyboard) -> tuple[Chapter, ...]:
    """Returns the chapters of the animation; none for a single card, which has nothing to choose from."""
    return tuple(_chapters(storyboard)) if len(storyboard.cards) > 1 else ()


def _chapters(storyboard: Storyboard) -> Iterator[Chapter]:
    for number, start_ms, end_ms in storyboard.intervals():
        yield Chapter(start_ms, end_ms, card_title(storyboard, number))


def set_chapters(container: Any, chapters: tuple[Chapter, ...]) -> None:
    """Adds ``chapters`` to an output container of PyAV whose header is not written yet."""
    if chapters:
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": chapter.start_ms,
                    "end": chapter.end_ms,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": chapter.title},
                }
                for number, chapter in enumerate(chapters, start=1)
            ]
        )
