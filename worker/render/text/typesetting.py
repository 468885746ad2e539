"""Typesetting: cleans text, breaks it into lines, fits it to a box by shrinking and truncating, draws it.

U+FFFD replaces characters that no font has; ``Typesetter.undrawn`` lists them. Invisible characters (tags, joiners)
that no font has are removed. Right-to-left paragraphs are aligned right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from previewops.worker.render.text import bidi
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render.text.fonts import FontWeight, get_font_chain
from previewops.worker.render.text.segmentation import (
    SOFT_HYPHEN,
    grapheme_clusters,
    is_ideographic,
    is_invisible,
    is_selector_or_tag,
    needs_hyphen,
    resolve_soft_hyphens,
    split_segments,
)
from previewops.worker.render.text.shaping import REPLACEMENT, Shaper
from previewops.worker.render.theme import Colour

ELLIPSIS = "\u2026"
ASCENT_EM = 0.80  # of the type size: from the top of the line box to the baseline
CAP_HEIGHT_EM = 0.73  # of the type size: height of capitals and figures
MAX_CHARACTERS = 4_000  # maximum per text: more than any frame shows
_SHRINK = 0.93  # factor between two attempts to fit a text
_LEADING = {"tight": 1.16, "loose": 1.42}  # distance of baselines, in type sizes
_TALL_LEADING = 0.12  # addition for scripts with high or low marks
_LAST_TALL = 0x052F  # last code point of Latin, Greek and Cyrillic, which do not need it
_SPACES = "\t\v\f\u2028\u2029\x85"
_KEPT_CONTROLS = "\u200b\u00ad\u2060"  # zero width space, soft hyphen, word joiner
_BALANCED_LINES = 5  # longer texts are paragraphs with a ragged edge
_MAX_CLUSTER_CHARS = 8  # characters per cluster, e.g. in emoji sequences
_NARROWEST = 0.15  # of the type size: advance of the narrowest letters
_SHRINK_FOR_ORPHAN = 0.8  # of the type size: a title may shrink to this to avoid an orphan
_ORPHAN_WIDTH = 0.3  # of the width: a shorter last line is an orphan


@dataclass(frozen=True, slots=True)
class Line:
    """One line in logical order, its width in pixels and the direction of its paragraph."""

    text: str
    width: int
    rtl: bool


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Lines that fit a box; sizes in pixels."""

    lines: tuple[Line, ...]
    weight: FontWeight
    size: int
    leading: int
    width: int
    truncated: bool

    @property
    def height(self) -> int:
        """Height from the top of the first line to the bottom of the last; 0 without lines."""
        return (len(self.lines) - 1) * self.leading + self.size if self.lines else 0

    @property
    def space_below(self) -> int:
        """The space below a title, proportional to its size."""
        return round(self.size * 0.42) if self.lines else 0


