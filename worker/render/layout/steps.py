"""Layout of step frames: the number at the top, text at the bottom or the side, pictures in the remaining area."""

from __future__ import annotations

from dataclasses import dataclass, replace

from previewops.worker.render.layout.brand_boxes import BrandBoxes
from previewops.worker.render.layout.frames import FrameLayout, PlacedText, Role, centred_text
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.picture_grid import PicturePlacer, PlacedPictures
from previewops.worker.render.storyboard import Asset, Step, Storyboard
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import ASCENT_EM, CAP_HEIGHT_EM, TextBlock

_MIN_WIDTH_ABOVE = 0.8  # of the width: narrower pictures above text leave too much of the frame empty
_SCARCE_LINES = 2  # of a text that a small frame cuts: fewer words than a reader needs
_MIN_GAIN = 1.2  # pictures must be this much larger for text below them instead of beside


@dataclass(frozen=True, slots=True)
class StepFrames:
    """Lays out the frames of the steps of one storyboard."""

    storyboard: Storyboard
    placer: PicturePlacer
    boxes: BrandBoxes

    def layout(self, step: Step) -> FrameLayout:
        """Lays out one step according to its pictures, texts and layout."""
        pictures = self.storyboard.pictures_of(step)
        if step.layout == "full" and len(pictures) == 1:
            if not self.storyboard.captions:
                return FrameLayout(step.duration_ms, placements=(self.placer.alone(pictures[0]),))
            frame = self._full(step, pictures[0])
        elif not self.storyboard.captions:
            frame = self._without_captions(step, pictures)
        elif not pictures:
            frame = self._text_only(step)
        elif not (step.title or step.text) or not self.placer.metrics.wide:
            frame = self._below(step, pictures)
        else:
            frame = self._beside(step, pictures)
            other = self._above_and_below(step, pictures)
            larger = step.layout == "full" or _pixels(other) > _MIN_GAIN * _pixels(frame)
            wins = larger and _right(other) > _MIN_WIDTH_ABOVE * self.storyboard.size.width
            frame = other if wins else frame
        return self.boxes.on_step(replace(frame, position=step.number), self.placer.metrics)

    def _without_captions(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """Without captions: only pictures; without pictures, only the number, large."""
        metrics = self.placer.metrics
        content = metrics.below_head
        if pictures:
            placed = self.placer.place(pictures, content, step.layout)
            return _frame(step, placed, placed.texts)
        number = self.placer.typesetter.fit_line(
            str(step.number), FontWeight.BOLD, metrics.display * 2, content.width
        )
        return FrameLayout(step.duration_ms, texts=(centred_text(number, content, "accent_ink"),))

    def _full(self, step: Step, picture: Asset) -> FrameLayout:
        """One picture to the frame edges, the text as subtitles over its darkened lower part."""
        metrics = self.placer.metrics
        content = metrics.content
        badge, number = self._badge(step)
        measure = min(content.width, metrics.body * 30)
        room = max(metrics.body, content.height // 2 - badge.height)
        title, text = self._fit_texts(step, measure, room, metrics.heading)
        top = content.bottom - _height(title, text)
        texts = self._column(title, text, Box(content.left, top, content.left + measure, content.bottom))
        return FrameLayout(
            step.duration_ms,
            placements=(self.placer.alone(picture),),
            texts=(number, *(replace(placed_text, role="on_picture") for placed_text in texts)),
            badge=badge,
            scrim=top if texts else content.bottom,
            truncated=title.truncated or text.truncated,
        )

    def _text_only(self, step: Step) -> FrameLayout:
        """Without pictures: large text of readable line length, vertically centred."""
        metrics = self.placer.metrics
        content = metrics.content
        badge, number = self._badge(step)
        top = self._row_bottom(badge) + metrics.gutter
        room = content.bottom - top
        measure = min(content.width, metrics.statement * 12) if metrics.wide else content.width
        heading = step.title or ("" if step.text else self.storyboard.step_heading(step))
        title_height = round(room * (0.55 if step.text else 1))
        title = self._fit_title(heading, measure, title_height, metrics.statement)
        above = title.height + title.space_below
        width, text_height = min(measure, round(metrics.body * 27)), max(metrics.body_min, room - above)
        size = round(metrics.body * (1.2 if heading else 1.5))
        text = self._fit_text(step.text, width, text_height, _at_most(size, title))
        down = top + max(0, room - above - text.height) // 2
        # The optical centre of a frame is above its geometric centre.
        down = max(top, down - round(badge.height * 0.6))
        texts = self._column(title, text, Box(content.left, down, content.left + measure, content.bottom))
        return FrameLayout(
            step.duration_ms,
            texts=(*self._numeral(step, content.left + measure), number, *texts),
            badge=badge,
            truncated=title.truncated or text.truncated,
        )

    def _numeral(self, step: Step, words_end: int) -> tuple[PlacedText, ...]:
        """The step number as a large, faint figure, if the text leaves room for it."""
        metrics = self.placer.metrics
        content = metrics.content
        size = round(metrics.size.short * 0.62)
        block = self.placer.typesetter.fit_line(str(step.number), FontWeight.BOLD, size, metrics.size.width)
        if not metrics.wide or content.right - block.width < words_end + metrics.gap:
            return ()
        top = (content.top + content.bottom) // 2 - round(block.size * (ASCENT_EM - CAP_HEIGHT_EM / 2))
        return (PlacedText(block, content.right - block.width, content.right, top, "faint", "end"),)

    def _beside(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """Text in a column on one side, pictures on the other."""
        metrics = self.placer.metrics
        content = metrics.content
        width = min(round(content.width * 0.31), metrics.body * 13)
        area_top = metrics.below_head.top
        area = Box(content.left + width + metrics.gutter, area_top, content.right, content.bottom)
        placed = self.placer.place(pictures, area, step.layout)
        placed = placed.moved(area.right - placed.bounds.right)
        # The text column takes the width that the pictures leave.
        width = min(placed.bounds.left - metrics.gutter - content.left, metrics.body * 17)
        badge, number = self._badge(step)
        row_bottom = self._row_bottom(badge)
        room = content.bottom - row_bottom - metrics.gutter
        title, text = self._fit_texts(step, width, room, metrics.heading)
        # Align with the lower edge of the pictures, unless that is far up.
        foot = max(placed.bounds.bottom, content.top + round(content.height * 0.7))
        top = max(row_bottom + metrics.gutter, foot - _height(title, text))
        texts = self._column(title, text, Box(content.left, top, content.left + width, content.bottom))
        return _frame(step, placed, (number, *texts, *placed.texts), badge, title, text)

    def _above_and_below(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """Title next to the number, above the pictures; text below them."""
        metrics = self.placer.metrics
        content = metrics.content
        badge, number = self._badge(step)
        left, right = self._beside_badge(badge)
        width, size = right - left, round(metrics.heading * 0.86)
        title = self._fit_title(step.title, width, round(content.height * 0.2), size, max_lines=2)
        title_top = max(content.top, _middle(badge) - round(title.size * (ASCENT_EM - CAP_HEIGHT_EM / 2)))
        header = max(self._row_bottom(badge), title_top + title.height)
        width = min(content.width, metrics.body * 32)
        text = self._fit_text(step.text, width, round(content.height * 0.24), _at_most(metrics.body, title))
        foot = content.bottom - text.height - (metrics.gap if text.lines else 0)
        top = max(header + round(metrics.gap * 0.9), metrics.below_head.top)
        area = Box(content.left, top, content.right, max(top + 1, foot))
        placed = self.placer.place(pictures, area, step.layout)
        placed = placed.moved(area.left - placed.bounds.left)
        texts = (
            PlacedText(title, left, right, title_top, "ink", "start"),
            PlacedText(text, content.left, content.right, content.bottom - text.height, "muted"),
        )
        return _frame(step, placed, (number, *texts, *placed.texts), badge, title, text)

    def _below(self, step: Step, pictures: tuple[Asset, ...]) -> FrameLayout:
        """The number at the top, then pictures, title and text."""
        metrics = self.placer.metrics
        content = metrics.content
        badge, number = self._badge(step)
        title, text = self._fit_texts(step, content.width, round(content.height * 0.36), metrics.heading)
        top = content.bottom - _height(title, text)
        area_top = max(self._row_bottom(badge) + metrics.gap, metrics.below_head.top)
        area_bottom = top - (metrics.gutter if top < content.bottom else 0)
        area = Box(content.left, area_top, content.right, max(area_top + 1, area_bottom))
        placed = self.placer.place(pictures, area, step.layout)
        texts = self._column(title, text, Box(content.left, top, content.right, content.bottom))
        return _frame(step, placed, (number, *texts, *placed.texts), badge, title, text)

    def _fit_texts(self, step: Step, width: int, room: int, size: int) -> tuple[TextBlock, TextBlock]:
        """Fits title and text together into ``width`` x ``room``, the title first."""
        body, body_min = self.placer.metrics.body, self.placer.metrics.body_min
        title = self._fit_title(step.title, width, round(room * (0.5 if step.text else 1)), size)
        left = room - title.height - title.space_below
        text = self._fit_text(step.text, width, max(body_min, left), _at_most(body, title))
        if step.text and (left < body_min or not text.lines):
            title = self._fit_title(step.title, width, room, size)
            text = replace(text, lines=(), truncated=True)
        return title, text

    def _fit_title(self, text: str, width: int, height: int, size: int, max_lines: int = 5) -> TextBlock:
        fit, min_size = self.placer.typesetter.fit, self.placer.metrics.heading_min
        return fit(
            text,
            FontWeight.BOLD,
            width=width,
            height=height,
            size=size,
            min_size=min_size,
            max_lines=max_lines,
        )

    def _fit_text(self, text: str, width: int, height: int, size: int) -> TextBlock:
        fit, min_size = self.placer.typesetter.fit, self.placer.metrics.body_min
        block = fit(text, FontWeight.REGULAR, width=width, height=height, size=size, min_size=min_size)
        scarce = block.truncated and len(block.lines) <= _SCARCE_LINES
        return replace(block, lines=()) if scarce and self.placer.metrics.is_small else block

    @staticmethod
    def _column(title: TextBlock, text: TextBlock, box: Box) -> tuple[PlacedText, ...]:
        down = title.height + title.space_below
        rows: tuple[tuple[TextBlock, int, Role], ...] = ((title, 0, "ink"), (text, down, "muted"))
        return tuple(
            PlacedText(block, box.left, box.right, box.top + offset, role)
            for block, offset, role in rows
            if block.lines
        )

    def _badge(self, step: Step) -> tuple[Box, PlacedText]:
        metrics = self.placer.metrics
        content = metrics.content
        label = f"{step.number} / {len(self.storyboard.steps)}"
        number = self.placer.typesetter.fit_line(label, FontWeight.SEMIBOLD, metrics.small, content.width)
        size = Size(number.width + round(metrics.small * 1.5), metrics.badge)
        box, _ = self.boxes.step_row(metrics, size)
        top = _middle(box) - round(number.size * (ASCENT_EM - CAP_HEIGHT_EM / 2))
        return box, PlacedText(number, box.left, box.right, top, "on_accent", "centre")

    def _row_bottom(self, badge: Box) -> int:
        """Returns the lower edge of the row with number and logo."""
        metrics = self.placer.metrics
        return max(badge.bottom, metrics.content.top + metrics.head)

    def _beside_badge(self, badge: Box) -> tuple[int, int]:
        """Returns left and right edge of the room for a title in the row with number and logo."""
        metrics = self.placer.metrics
        content, space = metrics.content, round(metrics.gap * 0.8)
        _, logo = self.boxes.step_row(metrics, badge.size)
        if logo is None:
            return badge.right + space, content.right
        first, last = sorted((badge, logo))
        return first.right + space, last.left - metrics.gutter


def _frame(
    step: Step,
    placed: PlacedPictures,
    texts: tuple[PlacedText, ...],
    badge: Box | None = None,
    *blocks: TextBlock,
) -> FrameLayout:
    return FrameLayout(
        step.duration_ms,
        texts=tuple(text for text in texts if text.block.lines),
        placements=placed.placements,
        badge=badge,
        more_box=placed.more,
        truncated=any(block.truncated for block in blocks),
    )


def _at_most(size: int, title: TextBlock) -> int:
    """Returns the type size of a text below ``title``: not larger than the title's."""
    return min(size, title.size) if title.lines else size


def _height(title: TextBlock, text: TextBlock) -> int:
    return title.height + text.height + (title.space_below if text.lines else 0)


def _pixels(frame: FrameLayout) -> int:
    return sum(place.box.size.pixels for place in frame.placements)


def _right(frame: FrameLayout) -> int:
    return max(place.cell.right for place in frame.placements)


def _middle(box: Box) -> int:
    return (box.top + box.bottom) // 2
