"""The part of a bundle that a job asks for: ``options.only`` and ``options.stepsRange``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARTS = ("poster", "frames", "sheet", "animation", "thumbnails")
_IN_TIME = frozenset({"frames", "sheet", "animation"})  # parts that show the cards one after the other


@dataclass(frozen=True, slots=True)
class Selection:
    """``only`` are the parts, None for all; ``steps`` the first and the last step, None for all and the title card.

    A card is the title card, number 0, or the frame of a step, by its number.
    """

    only: frozenset[str] | None
    steps: tuple[int, int] | None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Selection:
        """Reads the options of a valid payload."""
        only, span = options.get("only"), options.get("stepsRange")
        return cls(None if only is None else frozenset(only), (span["from"], span["to"]) if span else None)

    @property
    def parts(self) -> frozenset[str]:
        """Those of PARTS that the bundle has."""
        return frozenset(PARTS) if self.only is None else self.only

    @property
    def is_partial(self) -> bool:
        """Whether the bundle lacks a part or a card."""
        return self.steps is not None or len(self.parts) < len(PARTS)

    def cards(self, steps: int) -> range:
        """Returns the cards that frames, sheet and animation show, of a storyboard with this number of ``steps``."""
        if self.steps is None:
            return range(steps + 1)
        first, last = self.steps
        return range(first, last + 1)

    def drawn_cards(self, steps: int) -> tuple[int, ...]:
        """Returns the cards to draw: those of ``cards``, and the title card for the poster."""
        cards = self.cards(steps) if self.parts & _IN_TIME else range(0)
        return tuple(cards) if "poster" not in self.parts or 0 in cards else (0, *cards)

    def as_json(self) -> dict[str, Any] | None:
        """Returns what the job asked for, for ``preview.json``; None for a whole bundle."""
        if not self.is_partial:
            return None
        only = None if self.only is None else [part for part in PARTS if part in self.only]
        span = {"from": self.steps[0], "to": self.steps[1]} if self.steps else None
        return {"only": only, "stepsRange": span}
