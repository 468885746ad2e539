"""What a dialog says before an act on dead letters: how many, of which causes, and what will happen to them."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.states import Priority
from previewops.text import clean, plural
from previewops.tui.shape.spans import Line, Span, Tone, clip, pad, said

MOST_PARTS = 5
"""Causes that are named; the rest is one figure."""

DIALOG_COLUMNS = 64
"""What a line of a dialog may take without being broken."""

_INDENT = "  "
_ERROR = 24


@dataclass(frozen=True, slots=True)
class Part:
    """The dead letters of one cause that an act is about to take."""

    count: int
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many dead letters are meant, and the causes they fall into, largest first, as far as they are known.

    ``cut_off_ms`` is when that was (server): what has died since is not among them.
    """

    count: int
    parts: tuple[Part, ...] = ()
    cut_off_ms: int | None = None

    @property
    def rest(self) -> int:
        """How many are of causes beyond the ``MOST_PARTS`` that are named."""
        return max(0, self.count - sum(part.count for part in self.parts[:MOST_PARTS]))


def requeue_title(count: int, priority: Priority | None) -> str:
    """The title of the question."""
    as_what = "" if priority is None else f" as {priority.value}"
    return f"Requeue {plural(count, 'dead letter')}{as_what}"


def requeue_lines(tally: Tally, priority: Priority | None, *, paused: bool) -> list[Line]:
    """What a requeue will do."""
    how = "with their own priority" if priority is None else f"with priority {priority.value}"
    lines = [*tally_lines(tally), (), (Span(f"They run again {how}, attempts from nought."),)]
    if paused:
        lines.append((Span("The queue is paused: they wait until it is resumed.", Tone.WARN),))
    return lines


def discard_lines(tally: Tally) -> list[Line]:
    """What a discard will do."""
    them = "It is" if tally.count == 1 else "They are"
    return [
        *tally_lines(tally),
        (),
        (Span(f"{them} deleted for good, payloads included.", Tone.BAD),),
        (Span("To keep them in a file, cancel and press w on Dead letters first.", Tone.DIM),),
    ]


def tally_lines(tally: Tally) -> list[Line]:
    """The count, then each cause with its own."""
    lines: list[Line] = [(Span(plural(tally.count, "dead letter"), Tone.STRONG), *_spread(tally))]
    named = tally.parts[:MOST_PARTS]
    rest = tally.rest
    width = max((len(f"{number:,}") for number in (*(part.count for part in named), rest)), default=1)
    errors = max((len(clean(part.error)) for part in named), default=0)
    for part in named:
        count = pad((Span(f"{part.count:,}", Tone.STRONG),), width, right=True)
        error = pad((said(part.error, Tone.BAD),), min(errors, _ERROR))
        row = (Span(_INDENT), *count, Span("  "), *error, said(f"  {part.reason}", Tone.DIM))
        lines.append(clip(row, DIALOG_COLUMNS))
    if rest and named:
        count = pad((Span(f"{rest:,}", Tone.STRONG),), width, right=True)
        lines.append((Span(_INDENT), *count, Span("  of other causes", Tone.DIM)))
    return lines


def _spread(tally: Tally) -> Line:
    causes = len(tally.parts)
    if not causes or (tally.count == 1 and causes == 1):
        return ()
    known = sum(part.count for part in tally.parts) >= tally.count
    return (Span(f" of {plural(causes, 'cause')}{'' if known else ' and more'}"),)
