"""The demo's lesson: one complete game, replayed by the rules, and eight steps that explain it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from examples.morris.morris import Move, Position, Side

TITLE = "Nine Men's Morris in eight steps"
DESCRIPTION = "A mill, a capture, a flight: the rules of a game older than chess, shown on one real game."

# White's moves and Black's in turn: 18 men are placed, then moved, and after 29 turns Black has two men left.
_RECORD = """
d6 f4  d5 f6  d7xf4 f4  f2 b4  b2 a4  d2xa4 b6  d1 c4  d3xc4 e4  g4 e3
d5-e5 b4-c4  e5-d5xe3 b6-b4  d7-g7 b4-b6  d1-g1xb6 e4-e3  g1-d1xf4 e3-g1  g7-d7xc4
"""
GAME: tuple[Move, ...] = tuple(Move.parse(text) for text in _RECORD.split())


def position_after(turns: int) -> Position:
    """The position after the first ``turns`` turns of the game."""
    position = Position()
    for move in GAME[:turns]:
        position = position.play(move)
    return position


def before_taking(turns: int) -> Position:
    """The position after ``turns`` turns, the man that the last one took still on the board."""
    move, position = GAME[turns - 1], position_after(turns)
    assert move.taken is not None  # asked for turns that close a mill only
    return replace(position, men={**position.men, move.taken: position.turn})


@dataclass(frozen=True, slots=True)
class LessonStep:
    """One step of the lesson: its texts, its picture and its duration (ms)."""

    id: str
    title: str
    text: str
    asset: str
    duration_ms: int = 2500


@dataclass(frozen=True, slots=True)
class Scene:
    """A position and its marks.

    ``open_mills`` lack one man; ``targets`` are points that a man may go to; ``takeable`` men that a mill may
    take, ``taken`` the one that it takes; ``arrows`` are (from, to), with two heads if ``both_ways``.
    """

    position: Position
    mills: tuple[tuple[str, str, str], ...] = ()
    open_mills: tuple[tuple[str, str, str], ...] = ()
    targets: frozenset[str] = frozenset()
    takeable: frozenset[str] = frozenset()
    taken: str | None = None
    arrows: tuple[tuple[str, str], ...] = ()
    both_ways: bool = False


FIRST_MILL = 5  # turns after which White's d7-d6-d5 stands
ALL_PLACED = 18
RUNNING = 25  # White's g-file mill stands, the one on d1-d2-d3 is one step away
FLIGHT = 27  # Black has three men left


def scenes() -> dict[str, Scene]:
    """The scene that each of the lesson's assets shows, by the asset's name."""
    placing, mill, all_placed = position_after(4), before_taking(FIRST_MILL), position_after(ALL_PLACED)
    running, flight, end = position_after(RUNNING), position_after(FLIGHT), before_taking(len(GAME))
    fallen, last = GAME[FIRST_MILL - 1].taken, GAME[-1].taken
    mover, flyer = GAME[ALL_PLACED].origin, GAME[FLIGHT].origin
    assert mover is not None
    assert flyer is not None
    return {
        "board": Scene(Position()),
        "placing": Scene(placing, targets=frozenset({GAME[4].to})),
        "mill": Scene(mill, mills=tuple(mill.mills(Side.WHITE))),
        "capture": Scene(mill, takeable=mill.takeable(Side.BLACK), taken=fallen),
        "moving": Scene(
            all_placed,
            targets=all_placed.targets(mover),
            arrows=tuple((mover, to) for to in sorted(all_placed.targets(mover))),
        ),
        "running-mill": Scene(
            running,
            mills=(("g7", "g4", "g1"),),
            open_mills=(("d3", "d2", "d1"),),
            targets=frozenset({"d1"}),
            arrows=(("g1", "d1"),),
            both_ways=True,
        ),
        "flying": Scene(flight, targets=flight.targets(flyer), arrows=((flyer, GAME[FLIGHT].to),)),
        "victory": Scene(end, mills=(("d7", "d6", "d5"),), taken=last),
    }


STEPS: tuple[LessonStep, ...] = (
    LessonStep(
        "board",
        "The board",
        "Three squares, joined in the middle of each side: 24 points on 16 lines. Each side has nine men.",
        "board",
    ),
    LessonStep(
        "placing",
        "Place your men",
        "White begins. In turn, each puts one man on any empty point until all eighteen are placed.",
        "placing",
    ),
    LessonStep(
        "mill",
        "Make a mill",
        "Three of your men next to each other on one line are a mill. White's man on d7 has just closed one.",
        "mill",
    ),
    LessonStep(
        "capture",
        "Take a man",
        "Whoever closes a mill takes one man of the opponent for good. A man in a mill is safe, unless all are.",
        "capture",
    ),
    LessonStep(
        "moving",
        "Move along the lines",
        "With all men placed, move one man each turn along a line to the next empty point. From d5: to c5 or e5.",
        "moving",
    ),
    LessonStep(
        "running-mill",
        "The running mill",
        "The strongest position: one man goes to and fro between g1 and d1, and closes a mill at every step.",
        "running-mill",
        3500,
    ),
    LessonStep(
        "flying",
        "Three men may fly",
        "Down to three men, Black no longer follows the lines: each turn, a man may jump to any empty point.",
        "flying",
        3000,
    ),
    LessonStep(
        "victory",
        "Win the game",
        "With two men left no mill can be made: White has won. A player who cannot move has lost as well.",
        "victory",
        3500,
    ),
)
