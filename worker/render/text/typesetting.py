"""Typesetting: fits text to a box by line breaks, shrinking and truncation; draws it.

U+FFFD replaces characters that no font has; ``Typesetter.undrawn`` lists them. Right-to-left paragraphs are aligned
right. The work for a text is bounded: it is analysed once per weight, and laid out once for each type size between
its largest and its smallest, each time only as far as the box shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from previewops.worker.render.text.characters import SOFT_HYPHEN
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render.text.fonts import FontWeight, get_font_chain
from previewops.worker.render.text.line_breaking import LineBreaker, LineSpan
from previewops.worker.render.text.paragraphs import ELLIPSIS, Paragraph, TextAnalyser, normalise
from previewops.worker.render.text.shaping import Shaper, TextRun
from previewops.worker.render.theme import Colour

ASCENT_EM = 0.80  # of the type size: from the top of the line box to the baseline
CAP_HEIGHT_EM = 0.73  # of the type size: height of capitals and figures
_SHRINK = 0.93  # factor between two attempts to fit a text
_LEADING = {"tight": 1.16, "loose": 1.42}  # distance of baselines, in type sizes
_TALL_LEADING = 0.12  # addition for scripts with high or low marks
_LAST_TALL = 0x052F  # last code point of Latin, Greek and Cyrillic, which do not need it
_SHRINK_FOR_ORPHAN = 0.8  # of the type size: a title may shrink to this to avoid an orphan
_NOT_BEFORE_ELLIPSIS = " ,;:.-\u2026\u3001\u3002\u060c"
_KEPT_ANALYSES = 64  # texts: those of one frame, and the labels


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its text in logical order, its width in pixels, the direction of its paragraph, and its runs."""

    text: str
    width: int
    rtl: bool
    runs: tuple[TextRun, ...]


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

    def __init__(
        self, sources: FontSources | None = None, language: str | None = None, family: str | None = None
    ) -> None:
        """``family`` is the font family that precedes all others."""
        chain = get_font_chain(sources or FontSources(), family)
        self._shaper = Shaper(chain, language)
        self._analyser = TextAnalyser(chain, language)
        self._analyses: dict[tuple[str, FontWeight], tuple[Paragraph, ...]] = {}

    @property
    def undrawn(self) -> tuple[str, ...]:
        """Characters so far that no font has, in code point order."""
        return tuple(sorted(self._analyser.undrawn))

    @property
    def fonts(self) -> tuple[str, ...]:
        """Names of the fonts used so far."""
        return tuple(sorted(self._shaper.used))

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families that can precede the others."""
        return self._shaper.chain.families

    @property
    def has_family(self) -> bool:
        """Whether the family that is to precede the others exists, or none is to."""
        return self._shaper.chain.has_family

    @property
    def unusable_fonts(self) -> tuple[str, ...]:
        """Files of PREVIEW_FONTS that are not usable fonts."""
        return self._shaper.chain.unusable

    def measure(self, text: str, weight: FontWeight, size: int) -> float:
        """Returns the advance width of one line of text in pixels."""
        return sum(
            self._shaper.measure(paragraph, 0, len(paragraph.text), size)
            for paragraph in self._paragraphs(normalise(text), weight.for_size(size))
        )

    def _paragraphs(self, text: str, weight: FontWeight) -> tuple[Paragraph, ...]:
        """Returns the analysed paragraphs of a normalised text."""
        key = (text, weight)
        if key not in self._analyses:
            if len(self._analyses) >= _KEPT_ANALYSES:
                del self._analyses[next(iter(self._analyses))]
            self._analyses[key] = tuple(self._analyser.paragraph(part, weight) for part in text.split("\n"))
        return self._analyses[key]

    def fit_line(self, text: str, weight: FontWeight, size: int, width: int) -> TextBlock:
        """Fits ``text`` on one line; truncates it with an ellipsis to ``width``."""
        normalised = " ".join(normalise(text).split("\n"))
        if not normalised:
            return TextBlock((), weight, size, size, 0, truncated=False)
        paragraphs = self._paragraphs(normalised, weight.for_size(size))
        breaker = LineBreaker(self._shaper, paragraphs, weight, size, width)
        complete = LineSpan(paragraphs[0], 0, len(paragraphs[0].text))
        truncated = not breaker.fits(complete, width)
        line = self._line(breaker, _truncate(breaker, complete) if truncated else complete)
        return TextBlock((line,), weight, size, size, line.width, truncated)

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
        normalised = normalise(text)
        tight = weight is not FontWeight.REGULAR
        ratio = _LEADING["tight" if tight else "loose"]
        if any(ord(char) > _LAST_TALL and char.isalpha() for char in normalised):
            ratio += _TALL_LEADING

        looks_min = round(size * _SHRINK_FOR_ORPHAN) if tight else size

        def attempt(size: int) -> _Attempt:
            most = min(max_lines, max(1, (height - size) // round(size * ratio) + 1))
            paragraphs = self._paragraphs(normalised, weight.for_size(size))
            return _Attempt(
                LineBreaker(self._shaper, paragraphs, weight, size, width), most, whole_words=tight
            )

        chosen = _choose(attempt, _sizes(size, min_size), looks_min)
        lines = tuple(self._line(chosen.breaker, line) for line in chosen.final_lines())
        widest = max((line.width for line in lines), default=0)
        size = chosen.breaker.size
        return TextBlock(lines, weight, size, round(size * ratio), widest, chosen.truncated)

    def _line(self, breaker: LineBreaker, line: LineSpan) -> Line:
        paragraph, size = line.paragraph, breaker.size
        runs = self._shaper.runs(
            paragraph, line.start, line.end, tail=line.tail, weight=breaker.weight, size=size
        )
        text = paragraph.text[line.start : line.end].replace(SOFT_HYPHEN, "") + line.tail
        return Line(text, round(breaker.measure(line)), paragraph.base == 1, runs)

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
                image, (x, baseline), line.runs, weight=block.weight, size=block.size, fill=fill
            )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A text at one type size. ``whole_words``: no line ends inside a word, as in titles."""

    breaker: LineBreaker
    most: int  # lines that fit the box
    whole_words: bool
    lines: list[LineSpan] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", self.breaker.lines(self.most + 1))

    @property
    def truncated(self) -> bool:
        return len(self.lines) > self.most

    @property
    def fits(self) -> bool:
        return not self.truncated and not (self.whole_words and self.breaker.has_wide_piece())

    def final_lines(self) -> list[LineSpan]:
        """Returns the lines to draw: the last of a truncated text ends with an ellipsis, others are balanced."""
        if not self.truncated:
            return self.breaker.balanced(self.lines)
        return [*self.lines[: self.most - 1], _truncate(self.breaker, self.lines[self.most - 1])]


