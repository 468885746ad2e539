"""The Unicode bidirectional algorithm (UAX #9): from the order of reading to the order on the line.

A line may be drawn in several fonts, and a shaping engine sees one font's part at a time. So levels are found
here, for the whole line, and each part that is handed on has one direction.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_MAX_DEPTH = 125
_STRONG = {"L": "L", "R": "R", "AL": "R", "EN": "R", "AN": "R"}  # as neutrals see their neighbours (N1)
_NEUTRAL = frozenset(("B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"))
_CONTEXT_DEPENDENT = frozenset(("WS", "ON", "CS", "ES", "ET", "NSM", "BN"))
_ISOLATES = ("LRI", "RLI", "FSI")
_EMBEDDINGS = ("LRE", "RLE", "LRO", "RLO")
_REMOVED = (*_EMBEDDINGS, "PDF", "BN")
_BRACKETS = dict(
    zip("([{⁅⟦⟨⟪⟬⟮⦃⦅⦗⧼「『【〈《〔〖〘〚（［｛｟｢", ")]}⁆⟧⟩⟫⟭⟯⦄⦆⦘⧽」』】〉》〕〗〙〛）］｝｠｣", strict=True)
)
_CLOSING = {close: opening for opening, close in _BRACKETS.items()}
_DIRECTION = ("L", "R")  # of a level, by whether it is odd


def paragraph_level(text: str) -> int:
    """1 where the first letter with a direction is written from right to left, else 0 (rules P2, P3)."""
    depth = 0
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in _ISOLATES:
            depth += 1
        elif kind == "PDI":
            depth = max(0, depth - 1)
        elif not depth and kind in ("L", "R", "AL"):
            return int(kind != "L")
    return 0


def has_strong_direction(text: str) -> bool:
    """Whether there is a letter in ``text`` that says which way it runs."""
    return any(unicodedata.bidirectional(char) in ("L", "R", "AL") for char in text)


def is_neutral(char: str) -> bool:
    """Whether ``char`` is a sign or a blank that takes its direction from what stands around it."""
    return unicodedata.bidirectional(char) in _CONTEXT_DEPENDENT


def embedding_levels(text: str, base: int) -> list[int]:
    """The embedding level of each character of one line; odd ones run from right to left."""
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
    """The places of items with these levels from left to right (rule L2)."""
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
    """Embeddings, overrides and isolates (rules X1 to X8): sets ``kinds`` where they are overridden."""

    kinds: list[str]
    base: int
    stack: list[tuple[int, str, bool]] = field(default_factory=list)  # level, override, isolate
    overflow_isolates: int = 0
    overflow_embeddings: int = 0
    valid_isolates: int = 0

    def run(self) -> list[int]:
        levels = []
        self.stack = [(self.base, "", False)]
        for index, kind in enumerate(self.kinds):
            if kind in _EMBEDDINGS:
                levels.append(self.stack[-1][0])
                self._push(rtl=kind in ("RLE", "RLO"), override={"RLO": "R", "LRO": "L"}.get(kind, ""))
            elif kind in _ISOLATES:
                self._place(index, levels)
                self._isolate(index, kind)
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

    def _next(self, *, rtl: bool) -> int:
        level = self.stack[-1][0]
        return level + (1 if level % 2 != rtl else 2)

    def _push(self, *, rtl: bool, override: str) -> None:
        level = self._next(rtl=rtl)
        if level <= _MAX_DEPTH and not self.overflow_isolates and not self.overflow_embeddings:
            self.stack.append((level, override, False))
        elif not self.overflow_isolates:
            self.overflow_embeddings += 1

    def _isolate(self, index: int, kind: str) -> None:
        rtl = kind == "RLI" or (kind == "FSI" and self._first_strong(index + 1))
        level = self._next(rtl=rtl)
        if level <= _MAX_DEPTH and not self.overflow_isolates and not self.overflow_embeddings:
            self.valid_isolates += 1
            self.stack.append((level, "", True))
        else:
            self.overflow_isolates += 1

    def _first_strong(self, start: int) -> bool:
        depth = 0
        for kind in self.kinds[start:]:
            if kind in _ISOLATES:
                depth += 1
            elif kind == "PDI":
                if not depth:
                    return False
                depth -= 1
            elif not depth and kind in ("L", "R", "AL"):
                return kind != "L"
        return False

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
    """Places that are resolved together: level runs, joined over the isolates between them (rule X10)."""
    finished: list[list[int]] = []
    open_isolates: list[list[int]] = []  # sequences that end in an isolate's start, until its end comes
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
    """The directions that a sequence sees before its start and behind its end (rule X10)."""

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
    """Rules W1 to I2 for one sequence: sets ``found``."""
    level, (start, end) = levels[sequence[0]], edges
    part = [kinds[index] for index in sequence]
    _resolve_weak(part, start)
    _resolve_brackets(part, [text[index] for index in sequence], level, start)
    _resolve_neutrals(part, level, start, end)
    for index, kind in zip(sequence, part, strict=True):
        if kind == "R":
            levels[index] = level + (1 - level % 2)
        elif kind != "L" or level % 2:
            levels[index] = level + 2 - level % 2


def _resolve_weak(kinds: list[str], start: str) -> None:
    """Rules W1 to W7, in place."""
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
    """Signs of currency and percent go with the European numbers that they touch (rule W5)."""
    index = 0
    while index < len(kinds):
        end = index
        while end < len(kinds) and kinds[end] == "ET":
            end += 1
        if end > index:
            touches = (index > 0 and kinds[index - 1] == "EN") or (end < len(kinds) and kinds[end] == "EN")
            if touches:
                kinds[index:end] = ["EN"] * (end - index)
        index = max(end, index + 1)


def _resolve_brackets(kinds: list[str], chars: Sequence[str], level: int, start: str) -> None:
    """Brackets take the direction of what is inside them, or of what stands before them (rule N0)."""
    embedding = _DIRECTION[level % 2]
    for opening, closing in _pairs(kinds, chars):
        inside = {_STRONG[kind] for kind in kinds[opening + 1 : closing] if kind in _STRONG}
        if embedding in inside:
            direction = embedding
        elif inside:
            context = next((_STRONG[kind] for kind in reversed(kinds[:opening]) if kind in _STRONG), start)
            direction = context if context != embedding else embedding
        else:
            continue
        kinds[opening] = kinds[closing] = direction


def _pairs(kinds: Sequence[str], chars: Sequence[str]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    stack: list[tuple[str, int]] = []
    for index, (kind, char) in enumerate(zip(kinds, chars, strict=True)):
        if kind != "ON":
            continue
        if char in _BRACKETS:
            stack.append((char, index))
        elif char in _CLOSING:
            for depth in range(len(stack) - 1, -1, -1):
                if stack[depth][0] == _CLOSING[char]:
                    pairs.append((stack[depth][1], index))
                    del stack[depth:]
                    break
    return sorted(pairs)


def _resolve_neutrals(kinds: list[str], level: int, start: str, end: str) -> None:
    """Rules N1 and N2, in place: what has no direction takes that of both its neighbours, or the line's."""
    index = 0
    while index < len(kinds):
        stop = index
        while stop < len(kinds) and kinds[stop] in _NEUTRAL:
            stop += 1
        if stop > index:
            before = _STRONG[kinds[index - 1]] if index else start
            after = _STRONG[kinds[stop]] if stop < len(kinds) else end
            kinds[index:stop] = [before if before == after else _DIRECTION[level % 2]] * (stop - index)
        index = max(stop, index + 1)


def _reset_whitespace(original: Sequence[str], levels: list[int], base: int) -> None:
    """Removed characters have the level of what precedes them; blanks at the end of the line the line's (L1)."""
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
