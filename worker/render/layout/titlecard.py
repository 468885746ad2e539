"""Layout of the title card, which is also the poster: project, title, description, number of steps and duration."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from previewops.contract.limits import TITLE_CARD_MS
from previewops.worker.render.labels import Labels
from previewops.worker.render.layout.brand_boxes import BrandBoxes
from previewops.worker.render.layout.frames import FrameLayout, PlacedText, Placement, Role
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.layout.picture_grid import PicturePlacer, contained_size, crop_loss
from previewops.worker.render.storyboard import Asset, Storyboard
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import TextBlock

_TALL_RATIO = 1.3  # aspect ratio from which a large picture fits above the text
_MAX_HERO_CROP = 0.5  # share of a hero picture that may be cropped


@dataclass(frozen=True, slots=True)
class TitleCard:
    """Lays out the title card. ``hero`` is its picture."""

    storyboard: Storyboard
    placer: PicturePlacer
    hero: Asset | None
    boxes: BrandBoxes

    def layout(self) -> FrameLayout:
        """Lays out the text on one side and the picture on the other, to the edges of the frame."""
        metrics = self.placer.metrics
        picture, safe = self._picture_area(), metrics.safe
        if metrics.wide:
            text_area = Box(
                safe.left, safe.top, picture.left - (metrics.gutter if self.hero else 0), safe.bottom
            )
        else:
            text_area = Box(safe.left, picture.bottom + metrics.gutter, safe.right, safe.bottom)
        texts, bar, truncated = self._layout_texts(self.boxes.title_area(metrics, text_area))
        frame = FrameLayout(
            TITLE_CARD_MS,
            texts=texts,
            placements=(self._hero(self.hero, picture),) if self.hero else (),
            bar=bar,
            ornament=None if self.hero else picture,
            truncated=truncated,
        )
        return self.boxes.on_title_card(frame, metrics, text_area)

    def _picture_area(self) -> Box:
        width, height = self.storyboard.size
        shape = self.placer.picture_size(self.hero) if self.hero else None
        if self.placer.metrics.wide:
            share = min(0.54, max(0.36, height * shape.width / shape.height / width)) if shape else 0.42
            return Box(width - round(width * share), 0, width, height)
        max_share = 0.52 if height > width * _TALL_RATIO else 0.42
        share = min(max_share, max(0.34, width * shape.height / shape.width / height)) if shape else 0.36
        return Box(0, 0, width, round(height * share))

    def _hero(self, hero: Asset, area: Box) -> Placement:
        shape = self.placer.picture_size(hero)
        if hero.cover or crop_loss(shape, area.size) <= _MAX_HERO_CROP:
            return Placement(hero, area, area, crops=True, bleeds=True)
        inner = area.inset(self.placer.metrics.gutter)
        box = inner.centred(contained_size(shape, inner.size))
        return Placement(hero, area, box, crops=False, bleeds=True)

    def _layout_texts(self, area: Box) -> tuple[tuple[PlacedText, ...], Box | None, bool]:
        """Places the project at the top, title and description in the middle, the facts at the bottom."""
        metrics, typesetter = self.placer.metrics, self.placer.typesetter
        project = typesetter.fit_line(self.storyboard.project, FontWeight.SEMIBOLD, metrics.small, area.width)
        facts = typesetter.fit_line(
            format_facts(self.storyboard.labels, len(self.storyboard.steps), self.storyboard.duration_ms),
            FontWeight.SEMIBOLD,
            metrics.small,
            area.width,
        )
        bar_height = max(2, metrics.progress_bar)
        top, bottom = area.top + project.height, area.bottom - facts.height
        room = bottom - top - 2 * metrics.gutter - bar_height - metrics.gap
        text = self.storyboard.description
        title, description = self._title(area.width, max(metrics.display_min, room), text)
        title_alone = metrics.is_small and (title.truncated or description.truncated)
        if title_alone:
            top, bottom = area.top, area.bottom
            title, description = self._title(area.width, bottom - top - metrics.gutter - bar_height, "")
        total = bar_height + round(metrics.gutter * 0.6) + title.height
        total += title.space_below + description.height if description.lines else 0
        start = max(top, top + (bottom - top - total) // 2)
        bar = Box.at(area.left, start, (round(metrics.display * 0.72), bar_height))
        title_top = bar.bottom + round(metrics.gutter * 0.6)
        rows: tuple[tuple[TextBlock, int, Role], ...] = (
            (title, title_top, "ink"),
            (description, title_top + title.height + title.space_below, "muted"),
            (project, area.top, "accent_ink"),
            (facts, bottom, "muted"),
        )
        # Without enough room, only title and description stay.
        crowded = title_alone or start + total > bottom or bar.top < top + metrics.gap // 2
        texts = tuple(
            PlacedText(block, area.left, area.right, down, role, "start")
            for block, down, role in rows
            if block.lines and not (crowded and block in (project, facts))
        )
        return texts, bar, title_alone or title.truncated or description.truncated

    def _title(self, width: int, room: int, text: str) -> tuple[TextBlock, TextBlock]:
        """Fits the title, and the description ``text`` below it."""
        metrics, fit = self.placer.metrics, self.placer.typesetter.fit
        title = fit(
            self.storyboard.heading,
            FontWeight.BOLD,
            width=width,
            height=round(room * (0.55 if text else 1.0)),
            size=metrics.display,
            min_size=metrics.display_min,
            max_lines=5,
        )
        left = room - title.height - title.space_below
        description = fit(
            text if left >= metrics.body_min else "",
            FontWeight.REGULAR,
            width=min(width, metrics.body * 24),
            height=max(metrics.body_min, left),
            size=metrics.body,
            min_size=metrics.body_min,
            max_lines=6,
        )
        return title, description


def format_facts(labels: Labels, steps: int, duration_ms: int) -> str:
    """Formats a number of steps and a duration."""
    length = keep_left_to_right(format_duration(duration_ms))
    return f"{labels.count(steps)}  \u00b7  {length}" if steps else length


def keep_left_to_right(figures: str) -> str:
    """Returns figures and signs isolated (UAX #9), so that a line from right to left does not reorder them."""
    return f"\u2066{figures}\u2069"


def choose_hero(storyboard: Storyboard, missing: Set[str]) -> Asset | None:
    """Returns the first picture of a step, else the first picture, that is not ``missing``."""
    return next((asset for asset in storyboard.hero_candidates if asset.ref.id not in missing), None)


def format_duration(milliseconds: int) -> str:
    """Formats a duration as ``m:ss``, or as ``s.s s`` below ten seconds."""
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f}".removesuffix(".0") + " s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}:{seconds:02d}"
