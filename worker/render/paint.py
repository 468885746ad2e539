"""Draws laid-out frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from PIL import Image, ImageDraw

from previewops.worker.render.backing import choose_ground
from previewops.worker.render.layout.brand_boxes import plain_metrics
from previewops.worker.render.layout.frames import FrameLayout, PlacedText, Placement
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.type_scale import LayoutMetrics
from previewops.worker.render.logo import LogoPainter
from previewops.worker.render.missing_picture import draw_missing_picture
from previewops.worker.render.picture_cache import PictureCache
from previewops.worker.render.shapes import blur_to_fill, darken, draw_panel, fill_rounded, paste_rounded
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.text.typesetting import Typesetter
from previewops.worker.render.theme import WHITE, Colour, mix

_SCRIM = 0.74  # gives white text a contrast of at least 4.5:1 over any picture
_BACKDROP = 0.5  # opacity of the scrim over a blurred backdrop
_DECORATION_SHARE = 0.09  # share of the accent in decorations


class PlainPictures(NamedTuple):
    """Assets, by their ids, that are drawn as a plain ``colour``."""

    names: set[str]
    colour: Colour


@dataclass(slots=True)
class Painter:
    """Draws the frames of one storyboard."""

    storyboard: Storyboard
    pictures: PictureCache
    typesetter: Typesetter
    metrics: LayoutMetrics = field(init=False)
    logo: LogoPainter = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = plain_metrics(self.storyboard)
        self.logo = LogoPainter(self.storyboard, self.pictures)

    def draw_frame(self, layout: FrameLayout, *, plain: PlainPictures | None = None) -> Image.Image:
        """Draws one frame, except its footer, as an RGB picture of the storyboard's size.

        Some pictures may be ``plain``.
        """
        theme, metrics = self.storyboard.theme, self.metrics
        image = Image.new("RGB", self.storyboard.size, theme.background)
        if layout.ornament is not None:
            self._draw_ornament(image, layout.ornament)
        for placement in layout.placements:
            self._draw_picture(image, placement, plain)
        if layout.scrim is not None:
            darken(image, layout.scrim - metrics.gap, round(image.height * 0.24), _SCRIM)
        if layout.bar is not None:
            fill_rounded(image, layout.bar, metrics.round_end(layout.bar.height), theme.accent)
        if layout.more_box is not None:
            hairline, radius = metrics.hairline, metrics.radius
            draw_panel(image, layout.more_box, radius, fill=theme.surface, line=theme.line, hairline=hairline)
        if layout.badge is not None:
            fill_rounded(image, layout.badge, metrics.round_end(layout.badge.height), theme.accent)
        for text in layout.texts:
            self._draw_text(image, text, mirrored=layout.mirrored)
        if layout.position:
            self._draw_progress_bar(image, layout)
        if layout.logo is not None:
            self.logo.draw(image, layout.logo, metrics.radius)
        return image

    def draw_footer(self, image: Image.Image, layout: FrameLayout) -> None:
        """Draws the footer onto a frame. The frames on a contact sheet go without: it would not be readable."""
        if layout.footer is not None:
            self._draw_text(image, layout.footer, mirrored=layout.mirrored)

    def _draw_text(self, image: Image.Image, text: PlacedText, *, mirrored: bool) -> None:
        shift = text.align_fraction(mirrored=mirrored)
        left = text.left + round((text.right - text.left - text.block.width) * shift)
        self.typesetter.draw(image, left, text.top, text.block, self._colour(text), align=shift)

    def _colour(self, text: PlacedText) -> Colour:
        theme = self.storyboard.theme
        if text.role == "faint":
            return mix(theme.background, theme.accent, _DECORATION_SHARE)
        if text.role == "on_picture":
            return WHITE
        return cast("Colour", getattr(theme, text.role))

    def ground_of(self, placement: Placement) -> Image.Image:
        """Returns what is below the picture of ``placement`` where it is transparent, in the size of its box."""
        picture, box = self.pictures.get(placement.asset), placement.box
        if picture is None:
            return Image.new("RGB", box.size, self.storyboard.theme.surface)
        ground = self._ground(self.pictures.fitted(picture, placement), picture, placement)
        left, top = box.left - placement.cell.left, box.top - placement.cell.top
        return ground.crop(Box.at(left, top, box.size))

    def _draw_picture(self, image: Image.Image, placement: Placement, plain: PlainPictures | None) -> None:
        radius = 0 if placement.bleeds else self.metrics.radius
        picture = self.pictures.get(placement.asset)
        if picture is None:
            reason = self.pictures.asset_errors[placement.asset.ref.id]
            theme, labels = self.storyboard.theme, self.storyboard.labels
            draw_missing_picture(
                image,
                placement,
                reason,
                theme=theme,
                labels=labels,
                typesetter=self.typesetter,
                metrics=self.metrics,
            )
            return
        drawn, cell, box = self.pictures.fitted(picture, placement), placement.cell, placement.box
        has_ground = drawn.size != cell.size or drawn.mode != "RGB"
        ground = self._ground(drawn, picture, placement) if has_ground else None
        if plain is not None and placement.asset.ref.id in plain.names:
            drawn = Image.new("RGB", drawn.size, plain.colour)
        if ground is not None:
            offset = (box.left - cell.left, box.top - cell.top)
            ground.paste(drawn, offset, drawn if drawn.mode == "RGBA" else None)
            drawn = ground
        paste_rounded(image, drawn, cell, radius)

    def _ground(self, drawn: Image.Image, picture: Image.Image, placement: Placement) -> Image.Image:
        """The background of a picture that is transparent or smaller than its cell, in the size of the cell."""
        if placement.has_backdrop:
            return blur_to_fill(picture, placement.cell.size, _BACKDROP)
        theme = self.storyboard.theme
        return Image.new("RGB", placement.cell.size, choose_ground(drawn, theme.surface, theme.backing))

    def _draw_progress_bar(self, image: Image.Image, layout: FrameLayout) -> None:
        """Draws the progress bar: a segment per step, as long as its duration; one plain bar for many steps."""
        theme = self.storyboard.theme
        box = replace(self.metrics, foot=layout.foot).progress_bar_box
        durations = [step.duration_ms for step in self.storyboard.steps]
        gap = max(2, self.metrics.gap // 4)
        total, position = sum(durations), layout.position
        room = box.width - gap * (len(durations) - 1)
        colours = [(theme.tint, 1.0), (theme.accent_ink, 1.0), (theme.line, 1.0)]
        if layout.scrim is not None:
            colours = [(WHITE, 0.6), (WHITE, 1.0), (WHITE, 0.26)]

        def fill(left: int, right: int, which: int) -> None:
            part = Box(left, box.top, right, box.bottom)
            if layout.mirrored:
                part = Box(image.width - right, box.top, image.width - left, box.bottom)
            fill_rounded(image, part, self.metrics.round_end(box.height), *colours[which])

        if room * min(durations) < total * 3 * gap:
            length = max(box.height, round(box.width * sum(durations[:position]) / total))
            fill(box.left, box.right, 2)
            fill(box.left, box.left + length, 1)
            return
        passed = 0
        for index, duration in enumerate(durations):
            left = box.left + round(room * passed / total) + gap * index
            passed += duration
            right = box.left + round(room * passed / total) + gap * index
            fill(left, right, (index + 1 >= position) + (index + 1 > position))

    def _draw_ornament(self, image: Image.Image, area: Box) -> None:
        """Draws three stacked empty frames, for a title card without a picture."""
        theme = self.storyboard.theme
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
        self._draw_triangle(image, shifted)

    def _draw_triangle(self, image: Image.Image, inside: Box) -> None:
        """Draws an antialiased play symbol in the middle of ``inside``."""
        height = max(4, round(inside.height * 0.34))
        size = Size(round(height * 0.88), height)
        mask = Image.new("L", (size.width * 4, size.height * 4), 0)
        points = [(0, 0), (mask.width - 1, mask.height // 2), (0, mask.height - 1)]
        ImageDraw.Draw(mask).polygon(points, fill=255)
        box = inside.centred(size)
        nudge = size.width // 8  # centre the centre of gravity, not the box
        smooth = mask.resize(size, Image.Resampling.BOX)
        image.paste(self.storyboard.theme.on_accent, (box.left + nudge, box.top), smooth)
