"""Text: which font draws which character, how wide it is, where it breaks, how it is made to fit.

The chain is Inter, then DejaVu Sans. A character that neither has is drawn as U+FFFD and told of in
``Typesetter.undrawn``; of those, what has no shape of its own (tags, joiners) is dropped.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

from PIL import ImageDraw, ImageFont

from previewops.worker.render.cmap import coverage
from previewops.worker.render.theme import Colour

ELLIPSIS = "\u2026"
REPLACEMENT = "\ufffd"
ASCENT = 0.80  # of the size: from the top of a line's box to its baseline
MAX_CHARACTERS = 4_000  # of one text: more than any frame can show
_DISPLAY_SIZE = 28  # pixels
_SHRINK = 0.92  # each try at fitting is this much of the size before
CAPITALS = 0.73  # of the size: the height of capitals and figures
_LEADING = {"tight": 1.16, "loose": 1.42}  # distance of baselines, in sizes


class Weight(StrEnum):
    """The three weights, each with the font that stands in for what Inter lacks."""

    REGULAR = "Regular"
    SEMIBOLD = "SemiBold"
    BOLD = "Bold"

    def chain(self, size: int) -> tuple[str, str]:
        """Font files for ``size`` pixels, in the order in which they are asked for a character.

        The bold is cut for large sizes; set small, its letters would run together.
        """
        fallback = "DejaVuSans.ttf" if self is Weight.REGULAR else "DejaVuSans-Bold.ttf"
        small = self is Weight.BOLD and size < _DISPLAY_SIZE
        return (f"Inter-{Weight.SEMIBOLD if small else self}.ttf", fallback)


@lru_cache(maxsize=8)
def _data(name: str) -> bytes:
    return files("previewops.worker.fonts").joinpath(name).read_bytes()


@lru_cache(maxsize=8)
def _covered(name: str) -> frozenset[int]:
    return coverage(_data(name))


@lru_cache(maxsize=96)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(BytesIO(_data(name)), size)


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Lines that fit a box: what to draw and how much room it takes, pixels."""

    lines: tuple[str, ...]
    weight: Weight
    size: int
    leading: int
    width: int
    truncated: bool

    @property
    def height(self) -> int:
        """From the top of the first line to the bottom of the last; 0 without lines."""
        return (len(self.lines) - 1) * self.leading + self.size if self.lines else 0


