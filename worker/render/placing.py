"""Pictures of one frame, with their labels, put into an area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from previewops.worker.render.arrange import Spacing, arrange
from previewops.worker.render.fonts import Weight
from previewops.worker.render.frames import PlacedText, Placement
from previewops.worker.render.geometry import Box, Size
from previewops.worker.render.metrics import Metrics
from previewops.worker.render.storyboard import Asset
from previewops.worker.render.typesetting import ASCENT, CAPITALS, Typesetter

SLIVER = 0.04  # where cropping would take no more than this, a contained picture fills its cell
LARGEST = 4.0  # times: no picture is blown up further
_UNKNOWN = Size(1600, 1200)  # the shape of a picture that could not be opened
_COVERING = Size(4, 3)  # the shape of a cell among several whose picture is to be cropped to it


@dataclass(frozen=True, slots=True)
class Placed:
    """What lies in the area. ``more`` is the box that stands for pictures left out."""

    placements: tuple[Placement, ...] = ()
    texts: tuple[PlacedText, ...] = ()
    more: Box | None = None

    @property
    def bounds(self) -> Box:
        """The box round all of it but the labels."""
        cells = [placement.cell for placement in self.placements]
        cells += [self.more] if self.more else []
        return Box(
            min(cell.left for cell in cells),
            min(cell.top for cell in cells),
            max(cell.right for cell in cells),
            max(cell.bottom for cell in cells),
        )

    def moved(self, across: int) -> Placed:
        """All of it ``across`` pixels further to the right."""
        return Placed(
            tuple(
                replace(each, cell=each.cell.moved(across), box=each.box.moved(across))
                for each in self.placements
            ),
            tuple(replace(text, left=text.left + across, right=text.right + across) for text in self.texts),
            self.more.moved(across) if self.more else None,
        )


@dataclass(frozen=True, slots=True)
class Placer:
    """Places pictures on frames of one storyboard. ``shapes`` has the upright size of each, by asset id."""

    shapes: Mapping[str, Size]
    setter: Typesetter
    metrics: Metrics
    labels: bool

    def shape(self, asset: Asset) -> Size:
        """The upright size of a picture."""
        return self.shapes.get(asset.ref.id, _UNKNOWN)

    def place(self, pictures: tuple[Asset, ...], area: Box, layout: str) -> Placed:
        """Cells for ``pictures`` in ``area``, arranged as ``layout`` says."""
        metrics = self.metrics
        label = round(metrics.small * 1.75)
        # A gap has its name written in it.
        named = [picture.title and picture.ref.id in self.shapes for picture in pictures]
        labels = self.labels and area.height >= 6 * label
        labelled = frozenset(at for at, name in enumerate(named) if name and labels)
        spacing = Spacing(metrics.gap, label, metrics.smallest_cell, labelled)
        cells = arrange(area, [self._wanted(each, pictures, area) for each in pictures], layout, spacing)
        shown = pictures[: len(cells)]
        if len(shown) == len(pictures) or len(cells) == 1:
            more, texts = None, []
        else:
            shown = shown[:-1]
            more = cells[-1]
            texts = [self._count(more, len(pictures) - len(shown))]
        texts += [self._label(shown[at], cells[at]) for at in sorted(labelled) if at < len(shown)]
        placements = tuple(self._placement(*each) for each in zip(shown, cells, strict=False))
        return Placed(placements, tuple(texts), more)

    def _wanted(self, asset: Asset, pictures: tuple[Asset, ...], area: Box) -> Size:
        if asset.cover:
            return area.size if len(pictures) == 1 else _COVERING
        return self.shape(asset)

    def _placement(self, asset: Asset, cell: Box) -> Placement:
        shape = self.shape(asset)
        if asset.cover or (crop_loss(shape, cell.size) <= SLIVER and enlarged(shape, cell.size) <= LARGEST):
            return Placement(asset, cell, cell, crops=True)
        return Placement(asset, cell, cell.centred(contained(shape, cell.size)), crops=False)

    def _label(self, asset: Asset, cell: Box) -> PlacedText:
        metrics = self.metrics
        block = self.setter.line(asset.title, Weight.SEMIBOLD, metrics.small, cell.width)
        return PlacedText(block, cell.left, cell.right, cell.bottom + round(metrics.small * 0.45), "muted")

    def _count(self, cell: Box, count: int) -> PlacedText:
        block = self.setter.line(f"+{count}", Weight.SEMIBOLD, self.metrics.heading, cell.width)
        top = (cell.top + cell.bottom) // 2 - round(block.size * (ASCENT - CAPITALS / 2))
        return PlacedText(block, cell.left, cell.right, top, "muted", "centre")


def crop_loss(shape: Size, area: Size) -> float:
    """The share of a picture that is cut off when it covers ``area``."""
    covering = shape.covering(area)
    return 1 - area.pixels / covering.pixels


def enlarged(shape: Size, size: Size) -> float:
    """How many times larger a picture is shown than it is."""
    return max(size.width / shape.width, size.height / shape.height)


def contained(shape: Size, area: Size) -> Size:
    """The size of a whole picture in ``area``; small ones are not blown up without end."""
    fitted = shape.fitted(area)
    if enlarged(shape, fitted) <= LARGEST:
        return fitted
    return Size(max(1, round(shape.width * LARGEST)), max(1, round(shape.height * LARGEST)))
