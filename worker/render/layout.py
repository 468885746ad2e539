"""What goes where on each frame: boxes and fitted text, decided before a pixel is drawn or decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from previewops.contract.limits import TITLE_CARD_MS
from previewops.worker.render.arrange import arrange, gather
from previewops.worker.render.geometry import Box, Size
from previewops.worker.render.metrics import Metrics
from previewops.worker.render.storyboard import Asset, Step, Storyboard
from previewops.worker.render.typesetting import ASCENT, CAPITALS, TextBlock, Typesetter, Weight

Role = Literal["ink", "muted", "accent", "on_accent", "faint"]

_SLIVER = 0.04  # where cropping would take no more than this, a contained picture fills its cell
_LARGEST_UPSCALE = 4.0


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text block, its top left corner, and which of the theme's colours it has."""

    block: TextBlock
    left: int
    top: int
    role: Role


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture on a frame: ``cell`` is its panel, ``box`` where the picture itself is drawn.

    ``bleeds``: the picture runs to the edges of the frame and has square corners and no panel.
    """

    asset: Asset
    cell: Box
    box: Box
    crops: bool
    bleeds: bool = False

    def needed(self, shape: Size) -> Size:
        """The size at which the whole picture (of ``shape``) is wanted, pixels."""
        return shape.covering(self.box.size) if self.crops else self.box.size


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """One frame. ``badge`` is the box of the step badge and its number, ``more`` that of pictures left out."""

    duration_ms: int
    texts: tuple[PlacedText, ...] = ()
    placements: tuple[Placement, ...] = ()
    badge: tuple[Box, PlacedText] | None = None
    bar: Box | None = None  # the short stroke above a title card's title
    more: tuple[Box, PlacedText] | None = None
    ornament: Box | None = None  # the area for decoration where a title card has no picture
    position: int = 0  # steps that the rail shows as begun
    truncated: bool = False  # whether some text was cut


@dataclass(frozen=True, slots=True)
class LayoutEngine:
    """Lays out the frames of one storyboard. ``shapes`` has the upright size of every picture, by asset id."""

    board: Storyboard
    shapes: Mapping[str, Size]
    setter: Typesetter
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", Metrics(self.board.size))

    def title_card(self) -> FrameLayout:
        """The title card, which is the poster as well: title, description, facts and the hero picture."""
        metrics, (width, height) = self.metrics, self.board.size
        hero = self.board.hero
        picture = self._hero_area(hero)
        if metrics.wide:
            words_right = picture.left - (metrics.margin if hero else 0)
            words = Box(metrics.margin, metrics.margin, words_right, height - metrics.margin)
        else:
            words = Box(metrics.margin, picture.bottom, width - metrics.margin, height)
            words = Box(words.left, words.top + metrics.gap, words.right, words.bottom - metrics.margin)
        texts, bar, truncated = self._title_words(words)
        return FrameLayout(
            TITLE_CARD_MS,
            texts=texts,
            placements=(self._hero(hero, picture),) if hero else (),
            bar=bar,
            ornament=None if hero else picture,
            truncated=truncated,
        )

    def _hero_area(self, hero: Asset | None) -> Box:
        """The edge of the title card that its picture has: as much of the card as its shape asks for, in bounds."""
        width, height = self.board.size
        shape = self.shapes[hero.ref.id] if hero else None
        if self.metrics.wide:
            natural = height * shape.width / shape.height if shape else 0.0
            share = min(0.57, max(0.36, natural / width)) if shape else 0.42
            return Box(width - round(width * share), 0, width, height)
        natural = width * shape.height / shape.width if shape else 0.0
        share = min(0.6, max(0.3, natural / height)) if shape else 0.4
        return Box(0, 0, width, round(height * share))

    def _hero(self, hero: Asset, area: Box) -> Placement:
        shape = self.shapes[hero.ref.id]
        if hero.cover or _crop_loss(shape, area.size) <= _SLIVER:
            return Placement(hero, area, area, crops=True, bleeds=True)
        metrics = self.metrics
        # Towards the words there is their own margin already.
        free = Box(
            area.left if metrics.wide else metrics.margin,
            metrics.margin,
            area.right - metrics.margin,
            area.bottom - (metrics.margin if metrics.wide else 0),
        )
        box = free.centred(_contained(shape, free.size))
        return Placement(hero, box, box, crops=True)

    @property
    def _padding(self) -> int:
        """Between a panel's edge and a picture that does not fill it."""
        return max(2, round(self.metrics.gap * 0.5))

    def _title_words(self, area: Box) -> tuple[tuple[PlacedText, ...], Box, bool]:
        metrics, setter = self.metrics, self.setter
        bar_height = max(2, metrics.rail)
        gap = metrics.gap
        facts = setter.line(self._facts(), Weight.SEMIBOLD, round(metrics.small * 1.15), area.width)
        room = area.height - bar_height - facts.height - 3 * gap
        title = setter.fit(
            self.board.title or "Untitled",
            Weight.BOLD,
            width=area.width,
            height=round(room * (0.62 if self.board.description else 1.0)),
            size=metrics.display,
            floor=metrics.display_floor,
            max_lines=5,
        )
        description = setter.fit(
            self.board.description,
            Weight.REGULAR,
            width=area.width,
            height=max(metrics.body, room - title.height),
            size=round(metrics.body * 1.05),
            floor=metrics.body_floor,
            max_lines=6,
        )
        if description.height + title.height > room:
            description = setter.line("", Weight.REGULAR, metrics.body, area.width)
        total = bar_height + gap + title.height + facts.height + gap
        total += description.height + gap if description.lines else 0
        top = area.top + max(0, area.height - total) // 2
        bar = Box.at(area.left, top, (round(metrics.display * 0.9), bar_height))
        rows: tuple[tuple[TextBlock, Role], ...] = ((title, "ink"), (description, "muted"), (facts, "accent"))
        texts = []
        top = bar.bottom + gap
        for block, role in rows:
            if block.lines:
                texts.append(PlacedText(block, area.left, top, role))
                top += block.height + gap
        return tuple(texts), bar, title.truncated or description.truncated

    def _facts(self) -> str:
        count = len(self.board.steps)
        length = clock_time(self.board.duration_ms)
        return f"{count} {'step' if count == 1 else 'steps'}  \u00b7  {length}" if count else length

    def step(self, step: Step) -> FrameLayout:
        """The frame of one step."""
        pictures = self.board.pictures_of(step)
        if not self.board.captions:
            return self._bare(step, pictures)
        if not pictures:
            return self._words_only(step)
        wordless = not (step.title or step.text)
        if step.layout == "full" or wordless or not self.metrics.wide:
            return self._stacked(step, pictures)
        return self._beside(step, pictures)

    def _bare(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """Without captions: pictures alone; without those, the number alone, large."""
        content, metrics = self.metrics.content, self.metrics
        if pictures:
            placements, more, _ = self._place(pictures, content, step.layout)
            return FrameLayout(step.duration_ms, placements=placements, more=more, position=step.number)
        number = self.setter.line(str(step.number), Weight.BOLD, metrics.display * 2, content.width)
        box = content.centred(Size(number.width, number.height))
        text = PlacedText(number, box.left, box.top, "accent")
        return FrameLayout(step.duration_ms, texts=(text,), position=step.number)

    def _words_only(self, step: Step) -> FrameLayout:
        """A statement: large type, in a measure that is comfortable to read, in the middle of the height."""
        content, metrics, setter = self.metrics.content, self.metrics, self.setter
        measure = min(content.width, round(metrics.size.short * 1.25)) if metrics.wide else content.width
        room = content.height - metrics.badge - 2 * metrics.gap
        title = setter.fit(
            step.title or ("" if step.text else step.heading),
            Weight.BOLD,
            width=measure,
            height=round(room * (0.5 if step.text else 1)),
            size=round(metrics.heading * 1.5),
            floor=metrics.heading_floor,
            max_lines=4,
        )
        title_room = title.height + metrics.gap if title.lines else 0
        text = setter.fit(
            step.text,
            Weight.REGULAR,
            width=measure,
            height=max(metrics.body, room - title_room),
            size=round(metrics.body * 1.3),
            floor=metrics.body_floor,
        )
        total = metrics.badge + metrics.gap + title_room + text.height
        top = content.top + max(0, content.height - total) // 2
        badge, counter = self._badge(step, content.left, top)
        top += metrics.badge + metrics.gap
        return FrameLayout(
            step.duration_ms,
            texts=(
                *self._numeral(step, content.left + max(title.width, text.width)),
                counter,
                PlacedText(title, content.left, top, "ink"),
                PlacedText(text, content.left, top + title_room, "muted"),
            ),
            badge=badge,
            position=step.number,
            truncated=title.truncated or text.truncated,
        )

    def _numeral(self, step: Step, words_end: int) -> tuple[PlacedText, ...]:
        """The step's number as a large, faint figure on the right, where the words leave room for it."""
        content, metrics = self.metrics.content, self.metrics
        block = self.setter.line(
            str(step.number), Weight.BOLD, round(metrics.size.short * 0.6), metrics.size.width
        )
        if not metrics.wide or content.right - block.width < words_end + metrics.gap:
            return ()
        middle = (content.top + content.bottom) // 2
        top = middle - round(block.size * (ASCENT - CAPITALS / 2))
        return (PlacedText(block, content.right - block.width, top, "faint"),)

    def _beside(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """Words in a column on the left, pictures on the right."""
        content, metrics, setter = self.metrics.content, self.metrics, self.setter
        width = min(round(content.width * 0.32), round(content.height * 0.85))
        area = Box(
            content.left + width + round(metrics.gap * 1.6), content.top, content.right, content.bottom
        )
        placements, more, labels = self._place(pictures, area, step.layout)
        badge, counter = self._badge(step, content.left, content.top)
        top = content.top + metrics.badge + metrics.gap
        room = content.bottom - top
        title = setter.fit(
            step.title,
            Weight.BOLD,
            width=width,
            height=round(room * (0.5 if step.text else 1)),
            size=metrics.heading,
            floor=metrics.heading_floor,
            max_lines=5,
        )
        title_room = title.height + round(metrics.gap * 0.8) if title.lines else 0
        text = setter.fit(
            step.text,
            Weight.REGULAR,
            width=width,
            height=max(metrics.body, room - title_room),
            size=metrics.body,
            floor=metrics.body_floor,
        )
        return FrameLayout(
            step.duration_ms,
            texts=(
                counter,
                PlacedText(title, content.left, top, "ink"),
                PlacedText(text, content.left, top + title_room, "muted"),
                *labels,
            ),
            placements=placements,
            badge=badge,
            more=more,
            position=step.number,
            truncated=title.truncated or text.truncated,
        )

    def _stacked(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """Badge and title above the pictures, text below them."""
        content, metrics, setter = self.metrics.content, self.metrics, self.setter
        badge, counter = self._badge(step, content.left, content.top, with_total=not step.title)
        indent = badge[0].width + metrics.gap
        title = setter.fit(
            step.title,
            Weight.BOLD,
            width=content.width - indent,
            height=round(content.height * 0.2),
            size=metrics.heading,
            floor=metrics.heading_floor,
            max_lines=3,
        )
        title_top = content.top + max(0, (metrics.badge - title.height) // 2)
        header_bottom = max(badge[0].bottom, title_top + title.height)
        share = 0.22 if metrics.wide else 0.3
        text = setter.fit(
            step.text,
            Weight.REGULAR,
            width=content.width,
            height=round(content.height * share),
            size=metrics.body,
            floor=metrics.body_floor,
        )
        text_top = content.bottom - text.height
        area = Box(
            content.left,
            header_bottom + metrics.gap,
            content.right,
            max(header_bottom + metrics.gap + 1, text_top - metrics.gap if text.lines else content.bottom),
        )
        placements, more, labels = self._place(pictures, area, step.layout)
        return FrameLayout(
            step.duration_ms,
            texts=(
                counter,
                PlacedText(title, content.left + indent, title_top, "ink"),
                PlacedText(text, content.left, text_top, "muted"),
                *labels,
            ),
            placements=placements,
            badge=badge,
            more=more,
            position=step.number,
            truncated=title.truncated or text.truncated,
        )

    def _badge(
        self, step: Step, left: int, top: int, *, with_total: bool = True
    ) -> tuple[tuple[Box, PlacedText], PlacedText]:
        """The badge with its number, and beside it how many there are."""
        metrics = self.metrics
        size = round(metrics.heading * 0.72)
        number = self.setter.line(str(step.number), Weight.BOLD, size, metrics.size.width)
        box = Box.at(left, top, (max(metrics.badge, number.width + round(size * 1.1)), metrics.badge))
        inner = box.centred(Size(number.width, round(size * CAPITALS)))
        # Figures are as high as capitals: centred by those, not by the line with its room for descenders.
        label = PlacedText(number, inner.left, inner.bottom - round(size * ASCENT), "on_accent")
        total = f"/ {len(self.board.steps)}" if with_total else ""
        counter = self.setter.line(total, Weight.SEMIBOLD, metrics.small, metrics.size.width)
        baseline_top = inner.bottom - round(counter.size * ASCENT)
        return (box, label), PlacedText(counter, box.right + metrics.gap // 2, baseline_top, "muted")

    def _place(
        self, pictures: tuple[Asset, ...], area: Box, layout: str
    ) -> tuple[tuple[Placement, ...], tuple[Box, PlacedText] | None, tuple[PlacedText, ...]]:
        """Cells for the pictures, the box of how many were left out, and their labels."""
        metrics = self.metrics
        shapes = [self.shapes[picture.ref.id] for picture in pictures]
        cells = arrange(area, shapes, layout, metrics.gap, metrics.smallest_cell)
        shown = pictures[: len(cells)]
        more = None
        if len(shown) < len(pictures) and len(cells) > 1:
            shown = shown[:-1]
            more = self._more(cells[-1], len(pictures) - len(shown))
        rooms = [self._label_room(picture, cell) for picture, cell in zip(shown, cells, strict=False)]
        in_row = len({cell.top for cell in cells}) == 1
        in_column = len({cell.left for cell in cells}) == 1
        if len(cells) == len(shown) and (in_row or in_column):
            tight = [self._tight(*each) for each in zip(shown, cells, rooms, strict=True)]
            cells = gather(area, tight, metrics.gap, in_row=in_row)
        placed = [self._placement(*each) for each in zip(shown, cells, rooms, strict=False)]
        labels = [self._label(*each) for each in zip(shown, cells, rooms, strict=False) if each[2]]
        return tuple(placed), more, tuple(labels)

    def _more(self, cell: Box, count: int) -> tuple[Box, PlacedText]:
        block = self.setter.line(f"+{count}", Weight.SEMIBOLD, self.metrics.heading, cell.width)
        box = cell.centred(Size(block.width, block.height))
        return cell, PlacedText(block, box.left, box.top, "muted")

    def _label_room(self, picture: Asset, cell: Box) -> int:
        """The height that the picture's label takes at the bottom of its cell; 0 without one."""
        room = round(self.metrics.small * 1.9)
        fits = cell.height >= 5 * room and cell.width >= 5 * self.metrics.small
        return room if self.board.captions and picture.title and fits else 0

    def _label(self, picture: Asset, cell: Box, room: int) -> PlacedText:
        metrics = self.metrics
        block = self.setter.line(picture.title, Weight.SEMIBOLD, metrics.small, cell.width - metrics.gap)
        left = cell.left + (cell.width - block.width) // 2
        return PlacedText(block, left, cell.bottom - room + (room - block.size) // 2, "muted")

    def _tight(self, picture: Asset, cell: Box, room: int) -> Size:
        """The size of a panel that holds the picture and its label and nothing else."""
        placement = self._placement(picture, cell, room)
        if placement.crops:
            return cell.size
        if not room:
            return _contained(self.shapes[picture.ref.id], cell.size)
        text = self.setter.line(picture.title, Weight.SEMIBOLD, self.metrics.small, cell.width)
        box, padding = placement.box, self._padding
        width = min(cell.width, max(box.width + 2 * padding, text.width + self.metrics.gap))
        return Size(width, min(cell.height, box.height + padding + room))

    def _placement(self, picture: Asset, cell: Box, room: int) -> Placement:
        shape = self.shapes[picture.ref.id]
        area = Box(cell.left, cell.top, cell.right, cell.bottom - room)
        if picture.cover or (_crop_loss(shape, area.size) <= _SLIVER and not room):
            return Placement(picture, cell, area, crops=True)
        inner = area.inset(self._padding)
        if room:  # the label's own room parts it from the picture
            inner = Box(inner.left, inner.top, inner.right, area.bottom)
        return Placement(picture, cell, inner.centred(_contained(shape, inner.size)), crops=False)


def clock_time(milliseconds: int) -> str:
    """``m:ss``, or ``s.s s`` below ten seconds."""
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f}".removesuffix(".0") + " s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}:{seconds:02d}"


def _crop_loss(shape: Size, area: Size) -> float:
    """The share of a picture that is cut off when it covers ``area``."""
    covering = shape.covering(area)
    return 1 - area.pixels / covering.pixels


def _contained(shape: Size, area: Size) -> Size:
    """The size of a whole picture in ``area``; small ones are not blown up without end."""
    fitted = shape.fitted(area)
    largest = Size(
        max(1, round(shape.width * _LARGEST_UPSCALE)), max(1, round(shape.height * _LARGEST_UPSCALE))
    )
    return fitted if fitted.width <= largest.width else largest
