"""Title, subtitle and empty states of the list of dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from previewops.formatting import pluralize
from previewops.tui.keymap import key_of
from previewops.tui.viewmodel.dead.paging import row_range
from previewops.tui.viewmodel.dead.rows import error_of, unsupported_fields
from previewops.tui.viewmodel.dead.selection import DeadListQuery
from previewops.tui.viewmodel.empty_states import format_loading_lines
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span


@dataclass(frozen=True, slots=True)
class ListExtent:
    """How much of the list is shown.

    ``shown`` is the number of rows on the page, None while it is loading; ``start`` the number of rows before it.
    ``total`` is the number of rows of the list, None while unknown. ``complete`` is False if there may be more
    groups. ``dead`` is the number of dead letters, ``marked`` the number of marked rows. ``selected`` is the number
    of selected jobs if the selection extends beyond the page, else None.
    """

    shown: int | None
    start: int = 0
    total: int | None = None
    complete: bool = True
    dead: int | None = None
    marked: int = 0
    selected: int | None = None


def title_of(query: DeadListQuery, extent: ListExtent) -> str:
    """What is listed, how much of it, and the selection."""
    parts = [_groups(query, extent) if query.by_group else _jobs(query, extent)]
    if extent.selected is not None:
        matching = " that match" if query.is_filtered else ""
        parts.append(f"all {extent.selected:,}{matching} selected")
    elif extent.marked:
        parts.append(f"{extent.marked:,} marked")
    return " · ".join(parts)


def _groups(query: DeadListQuery, extent: ListExtent) -> str:
    if extent.shown is None or extent.total is None:
        return "dead letters by group"
    most = "" if extent.complete else " largest"
    groups = f"{extent.total:,}{most} {'group' if extent.total == 1 else 'groups'}"
    if query.is_filtered:
        return f"{extent.shown:,} of {groups}"
    of = "" if extent.dead is None else f"{pluralize(extent.dead, 'dead letter')}, "
    return f"{of}{groups}"


def _jobs(query: DeadListQuery, extent: ListExtent) -> str:
    name = "dead letters" if query.group is None else error_of(query.group.example)
    if extent.shown is None:
        return name
    return f"{name} {row_range(extent.start, extent.shown, extent.total)}"


def subtitle_of(
    query: DeadListQuery, *, fetch_error: str, examined: int | None, frozen: bool, counting: int | None
) -> str:
    """Freshness and the way back. ``examined`` and ``counting``: progress of a slow listing or count."""
    if counting is not None:
        return f"counting … {counting:,} examined, {key_of('back')} cancels" if counting else "counting …"
    if fetch_error:
        return f"not updated: {fetch_error}"
    if examined is not None:
        return f"searching: {examined:,} examined"
    if frozen:
        return "frozen"
    if query.is_filtered:  # escape clears the filter first, which the filter line shows
        return _describe_group_filter(query) if query.by_group else ""
    return "" if query.by_group else f"{key_of('back')}: back to the groups"


def _describe_group_filter(query: DeadListQuery) -> str:
    if unsupported_fields(query.terms):
        return "groups are filtered by error text only"
    return "commands affect matching jobs only"


def format_empty_lines(
    query: DeadListQuery, extent: ListExtent, *, fetch_error: str, frozen: bool
) -> Sequence[Line]:
    """The text in place of rows."""
    if extent.shown is None:
        return format_loading_lines(fetch_error, frozen=frozen)
    unsupported = unsupported_fields(query.terms) if query.by_group else ()
    if unsupported:
        names = ", ".join(f"{name}:" for name in unsupported)
        return [
            (Span("Groups are filtered by error text,", Tone.DIM),),
            (Span(f"not by {names}", Tone.DIM),),
            (*key_hint("flat", "lists the jobs, ", "dead"), *_clears()),
        ]
    if query.is_filtered:
        noun = "group" if query.by_group else "dead letter"
        return [
            (Span(f"No {noun} matches ", Tone.DIM), clean_span(query.terms)),
            _clears(),
        ]
    if not query.by_group and query.group is not None:
        return [
            (Span("No dead letters of this group are left.", Tone.GOOD),),
            key_hint("back", "goes back to the groups."),
        ]
    return [
        (Span("There are no dead letters.", Tone.GOOD),),
        (Span("A job that fails permanently is kept here with its payload.", Tone.DIM),),
    ]


def _clears() -> Line:
    return key_hint("back", "clears the filter.")