def _choose(attempt: Callable[[int], _Attempt], sizes: list[int], looks_min: int) -> _Attempt:
    """Returns the largest attempt that fits; above ``looks_min`` also without an orphan. Else the smallest."""

    def is_good(tried: _Attempt) -> bool:
        large = tried.breaker.size > looks_min
        return tried.fits and not (large and tried.breaker.keeps_orphan(tried.lines))

    largest = attempt(sizes[0])
    if is_good(largest) or len(sizes) == 1:
        return largest
    smallest = attempt(sizes[-1])
    if not smallest.fits:
        return smallest
    return next(filter(is_good, map(attempt, sizes[1:-1])), smallest)


def _sizes(largest: int, smallest: int) -> list[int]:
    """Returns the type sizes to try, from ``largest`` down to ``smallest``."""
    sizes = [largest]
    while sizes[-1] > smallest:
        sizes.append(max(smallest, int(sizes[-1] * _SHRINK)))
    return sizes


def _truncate(breaker: LineBreaker, line: LineSpan) -> LineSpan:
    """Returns ``line`` with an ellipsis at its end, shortened to the width."""
    paragraph, start, end, _ = line
    cut = LineSpan(paragraph, start, end, ELLIPSIS)
    if not breaker.fits(cut, breaker.width):
        room = breaker.width - breaker.tail_width(ELLIPSIS)
        end = breaker.longest_prefix(paragraph, start, end, room) if end else 0
    return cut._replace(end=start + len(paragraph.text[start:end].rstrip(_NOT_BEFORE_ELLIPSIS)))
