"""Drawing the frames that were laid out."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from previewops.worker.render.gallery import Gallery
from previewops.worker.render.geometry import Box, Size
from previewops.worker.render.layout import FrameLayout, PlacedText, Placement
from previewops.worker.render.metrics import Metrics
from previewops.worker.render.shapes import fill_rounded, panel, paste_rounded
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.theme import Colour, mix
from previewops.worker.render.typesetting import Typesetter


@dataclass(slots=True)
class Painter:
    """Draws the frames of one storyboard."""

    board: Storyboard
    gallery: Gallery
    setter: Typesetter
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.board.size)

    def frame(self, layout: FrameLayout) -> Image.Image:
        """One frame as an RGB picture of the storyboard's size."""
        theme = self.board.theme
        image = Image.new("RGB", self.board.size, theme.background)
        if layout.ornament is not None:
            self._ornament(image, layout.ornament)
        for placement in layout.placements:
            self._picture(image, placement)
        if layout.bar is not None:
            fill_rounded(image, layout.bar, layout.bar.height // 2, theme.accent)
        canvas = ImageDraw.Draw(image)
        if layout.more is not None:
            cell, text = layout.more
            panel(
                image,
                cell,
                self.metrics.radius,
                fill=theme.surface,
                line=theme.line,
                hairline=self.metrics.hairline,
            )
            self._text(canvas, text)
        if layout.badge is not None:
            box, number = layout.badge
            fill_rounded(image, box, round(box.height * 0.3), theme.accent)
            self._text(canvas, number)
        for text in layout.texts:
            self._text(canvas, text)
        if layout.position:
            self._rail(image, layout.position)
        return image

    def _text(self, canvas: ImageDraw.ImageDraw, text: PlacedText) -> None:
        theme = self.board.theme
        faint = mix(theme.background, theme.accent, 0.1)
        colour: Colour = faint if text.role == "faint" else getattr(theme, text.role)
        self.setter.draw(canvas, text.left, text.top, text.block, colour)

    def _picture(self, image: Image.Image, placement: Placement) -> None:
        theme, metrics = self.board.theme, self.metrics
        picture = self.gallery.take(placement.asset)
        if placement.bleeds:
            paste_rounded(image, _cropped(picture, placement), placement.box, 0)
            return
        panel(
            image,
            placement.cell,
            metrics.radius,
            fill=theme.surface,
            line=theme.line,
            hairline=metrics.hairline,
        )
        if placement.crops:
            paste_rounded(image, _cropped(picture, placement), placement.box, metrics.radius)
        else:
            whole = resized(picture, placement.box.size)
            radius = min(round(metrics.radius * 0.6), placement.box.size.short // 8)
            paste_rounded(image, whole, placement.box, radius)

    def _rail(self, image: Image.Image, position: int) -> None:
        """Progress through the steps, each as long as it lasts; one bar where there are too many to tell apart."""
        theme, box = self.board.theme, self.metrics.rail_box
        durations = [step.duration_ms for step in self.board.steps]
        gap = max(2, self.metrics.gap // 4)
        total = sum(durations)
        room = box.width - gap * (len(durations) - 1)
        if room * min(durations) < total * 3 * gap:
            fill_rounded(image, box, box.height // 2, theme.line)
            reached = max(box.height, round(box.width * sum(durations[:position]) / total))
            fill_rounded(
                image, Box.at(box.left, box.top, (reached, box.height)), box.height // 2, theme.accent
            )
            return
        passed = 0
        for index, duration in enumerate(durations):
            left = box.left + round(room * passed / total) + gap * index
            passed += duration
            right = box.left + round(room * passed / total) + gap * index
            colour = theme.tint if index + 1 < position else theme.accent
            if index + 1 > position:
                colour = theme.line
            fill_rounded(image, Box(left, box.top, right, box.bottom), box.height // 2, colour)

    def _ornament(self, image: Image.Image, area: Box) -> None:
        """A fan of empty frames, growing towards the viewer: a storyboard without its pictures."""
        theme = self.board.theme
        side = round(area.size.short * 0.62)
        frame = Size(max(3, side), max(2, round(side * 9 / 16)))
        step = round(frame.height * 0.26)
        for index in range(3):
            depth = 2 - index
            scale = 1 - depth * 0.1
            size = Size(round(frame.width * scale), round(frame.height * scale))
            box = area.centred(size)
            lift = round((depth - 1) * step) + round(frame.height * 0.02)
            shifted = Box(box.left, box.top - lift, box.right, box.bottom - lift)
            fill = mix(theme.background, theme.accent, (0.14, 0.24, 1.0)[index])
            fill_rounded(image, shifted, self.metrics.radius, fill)
        self._triangle(image, shifted)

    def _triangle(self, image: Image.Image, inside: Box) -> None:
        """The sign for play in the middle of ``inside``, smooth."""
        height = max(4, round(inside.height * 0.34))
        size = Size(round(height * 0.88), height)
        mask = Image.new("L", (size.width * 4, size.height * 4), 0)
        points = [(0, 0), (mask.width - 1, mask.height // 2), (0, mask.height - 1)]
        ImageDraw.Draw(mask).polygon(points, fill=255)
        box = inside.centred(size)
        nudge = size.width // 8  # a triangle looks centred when its centre of gravity is
        smooth = mask.resize(size, Image.Resampling.BOX)
        image.paste(self.board.theme.on_accent, (box.left + nudge, box.top), smooth)


def resized(picture: Image.Image, size: Size) -> Image.Image:
    """``picture`` at ``size``, itself where it has that size already."""
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _cropped(picture: Image.Image, placement: Placement) -> Image.Image:
    """The part of ``picture`` that covers the placement's box, its focus as near to the middle as can be."""
    shape, size = Size(*picture.size), placement.box.size
    covering = shape.covering(size)
    focus_x, focus_y = placement.asset.focus
    left = _offset(covering.width, size.width, focus_x) * shape.width / covering.width
    top = _offset(covering.height, size.height, focus_y) * shape.height / covering.height
    part = (
        left,
        top,
        min(shape.width, left + size.width * shape.width / covering.width),
        min(shape.height, top + size.height * shape.height / covering.height),
    )
    if shape == covering:
        left_px, top_px = round(left), round(top)
        return picture.crop((left_px, top_px, left_px + size.width, top_px + size.height))
    return picture.resize(size, Image.Resampling.LANCZOS, box=part, reducing_gap=2.0)


def _offset(whole: int, shown: int, focus: float) -> int:
    return max(0, min(whole - shown, round(whole * focus - shown / 2)))
