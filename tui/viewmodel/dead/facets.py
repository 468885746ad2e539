"""What is in a cause: dead letters by project, host and hour."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from previewops.clock import iso_from_ms
from previewops.formatting import pluralize
from previewops.queue.dead_letter_facets import HOUR_MS, DeadLetterFacets
from previewops.queue.filter_query import FilterTerm
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, pad

MAX_VALUES = 12
"""Values that are listed of one kind; the rest is summed up."""

COLUMNS = (
    TableColumn("by", 7),
    TableColumn("value", 16, grow=1, middle=True),
    TableColumn("count", 7, right=True),
    TableColumn("share", 16),
)
_BAR = 10
_NO_CONTROL = re.compile(r"[^\x00]+")


class FacetKind(StrEnum):
    """What dead letters are counted by."""

    PROJECT = "project"
    HOST = "host"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Facet:
    """One value with the number of its dead letters. ``value`` is "" for none; ``rest`` is how many it sums up."""

    kind: FacetKind
    value: str
    count: int
    hour_ms: int | None = None
    rest: int = 0

    @property
    def key(self) -> str:
        """Key of its row."""
        return f"{self.kind}:{self.rest}:{self.value}:{self.hour_ms}"

    @property
    def can_filter(self) -> bool:
        """Whether a filter finds exactly its jobs."""
        return not self.rest and (
            self.kind is FacetKind.HOUR or _NO_CONTROL.fullmatch(self.value) is not None
        )

    @property
    def filter_text(self) -> str:
        """Its filter, "" for an hour. A worker's id begins with its host and a dash."""
        match self.kind:
            case FacetKind.PROJECT:
                return str(FilterTerm(self.value, "project"))
            case FacetKind.HOST:
                return str(FilterTerm(f"{self.value}-", "worker"))
            case FacetKind.HOUR:
                return ""


def list_facets(facets: DeadLetterFacets) -> tuple[Facet, ...]:
    """The facets: projects and hosts with the most dead letters first, hours from the newest on."""
    hours = sorted(facets.hours.items(), reverse=True)
    return (
        *_largest(FacetKind.PROJECT, facets.projects),
        *_largest(FacetKind.HOST, facets.hosts),
        *(Facet(FacetKind.HOUR, hour_text(at), count, at) for at, count in hours[:MAX_VALUES]),
        *_rest(FacetKind.HOUR, (count for _, count in hours[MAX_VALUES:])),
    )


def _largest(kind: FacetKind, counts: Mapping[str, int]) -> Iterator[Facet]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    yield from (Facet(kind, value, count) for value, count in ordered[:MAX_VALUES])
    yield from _rest(kind, (count for _, count in ordered[MAX_VALUES:]))


def _rest(kind: FacetKind, counts: Iterable[int]) -> Iterator[Facet]:
    rest = list(counts)
    if rest:
        yield Facet(kind, "", sum(rest), rest=len(rest))


def hour_text(hour_ms: int) -> str:
    """An hour: "2026-11-29 10:00 to 11:00 UTC"."""
    start, end = iso_from_ms(hour_ms), iso_from_ms(hour_ms + HOUR_MS)
    return f"{start[:10]} {start[11:16]} to {end[11:16]} UTC"


def facet_cells(facet: Facet, counted: int, *, first: bool) -> tuple[Line, ...]:
    """The cells of a facet; ``first`` of its kind, which is named once."""
    share = facet.count / counted if counted else 0.0
    percent = "<1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"
    return (
        (Span(facet.kind.value if first else "", Tone.DIM),),
        _value(facet),
        (Span(short_count(facet.count), Tone.STRONG),),
        (*bar(share, _BAR, Tone.DIED), *pad((Span(percent, Tone.DIM),), 6, right=True)),
    )


def _value(facet: Facet) -> Line:
    if facet.rest:
        return (Span(f"({pluralize(facet.rest, 'other')})", Tone.DIM),)
    if not facet.value:
        return (Span(f"(no {facet.kind})", Tone.DIM),)
    return (clean_span(facet.value),)


def sample_text(facets: DeadLetterFacets, total: int | None) -> str:
    """How many dead letters were counted, for the frame."""
    if facets.complete:
        return f"all {pluralize(facets.counted, 'dead letter')}"
    of = "" if total is None else f" of {total:,}"
    return f"the newest {facets.counted:,}{of}"


def hint_line() -> Line:
    """The keys of the dialog."""
    return (*key_hint("choose", "filters by the row, ", "grid"), *key_hint("leave", "closes", "dialog"))
