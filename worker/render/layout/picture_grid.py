"""Places the pictures of one frame, with their labels, in an area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from previewops.worker.render.layout.box_packing import Spacing, pack_boxes
from previewops.worker.render.layout.frames import PlacedText, Placement
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.type_scale import LayoutMetrics
from previewops.worker.render.storyboard import Asset
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import ASCENT_EM, CAP_HEIGHT_EM, Typesetter

MAX_UNASKED_CROP = 0.04  # share up to which fit `contain` may crop a picture to fill its cell
_MAX_FULL_CROP = 0.16  # share up to which fit `contain` may crop a picture that is alone on its frame
MAX_ENLARGEMENT = 4.0  # largest scale factor
_UNKNOWN = Size(1600, 1200)  # assumed size of an unavailable picture
_COVERING = Size(4, 3)  # aspect ratio of a cell with fit `cover` among several pictures


@dataclass(frozen=True, slots=True)
class PlacedPictures:
    """The content of the area. ``more`` is the box with the count of omitted pictures."""

    placements: tuple[Placement, ...] = ()
    texts: tuple[PlacedText, ...] = ()
    more: Box | None = None

    @property
    def bounds(self) -> Box:
        """The bounding box of all cells, without labels."""
        cells = [placement.cell for placement in self.placements] + ([self.more] if self.more else [])
        lefts, tops, rights, bottoms = zip(*cells, strict=True)
        return Box(min(lefts), min(tops), max(rights), max(bottoms))

    def moved(self, across: int) -> PlacedPictures:
        """The content moved right by ``across`` pixels."""
        return PlacedPictures(
            tuple(
                replace(placement, cell=placement.cell.moved(across), box=placement.box.moved(across))
                for placement in self.placements
            ),
            tuple(replace(text, left=text.left + across, right=text.right + across) for text in self.texts),
            self.more.moved(across) if self.more else None,
        )


@dataclass(frozen=True, slots=True)
class PicturePlacer:
    """Places pictures on the frames of one storyboard. ``picture_sizes`` has upright sizes by asset id."""

    picture_sizes: Mapping[str, Size]
    typesetter: Typesetter
    metrics: LayoutMetrics
    labels: bool

    def picture_size(self, asset: Asset) -> Size:
        """Returns the upright size of a picture."""
        return self.picture_sizes.get(asset.ref.id, _UNKNOWN)

    def place(self, pictures: tuple[Asset, ...], area: Box, layout: str) -> PlacedPictures:
        """Places ``pictures`` in ``area``, arranged by ``layout``."""
        metrics = self.metrics
        label = round(metrics.small * 1.75)
        # The placeholder of an unavailable picture contains its name.
        named = [picture.title and picture.ref.id in self.picture_sizes for picture in pictures]
        labels = self.labels and area.height >= 6 * label
        labelled = frozenset(at for at, name in enumerate(named) if name and labels)
        spacing = Spacing(metrics.gap, label, metrics.min_cell, labelled)
        shapes = [self._target_shape(picture, pictures, area) for picture in pictures]
        cells = pack_boxes(area, shapes, layout, spacing)
        shown = pictures[: len(cells)]
        more, texts = None, []
        if 1 < len(cells) < len(pictures):
            shown, more = shown[:-1], cells[-1]
            texts = [self._omitted_count(more, len(pictures) - len(shown))]
        texts += [self._label(shown[at], cells[at]) for at in sorted(labelled) if at < len(shown)]
        placements = tuple(self._placement(*placed_asset) for placed_asset in zip(shown, cells, strict=False))
        return PlacedPictures(placements, tuple(texts), more)

    def alone(self, picture: Asset) -> Placement:
        """Places one picture to the edges of the frame."""
        frame, shape = Box(0, 0, *self.metrics.size), self.picture_size(picture)
        crops = picture.cover or crop_loss(shape, frame.size) <= _MAX_FULL_CROP
        box = frame if crops else frame.centred(contained_size(shape, frame.size))
        return Placement(picture, frame, box, crops=crops, bleeds=True, has_backdrop=not crops)

    def _target_shape(self, asset: Asset, pictures: tuple[Asset, ...], area: Box) -> Size:
        if asset.cover:
            return area.size if len(pictures) == 1 else _COVERING
        return self.picture_size(asset)

    def _placement(self, asset: Asset, cell: Box) -> Placement:
        shape = self.picture_size(asset)
        if asset.cover or (
            crop_loss(shape, cell.size) <= MAX_UNASKED_CROP
            and enlargement(shape, cell.size) <= MAX_ENLARGEMENT
        ):
            return Placement(asset, cell, cell, crops=True)
        return Placement(asset, cell, cell.centred(contained_size(shape, cell.size)), crops=False)

    def _label(self, asset: Asset, cell: Box) -> PlacedText:
        metrics = self.metrics
        block = self.typesetter.fit_line(asset.title, FontWeight.SEMIBOLD, metrics.small, cell.width)
        return PlacedText(block, cell.left, cell.right, cell.bottom + round(metrics.small * 0.45), "muted")

    def _omitted_count(self, cell: Box, count: int) -> PlacedText:
        block = self.typesetter.fit_line(f"+{count}", FontWeight.SEMIBOLD, self.metrics.heading, cell.width)
        top = (cell.top + cell.bottom) // 2 - round(block.size * (ASCENT_EM - CAP_HEIGHT_EM / 2))
        return PlacedText(block, cell.left, cell.right, top, "muted", "centre")


def crop_loss(shape: Size, area: Size) -> float:
    """Returns the share of a picture that is cropped when it covers ``area``."""
    covering = shape.covering(area)
    return 1 - area.pixels / covering.pixels


def enlargement(shape: Size, size: Size) -> float:
    """Returns the scale factor of a picture of size ``shape`` shown at ``size``."""
    return max(size.width / shape.width, size.height / shape.height)


def contained_size(shape: Size, area: Size) -> Size:
    """Returns the size of an uncropped picture in ``area``; the scale factor is limited."""
    fitted = shape.fitted(area)
    if enlargement(shape, fitted) <= MAX_ENLARGEMENT:
        return fitted
    return Size(max(1, round(shape.width * MAX_ENLARGEMENT)), max(1, round(shape.height * MAX_ENLARGEMENT)))
