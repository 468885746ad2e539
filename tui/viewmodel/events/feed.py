"""The event feed: its filter, its rows and the details of one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from previewops.formatting import pluralize
from previewops.queue.filter_query import FilterQuery
from previewops.snapshot.model import QueueEvent
from previewops.tui.keymap import key_of
from previewops.tui.viewmodel.clock_text import wall_clock, zone_at
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.event_text import event_description, event_subject, tone_of
from previewops.tui.viewmodel.events.bursts import Burst, FeedEntry, burst_cells, fold
from previewops.tui.viewmodel.events.fields import describe_field
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, pad
from previewops.tui.viewmodel.wrap import hang

_FIELD = 12
_FIRST = ("job", "worker", "who", "why", "message")


@dataclass(frozen=True, slots=True)
class EventFeed:
    """Filter and position of the feed. ``frozen_events``: the events while it stands still, None while it follows.

    ``folding``: bursts are folded, but for those of the events ``opened`` (ids).
    """

    terms: FilterQuery = field(default_factory=FilterQuery)
    operators_only: bool = False
    frozen_events: tuple[QueueEvent, ...] | None = None
    folding: bool = True
    opened: frozenset[str] = frozenset()

    @property
    def following(self) -> bool:
        """Whether new events appear on top."""
        return self.frozen_events is None

    def follow(self) -> EventFeed:
        """The feed with all events so far."""
        return replace(self, frozen_events=None)

    def hold(self, events: tuple[QueueEvent, ...]) -> EventFeed:
        """The feed with the current rows, not moving any more."""
        return self if self.frozen_events is not None else replace(self, frozen_events=events)

    def shown(self, events: Sequence[QueueEvent]) -> list[QueueEvent]:
        """The matching events, newest first."""
        return [
            event
            for event in reversed(self.frozen_events if self.frozen_events is not None else events)
            if self.matches(event)
        ]

    def entries(self, shown: Sequence[QueueEvent]) -> list[FeedEntry]:
        """The rows for the events of ``shown``."""
        return list(fold(shown, self.opened)) if self.folding else list(shown)

    def toggle(self, burst: Burst) -> EventFeed:
        """The feed with the burst opened, or folded."""
        ids = {event.event_id for event in burst.events}
        return replace(self, opened=self.opened - ids if burst.is_open else self.opened | ids)

    def waiting(self, events: Sequence[QueueEvent]) -> int:
        """The number of matching events since the feed stands still."""
        if self.frozen_events is None:
            return 0
        last = self.frozen_events[-1].event_id if self.frozen_events else ""
        count = 0
        for event in reversed(events):
            if event.event_id == last:
                break
            count += self.matches(event)
        return count

    def matches(self, event: QueueEvent) -> bool:
        if self.operators_only and not event.fields.get("who"):
            return False
        return self.terms.matches(filter_fields(event))


def filter_fields(event: QueueEvent) -> Mapping[str, str]:
    """The fields of an event that a filter can match."""
    fields = event.fields
    error = " ".join(fields[name] for name in ("class", "code", "message") if fields.get(name))
    return {**fields, "kind": event.kind, "id": fields.get("job", ""), "error": error}


def columns(*, dated: bool) -> tuple[TableColumn, ...]:
    """The columns. Times include the date only if ``dated``."""
    return (
        TableColumn("time", 11 if dated else 8),
        TableColumn("event", 14),
        TableColumn("about", 16, grow=1, drop=1),
        TableColumn("what", 24, grow=5),
    )


def day_of(at_ms: int, *, local_time: bool = False) -> str:
    """The date of a time, in UTC or local time."""
    return wall_clock(at_ms, local=local_time)[:10]


def dated(events: Sequence[QueueEvent], now_ms: int, *, local_time: bool = False) -> bool:
    """Whether any event (newest first) is of another day than ``now_ms``."""
    if not events:
        return False
    return day_of(events[-1].at_ms, local_time=local_time) != day_of(now_ms, local_time=local_time)


def entry_cells(entry: FeedEntry, now_ms: int, *, local_time: bool = False) -> tuple[Line, ...]:
    """The cells of an event or a burst."""
    if isinstance(entry, Burst):
        return burst_cells(entry, _clock(entry.events[0].at_ms, now_ms, local_time=local_time))
    return cells(entry, now_ms, local_time=local_time)


def cells(event: QueueEvent, now_ms: int, *, local_time: bool = False) -> tuple[Line, ...]:
    return (
        (Span(_clock(event.at_ms, now_ms, local_time=local_time), Tone.DIM),),
        (clean_span(event.kind, tone_of(event)),),
        (clean_span(event_subject(event), Tone.STRONG),),
        event_description(event),
    )


def _clock(at_ms: int, now_ms: int, *, local_time: bool = False) -> str:
    """The time of day; for another day the date, without seconds; for another year the date alone."""
    at, now = (wall_clock(ms, local=local_time) for ms in (at_ms, now_ms))
    if at[:10] == now[:10]:
        return at[11:19]
    return f"{at[5:10]} {at[11:16]}" if at[:4] == now[:4] else at[:10]


def format_empty_lines(feed: EventFeed) -> tuple[Line, ...]:
    if feed.terms:
        return (
            (Span("no event matches ", Tone.DIM), clean_span(feed.terms)),
            key_hint("back", "clears the filter"),
        )
    if feed.operators_only:
        return (
            (Span("no recent operator actions", Tone.DIM),),
            key_hint("operators_only", "shows all events", "events"),
        )
    return (
        (Span("no events yet", Tone.TEXT),),
        (Span("retries, dead letters, recoveries and operator actions appear here", Tone.DIM),),
    )


def subtitle(
    feed: EventFeed, shown: int, waiting: int, *, rows: int | None = None, more: bool = False, error: str = ""
) -> str:
    """The filter, the number of events and whether the feed follows.

    ``rows``: the number of rows, fewer where bursts are folded.
    ``more``: there are older actions of operators than the shown ones. ``error``: why they cannot be fetched.
    """
    parts = [f"/ {feed.terms}"] if feed.terms else []
    if feed.operators_only:
        parts.append("operator actions")
    folded = f" in {pluralize(rows, 'row')}" if rows is not None and rows < shown else ""
    parts.append(f"{pluralize(shown, 'event')}{folded}")
    if feed.operators_only and error:
        parts.append(error)
    elif feed.operators_only and more:
        parts.append("older ones below the last row")
    if feed.following:
        parts.append("following")
    else:
        follows = f"{key_of('follow', 'events')} follows"
        parts.append(f"{waiting:,} new, {follows}" if waiting else f"held, {follows}")
    return " · ".join(parts)


def format_detail_lines(event: QueueEvent, columns: int, *, local_time: bool = False) -> list[Line]:
    """All fields of an event in words, the most important first."""
    zone = zone_at(event.at_ms, local=local_time)
    when = zone.iso(event.at_ms)
    fields = {name: value for name, value in event.fields.items() if value}
    order = [name for name in _FIRST if name in fields] + [name for name in fields if name not in _FIRST]
    lines: list[Line] = [
        (clean_span(event.kind, tone_of(event)), Span(f"  {when[:10]} {when[11:23]} {zone.name}", Tone.DIM))
    ]
    for name in order:
        label, text = describe_field(name, fields[name])
        head = pad((clean_span(label, Tone.DIM),), _FIELD)
        lines += hang(head, (clean_span(text),), columns, least=8)
    lines.append((*pad((Span("event id", Tone.DIM),), _FIELD), clean_span(event.event_id, Tone.DIM)))
    return lines
