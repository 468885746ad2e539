"""The Unicode bidirectional algorithm (UAX #9): from logical order to visual order.

A line may need several fonts, and the shaping engine receives the text of one font at a time. Therefore this module
resolves the levels of a whole paragraph, and each text run has one direction. All 91,707 cases of the Unicode
consortium's BidiCharacterTest (15.0) pass; tests/integration/test_render_unicode.py runs them.

Libraries: python-bidi (Rust) and FriBidi in Pillow return the reordered text, not the levels that the choice of fonts
and the cutting of lines need; PyICU, which has them, has no wheels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

_MAX_DEPTH = 125
_MAX_BRACKETS = 63  # open brackets (BD16)
_STRONG = {"L": "L", "R": "R", "AL": "R", "EN": "R", "AN": "R"}  # as neighbours of neutrals (N1)
_NEUTRAL = frozenset(("B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"))
_CONTEXT_DEPENDENT = frozenset(("WS", "ON", "CS", "ES", "ET", "NSM", "BN"))
_ISOLATES = ("LRI", "RLI", "FSI")
_EMBEDDINGS = ("LRE", "RLE", "LRO", "RLO")
_REMOVED = (*_EMBEDDINGS, "PDF", "BN")
_BRACKETS = dict(
    zip("([{⁅⟦⟨⟪⟬⟮⦃⦅⦗⧼「『【〈《〔〖〘〚（［｛｟｢", ")]}⁆⟧⟩⟫⟭⟯⦄⦆⦘⧽」』】〉》〕〗〙〛）］｝｠｣", strict=True)
)
_CLOSING = {close: opening for opening, close in _BRACKETS.items()}
_DIRECTION = ("L", "R")  # by the parity of a level


def paragraph_level(text: str) -> int:
    """Returns the paragraph embedding level: 1 if the first strong character is right-to-left, else 0 (P2, P3)."""
    depth = 0
    for kind in map(unicodedata.bidirectional, text):
        if kind in _ISOLATES:
            depth += 1
        elif kind == "PDI":
            depth = max(0, depth - 1)
        elif not depth and kind in ("L", "R", "AL"):
            return int(kind != "L")
    return 0


def _rtl_isolates(kinds: Sequence[str]) -> set[int]:
    """Returns the indices of the isolate initiators whose first strong type is right-to-left (X5c).

    Runs backwards, with the first strong type of each open isolate on a stack: an isolate without an end contains
    the rest of the paragraph.
    """
    firsts, rtl = [""], set()
    for index in range(len(kinds) - 1, -1, -1):
        kind = kinds[index]
        if kind in ("L", "R", "AL"):
            firsts[-1] = kind
        elif kind == "PDI":
            firsts.append("")
        elif kind in _ISOLATES:
            if firsts[-1] in ("R", "AL"):
                rtl.add(index)
            if len(firsts) > 1:
                firsts.pop()
            else:
                firsts[0] = ""
    return rtl


def has_strong_direction(text: str) -> bool:
    """Whether ``text`` has a strong character."""
    return any(unicodedata.bidirectional(char) in ("L", "R", "AL") for char in text)


def is_neutral(char: str) -> bool:
    """Whether ``char`` takes its direction from its context."""
    return unicodedata.bidirectional(char) in _CONTEXT_DEPENDENT


def embedding_levels(text: str, base: int) -> list[int]:
    """Returns the embedding level of each character of one line; odd levels run from right to left."""
    kinds = [unicodedata.bidirectional(char) or "L" for char in text]
    if base == 0 and not {"R", "AL", "AN", "RLE", "RLO", "RLI", "FSI", "LRE", "LRO"}.intersection(kinds):
        return [0] * len(text)
    original = list(kinds)
    explicit = _Explicit(kinds, base).run()
    levels = list(explicit)
    for sequence in _isolating_sequences(original, explicit):
        start, end = _boundary_directions(sequence, original, explicit, base)
        _resolve(sequence, text, kinds, levels, (start, end))
    _reset_whitespace(original, levels, base)
    return levels


def visual_order(levels: Sequence[int]) -> list[int]:
    """Returns the indices of items with these levels in visual order (L2)."""
    order = list(range(len(levels)))
    if not order:
        return order
    lowest_odd = min((level for level in levels if level % 2), default=max(levels) + 1)
    for level in range(max(levels), lowest_odd - 1, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = end + 1
    return order


@dataclass(slots=True)
class _Explicit:
    """Resolves embeddings, overrides and isolates (X1 to X8); overrides change ``kinds``."""

    kinds: list[str]
    base: int
    stack: list[tuple[int, str, bool]] = field(default_factory=list)  # level, override, isolate
    overflow_isolates: int = 0
    overflow_embeddings: int = 0
    valid_isolates: int = 0

    def run(self) -> list[int]:
        levels: list[int] = []
        self.stack = [(self.base, "", False)]
        rtl_isolates = _rtl_isolates(self.kinds) if "FSI" in self.kinds else set()
        for index, kind in enumerate(self.kinds):
            if kind in _EMBEDDINGS:
                levels.append(self.stack[-1][0])
                self._push(rtl=kind in ("RLE", "RLO"), override={"RLO": "R", "LRO": "L"}.get(kind, ""))
            elif kind in _ISOLATES:
                self._place(index, levels)
                rtl = kind == "RLI" or (kind == "FSI" and index in rtl_isolates)
                self._push(rtl=rtl, isolate=True)
            elif kind == "PDI":
                self._end_isolate()
                self._place(index, levels)
            elif kind == "PDF":
                levels.append(self.stack[-1][0])
                self._end_embedding()
            elif kind == "B":
                levels.append(self.base)
            else:
                self._place(index, levels)
        return levels

    def _place(self, index: int, levels: list[int]) -> None:
        level, override, _ = self.stack[-1]
        levels.append(level)
        if override and self.kinds[index] != "BN":
            self.kinds[index] = override

    def _push(self, *, rtl: bool, override: str = "", isolate: bool = False) -> None:
        level = self.stack[-1][0]
        level += 1 if level % 2 != rtl else 2
        if level <= _MAX_DEPTH and not self.overflow_isolates and not self.overflow_embeddings:
            self.stack.append((level, override, isolate))
            self.valid_isolates += isolate
        elif isolate:
            self.overflow_isolates += 1
        elif not self.overflow_isolates:
            self.overflow_embeddings += 1

    def _end_isolate(self) -> None:
        if self.overflow_isolates:
            self.overflow_isolates -= 1
        elif self.valid_isolates:
            self.overflow_embeddings = 0
            while not self.stack[-1][2]:
                self.stack.pop()
            self.stack.pop()
            self.valid_isolates -= 1

    def _end_embedding(self) -> None:
        if self.overflow_isolates:
            return
        if self.overflow_embeddings:
            self.overflow_embeddings -= 1
        elif not self.stack[-1][2] and len(self.stack) > 1:
            self.stack.pop()


def _isolating_sequences(kinds: Sequence[str], levels: Sequence[int]) -> list[list[int]]:
    """Returns isolating run sequences as lists of indices (X10)."""
    finished: list[list[int]] = []
    open_isolates: list[list[int]] = []  # sequences that end with an isolate initiator
    current: list[int] = []
    for index, kind in enumerate(kinds):
        if kind in _REMOVED:
            continue
        if current and levels[current[-1]] != levels[index]:
            (open_isolates if kinds[current[-1]] in _ISOLATES else finished).append(current)
            current = []
        if not current and kind == "PDI" and open_isolates and levels[open_isolates[-1][-1]] == levels[index]:
            current = open_isolates.pop()
        current.append(index)
    return [sequence for sequence in (*finished, *open_isolates, current) if sequence]


def _boundary_directions(
    sequence: Sequence[int], original: Sequence[str], explicit: Sequence[int], base: int
) -> tuple[str, str]:
    """Returns sos and eos: the directions at the boundaries of a sequence (X10)."""

    def level_at(places: range) -> int:
        return next((explicit[at] for at in places if original[at] not in _REMOVED), base)

    level = explicit[sequence[0]]
    before, after = level_at(range(sequence[0] - 1, -1, -1)), base
    if original[sequence[-1]] not in _ISOLATES:
        after = level_at(range(sequence[-1] + 1, len(original)))
    return _DIRECTION[max(level, before) % 2], _DIRECTION[max(level, after) % 2]


def _resolve(
    sequence: list[int], text: str, kinds: list[str], levels: list[int], edges: tuple[str, str]
) -> None:
    """Resolves one sequence (W1 to I2) and sets its levels."""
    level, (start, end) = levels[sequence[0]], edges
    part = [kinds[index] for index in sequence]
    marks = [kind == "NSM" for kind in part]
    _resolve_weak(part, start)
    _resolve_brackets(part, [text[index] for index in sequence], marks, level, start)
    _resolve_neutrals(part, level, start, end)
    for index, kind in zip(sequence, part, strict=True):
        if kind == "R":
            levels[index] = level + (1 - level % 2)
        elif kind != "L" or level % 2:
            levels[index] = level + 2 - level % 2


def _resolve_weak(kinds: list[str], start: str) -> None:
    """Resolves weak types in place (W1 to W7)."""
    last = start
    for index, kind in enumerate(kinds):
        if kind == "NSM":
            before = kinds[index - 1] if index else start
            kinds[index] = "ON" if before in (*_ISOLATES, "PDI") else before
        elif kind in ("L", "R", "AL"):
            last = kind
        elif kind == "EN" and last == "AL":
            kinds[index] = "AN"
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]
    for index in range(1, len(kinds) - 1):
        before, kind, after = kinds[index - 1 : index + 2]
        if kind in ("ES", "CS") and before == after == "EN":
            kinds[index] = "EN"
        elif kind == "CS" and before == after == "AN":
            kinds[index] = "AN"
    _resolve_terminators(kinds)
    last = start
    for index, kind in enumerate(kinds):
        if kind in ("ES", "CS", "ET"):
            kinds[index] = "ON"
        elif kind in ("L", "R"):
            last = kind
        elif kind == "EN" and last == "L":
            kinds[index] = "L"


def _resolve_terminators(kinds: list[str]) -> None:
    """Changes terminators next to European numbers to numbers, in place (W5)."""
    for start, end in _spans(kinds, frozenset(("ET",))):
        if "EN" in (*kinds[max(0, start - 1) : start], *kinds[end : end + 1]):
            kinds[start:end] = ["EN"] * (end - start)


def _spans(kinds: Sequence[str], members: frozenset[str]) -> list[tuple[int, int]]:
    """Returns start and end of each maximal sequence of ``members``."""
    spans, end = [], 0
    for start, kind in enumerate(kinds):
        if kind in members and start >= end:
            end = next((at for at in range(start, len(kinds)) if kinds[at] not in members), len(kinds))
            spans.append((start, end))
    return spans


def _resolve_brackets(
    kinds: list[str], chars: Sequence[str], marks: Sequence[bool], level: int, start: str
) -> None:
    """Resolves paired brackets by their content or their context, in place (N0)."""
    embedding = _DIRECTION[level % 2]
    for opening, closing in _pairs(kinds, chars):
        inside = {_STRONG[kind] for kind in kinds[opening + 1 : closing] if kind in _STRONG}
        if not inside:
            continue
        direction = embedding
        if embedding not in inside:
            before = (kinds[at] for at in range(opening - 1, -1, -1))
            direction = next((_STRONG[kind] for kind in before if kind in _STRONG), start)
        for bracket in (opening, closing):
            kinds[bracket] = direction
            for index in takewhile(marks.__getitem__, range(bracket + 1, len(kinds))):
                kinds[index] = direction  # marks follow their bracket


def _pairs(kinds: Sequence[str], chars: Sequence[str]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    stack: list[tuple[str, int]] = []
    for index, (kind, raw) in enumerate(zip(kinds, chars, strict=True)):
        if kind != "ON":
            continue
        char = unicodedata.normalize("NFC", raw)  # canonical equivalents
        if char in _BRACKETS:
            if len(stack) == _MAX_BRACKETS:
                break
            stack.append((char, index))
        elif char in _CLOSING:
            for depth in range(len(stack) - 1, -1, -1):
                if stack[depth][0] == _CLOSING[char]:
                    pairs.append((stack[depth][1], index))
                    del stack[depth:]
                    break
    return sorted(pairs)


def _resolve_neutrals(kinds: list[str], level: int, start: str, end: str) -> None:
    """Resolves neutrals by both neighbours or the embedding direction, in place (N1, N2)."""
    for first, stop in _spans(kinds, _NEUTRAL):
        before = _STRONG[kinds[first - 1]] if first else start
        after = _STRONG[kinds[stop]] if stop < len(kinds) else end
        kinds[first:stop] = [before if before == after else _DIRECTION[level % 2]] * (stop - first)


def _reset_whitespace(original: Sequence[str], levels: list[int], base: int) -> None:
    """Sets the levels of removed characters, and of separators and trailing whitespace (L1)."""
    for index, kind in enumerate(original):
        if kind in _REMOVED:
            levels[index] = levels[index - 1] if index else base
    trailing = True
    for index in range(len(levels) - 1, -1, -1):
        if original[index] in ("B", "S"):
            levels[index], trailing = base, True
        elif original[index] in ("WS", *_ISOLATES, "PDI", *_REMOVED):
            if trailing:
                levels[index] = base
        else:
            trailing = False
