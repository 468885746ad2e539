"""The rules of Nine Men's Morris, as played across Europe since the Middle Ages.

Points are named as on a chess board: a file from a to g and a rank from 1 to 7, of which 24 crossings exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MEN = 9
FEWEST = 3  # with fewer a mill is impossible and the game is lost
FLYING = 3  # with as few a man may jump to any empty point

# Every drawn line: three points, the middle one between its neighbours. Three men on one are a mill.
LINES: tuple[tuple[str, str, str], ...] = (
    ("a7", "d7", "g7"),
    ("g7", "g4", "g1"),
    ("a1", "d1", "g1"),
    ("a7", "a4", "a1"),
    ("b6", "d6", "f6"),
    ("f6", "f4", "f2"),
    ("b2", "d2", "f2"),
    ("b6", "b4", "b2"),
    ("c5", "d5", "e5"),
    ("e5", "e4", "e3"),
    ("c3", "d3", "e3"),
    ("c5", "c4", "c3"),
    ("a4", "b4", "c4"),
    ("e4", "f4", "g4"),
    ("d7", "d6", "d5"),
    ("d3", "d2", "d1"),
)
POINTS: tuple[str, ...] = tuple(sorted({point for line in LINES for point in line}))


def neighbours(point: str) -> frozenset[str]:
    """The points that a drawn line joins to ``point`` with none between."""
    joined: set[str] = set()
    for first, middle, last in LINES:
        if point == middle:
            joined |= {first, last}
        elif point in (first, last):
            joined.add(middle)
    return frozenset(joined)


class Side(StrEnum):
    """Who owns a man. White begins."""

    WHITE = "white"
    BLACK = "black"

    @property
    def other(self) -> Side:
        """The opponent."""
        return Side.BLACK if self is Side.WHITE else Side.WHITE


class IllegalMove(ValueError):
    """A move that the rules do not allow; the text says which rule."""


@dataclass(frozen=True, slots=True)
class Move:
    """A man put on ``to`` (``origin`` None) or moved there, and the man that a mill took, if any."""

    to: str
    origin: str | None = None
    taken: str | None = None

    @classmethod
    def parse(cls, text: str) -> Move:
        """Reads ``d6``, ``a1-a4`` and either followed by ``xg7``."""
        path, _, taken = text.partition("x")
        origin, _, to = path.rpartition("-")
        return cls(to=to, origin=origin or None, taken=taken or None)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the men are, how many are still in hand, and whose turn it is."""

    men: dict[str, Side] = field(default_factory=dict)
    in_hand: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, MEN))
    turn: Side = Side.WHITE

    def count(self, side: Side) -> int:
        """Men of ``side`` on the board."""
        return sum(owner is side for owner in self.men.values())

    def taken(self, side: Side) -> int:
        """Men that ``side`` has lost."""
        return MEN - self.in_hand[side] - self.count(side)

    def empty(self) -> frozenset[str]:
        """The points with no man on them."""
        return frozenset(POINTS) - self.men.keys()

    def mills(self, side: Side) -> list[tuple[str, str, str]]:
        """Every line full of men of ``side``."""
        return [line for line in LINES if all(self.men.get(point) is side for point in line)]

    def flies(self, side: Side) -> bool:
        """Whether ``side`` may jump: all its men are placed and three are left."""
        return self.in_hand[side] == 0 and self.count(side) == FLYING

    def targets(self, point: str) -> frozenset[str]:
        """Where the man on ``point`` may go once its side has placed all its men."""
        return self.empty() if self.flies(self.men[point]) else self.empty() & neighbours(point)

    def takeable(self, side: Side) -> frozenset[str]:
        """The men of ``side`` that a mill of the opponent may take: one in a mill only if all are."""
        own = frozenset(point for point, owner in self.men.items() if owner is side)
        loose = own - {point for mill in self.mills(side) for point in mill}
        return loose or own

    def lost(self, side: Side) -> bool:
        """Whether ``side`` has lost: all men placed, and fewer than three are left or none can move."""
        if self.in_hand[side] > 0:
            return False
        own = [point for point, owner in self.men.items() if owner is side]
        return len(own) < FEWEST or not any(self.targets(point) for point in own)

    def play(self, move: Move) -> Position:
        """The position after ``move`` of the side whose turn it is.

        Raises:
            IllegalMove: the rules do not allow it.
        """
        self._check_path(move)
        side = self.turn
        men = {point: owner for point, owner in self.men.items() if point != move.origin}
        men[move.to] = side
        in_hand = {**self.in_hand, side: self.in_hand[side] - (move.origin is None)}
        moved = Position(men, in_hand, side.other)
        closes = any(move.to in mill for mill in moved.mills(side))
        if closes != (move.taken is not None):
            raise IllegalMove(f"{move}: a man is taken exactly when a mill is closed")
        if move.taken is None:
            return moved
        if move.taken not in moved.takeable(side.other):
            raise IllegalMove(f"{move}: no such man, or it is safe in a mill")
        left = {point: owner for point, owner in men.items() if point != move.taken}
        return Position(left, in_hand, side.other)

    def _check_path(self, move: Move) -> None:
        if move.to not in self.empty():
            raise IllegalMove(f"{move}: {move.to} is not an empty point")
        if self.in_hand[self.turn] > 0:
            if move.origin is not None:
                raise IllegalMove(f"{move}: all men are placed before any moves")
        elif move.origin is None or self.men.get(move.origin) is not self.turn:
            raise IllegalMove(f"{move}: {self.turn} moves a man of its own")
        elif move.to not in self.targets(move.origin):
            raise IllegalMove(f"{move}: no line joins {move.origin} to {move.to}")
