"""The contact sheet: all frames in small size, with number, title and duration."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from previewops.worker.render.layout.brand_boxes import fit_logo
from previewops.worker.render.layout.frames import LogoPlace
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.titlecard import format_duration, format_facts, keep_left_to_right
from previewops.worker.render.layout.type_scale import LayoutMetrics
from previewops.worker.render.shapes import draw_panel, paste_rounded
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import ASCENT_EM, TextBlock, Typesetter
from previewops.worker.render.theme import Colour

_SMALLEST_WIDTH, _LARGEST_WIDTH = 1_280, 2_560  # pixels
_TALLEST = 8_000  # pixels: within the limits of all still formats
_READABLE_CELL = 150  # minimum width of a cell with a caption, pixels
_SMALLEST_CELL = 24  # minimum short side of a cell in the regular grid, pixels
_DENSE_GAP = 4  # between the cells of the dense grid, pixels
_TITLE_SIZE, _LOGO, _FOOTER = 36, 48, 20  # of a sheet of the smallest width, pixels
_FOOT_SPACE = 16  # above the row at the foot, pixels
_MOST_COLUMNS = 128  # enough for 501 cards of the longest frames


@dataclass(frozen=True, slots=True)
class SheetLayout:
    """The grid of a contact sheet; sizes in pixels."""

    size: Size
    columns: int
    cell: Size  # size of a small frame
    header: int
    caption: int  # height below a small frame
    captions: bool  # whether that height has number, title and duration
    margin: int
    gap: int
    mirrored: bool  # right to left
    foot: int = 0  # height of the row with the footer, or with a logo at the bottom

    def cell_box(self, index: int) -> Box:
        """Returns the box of the card at the place ``index``."""
        row, column = divmod(index, self.columns)
        left = self.margin + column * (self.cell.width + self.gap)
        if self.mirrored:
            left = self.size.width - left - self.cell.width
        top = self.header + row * (self.cell.height + self.caption + self.gap)
        return Box.at(left, top, self.cell)


def lay_out_sheet(storyboard: Storyboard) -> SheetLayout:
    """Lays out the grid for the cards of ``storyboard``.

    Cells become smaller until all cards fit. Too many cards, or too long ones, get the widest sheet and cells close
    together, without captions.
    """
    cards, frame = len(storyboard.cards), storyboard.size
    width = min(_LARGEST_WIDTH, max(_SMALLEST_WIDTH, frame.width))
    gap = round(24 * width / _SMALLEST_WIDTH)
    for columns in range(_columns(cards, frame.height / frame.width), _MOST_COLUMNS + 1):
        sheet = _grid(storyboard, width, columns, gap)
        if sheet is not None and sheet.cell.short >= _SMALLEST_CELL:
            return sheet
        gap = max(_DENSE_GAP, gap * 9 // 10)
    dense = (
        _grid(storyboard, _LARGEST_WIDTH, columns, _DENSE_GAP, captions=False)
        for columns in range(1, _MOST_COLUMNS + 1)
    )
    return max(filter(None, dense), key=lambda sheet: sheet.cell.pixels)


def _grid(
    storyboard: Storyboard, width: int, columns: int, gap: int, *, captions: bool = True
) -> SheetLayout | None:
    """Returns the grid with ``columns``; None if it is too tall, or its cells have no width."""
    unit, frame = width / _SMALLEST_WIDTH, storyboard.size
    margin = round(44 * unit)
    cell_width = (width - 2 * margin - gap * (columns - 1)) // columns
    if cell_width < 1:
        return None
    cell = Size(cell_width, max(1, round(cell_width * frame.height / frame.width)))
    captions = captions and cell.width >= _READABLE_CELL * unit
    caption = round(50 * unit) if captions else round(gap * 0.2)
    header = margin + round(84 * unit)
    rows = math.ceil(len(storyboard.cards) / columns)
    foot = round(_foot_row(storyboard) * unit)
    foot += round(_FOOT_SPACE * unit) if foot else 0
    height = header + rows * (cell.height + caption + gap) - gap + foot + margin
    if height > _TALLEST:
        return None
    size = Size(width, height)
    mirrored = storyboard.right_to_left
    return SheetLayout(size, columns, cell, header, caption, captions, margin, gap, mirrored, foot)


def _foot_row(storyboard: Storyboard) -> int:
    """Returns the height of the row with the footer, or with a logo at the bottom; 0 for none."""
    brand = storyboard.brand
    if storyboard.logo is not None and brand.corner.startswith("bottom"):
        return _LOGO
    return _FOOTER if brand.footer else 0


def _columns(cards: int, ratio: float) -> int:
    """Returns the number of columns: three to five, more for tall or many frames, with few empty cells."""
    fewest = 3 if ratio < 1 else 4
    ideal = max(fewest, round(math.sqrt(cards * max(0.6, ratio))))
    choices = range(ideal, ideal + 2 if ideal < 8 else ideal + 1)
    return min(choices, key=lambda columns: (-cards % columns, columns))


class ContactSheet:
    """Draws the contact sheet; it keeps only the small versions of the frames."""

    def __init__(
        self, storyboard: Storyboard, typesetter: Typesetter, logo_shape: Size | None = None
    ) -> None:
        """``logo_shape`` is the size of the logo's file."""
        self._storyboard = storyboard
        self._typesetter = typesetter
        self.layout = lay_out_sheet(storyboard)
        self._unit = self.layout.size.width / _SMALLEST_WIDTH
        self.logo_place = self._place_logo(logo_shape) if logo_shape else None
        self.image = Image.new("RGB", self.layout.size, storyboard.theme.background)
        self._header()
        self._footer()

    @property
    def radius(self) -> int:
        """Radius of rounded corners, pixels."""
        return self._rounded(10 * self._unit)

    def _rounded(self, radius: float) -> int:
        return round(max(2, round(radius)) * self._storyboard.brand.corner_radius)

    def _place_logo(self, shape: Size) -> LogoPlace:
        """Places the logo in the row of the title or of the footer, at its side of the sheet."""
        layout, corner = self.layout, self._storyboard.brand.corner
        size = fit_logo(shape, round(_LOGO * self._unit), layout.size.width)
        at_left = corner.endswith("start") != layout.mirrored
        left = layout.margin if at_left else layout.size.width - layout.margin - size.width
        middle = layout.margin + round(_TITLE_SIZE / 2 * self._unit)
        if corner.startswith("bottom"):
            middle = self._foot_middle
        box = Box.at(left, middle - size.height // 2, size)
        return LogoPlace(box, round(8 * self._unit), at_left=at_left, on_picture=False)

    @property
    def _foot_middle(self) -> int:
        return (
            self.layout.size.height - self.layout.margin - round(_foot_row(self._storyboard) / 2 * self._unit)
        )

    def _span(self, *, bottom: bool) -> tuple[int, int]:
        """Returns left and right edge of the row at the top or bottom, without the logo that is in it."""
        left, right = self.layout.margin, self.layout.size.width - self.layout.margin
        corner, place, space = self._storyboard.brand.corner, self.logo_place, round(28 * self._unit)
        if place is None or corner.startswith("bottom") != bottom:
            return left, right
        if corner.endswith("start") != self.layout.mirrored:
            return place.box.right + space, right
        return left, place.box.left - space

    def add(self, number: int, frame: Image.Image, heading: str, duration_ms: int) -> None:
        """Draws a card (0 is the title card)."""
        box, theme = self.layout.cell_box(self._storyboard.cards.index(number)), self._storyboard.theme
        radius = self._rounded(10 * self._unit * min(1.0, box.width / 300))
        hairline = LayoutMetrics(self.layout.size).hairline
        edge = Box(box.left - hairline, box.top - hairline, box.right + hairline, box.bottom + hairline)
        draw_panel(self.image, edge, radius + hairline, fill=theme.line, line=theme.line, hairline=hairline)
        enlarges = box.width > frame.width
        filter_ = Image.Resampling.BICUBIC if enlarges else Image.Resampling.HAMMING
        small = frame.resize(box.size, filter_, reducing_gap=1.5)
        paste_rounded(self.image, small, box, radius)
        if self.layout.captions:
            self._caption(box, str(number) if number else "", heading, format_duration(duration_ms))

    def _caption(self, box: Box, number: str, heading: str, duration: str) -> None:
        theme, typesetter, size = self._storyboard.theme, self._typesetter, round(17 * self._unit)
        top, gap = box.bottom + round(12 * self._unit), round(10 * self._unit)
        time = typesetter.fit_line(duration, FontWeight.REGULAR, size, box.width)
        figure = typesetter.fit_line(number, FontWeight.BOLD, size, box.width)
        indent = figure.width + gap if number else 0
        title = typesetter.fit_line(heading, FontWeight.SEMIBOLD, size, box.width - indent - time.width - gap)
        span = (box.left, box.right)
        self._set(figure, span, top, theme.accent_ink)
        self._set(title, span, top, theme.ink, indent=indent)
        self._set(time, span, top, theme.muted, at_end=True)

    def _header(self) -> None:
        theme, typesetter, unit = self._storyboard.theme, self._typesetter, self._unit
        span = self._span(bottom=False)
        facts = format_sheet_facts(self._storyboard)
        small = typesetter.fit_line(facts, FontWeight.SEMIBOLD, round(19 * unit), (span[1] - span[0]) // 2)
        room = span[1] - span[0] - small.width - round(40 * unit)
        title = typesetter.fit_line(
            self._storyboard.heading, FontWeight.BOLD, round(_TITLE_SIZE * unit), room
        )
        top = self.layout.margin
        self._set(title, span, top, theme.ink)
        lower = round(title.size * ASCENT_EM) - round(small.size * ASCENT_EM)
        self._set(small, span, top + lower, theme.muted, at_end=True)

    def _footer(self) -> None:
        footer, unit = self._storyboard.brand.footer, self._unit
        span = self._span(bottom=True)
        block = self._typesetter.fit_line(footer, FontWeight.REGULAR, round(17 * unit), span[1] - span[0])
        self._set(block, span, self._foot_middle - block.height // 2, self._storyboard.theme.muted)

    def _set(
        self,
        block: TextBlock,
        span: tuple[int, int],
        top: int,
        colour: Colour,
        *,
        indent: int = 0,
        at_end: bool = False,
    ) -> None:
        """Draws one line, ``indent`` pixels from the start of the span, or at its end."""
        left, right = span
        at_right = self.layout.mirrored != at_end
        x = right - indent - block.width if at_right else left + indent
        self._typesetter.draw(self.image, x, top, block, colour)


def format_sheet_facts(storyboard: Storyboard) -> str:
    """Formats the number of steps that are shown, their duration and the size of a frame."""
    steps = sum(number > 0 for number in storyboard.cards)
    size = keep_left_to_right(f"{storyboard.size.width}\u00d7{storyboard.size.height}")
    return f"{format_facts(storyboard.labels, steps, storyboard.shown_ms)}  \u00b7  {size}"