class Typesetter:
    """Measures, breaks and draws the texts of one job; records characters that it cannot draw."""

    def __init__(self, sources: FontSources | None = None, language: str | None = None) -> None:
        self._shaper = Shaper(get_font_chain(sources or FontSources()), language)
        self._undrawn: set[str] = set()
        self._widths: dict[tuple[str, FontWeight, int], float] = {}

    @property
    def undrawn(self) -> tuple[str, ...]:
        """Characters so far that no font has, in code point order."""
        return tuple(sorted(self._undrawn))

    @property
    def fonts(self) -> tuple[str, ...]:
        """Names of the fonts used so far."""
        return tuple(sorted(self._shaper.used))

    @property
    def unusable_fonts(self) -> tuple[str, ...]:
        """Files of PREVIEW_FONTS that are not usable fonts."""
        return self._shaper.chain.unusable

    def clean(self, text: str, weight: FontWeight) -> str:
        """Returns ``text`` in NFC, with spaces for other whitespace, and undrawable characters replaced."""
        cut = text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + ELLIPSIS
        unified = unicodedata.normalize("NFC", cut.replace("\r\n", "\n").replace("\r", "\n"))
        return "".join(self._drawable(cluster, weight) for cluster in grapheme_clusters(unified))

    def _drawable(self, cluster: str, weight: FontWeight) -> str:
        base, marks = _replace_space_or_control(cluster[0]), cluster[1:]
        if base is not None:
            return base + (self._drawable(marks, weight) if marks else "")
        face = self._shaper.chain.find(cluster, weight)
        if face is None:
            self._undrawn.update(char for char in cluster if not is_invisible(char))
            return REPLACEMENT
        missing = [char for char in cluster if not face.covers(char)]
        self._undrawn.update(missing)
        plain = not face.info.coloured
        return "".join(
            char for char in cluster if char not in missing and not (plain and is_selector_or_tag(char))
        )

    def measure(self, text: str, weight: FontWeight, size: int) -> float:
        """Returns the advance width of one line of cleaned text in pixels, with soft hyphens as they are drawn."""
        text = resolve_soft_hyphens(text)
        key = (text, weight, size)
        if key not in self._widths:
            runs = self._shaper.split_runs(text, weight, size, bidi.paragraph_level(text))
            self._widths[key] = sum(self._shaper.advance(run, size) for run in runs)
        return self._widths[key]

    def fit_line(self, text: str, weight: FontWeight, size: int, width: int) -> TextBlock:
        """Fits ``text`` on one line; truncates it with an ellipsis to ``width``."""
        cleaned = " ".join(resolve_soft_hyphens(word) for word in self.clean(text, weight).split())
        if not cleaned:
            return TextBlock((), weight, size, size, 0, truncated=False)
        cut = self._truncate(cleaned, weight, size, width)
        line = self._line(cut, weight, size, bidi.paragraph_level(cleaned) == 1)
        return TextBlock((line,), weight, size, size, line.width, truncated=cut != cleaned)

    def fit(
        self,
        text: str,
        weight: FontWeight,
        *,
        width: int,
        height: int,
        size: int,
        min_size: int,
        max_lines: int = 1_000,
    ) -> TextBlock:
        """Wraps ``text`` into ``width`` x ``height``: shrinks it from ``size`` to ``min_size``, then truncates it."""
        cleaned = self.clean(text, weight).strip()
        paragraphs = [(split_segments(part), bidi.paragraph_level(part) == 1) for part in cleaned.split("\n")]
        tight = weight is not FontWeight.REGULAR
        ratio = _LEADING["tight" if tight else "loose"]
        ratio += _TALL_LEADING if any(ord(char) > _LAST_TALL and char.isalpha() for char in cleaned) else 0
        looks_min = round(size * _SHRINK_FOR_ORPHAN)
        while True:
            wrap = _LineWrapper(self, weight, size, width)
            leading = round(size * ratio)
            max_fitting = min(max_lines, max(1, (height - size) // leading + 1))
            lines = wrap.lines(paragraphs, max_fitting + 1)
            # A title is too large if a line ends inside a word.
            broken = tight and any(
                self.measure(piece, weight, size) > width for pieces, _ in paragraphs for piece, _ in pieces
            )
            fits = len(lines) <= max_fitting and not broken
            if (
                fits and not (tight and size > looks_min and wrap.keeps_orphan(paragraphs, lines))
            ) or size <= min_size:
                break
            size = max(min_size, int(size * _SHRINK))
        truncated = len(lines) > max_fitting
        if truncated:
            last, rtl = lines[max_fitting - 1]
            lines = [*lines[: max_fitting - 1], (self._truncate(last + ELLIPSIS, weight, size, width), rtl)]
        else:
            lines = wrap.balanced(paragraphs, lines)
        block_lines = tuple(self._line(resolve_soft_hyphens(line), weight, size, rtl) for line, rtl in lines)
        widest = max((line.width for line in block_lines), default=0)
        return TextBlock(block_lines, weight, size, leading, widest, truncated)

    def _line(self, text: str, weight: FontWeight, size: int, rtl: bool) -> Line:
        return Line(text, round(self.measure(text, weight, size)), rtl)

    def draw(
        self, image: Image.Image, left: int, top: int, block: TextBlock, fill: Colour, *, align: float = 0.0
    ) -> None:
        """Draws ``block`` with its top left corner at (left, top).

        ``align`` positions lines that are narrower than the block: 0 left, 0.5 centre, 1 right.
        """
        for index, line in enumerate(block.lines):
            baseline = top + index * block.leading + round(block.size * ASCENT_EM)
            x = left + (block.width - line.width) * align
            self._shaper.draw(
                image, (x, baseline), line.text, block.weight, block.size, base=int(line.rtl), fill=fill
            )

    def _truncate(self, text: str, weight: FontWeight, size: int, width: int) -> str:
        if self.measure(text, weight, size) <= width:
            return text
        bare = text.rstrip(ELLIPSIS)
        head = self.longest_prefix(bare, ELLIPSIS, weight, size, width)
        return bare[: len(head)].rstrip(" ,;:.-\u3001\u3002\u060c") + ELLIPSIS

    def longest_prefix(self, text: str, tail: str, weight: FontWeight, size: int, width: int) -> str:
        """Returns the longest prefix of ``text``, at least one cluster, that fits ``width`` with ``tail``."""
        pieces = grapheme_clusters(text)
        low, high = 1, min(len(pieces), _max_clusters(size, width))
        while low < high:
            middle = (low + high + 1) // 2
            if self.measure("".join(pieces[:middle]) + tail, weight, size) <= width:
                low = middle
            else:
                high = middle - 1
        return "".join(pieces[:low])


def _replace_space_or_control(char: str) -> str | None:
    """Returns the replacement of a space or an invisible character; None for other characters."""
    if char in "\n\u00a0\u202f":
        return char
    category = unicodedata.category(char)
    if char in _SPACES or category == "Zs":
        return " "
    if is_invisible(char):
        kept = category == "Cf" and (unicodedata.bidirectional(char) != "BN" or char in _KEPT_CONTROLS)
        return char if kept else ""
    return None


def _max_clusters(size: int, width: int) -> int:
    """Returns an upper bound of clusters in ``width`` pixels, to avoid measuring very long words."""
    return int(width / (_NARROWEST * size)) + 2


Paragraphs = list[tuple[list[tuple[str, str]], bool]]
Lines = list[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class _LineWrapper:
    """Breaks paragraphs into lines of ``width`` pixels at one type size."""

    typesetter: Typesetter
    weight: FontWeight
    size: int
    width: int

    def _measure(self, text: str) -> float:
        return self.typesetter.measure(text, self.weight, self.size)

    def lines(self, paragraphs: Paragraphs, stop: int, width: int | None = None) -> Lines:
        """Fills lines greedily and returns at most ``stop`` of them, each with its direction."""
        width = width or self.width
        lines: Lines = []
        space, hyphen = self._measure(" "), self._measure("-")
        for pieces, rtl in paragraphs:
            line, used, joint = "", 0.0, ""
            for piece, after in self._unbroken(pieces, width):
                advance = self._measure(piece)
                # A soft hyphen inside the line is not drawn.
                longer = used + (space if joint else 0.0) + advance - hyphen * line.endswith(SOFT_HYPHEN)
                # Kerning and rounding change the width of joined words: near the edge, measure the complete line.
                if line and (
                    longer > width
                    or (longer > width - self.size and self._measure(line + joint + piece) > width)
                ):
                    lines.append((line, rtl))
                    line, longer = "", advance
                    if len(lines) >= stop:
                        return lines
                line, used, joint = (line + joint + piece if line else piece), longer, after
            lines.append((line, rtl))
            if len(lines) >= stop:
                return lines
        return lines if any(line for line, _ in lines) else []

    def _fits(self, piece: str, width: int) -> bool:
        return (
            len(piece) <= _MAX_CLUSTER_CHARS * _max_clusters(self.size, width)
            and self._measure(piece) <= width
        )

    def _unbroken(self, pieces: Iterable[tuple[str, str]], width: int) -> Iterator[tuple[str, str]]:
        """Yields the pieces; splits those that are wider than a line."""
        for piece, after in pieces:
            rest = piece
            while not self._fits(rest, width) and len(grapheme_clusters(rest)) > 1:
                head = self.typesetter.longest_prefix(rest, "", self.weight, self.size, width)
                if len(head) > 3 and needs_hyphen(head, rest[len(head) :]):
                    head = self.typesetter.longest_prefix(rest, "-", self.weight, self.size, width)
                    yield head + "-", ""
                else:
                    yield head, ""
                rest = rest[len(head) :]
            yield rest, after

    def has_orphan(self, lines: Lines) -> bool:
        """Whether the last line is one short word."""
        last = lines[-1][0] if len(lines) > 1 else ""
        return bool(last) and self._measure(last) < _ORPHAN_WIDTH * self.width

    def keeps_orphan(self, paragraphs: Paragraphs, lines: Lines) -> bool:
        """Whether the last line is an orphan even after balancing."""
        return self.has_orphan(lines) and self.has_orphan(self.balanced(paragraphs, lines))

    def balanced(self, paragraphs: Paragraphs, lines: Lines) -> Lines:
        """Rebreaks into as many lines without an orphan: a few lines of equal length, else a longer last line."""
        if len(lines) < 2 or len(paragraphs) > 1:
            return lines
        short = self.has_orphan(lines)
        few = len(lines) <= _BALANCED_LINES and (self.weight is not FontWeight.REGULAR or len(lines) <= 3)
        if not few and not short:
            return lines
        narrowest = self.width // 2 if few else round(self.width * 0.86)
        low, high, best = narrowest, self.width, lines
        longest_word = max(self._measure(piece) for piece, _ in paragraphs[0][0])
        while high - low > max(2, self.size // 8):
            middle = (low + high) // 2
            tried = self.lines(paragraphs, len(lines) + 1, middle)
            if len(tried) <= len(lines) and longest_word <= middle:
                high, best = middle, tried
            else:
                low = middle
        return best


def detect_language(texts: Iterable[str]) -> str | None:
    """Returns ``ja`` or ``ko`` if the script identifies it; it selects the forms of Chinese characters."""
    joined = "".join(texts)
    if any("\u3041" <= char <= "\u30ff" for char in joined):
        return "ja"
    if any("\uac00" <= char <= "\ud7a3" for char in joined) and any(map(is_ideographic, joined)):
        return "ko"
    return None
