"""Splits lines into text runs of one font and one direction, in visual order; measures and draws them.

Pillow shapes each run with Raqm and HarfBuzz, once per type size.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from previewops.worker.render.text import bidi
from previewops.worker.render.text.fonts import FontChain, FontFace, FontWeight
from previewops.worker.render.text.paragraphs import ELLIPSIS, FontSpan, Paragraph
from previewops.worker.render.text.segmentation import grapheme_clusters
from previewops.worker.render.theme import Colour

# Share of the type size, per side.
_EMBOLDENING = {FontWeight.REGULAR: 0.0, FontWeight.SEMIBOLD: 0.009, FontWeight.BOLD: 0.012}
_SMALL_TEXT_PX = 24  # smaller text is drawn larger and scaled down, so that letters keep their spacing
_OVERSAMPLING = 4
_MIN_WEIGHT_GAP = 150  # difference of weight classes that is visible
_EMOJI_MIDDLE = 0.36  # of the type size: the middle of an emoji above the baseline, as that of capitals
_MAX_MEASURED = 100_000  # runs whose widths are kept
# The levels of the runs already contain the effect of these; Raqm would apply it again.
_NOT_DRAWN = dict.fromkeys(
    map(
        ord,
        "\u00ad\u200b\u200e\u200f\u061c\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    )
)
_OVERRIDES = {True: "\u202e", False: "\u202d"}  # by whether the run is right-to-left


class TextRun(NamedTuple):
    """A part of a line in one font face and one direction."""

    face: FontFace
    text: str
    rtl: bool


@dataclass(slots=True)
class Shaper:
    """Shapes lines in the fonts of ``chain``. ``language`` (BCP 47) selects local forms of characters."""

    chain: FontChain
    language: str | None = None
    used: set[str] = field(default_factory=set)  # names of the fonts in use
    _advances: dict[tuple[TextRun, int], float] = field(default_factory=dict)

    def runs(
        self, paragraph: Paragraph, start: int, end: int, *, tail: str, weight: FontWeight, size: int
    ) -> tuple[TextRun, ...]:
        """Returns the runs of a line, from left to right: a part of ``paragraph``, and ``tail`` after it."""
        spans = list(paragraph.spans_between(start, end))
        runs = [_run(span.face, paragraph.text[span.start : span.end], span.level) for span in spans]
        levels = [span.level for span in spans]
        if tail:
            # A hyphen belongs to its word, an ellipsis to the line.
            levels.append(paragraph.base if tail == ELLIPSIS or not levels else levels[-1])
            runs.append(_run(self._face(tail, weight, size), tail, levels[-1]))
        return tuple(runs[index] for index in bidi.visual_order(levels) if runs[index].text)

    def measure(self, paragraph: Paragraph, start: int, end: int, size: int) -> float:
        """Returns the advance width of a part of a paragraph in pixels."""
        return sum(
            self.measure_span(paragraph.text, span, size) for span in paragraph.spans_between(start, end)
        )

    def measure_span(self, text: str, span: FontSpan, size: int) -> float:
        """Returns the advance width of a span of ``text`` in pixels."""
        return self.advance(_run(span.face, text[span.start : span.end], span.level), size)

    def measure_plain(self, text: str, weight: FontWeight, size: int) -> float:
        """Returns the advance width of a sign in pixels."""
        return self.advance(TextRun(self._face(text, weight, size), text, rtl=False), size)

    def _face(self, sign: str, weight: FontWeight, size: int) -> FontFace:
        face = self.chain.find(sign, weight.for_size(size))
        assert face is not None, "the package's fonts have hyphens and ellipses"
        return face

    def advance(self, run: TextRun, size: int) -> float:
        """Returns the advance width of a run, pixels."""
        if run.face.info.strike:
            emoji = map(_measure_emoji, _split_emoji(run))
            return size / run.face.info.strike * sum(emoji)
        key = (run, size)
        if key not in self._advances:
            if len(self._advances) >= _MAX_MEASURED:
                self._advances.clear()
            drawing_size = _drawing_size(run, size)
            length = run.face.at_size(drawing_size).getlength(
                run.text, direction=_direction(run), language=self.language
            )
            self._advances[key] = size / drawing_size * length
        return self._advances[key]

    def draw(
        self,
        image: Image.Image,
        at: tuple[float, int],
        runs: tuple[TextRun, ...],
        *,
        weight: FontWeight,
        size: int,
        fill: Colour,
    ) -> None:
        """Draws the runs of a line with the left end of its baseline at ``at``."""
        x, baseline = at
        for run in runs:
            self.used.add(run.face.name)
            if run.face.info.strike:
                left = x
                for emoji in _split_emoji(run):
                    _paste_emoji(image, emoji, size, (left, baseline))
                    left += self.advance(emoji, size)
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
            "language": self.language,
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


@lru_cache(maxsize=32_768)
def _run(face: FontFace, text: str, level: int) -> TextRun:
    drawn = text if text.isascii() else text.translate(_NOT_DRAWN)
    rtl = level % 2 == 1
    if drawn and (rtl or not text.isascii()) and _runs_against(drawn, rtl=rtl):
        drawn = _OVERRIDES[rtl] + drawn
    return TextRun(face, drawn, rtl)


def _runs_against(text: str, *, rtl: bool) -> bool:
    """Whether ``text`` has letters of the other direction, which an override character turned."""
    against = ("L", "EN") if rtl else ("R", "AL")
    return any(unicodedata.bidirectional(char) in against for char in text)


def _stroke_width(run: TextRun, weight: FontWeight, size: int) -> float:
    """Returns the stroke width that emboldens a face without ``weight``: few Chinese fonts have bold faces."""
    if run.face.info.coloured or weight.weight_class - run.face.weight < _MIN_WEIGHT_GAP:
        return 0.0
    return size * _EMBOLDENING[weight]


def _direction(run: TextRun) -> str:
    return "rtl" if run.rtl else "ltr"


def _drawing_size(run: TextRun, size: int) -> int:
    """Returns the size in pixels to draw a run at before scaling it to ``size``."""
    return run.face.info.strike or (size * _OVERSAMPLING if size < _SMALL_TEXT_PX else size)


@lru_cache(maxsize=4_096)
def _split_emoji(run: TextRun) -> tuple[TextRun, ...]:
    """Splits a run of bitmap emoji into its clusters, from left to right: each is measured and drawn once."""
    clusters = grapheme_clusters(run.text)
    return tuple(
        TextRun(run.face, cluster, run.rtl) for cluster in (reversed(clusters) if run.rtl else clusters)
    )


@lru_cache(maxsize=4_096)
def _measure_emoji(emoji: TextRun) -> float:
    """Returns the advance width of a bitmap emoji at its only size: FreeType decodes the bitmap for it."""
    return emoji.face.at_size(0).getlength(emoji.text, direction=_direction(emoji))


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
