"""Breaks analysed paragraphs into lines of a width at one type size.

Each piece between two possible breaks is measured once. A piece that is wider than a line is cut where it is full: at
a no-break space, behind a separator of an address, else between letters, in words of alphabets with a hyphen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from previewops.worker.render.text.characters import NO_BREAK_SPACES, SOFT_HYPHEN
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.paragraphs import Paragraph, Piece
from previewops.worker.render.text.segmentation import ADDRESS_SEPARATORS, needs_hyphen
from previewops.worker.render.text.shaping import Shaper

HYPHEN = "-"
_BALANCED_LINES = 5  # longer texts are paragraphs with a ragged edge
_NARROWEST = 0.15  # of the type size: advance of the narrowest letters
_PROBE = 16  # clusters whose average tells about how many fit a line
_MARGIN = 1.1
_ORPHAN_WIDTH = 0.3  # of the width: a shorter last line is an orphan
_SHORTEST_HYPHENATED = 4  # letters before a hyphen


class LineSpan(NamedTuple):
    """A line: a part of a paragraph, and characters that are drawn after it: a hyphen, an ellipsis."""

    paragraph: Paragraph
    start: int
    end: int
    tail: str = ""


class _Word(NamedTuple):
    """A measured piece: its place, what is drawn after it, its advance in pixels, its clusters less one.

    ``gap`` is the advance of what lies between ``before``, the end of the piece before it, and its start.
    """

    start: int
    end: int
    tail: str
    advance: float
    clusters: int
    before: int
    gap: float


@dataclass(frozen=True, slots=True)
class LineBreaker:
    """Breaks ``paragraphs`` into lines of ``width`` pixels at type size ``size``."""

    shaper: Shaper
    paragraphs: Sequence[Paragraph]
    weight: FontWeight
    size: int
    width: int
    _measured: dict[LineSpan, float] = field(default_factory=dict)
    _words: dict[Paragraph, list[_Word]] = field(default_factory=dict)

    def lines(self, stop: int, width: int | None = None) -> list[LineSpan]:
        """Fills lines greedily and returns at most ``stop`` of them; ``width`` is at most that of the breaker."""
        width = width or self.width
        lines: list[LineSpan] = []
        hyphen, near_edge = self.tail_width(HYPHEN), width - self.size
        for paragraph in self.paragraphs:
            start, end, tail, used = 0, 0, "", 0.0
            for word in self._fitting_words(paragraph, width):
                if not end:
                    start, used = word.start, word.advance
                else:
                    gap = word.gap
                    if end != word.before:
                        gap = self.measure(LineSpan(paragraph, end, word.start))
                    # A soft hyphen inside the line is not drawn.
                    longer = used + gap + word.advance - (hyphen if tail else 0.0)
                    # Kerning and rounding change the width of joined words: near the edge, measure the complete line.
                    if longer > width or (
                        longer > near_edge
                        and self.measure(LineSpan(paragraph, start, word.end, word.tail)) > width
                    ):
                        lines.append(LineSpan(paragraph, start, end, tail))
                        if len(lines) >= stop:
                            return lines
                        start, used = word.start, word.advance
                    else:
                        used = longer
                end, tail = word.end, word.tail
            lines.append(LineSpan(paragraph, start, end, tail))
            if len(lines) >= stop:
                return lines
        return lines if any(line.end for line in lines) else []

    def measure(self, line: LineSpan) -> float:
        """Returns the advance width of a line in pixels."""
        width = self._measured.get(line)
        if width is None:
            width = self.shaper.measure(line.paragraph, line.start, line.end, self.size)
            width += self.tail_width(line.tail) if line.tail else 0.0
            self._measured[line] = width
        return width

    def has_wide_piece(self) -> bool:
        """Whether a line has to end inside a word."""
        return any(
            not self.fits(_line(paragraph, piece), self.width)
            for paragraph in self.paragraphs
            for piece in paragraph.pieces
        )

    def tail_width(self, tail: str) -> float:
        """Returns the advance width of a hyphen or an ellipsis in pixels."""
        return self.shaper.measure_plain(tail, self.weight, self.size)

    def fits(self, line: LineSpan, width: int) -> bool:
        """Whether a line fits ``width``; does not measure one with too many clusters."""
        last = bisect_right(line.paragraph.ends, line.start) + self._max_clusters(width)
        ends = line.paragraph.ends
        return (last >= len(ends) or ends[last] >= line.end) and self.measure(line) <= width

    def _max_clusters(self, width: int) -> int:
        """Returns an upper bound of clusters in ``width`` pixels, to avoid measuring very long words."""
        return int(width / (_NARROWEST * self.size)) + 2

    def _fitting_words(self, paragraph: Paragraph, width: int) -> Iterator[_Word]:
        """Yields the pieces, measured; splits those that are wider than a line."""
        most = self._max_clusters(width)
        for index in range(len(paragraph.pieces)):
            word = self._word(paragraph, index)
            if word.clusters <= most and word.advance <= width:
                yield word
            else:
                for piece in self._split_to_fit(paragraph, paragraph.pieces[index], width):
                    line = _line(paragraph, piece)
                    yield _Word(line.start, line.end, line.tail, self.measure(line), 0, -1, 0.0)

    def _word(self, paragraph: Paragraph, index: int) -> _Word:
        """Returns a piece of a paragraph, measured at its first use, unless it has too many clusters for a line."""
        words = self._words.setdefault(paragraph, [])
        while len(words) <= index:
            before = paragraph.pieces[len(words) - 1].end if words else 0
            line, ends = _line(paragraph, paragraph.pieces[len(words)]), paragraph.ends
            clusters = bisect_left(ends, line.end) - bisect_right(ends, line.start)
            advance = self.measure(line) if clusters <= self._max_clusters(self.width) else inf
            gap = self.measure(LineSpan(paragraph, before, line.start))
            words.append(_Word(line.start, line.end, line.tail, advance, clusters, before, gap))
        return words[index]

    def _split_to_fit(self, paragraph: Paragraph, piece: Piece, width: int) -> Iterator[Piece]:
        """Yields the parts of a piece that fit ``width``."""
        rest = piece
        while not self.fits(_line(paragraph, rest), width):
            head, start = self._split(paragraph, rest, width)
            yield head
            if start >= rest.end:
                return
            rest = rest._replace(start=start)
        yield rest

    def _split(self, paragraph: Paragraph, piece: Piece, width: int) -> tuple[Piece, int]:
        """Returns the head of a piece that fits ``width``, and where the rest starts."""
        text, start = paragraph.text, piece.start
        end = self.longest_prefix(paragraph, start, piece.end, width)
        if end == piece.end and text[end - 1] == SOFT_HYPHEN:
            return piece._replace(end=max(start + 1, end - 1)), end  # without room for the hyphen
        spaces = [text.rfind(space, start + 1, end + 1) for space in NO_BREAK_SPACES]
        if (place := max(spaces)) > 0:
            return piece._replace(end=place), place + 1
        if end < piece.end and not piece.hyphenates:
            place = max(text.rfind(sign, start, end) for sign in ADDRESS_SEPARATORS) + 1
            if place > start:
                end = place
        elif (
            end < piece.end and needs_hyphen(text[end - 1], text[end]) and end - start >= _SHORTEST_HYPHENATED
        ):
            end = self.longest_prefix(paragraph, start, piece.end, width - self.tail_width(HYPHEN))
            return piece._replace(end=end, tail=HYPHEN), end
        return piece._replace(end=end), end

    def longest_prefix(self, paragraph: Paragraph, start: int, end: int, width: float) -> int:
        """Returns the end of the longest part from ``start`` that fits ``width``; it has at least one cluster."""
        ends = paragraph.ends
        first, most = bisect_right(ends, start), self._max_clusters(round(width))
        count, best, used = min(_PROBE, most), start, 0.0
        while True:
            last = min(end, ends[min(len(ends) - 1, first + count)])
            best, used = self._prefix(paragraph, start, last, width)
            if best < last or last == end or count == most:
                return max(ends[first], best)
            count = min(most, max(2 * count, int(_MARGIN * count * width / max(1.0, used))))

    def _prefix(self, paragraph: Paragraph, start: int, end: int, width: float) -> tuple[int, float]:
        """Returns the end of the longest part up to ``end`` that fits ``width``, and the advance of its spans."""
        best, used = start, 0.0
        for span in paragraph.spans_between(start, end):
            advance = self.shaper.measure_span(paragraph.text, span, self.size)
            if used + advance > width:
                return self._cut(paragraph, span.start, span.end, width - used, advance), used
            used += advance
            best = span.end
        return best, used

    def _cut(self, paragraph: Paragraph, start: int, end: int, width: float, advance: float) -> int:
        """Returns the last cluster end of one span, at which its part from ``start`` fits ``width``; else ``start``.

        ``advance`` is that of the complete span. Interpolates, and halves every other time, so that it measures few
        parts in any text.
        """
        ends = paragraph.ends
        low, high = bisect_right(ends, start) - 1, bisect_right(ends, end - 1)
        low_px, high_px, halves = 0.0, advance, False
        while high - low > 1:
            share = 0.5 if halves else (width - low_px) / max(1e-6, high_px - low_px)
            middle = min(high - 1, max(low + 1, low + int((high - low) * share)))
            measured = self.shaper.measure(paragraph, start, ends[middle], self.size)
            if measured <= width:
                low, low_px = middle, measured
            else:
                high, high_px = middle, measured
            halves = not halves
        return ends[low] if low >= 0 else start

    def has_orphan(self, lines: list[LineSpan]) -> bool:
        """Whether the last line is one short word."""
        return len(lines) > 1 and lines[-1].end > 0 and self.measure(lines[-1]) < _ORPHAN_WIDTH * self.width

    def keeps_orphan(self, lines: list[LineSpan]) -> bool:
        """Whether the last line is an orphan even after balancing."""
        return self.has_orphan(lines) and self.has_orphan(self.balanced(lines))

    def balanced(self, lines: list[LineSpan]) -> list[LineSpan]:
        """Rebreaks into as many lines without an orphan: a few lines of equal length, else a longer last line."""
        if len(lines) < 2 or len(self.paragraphs) > 1:
            return lines
        short, regular = self.has_orphan(lines), self.weight is FontWeight.REGULAR
        few = len(lines) <= _BALANCED_LINES and (not regular or len(lines) <= 3)
        if not few and not short:
            return lines
        narrowest = self.width // 2 if few else round(self.width * 0.86)
        low, high, best = narrowest, self.width, lines
        paragraph = self.paragraphs[0]
        longest_word = max(self.measure(_line(paragraph, piece)) for piece in paragraph.pieces)
        while high - low > max(2, self.size // 8):
            middle = (low + high) // 2
            tried = self.lines(len(lines) + 1, middle) if longest_word <= middle else None
            if tried is not None and len(tried) <= len(lines):
                high, best = middle, tried
            else:
                low = middle
        return best


def _line(paragraph: Paragraph, piece: Piece, start: int | None = None) -> LineSpan:
    """Returns the line that ends with ``piece`` and starts with it, or at ``start``."""
    tail = HYPHEN if paragraph.text[piece.end - 1] == SOFT_HYPHEN else piece.tail
    return LineSpan(paragraph, piece.start if start is None else start, piece.end, tail)
