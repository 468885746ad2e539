"""The list of dead letters in one panel: the groups or the jobs, each with its own filter."""

from __future__ import annotations

from functools import partial

from textual.containers import Container

from previewops.queue.dead_letter_filter import DeadLetterGroup
from previewops.tui.screens.dead.data import MAX_GROUPS, DeadLetterData
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.dead.frame import ListExtent, format_empty_lines, subtitle_of, title_of
from previewops.tui.viewmodel.dead.rows import (
    ALL_COLUMNS,
    GROUP_COLUMNS,
    ONE_GROUP_COLUMNS,
    filter_groups,
    format_group_cells,
    format_job_cells,
)
from previewops.tui.viewmodel.dead.selection import DeadListQuery
from previewops.tui.viewmodel.durations import age_step
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel

GROUPS_EXAMPLE = 'asset-missing "no file" !timeout'
"""Placeholder of the groups' filter, which matches error text only."""


class DeadListPanel(Panel):
    """Draws the fetched groups or jobs."""

    def __init__(self, data: DeadLetterData, *, id: str) -> None:
        super().__init__(
            "dead letters",
            Container(
                Grid(GROUP_COLUMNS, marking=True, list_name="groups"),
                FilterLine("dead", GROUPS_EXAMPLE),
                id="by-group",
            ),
            Container(Grid(ALL_COLUMNS, marking=True, list_name="dead"), FilterLine("dead"), id="by-job"),
            id=id,
        )
        self._data = data
        self._drawn: tuple[object, ...] = ()

    def on_mount(self) -> None:
        self.query_one("#by-job").display = False

    @property
    def group_grid(self) -> Grid:
        return self.query_one("#by-group Grid", Grid)

    @property
    def jobs(self) -> Grid:
        return self.query_one("#by-job Grid", Grid)

    @property
    def grid(self) -> Grid:
        return self.group_grid if self._data.query.by_group else self.jobs

    @property
    def filter(self) -> FilterLine:
        return self.filter_of(self._data.query)

    def filter_of(self, query: DeadListQuery) -> FilterLine:
        side = "#by-group" if query.by_group else "#by-job"
        return self.query_one(f"{side} FilterLine", FilterLine)

    @property
    def group(self) -> DeadLetterGroup | None:
        """The group at the cursor, if groups are listed."""
        return self.group_of(self.group_grid.cursor_key) if self._data.query.by_group else None

    def group_of(self, fingerprint: str) -> DeadLetterGroup | None:
        groups = self._data.groups or ()
        return next((group for group in groups if group.fingerprint == fingerprint), None)

    @property
    def job_id(self) -> str:
        """The job at the cursor, or the newest job of the group at the cursor; "" for none."""
        if not self._data.query.by_group:
            return self.jobs.cursor_key
        return self.group.example.job_id if self.group is not None else ""

    def change_level(self, query: DeadListQuery) -> None:
        """Shows the table of groups, of one group's jobs, or of all jobs."""
        if not query.by_group:
            self.jobs.set_columns(ALL_COLUMNS if query.group is None else ONE_GROUP_COLUMNS)
        self.query_one("#by-group").display = query.by_group
        self.query_one("#by-job").display = not query.by_group
        self.grid.focus()

    def draw_rows(self, view: QueueView) -> None:
        """Draws the rows if anything has changed, and their ages."""
        data, query = self._data, self._data.query
        now_ms = view.snapshot.now_ms if view.snapshot is not None else 0
        content = data.groups if query.by_group else data.rows
        fetch_error = data.fetch_error or view.connection_error
        newest_ms = max((row.finished_ms or 0 for row in data.rows or ()), default=None)
        if query.by_group:
            newest_ms = max((group.last_ms for group in data.groups or ()), default=None)
        drawn = (query, content, fetch_error, view.frozen, age_step(now_ms, newest_ms))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        if query.by_group:
            dead = view.snapshot.dead if view.snapshot is not None else 0
            total = max(dead, sum(group.count for group in data.groups or ()))
            rows = [
                Row(group.fingerprint, format_group_cells(group, total, now_ms)) for group in self._groups
            ]
        else:
            cells = partial(format_job_cells, now_ms=now_ms, with_error=query.group is None)
            rows = [Row(record.job_id, cells(record)) for record in data.rows or ()]
        empty = format_empty_lines(query, self._extent(view), fetch_error=fetch_error, frozen=view.frozen)
        self.grid.show(rows, empty=empty)

    def draw_frame(self, view: QueueView, *, selected: int | None, counting: int | None) -> None:
        """Updates title and subtitle; ``selected`` and ``counting`` as in ``viewmodel.dead.frame``."""
        data = self._data
        subtitle = subtitle_of(
            data.query,
            fetch_error=data.fetch_error or view.connection_error,
            examined=data.examined,
            frozen=view.frozen,
            counting=counting,
        )
        self.label(title_of(data.query, self._extent(view, selected)), subtitle)

    @property
    def _groups(self) -> tuple[DeadLetterGroup, ...]:
        return filter_groups(self._data.groups or (), self._data.query.terms)

    def _extent(self, view: QueueView, selected: int | None = None) -> ListExtent:
        data, query = self._data, self._data.query
        dead = view.snapshot.dead if view.snapshot is not None else None
        marked = len(self.grid.marks)
        if query.by_group:
            groups = data.groups
            return ListExtent(
                shown=None if groups is None else len(self._groups),
                total=None if groups is None else len(groups),
                complete=groups is None or len(groups) < MAX_GROUPS,
                dead=dead,
                marked=marked,
                selected=selected,
            )
        return ListExtent(
            shown=None if data.rows is None else len(data.rows),
            start=data.paging.start,
            total=dead if query.flat and not query.is_filtered else data.total,
            dead=dead,
            marked=marked,
            selected=selected,
        )