class Typesetter:
    """Measures, breaks and draws text for one job, and remembers what it could not draw."""

    def __init__(self) -> None:
        self._undrawn: set[str] = set()
        self._widths: dict[tuple[str, Weight, int], float] = {}

    @property
    def undrawn(self) -> tuple[str, ...]:
        """Every character so far that no font has, in code point order."""
        return tuple(sorted(self._undrawn))

    def clean(self, text: str, weight: Weight) -> str:
        """``text`` composed (NFC), blanks other than line ends made spaces, what cannot be drawn replaced."""
        shown = text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + ELLIPSIS
        unified = unicodedata.normalize("NFC", shown.replace("\r\n", "\n").replace("\r", "\n"))
        return "".join(self._drawable(char, weight) for char in unified)

    def _drawable(self, char: str, weight: Weight) -> str:
        if char == "\n" or any(ord(char) in _covered(name) for name in weight.chain(_DISPLAY_SIZE)):
            return char
        if char in "\t\v\f\u2028\u2029\x85" or unicodedata.category(char) == "Zs":
            return " "
        if _shapeless(char):
            return ""
        self._undrawn.add(char)
        return REPLACEMENT

    def width(self, text: str, weight: Weight, size: int) -> float:
        """Advance of one line of cleaned text, pixels."""
        key = (text, weight, size)
        if key not in self._widths:
            self._widths[key] = sum(
                _font(name, size).getlength(part) for name, part in _runs(text, weight, size)
            )
        return self._widths[key]

    def line(self, text: str, weight: Weight, size: int, width: int) -> TextBlock:
        """One line of ``text``, cut with an ellipsis where ``width`` ends."""
        cleaned = " ".join(self.clean(text, weight).split())
        if not cleaned:
            return TextBlock((), weight, size, size, 0, truncated=False)
        shown = self._cut(cleaned, weight, size, width)
        return TextBlock(
            (shown,), weight, size, size, round(self.width(shown, weight, size)), truncated=shown != cleaned
        )

    def fit(
        self,
        text: str,
        weight: Weight,
        *,
        width: int,
        height: int,
        size: int,
        floor: int,
        max_lines: int = 1_000,
    ) -> TextBlock:
        """``text`` wrapped into ``width`` x ``height``: shrunk from ``size`` down to ``floor``, then cut."""
        cleaned = self.clean(text, weight).strip()
        tight = weight is not Weight.REGULAR
        leading_ratio = _LEADING["tight" if tight else "loose"]
        while True:
            leading = round(size * leading_ratio)
            room = min(max_lines, max(1, (height - size) // leading + 1))
            lines = self._wrap(cleaned, weight, size, width, room + 1)
            # A title in the middle of whose word a line ends is set too large.
            broken = tight and any(self.width(word, weight, size) > width for word in cleaned.split())
            if (len(lines) <= room and not broken) or size <= floor:
                break
            size = max(floor, int(size * _SHRINK))
        truncated = len(lines) > room
        if truncated:
            lines = [*lines[: room - 1], self._cut(lines[room - 1] + ELLIPSIS, weight, size, width)]
        elif tight:
            lines = self._balance(cleaned, weight, size, width, lines)
        widest = max((self.width(line, weight, size) for line in lines), default=0.0)
        return TextBlock(tuple(lines), weight, size, leading, round(widest), truncated)

    def draw(self, canvas: ImageDraw.ImageDraw, left: int, top: int, block: TextBlock, fill: Colour) -> None:
        """Draws ``block`` with its top left corner at (left, top)."""
        for index, line in enumerate(block.lines):
            baseline = top + index * block.leading + round(block.size * ASCENT)
            x = float(left)
            for name, part in _runs(line, block.weight, block.size):
                font = _font(name, block.size)
                canvas.text((x, baseline), part, fill=fill, font=font, anchor="ls")
                x += font.getlength(part)

    def _wrap(self, text: str, weight: Weight, size: int, width: int, stop: int) -> list[str]:
        """Lines of ``text``, greedily filled; no more than ``stop`` of them are made."""
        lines: list[str] = []
        space = self.width(" ", weight, size)
        for paragraph in text.split("\n"):
            line, used = "", 0.0
            for word in self._pieces(paragraph, weight, size, width):
                advance = self.width(word, weight, size)
                longer = used + space + advance
                # Kerning and rounding make a line a little other than its words: near the edge it is measured whole.
                if line and (
                    longer > width
                    or (longer > width - size and self.width(f"{line} {word}", weight, size) > width)
                ):
                    lines.append(line)
                    line, used = "", 0.0
                    if len(lines) >= stop:
                        return lines
                line, used = (f"{line} {word}", used + space + advance) if line else (word, advance)
            lines.append(line)
            if len(lines) >= stop:
                return lines
        return lines if any(lines) else []

    def _pieces(self, paragraph: str, weight: Weight, size: int, width: int) -> list[str]:
        pieces = []
        for word in paragraph.split():
            rest = word
            while self.width(rest, weight, size) > width and len(rest) > 1:
                count = self._longest(rest, "", weight, size, width)
                pieces.append(rest[:count])
                rest = rest[count:]
            pieces.append(rest)
        return pieces

    def _balance(self, text: str, weight: Weight, size: int, width: int, lines: list[str]) -> list[str]:
        """The same number of lines, about equally long: a title does not end on a lone word."""
        if not 1 < len(lines) <= 4:
            return lines
        low, high, best = width // 2, width, lines
        while high - low > max(2, size // 8):
            middle = (low + high) // 2
            tried = self._wrap(text, weight, size, middle, len(lines) + 1)
            fits = len(tried) <= len(lines) and all(
                self.width(word, weight, size) <= middle for word in text.split()
            )
            if fits:
                high, best = middle, tried
            else:
                low = middle
        return best

    def _cut(self, text: str, weight: Weight, size: int, width: int) -> str:
        if self.width(text, weight, size) <= width:
            return text
        bare = text.rstrip(ELLIPSIS)
        count = self._longest(bare, ELLIPSIS, weight, size, width)
        return bare[:count].rstrip(" ,;:.-") + ELLIPSIS

    def _longest(self, text: str, tail: str, weight: Weight, size: int, width: int) -> int:
        """How many characters of ``text``, at least one, fit ``width`` together with ``tail``."""
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(text[:middle] + tail, weight, size) <= width:
                low = middle
            else:
                high = middle - 1
        while 1 < low < len(text) and unicodedata.combining(text[low]):
            low -= 1
        return low


def _shapeless(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs") or 0xFE00 <= ord(char) <= 0xFE0F


@lru_cache(maxsize=4096)
def _runs(text: str, weight: Weight, size: int) -> tuple[tuple[str, str], ...]:
    """``text`` as (font file, part) in drawing order; blanks and marks stay with what they follow."""
    runs: list[tuple[str, str]] = []
    chain = weight.chain(size)
    for char in text:
        name = next((name for name in chain if ord(char) in _covered(name)), chain[0])
        if runs and (runs[-1][0] == name or _follows(char, runs[-1][0])):
            runs[-1] = (runs[-1][0], runs[-1][1] + char)
        else:
            runs.append((name, char))
    return tuple(reversed(runs)) if _right_to_left(text) else tuple(runs)


def _follows(char: str, name: str) -> bool:
    return (char == " " or unicodedata.combining(char) != 0) and ord(char) in _covered(name)


def _right_to_left(text: str) -> bool:
    """Whether the first letter with a direction is written from right to left."""
    for char in text:
        direction = unicodedata.bidirectional(char)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False
