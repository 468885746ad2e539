"""The placeholder of an unavailable picture: its name and the reason."""

from __future__ import annotations

from PIL import Image, ImageDraw

from previewops.job_errors import PermanentJobError
from previewops.worker.render.labels import Labels
from previewops.worker.render.layout.frames import Placement
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.type_scale import LayoutMetrics
from previewops.worker.render.shapes import dash_rounded, fill_rounded
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import Typesetter
from previewops.worker.render.theme import Theme, mix

_OVERSAMPLING = 4


def draw_missing_picture(
    image: Image.Image,
    placement: Placement,
    reason: PermanentJobError,
    *,
    theme: Theme,
    labels: Labels,
    typesetter: Typesetter,
    metrics: LayoutMetrics,
) -> None:
    """Draws the placeholder in the placement's cell, with the picture's name and the reason if there is room."""
    cell = placement.cell
    radius = 0 if placement.bleeds else metrics.radius
    fill_rounded(image, cell, radius, theme.surface)
    if not placement.bleeds:
        dash_rounded(image, cell, radius, theme.muted, width=metrics.hairline, dash=max(3, metrics.units(1)))
        room = cell.inset(metrics.gap)
    else:
        # Text may cover the lower half.
        room = Box(cell.left, cell.top, cell.right, cell.top + round(cell.height * 0.6)).inset(metrics.gap)
    texts = (
        (placement.asset.title or placement.asset.ref.id, FontWeight.SEMIBOLD, theme.ink),
        (labels.reason(reason.code), FontWeight.REGULAR, theme.muted),
    )
    lines = [
        (typesetter.fit_line(text, weight, metrics.small, room.width), ink) for text, weight, ink in texts
    ]
    side = min(metrics.units(9), room.size.short // 2)
    step = round(metrics.small * 1.4)
    if side + metrics.gap + step * len(lines) > room.height:
        lines = lines[: max(0, (room.height - side) // step)]
    total = side + (metrics.gap // 2 + step * len(lines) if lines else 0)
    top = room.top + max(0, room.height - total) // 2
    _draw_symbol(image, Box.at(cell.left + (cell.width - side) // 2, top, (side, side)), theme)
    top += side + metrics.gap // 2
    for block, colour in lines:
        typesetter.draw(image, cell.left + (cell.width - block.width) // 2, top, block, colour)
        top += step


def _draw_symbol(image: Image.Image, box: Box, theme: Theme) -> None:
    """Draws a crossed-out picture symbol."""
    size = Size(box.width * _OVERSAMPLING, box.height * _OVERSAMPLING)
    mask = Image.new("L", size, 0)
    canvas, unit = ImageDraw.Draw(mask), size.width / 24
    pen = max(1, round(1.7 * unit))
    canvas.rounded_rectangle((3 * unit, 5 * unit, 21 * unit, 19 * unit), 2 * unit, outline=255, width=pen)
    canvas.ellipse((7 * unit, 8 * unit, 10 * unit, 11 * unit), fill=255)
    canvas.line(
        [(5 * unit, 18 * unit), (10 * unit, 13 * unit), (13 * unit, 16 * unit), (17 * unit, 11 * unit)],
        fill=255,
        width=pen,
        joint="curve",
    )
    canvas.line([(2.5 * unit, 2.5 * unit), (21.5 * unit, 21.5 * unit)], fill=0, width=3 * pen)
    canvas.line([(2.5 * unit, 2.5 * unit), (21.5 * unit, 21.5 * unit)], fill=255, width=pen)
    image.paste(mix(theme.muted, theme.surface, 0.25), box, mask.resize(box.size, Image.Resampling.BOX))
