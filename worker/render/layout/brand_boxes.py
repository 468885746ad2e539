"""Boxes of logo and footer on frames, and the room that they leave for everything else.

A logo at the top shares a row with the step's number; at the bottom it shares one with the footer, below the progress
bar. Logos of all shapes look equally large: wide ones are lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from previewops.worker.render.branding import Corner
from previewops.worker.render.layout.frames import FrameLayout, LogoPlace, PlacedText, Role
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.type_scale import SMALLEST_FOOTED, LayoutMetrics
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import TextBlock, Typesetter

_STEP_UNITS, _TITLE_UNITS = 6, 8  # units of the grid: height of a logo that is not wide
_SPACE_UNITS = 3  # units of the grid above the bottom row
_PLATE_UNITS = 1.5  # units of the grid: padding of the plate below a logo
_SMALLEST_LOGO = 14  # pixels
_WIDE_RATIO = 2.2  # aspect ratio from which a logo is lower than its row
_WIDE_POWER, _TALL_POWER, _TALLEST = 0.4, 0.3, 1.4  # how much lower wide logos are, and taller tall ones
_MAX_WIDTH = 0.3  # of the frame
_SMALLEST_FOOTER = 0.8  # of the small type size
_MAX_ENLARGEMENT = 1.5  # of the pixels of a logo


@dataclass(frozen=True, slots=True)
class BrandBoxes:
    """Places logo and footer of one storyboard on its frames.

    ``shape`` is the size of the logo's file; None without a logo, or if it is not available.
    """

    corner: Corner
    shape: Size | None
    footer: str
    typesetter: Typesetter

    @classmethod
    def of(
        cls, storyboard: Storyboard, picture_sizes: Mapping[str, Size], typesetter: Typesetter
    ) -> BrandBoxes:
        """Returns the boxes of a storyboard; ``picture_sizes`` has the upright sizes of available pictures."""
        logo, brand = storyboard.logo, storyboard.brand
        shape = picture_sizes.get(logo.ref.id) if logo else None
        footer = brand.footer if storyboard.size.short >= SMALLEST_FOOTED else ""
        return cls(brand.corner, shape, footer, typesetter)

    def metrics(self, storyboard: Storyboard) -> LayoutMetrics:
        """Returns the lengths of step frames, with the room that logo and footer take."""
        metrics = plain_metrics(storyboard)
        logo = self._corner_box(metrics, _STEP_UNITS)
        head = logo.height if logo and self._is_at_top else 0
        return replace(metrics, head=head, foot=self._foot(metrics, metrics.safe, logo))

    @property
    def _is_at_top(self) -> bool:
        return self.corner.startswith("top")

    @property
    def _is_at_start(self) -> bool:
        return self.corner.endswith("start")

    def step_row(self, metrics: LayoutMetrics, badge: Size) -> tuple[Box, Box | None]:
        """Returns the boxes of the step's number and of a logo in the row at the top of a step frame."""
        content, logo = metrics.content, self._logo_size(metrics, _STEP_UNITS)
        if logo is None or not self._is_at_top:
            return Box.at(content.left, content.top, badge), None
        row = Box(content.left, content.top, content.right, content.top + max(badge.height, logo.height))
        return self._in_row(row, badge, at_start=not self._is_at_start), self._in_row(
            row, logo, at_start=self._is_at_start
        )

    @staticmethod
    def _in_row(row: Box, size: Size, *, at_start: bool) -> Box:
        left = row.left if at_start else row.right - size.width
        return Box.at(left, row.top + (row.height - size.height) // 2, size)

    def on_step(self, frame: FrameLayout, metrics: LayoutMetrics) -> FrameLayout:
        """Adds logo and footer to a step frame."""
        if self.shape is None and not self.footer:
            return frame
        on_picture = any(placement.bleeds for placement in frame.placements)
        _, logo = self.step_row(metrics, Size(1, metrics.badge))
        logo = logo or self._corner_box(metrics, _STEP_UNITS)
        footer = self._place_footer(metrics, metrics.safe, logo, "on_picture" if on_picture else "muted")
        scrim = frame.scrim
        if on_picture and scrim is None and footer is not None:
            scrim = metrics.content.bottom
        return replace(
            frame,
            logo=self._place(logo, metrics, on_picture),
            footer=footer,
            foot=metrics.foot,
            scrim=scrim,
        )

    def title_area(self, metrics: LayoutMetrics, area: Box) -> Box:
        """Returns the part of a title card's text ``area`` that logo and footer leave."""
        logo = self._corner_box(metrics, _TITLE_UNITS)
        inside = logo if logo and _meets(logo, area) else None
        top = area.top
        if inside and self._is_at_top:
            top = inside.bottom + metrics.gutter
        bottom = area.bottom - self._foot(metrics, area, inside)
        return Box(area.left, min(top, bottom - 1), area.right, bottom)

    def on_title_card(self, frame: FrameLayout, metrics: LayoutMetrics, area: Box) -> FrameLayout:
        """Adds logo and footer to a title card. Its texts are in ``area``, without the part of ``title_area``."""
        if self.shape is None and not self.footer:
            return frame
        logo = self._corner_box(metrics, _TITLE_UNITS)
        cells = [placement.cell for placement in frame.placements]
        on_picture = logo is not None and any(_meets(logo, cell) for cell in cells)
        beside = logo if logo and _meets(logo, area) else None
        footer = self._place_footer(metrics, area, beside, "muted")
        return replace(frame, logo=self._place(logo, metrics, on_picture), footer=footer)

    def _logo_size(self, metrics: LayoutMetrics, units: float) -> Size | None:
        if self.shape is None:
            return None
        return fit_logo(self.shape, max(_SMALLEST_LOGO, metrics.units(units)), metrics.size.width)

    def _corner_box(self, metrics: LayoutMetrics, units: float) -> Box | None:
        """Returns the box of the logo in its corner of the safe area."""
        safe, size = metrics.safe, self._logo_size(metrics, units)
        if size is None:
            return None
        left = safe.left if self._is_at_start else safe.right - size.width
        return Box.at(left, safe.top if self._is_at_top else safe.bottom - size.height, size)

    def _foot(self, metrics: LayoutMetrics, area: Box, logo: Box | None) -> int:
        """Returns the height of the bottom row of ``area``, with a ``logo`` in it, and of the space above it."""
        footer = self._fit_footer(metrics, area, logo)
        row = max(footer.height if footer else 0, logo.height if logo and not self._is_at_top else 0)
        return row + max(5, metrics.units(_SPACE_UNITS)) if row else 0

    def _footer_span(self, metrics: LayoutMetrics, area: Box, logo: Box | None) -> tuple[int, int]:
        """Returns left and right edge of the room for the footer, beside a ``logo`` that is in its row."""
        if logo is None or self._is_at_top:
            return area.left, area.right
        space = metrics.gutter + _padding(metrics)
        return (logo.right + space, area.right) if self._is_at_start else (area.left, logo.left - space)

    def _fit_footer(self, metrics: LayoutMetrics, area: Box, logo: Box | None) -> TextBlock | None:
        """Fits the footer on one line, else on two."""
        left, right = self._footer_span(metrics, area, logo)
        size = metrics.small
        if not self.footer or right - left < 4 * size:
            return None
        one, two = (
            partial(
                self.typesetter.fit,
                self.footer,
                FontWeight.REGULAR,
                width=right - left,
                height=size * (3 * lines - 2),
                size=size,
                min_size=max(9, round(size * _SMALLEST_FOOTER)),
                max_lines=lines,
            )
            for lines in (1, 2)
        )
        block = one()
        return two() if block.truncated else block

    def _place_footer(
        self, metrics: LayoutMetrics, area: Box, logo: Box | None, role: Role
    ) -> PlacedText | None:
        """Places the footer in the bottom row of ``area``, beside a ``logo`` that is in this row."""
        block = self._fit_footer(metrics, area, logo)
        if block is None:
            return None
        left, right = self._footer_span(metrics, area, logo)
        row = max(block.height, logo.height if logo and not self._is_at_top else 0)
        return PlacedText(block, left, right, area.bottom - (row + block.height) // 2, role, "start")

    def _place(self, logo: Box | None, metrics: LayoutMetrics, on_picture: bool) -> LogoPlace | None:
        if logo is None:
            return None
        return LogoPlace(logo, _padding(metrics), at_left=self._is_at_start, on_picture=on_picture)


def plain_metrics(storyboard: Storyboard) -> LayoutMetrics:
    """Returns the lengths of a storyboard's frames, without room for logo and footer."""
    brand = storyboard.brand
    return LayoutMetrics(storyboard.size, brand.spacing, brand.corner_radius)


def fit_logo(shape: Size, height: int, frame_width: int) -> Size:
    """Returns the size of a logo of ``shape`` in a row of ``height`` on a frame of ``frame_width``, pixels.

    Logos wider than 2.2 : 1 are lower, and tall ones higher than the row, so that all look equally large.
    """
    ratio = shape.width / shape.height
    if ratio > _WIDE_RATIO:
        height = max(1, round(height * (_WIDE_RATIO / ratio) ** _WIDE_POWER))
    elif ratio < 1:
        height = round(height * min(_TALLEST, (1 / ratio) ** _TALL_POWER))
    width = max(1, min(round(height * ratio), round(frame_width * _MAX_WIDTH)))
    fitted = shape.fitted(Size(width, height))
    largest = Size(round(shape.width * _MAX_ENLARGEMENT), round(shape.height * _MAX_ENLARGEMENT))
    return fitted if fitted.width <= largest.width else largest


def _padding(metrics: LayoutMetrics) -> int:
    return max(3, metrics.units(_PLATE_UNITS))


def _meets(box: Box, other: Box) -> bool:
    return (
        box.left < other.right
        and other.left < box.right
        and box.top < other.bottom
        and other.top < box.bottom
    )
