"""Bursts: many events of one kind in a row, folded into one row with their count.

What an operator did is never folded, and ends a burst: it stands alone where it happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from previewops.formatting import format_duration, pluralize
from previewops.snapshot.model import QueueEvent
from previewops.tui.viewmodel.clock_text import wall_clock, zone_at
from previewops.tui.viewmodel.event_text import tone_of
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, pad
from previewops.tui.viewmodel.wrap import hang

FOLD_FROM = 4
"""Events that make a burst at least."""

FOLD_GAP_MS = 10_000
"""Longest time between two events of a burst."""

_KEY = "burst "
_CAUSES = 3
_ALL_CAUSES = 12
_LABEL = 12


@dataclass(frozen=True, slots=True)
class Burst:
    """Events of one kind in a row, newest first. ``is_open``: its events are listed below it."""

    events: tuple[QueueEvent, ...]
    is_open: bool = False

    @property
    def kind(self) -> str:
        return self.events[0].kind

    @property
    def key(self) -> str:
        """The key of its row. It stays while newer events join the burst."""
        return _KEY + self.events[-1].event_id

    @property
    def causes(self) -> list[tuple[str, int]]:
        """What the events have in common, the most frequent first, with their numbers."""
        return Counter(_cause(event) for event in self.events).most_common()


FeedEntry: TypeAlias = "QueueEvent | Burst"
"""A row of the feed."""


def key_of_entry(entry: FeedEntry) -> str:
    """The key of an entry's row."""
    return entry.key if isinstance(entry, Burst) else entry.event_id


def fold(events: Iterable[QueueEvent], opened: Collection[str] = ()) -> Iterator[FeedEntry]:
    """The events (newest first) with their bursts folded. The events of an open burst follow it.

    ``opened`` has ids of events whose burst is open. Lazy: a reader of few rows costs little.
    """
    run: list[QueueEvent] = []
    for event in events:
        if run and not _belong_together(run[-1], event):
            yield from _entries(run, opened)
            run = []
        run.append(event)
    yield from _entries(run, opened)


def _belong_together(newer: QueueEvent, older: QueueEvent) -> bool:
    if newer.kind != older.kind or newer.fields.get("who") or older.fields.get("who"):
        return False
    return newer.at_ms - older.at_ms <= FOLD_GAP_MS


def _entries(run: Sequence[QueueEvent], opened: Collection[str]) -> Iterator[FeedEntry]:
    if len(run) < FOLD_FROM:
        yield from run
        return
    is_open = any(event.event_id in opened for event in run) if opened else False
    yield Burst(tuple(run), is_open)
    if is_open:
        yield from run


def _cause(event: QueueEvent) -> str:
    """What a burst is counted by: the error, or else the worker, host or health check."""
    fields = event.fields
    names = ("code", "class", "cause", "check", "worker", "host", "message")
    return next((fields[name] for name in names if fields.get(name)), "")


def burst_cells(burst: Burst, clock: str) -> tuple[Line, ...]:
    """The cells of a burst's row. ``clock`` is the time of its newest event."""
    mark = "▼" if burst.is_open else "►"
    return (
        (Span(clock, Tone.DIM),),
        (Span(f"{mark} ", Tone.INFO), clean_span(burst.kind, tone_of(burst.events[0]))),
        (Span(f"{len(burst.events):,} times", Tone.STRONG),),
        (*_format_causes(burst), Span(f"  {_format_span(burst)}", Tone.DIM)),
    )


def format_burst_line(burst: Burst, kind_columns: int, *, local_time: bool = False) -> Line:
    """One line, as ``format_event_line`` formats an event."""
    clock, kind, times, what = burst_cells(burst, wall_clock(burst.events[0].at_ms, local=local_time)[11:19])
    return (*clock, Span(" "), *pad(kind[1:], kind_columns), Span(" "), *times, Span("  "), *what)


def _format_causes(burst: Burst) -> Line:
    causes = [(cause, count) for cause, count in burst.causes if cause]
    spans: list[Span] = []
    for cause, count in causes[:_CAUSES]:
        gap = ", " if spans else ""
        # The count of a single cause is that of the burst.
        number = f" {count:,}" if count < len(burst.events) else ""
        spans += [Span(gap, Tone.DIM), clean_span(cause), Span(number, Tone.DIM)]
    if len(causes) > _CAUSES:
        spans.append(Span(f", {pluralize(len(causes) - _CAUSES, 'other')}", Tone.DIM))
    return tuple(spans)


def _format_span(burst: Burst) -> str:
    took_ms = max(0, burst.events[0].at_ms - burst.events[-1].at_ms)
    return f"within {format_duration(took_ms)}" if took_ms >= 1_000 else "within 1 s"


def format_burst_lines(burst: Burst, columns: int, *, local_time: bool = False) -> list[Line]:
    """The details of a burst: its time, its causes, its jobs."""
    newest, oldest = burst.events[0], burst.events[-1]
    zone = zone_at(newest.at_ms, local=local_time)
    first, last = (zone.iso(event.at_ms) for event in (oldest, newest))
    jobs = len({event.fields["job"] for event in burst.events if event.fields.get("job")})
    lines: list[Line] = [
        (clean_span(burst.kind, tone_of(newest)), Span(f"  {len(burst.events):,} times", Tone.STRONG)),
        _labelled("first", f"{first[:10]} {first[11:23]} {zone.name}"),
        _labelled("last", f"{last[:10]} {last[11:23]} {zone.name}"),
    ]
    if jobs:
        lines.append(_labelled("jobs", f"{jobs:,}"))
    lines.append(())
    width = len(f"{len(burst.events):,}")
    for cause, count in burst.causes[:_ALL_CAUSES]:
        head = (Span(f"{count:>{width},}  ", Tone.STRONG),)
        lines += hang(head, (clean_span(cause or "without an error"),), columns, least=8)
    effect = "folds it" if burst.is_open else "lists its events"
    return [*lines, (), key_hint("toggle_burst", effect, "events")]


def _labelled(label: str, text: str) -> Line:
    return (*pad((Span(label, Tone.DIM),), _LABEL), Span(text))
