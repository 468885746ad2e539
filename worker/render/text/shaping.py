"""Splits a line into text runs of one font and one direction, in visual order; measures and draws them.

Pillow shapes each run with Raqm and HarfBuzz.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from previewops.worker.render.text import bidi
from previewops.worker.render.text.fonts import FontChain, FontFace, FontWeight
from previewops.worker.render.text.segmentation import grapheme_clusters, is_ideographic
from previewops.worker.render.theme import Colour

REPLACEMENT = "\ufffd"
# Share of the type size, per side.
_EMBOLDENING = {FontWeight.REGULAR: 0.0, FontWeight.SEMIBOLD: 0.009, FontWeight.BOLD: 0.012}
_SMALL_TEXT_PX = 24  # smaller text is drawn larger and scaled down, so that letters keep their spacing
_OVERSAMPLING = 4
_MIN_WEIGHT_GAP = 150  # difference of weight classes that is visible
_EMOJI_MIDDLE = 0.36  # of the type size: the middle of an emoji above the baseline, as that of capitals


class TextRun(NamedTuple):
    """A part of a line in one font face and one direction."""

    face: FontFace
    text: str
    rtl: bool


@dataclass(slots=True)
class Shaper:
    """Shapes lines in the fonts of ``chain``. ``language`` (BCP 47) selects the forms of Chinese characters."""

    chain: FontChain
    language: str | None = None
    used: set[str] = field(default_factory=set)  # names of the fonts in use

    def split_runs(self, text: str, weight: FontWeight, size: int, base: int) -> list[TextRun]:
        """Splits a line into runs from left to right; ``base`` is the level of its paragraph."""
        weight = weight.for_size(size)
        if text.isascii() and base == 0:
            face = self.chain.find("a", weight)
            if face is not None and face.covers(text):
                return [TextRun(face, text, rtl=False)]
        runs: list[tuple[FontFace, str, int]] = []
        levels = bidi.embedding_levels(text, base)
        place = 0
        for cluster in grapheme_clusters(text):
            level = levels[place]
            place += len(cluster)
            face = self._face(cluster, weight, runs[-1] if runs else None)
            if runs and runs[-1][0] is face and runs[-1][2] == level:
                runs[-1] = (face, runs[-1][1] + cluster, level)
            else:
                runs.append((face, cluster, level))
        order = bidi.visual_order([level for _, _, level in runs])
        return [TextRun(runs[at][0], runs[at][1], rtl=runs[at][2] % 2 == 1) for at in order]

    def _face(self, cluster: str, weight: FontWeight, before: tuple[FontFace, str, int] | None) -> FontFace:
        """Returns the face for a cluster; symbols and spaces keep the face of the preceding word."""
        if before is not None and not before[1].endswith(" ") and not before[0].info.coloured:
            stays = bidi.is_neutral(cluster[0]) and before[0].covers(cluster)
            if stays:
                return before[0]
        face = self.chain.find(cluster, weight) or self.chain.find(REPLACEMENT, weight)
        assert face is not None, "the package's fonts have the replacement character"
        return face

    def advance(self, run: TextRun, size: int) -> float:
        """Returns the advance width of a run, pixels."""
        drawing_size = _drawing_size(run, size)
        font = run.face.at_size(drawing_size)
        scale = size / drawing_size
        return scale * font.getlength(run.text, direction=_direction(run), language=self._language(run))

    def draw(
        self,
        image: Image.Image,
        at: tuple[float, int],
        line: str,
        weight: FontWeight,
        size: int,
        *,
        base: int,
        fill: Colour,
    ) -> None:
        """Draws a line with the left end of its baseline at ``at``."""
        x, baseline = at
        for run in self.split_runs(line, weight, size, base):
            self.used.add(run.face.name)
            if run.face.info.strike:
                _paste_emoji(image, run, size, (x, baseline))
            elif size < _SMALL_TEXT_PX:
                self._draw_small_text(
                    image, (x, baseline), run, self._style(run, weight, size * _OVERSAMPLING), fill
                )
            else:
                ImageDraw.Draw(image).text((x, baseline), run.text, fill, **self._style(run, weight, size))
            x += self.advance(run, size)

    def _style(self, run: TextRun, weight: FontWeight, size: int) -> dict[str, Any]:
        """Returns the text arguments of Pillow for ``run`` at ``size`` pixels."""
        return {
            "font": run.face.at_size(size),
            "anchor": "ls",
            "direction": _direction(run),
            "language": self._language(run),
            "embedded_color": run.face.info.coloured,
            "stroke_width": _stroke_width(run, weight, size),
        }

    def _draw_small_text(
        self, image: Image.Image, at: tuple[float, int], run: TextRun, style: dict[str, Any], fill: Colour
    ) -> None:
        """Draws small text oversampled: FreeType places letters on whole pixels, which is visible at small sizes."""
        size = style["font"].size // _OVERSAMPLING
        left, margin = int(at[0]), size
        width, height = round(self.advance(run, size)) + 2 * margin, 3 * size
        mask = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
        origin = ((at[0] - left + margin) * _OVERSAMPLING, 2 * size * _OVERSAMPLING)
        ImageDraw.Draw(mask).text(origin, run.text, 255, **style | {"embedded_color": False})
        image.paste(fill, (left - margin, at[1] - 2 * size), mask.reduce(_OVERSAMPLING))

    def _language(self, run: TextRun) -> str | None:
        return self.language if self.language and any(map(is_ideographic, run.text)) else None


def _stroke_width(run: TextRun, weight: FontWeight, size: int) -> float:
    """Returns the stroke width that emboldens a face without ``weight``: few Chinese fonts have bold faces."""
    if run.face.info.coloured or weight.weight_class - run.face.info.weight < _MIN_WEIGHT_GAP:
        return 0.0
    return size * _EMBOLDENING[weight]


def _direction(run: TextRun) -> str:
    return "rtl" if run.rtl else "ltr"


def _drawing_size(run: TextRun, size: int) -> int:
    """Returns the size in pixels to draw a run at before scaling it to ``size``."""
    return run.face.info.strike or (size * _OVERSAMPLING if size < _SMALL_TEXT_PX else size)


def _paste_emoji(image: Image.Image, run: TextRun, size: int, at: tuple[float, int]) -> None:
    picture = _draw_emoji(run, size)
    top = at[1] - round(_EMOJI_MIDDLE * size) - picture.height // 2
    if image.mode == "RGB":
        image.paste(picture, (round(at[0]), top), picture)
    else:
        # In a mask, only the coverage of an emoji counts.
        image.paste(255, (round(at[0]), top), picture.getchannel("A"))


@lru_cache(maxsize=128)
def _draw_emoji(run: TextRun, size: int) -> Image.Image:
    direction, font = _direction(run), run.face.at_size(size)
    strike = run.face.info.strike or size
    left, top, right, bottom = map(round, font.getbbox(run.text, direction=direction, anchor="ls"))
    large = Image.new("RGBA", (max(1, right - min(0, left)), max(1, bottom - top)))
    ImageDraw.Draw(large).text(
        (-min(0, left), -top), run.text, font=font, anchor="ls", direction=direction, embedded_color=True
    )
    scale = size / strike
    size_px = (max(1, round(large.width * scale)), max(1, round(large.height * scale)))
    return large.resize(size_px, Image.Resampling.LANCZOS, reducing_gap=2.0)
