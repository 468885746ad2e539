"""The grid and the type scale. Every length depends on the frame size and has a readable minimum.

Distances are multiples of one unit, a ninetieth of the short side. There are four type sizes, each about 1.4 times
the next, and each with a minimum that text may shrink to.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.worker.render.layout.geometry import Box, Size

_SAFE = 0.05  # of each side: the margin of EBU R 95
_MIN_WIDTH, _MIN_PIXELS = 112, 128 * 96  # of a frame with words beside pictures
SMALLEST_FOOTED = 160  # pixels of the short side; a footer on a smaller frame would not be readable
_WIDE = 1.25  # aspect ratio from which text is beside pictures


class _Length:
    """A length as a share of the frame's short side, with a minimum in pixels."""

    def __init__(self, share: float, minimum: int) -> None:
        self._share = share
        self._minimum = minimum

    def __get__(self, metrics: LayoutMetrics, _owner: type) -> int:
        return max(self._minimum, round(metrics.size.short * self._share))


@dataclass(frozen=True, slots=True)
class LayoutMetrics:
    """Lengths in pixels for a frame of ``size``; type sizes are in pixels too.

    ``spacing`` and ``rounding`` are a theme's factors on distances and corner radii. ``head`` is the height that a
    logo takes at the top, ``foot`` the height that logo and footer take at the bottom, with the space above them.
    """

    size: Size
    spacing: float = 1.0
    rounding: float = 1.0
    head: int = 0
    foot: int = 0
    _corner = _Length(0.018, 2)
    hairline = _Length(0.0014, 1)  # width of thin lines
    progress_bar = _Length(0.0075, 2)  # height
    display = _Length(0.122, 20)  # title of the title card
    display_min = _Length(0.058, 13)
    statement = _Length(0.094, 17)  # title of a frame without pictures
    heading = _Length(0.064, 13)  # title of a step
    heading_min = _Length(0.042, 11)
    body = _Length(0.041, 10)  # text of a step
    body_min = _Length(0.030, 9)
    small = _Length(0.029, 9)  # labels
    min_cell = _Length(0.1, 24)  # side; smaller pictures are not recognisable

    def units(self, count: float) -> int:
        """Returns ``count`` units of the grid in pixels, at least 1."""
        return max(1, round(self.size.short * count / 90))

    @property
    def safe(self) -> Box:
        """The safe area for text and symbols: a margin of 5 % per edge, at least 5.5 % of the short side."""
        min_margin = max(6, round(self.size.short * 0.055))
        margin = _SAFE * max(1.0, self.spacing)
        across = max(min_margin, round(self.size.width * margin))
        down = max(min_margin, round(self.size.height * margin))
        return Box(across, down, self.size.width - across, self.size.height - down)

    @property
    def gap(self) -> int:
        """Distance between related elements."""
        return max(4, round(self.units(2) * self.spacing))

    @property
    def gutter(self) -> int:
        """Distance between columns, and between pictures and text."""
        return max(6, round(self.units(4) * self.spacing))

    @property
    def radius(self) -> int:
        """Radius of rounded corners."""
        return round(self._corner * self.rounding)

    def round_end(self, height: int) -> int:
        """Radius of a badge or bar of ``height``: half of it, less in a theme with sharper corners."""
        return round(height // 2 * min(1.0, self.rounding))

    @property
    def badge(self) -> int:
        """Height of the step badge."""
        return round(self.small * 1.9)

    @property
    def wide(self) -> bool:
        """Whether text is beside pictures; otherwise it is below them."""
        return self.size.width >= self.size.height * _WIDE

    @property
    def is_small(self) -> bool:
        """Whether texts of which only some words fit are left out: these would be hard to read, and say nothing."""
        return self.size.short < SMALLEST_FOOTED

    @property
    def progress_bar_box(self) -> Box:
        """The progress bar, at the lower edge of the safe area."""
        safe = self.safe
        bottom = safe.bottom - self.foot
        return Box(safe.left, bottom - self.progress_bar, safe.right, bottom)

    @property
    def content(self) -> Box:
        """The safe area above the progress bar."""
        safe = self.safe
        return Box(safe.left, safe.top, safe.right, self.progress_bar_box.top - max(5, self.units(3)))

    @property
    def below_head(self) -> Box:
        """The content below the row of the logo; all of it without a logo at the top."""
        content = self.content
        if not self.head:
            return content
        top = content.top + max(self.head, self.badge) + round(self.gap * 1.5)
        return Box(content.left, min(top, content.bottom - 1), content.right, content.bottom)


def is_tiny(size: Size) -> bool:
    """Whether a frame of ``size`` is too small for words beside pictures: it shows one or the other."""
    return size.width < _MIN_WIDTH or size.pixels < _MIN_PIXELS
