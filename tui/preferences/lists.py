"""The lists whose columns can be chosen, and their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from previewops.tui.viewmodel.columns import TableColumn


def _titles(columns: Sequence[TableColumn]) -> tuple[str, ...]:
    return tuple(column.title for column in columns)


# Imported on use: most settings files choose no columns, and the first frame comes sooner.


def _jobs() -> tuple[str, ...]:
    from previewops.tui.viewmodel.jobs.rows import job_columns

    return _titles(job_columns(None))


def _groups() -> tuple[str, ...]:
    from previewops.tui.viewmodel.dead.rows import GROUP_COLUMNS

    return _titles(GROUP_COLUMNS)


def _dead() -> tuple[str, ...]:
    from previewops.tui.viewmodel.dead.rows import ALL_COLUMNS

    return _titles(ALL_COLUMNS)


def _workers() -> tuple[str, ...]:
    from previewops.tui.viewmodel.fleet.table import columns

    return _titles(columns(differ=True))


def _events() -> tuple[str, ...]:
    from previewops.tui.viewmodel.events.feed import columns

    return _titles(columns(dated=False))


LISTS: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "jobs": _jobs,
    "groups": _groups,
    "dead": _dead,
    "workers": _workers,
    "events": _events,
}
"""Titles of the columns of each list, by the name that the settings file and ``Grid`` use."""
