"""The grid and the type scale: every length follows from the frame, with floors that stay readable.

Distances are multiples of one unit, a ninetieth of the short side. Type has four sizes, each about 1.4 times the
next, and a floor for each that it may shrink to.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.worker.render.layout.geometry import Box, Size

_SAFE = 0.05  # of each side: what EBU R 95 keeps free of graphics
_WIDE = 1.25  # ratio of sides from which words stand beside pictures


@dataclass(frozen=True, slots=True)
class LayoutMetrics:
    """Lengths in pixels for a frame of ``size``; type sizes are in pixels too."""

    size: Size

    def _of_short(self, share: float, floor: int) -> int:
        return max(floor, round(self.size.short * share))

    def units(self, count: float) -> int:
        """``count`` units of the grid, at least 1 pixel."""
        return max(1, round(self.size.short * count / 90))

    @property
    def safe(self) -> Box:
        """What no text or sign leaves: 5 % from each edge, and never less than 5.5 % of the short side."""
        min_margin = self._of_short(0.055, 6)
        across = max(min_margin, round(self.size.width * _SAFE))
        down = max(min_margin, round(self.size.height * _SAFE))
        return Box(across, down, self.size.width - across, self.size.height - down)

    @property
    def gap(self) -> int:
        """Between things that belong together."""
        return max(4, self.units(2))

    @property
    def gutter(self) -> int:
        """Between columns, and between pictures and words."""
        return max(6, self.units(4))

    @property
    def radius(self) -> int:
        return self._of_short(0.018, 2)

    @property
    def hairline(self) -> int:
        return self._of_short(0.0014, 1)

    @property
    def progress_bar(self) -> int:
        """Height of the progress rail."""
        return self._of_short(0.0075, 2)

    @property
    def display(self) -> int:
        """Type of the title card's title."""
        return self._of_short(0.122, 20)

    @property
    def display_min(self) -> int:
        return self._of_short(0.058, 13)

    @property
    def statement(self) -> int:
        """Type of a title that stands alone on its frame."""
        return self._of_short(0.094, 17)

    @property
    def heading(self) -> int:
        """Type of a step's title."""
        return self._of_short(0.064, 13)

    @property
    def heading_min(self) -> int:
        return self._of_short(0.042, 11)

    @property
    def body(self) -> int:
        """Type of a step's text."""
        return self._of_short(0.041, 10)

    @property
    def body_min(self) -> int:
        return self._of_short(0.030, 9)

    @property
    def small(self) -> int:
        """Type of labels and small print."""
        return self._of_short(0.029, 9)

    @property
    def badge(self) -> int:
        """Height of the step badge."""
        return round(self.small * 1.9)

    @property
    def min_cell(self) -> int:
        """Below this a picture tells nothing any more."""
        return self._of_short(0.1, 24)

    @property
    def wide(self) -> bool:
        """Whether words stand beside pictures; otherwise below them."""
        return self.size.width >= self.size.height * _WIDE

    @property
    def progress_bar_box(self) -> Box:
        """At the lower edge of the safe area."""
        safe = self.safe
        return Box(safe.left, safe.bottom - self.progress_bar, safe.right, safe.bottom)

    @property
    def content(self) -> Box:
        """The safe area above the rail."""
        safe = self.safe
        return Box(safe.left, safe.top, safe.right, self.progress_bar_box.top - max(5, self.units(3)))
