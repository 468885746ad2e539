"""The grid and the type scale: every length follows from the short side, with floors that stay readable."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.worker.render.geometry import Box, Size


@dataclass(frozen=True, slots=True)
class Metrics:
    """Lengths in pixels for a frame of ``size``; type sizes are in pixels too."""

    size: Size

    def _of_short(self, share: float, floor: int) -> int:
        return max(floor, round(self.size.short * share))

    @property
    def margin(self) -> int:
        return self._of_short(0.06, 6)

    @property
    def gap(self) -> int:
        return self._of_short(0.03, 4)

    @property
    def radius(self) -> int:
        return self._of_short(0.022, 3)

    @property
    def hairline(self) -> int:
        return self._of_short(0.0014, 1)

    @property
    def rail(self) -> int:
        """Height of the progress rail."""
        return self._of_short(0.008, 2)

    @property
    def display(self) -> int:
        """Type of the title card's title."""
        return self._of_short(0.105, 18)

    @property
    def display_floor(self) -> int:
        return self._of_short(0.05, 12)

    @property
    def heading(self) -> int:
        """Type of a step's title."""
        return self._of_short(0.056, 13)

    @property
    def heading_floor(self) -> int:
        return self._of_short(0.036, 11)

    @property
    def body(self) -> int:
        """Type of a step's text."""
        return self._of_short(0.036, 10)

    @property
    def body_floor(self) -> int:
        return self._of_short(0.026, 9)

    @property
    def small(self) -> int:
        """Type of labels and small print."""
        return self._of_short(0.026, 9)

    @property
    def badge(self) -> int:
        """Height of the step badge."""
        return round(self.heading * 1.3)

    @property
    def smallest_cell(self) -> int:
        """Below this a picture tells nothing any more."""
        return self._of_short(0.1, 24)

    @property
    def wide(self) -> bool:
        """Whether text stands beside pictures; otherwise above and below."""
        return self.size.width >= self.size.height * 1.25

    @property
    def content(self) -> Box:
        """Inside the margins and above the rail."""
        return Box(
            self.margin,
            self.margin,
            self.size.width - self.margin,
            self.rail_box.top - round(self.margin * 0.6),
        )

    @property
    def rail_box(self) -> Box:
        bottom = self.size.height - round(self.margin * 0.6)
        return Box(self.margin, bottom - self.rail, self.size.width - self.margin, bottom)
