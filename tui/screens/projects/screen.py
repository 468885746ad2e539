"""Ended jobs of the last hour by project, output format or priority."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.errors import PreviewopsError
from previewops.formatting import clean
from previewops.project_limits import is_project
from previewops.snapshot.breakdown import Breakdown, Dimension
from previewops.tui.commands.commands import SetProjectLimits
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.empty_states import format_loading_lines
from previewops.tui.viewmodel.projects import charts, limits, table
from previewops.tui.viewmodel.projects.rows import TableRow, merge_rows
from previewops.tui.viewmodel.queue_status import format_empty_lines
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from previewops.queue.projects import ProjectLoad

REFRESH_MS = 2_000
"""Interval of refreshing the figures: workers report them with their heartbeats."""


_FILTERABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""Names that a filter finds without quotes: those of the contract."""


class ProjectsScreen(OperatorScreen):
    """Lists projects, formats or priorities, with charts of the row at the cursor."""

    MODE = "projects"
    AVAILABLE_IN_REPLAY = False
    CSS_PATH = "projects.tcss"
    WIDE_COLUMNS = 170
    KEY_ACTIONS = SCREEN_KEYS["projects"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._dimension = Dimension.PROJECT
        self._sort = table.BreakdownSort()
        self._breakdown: Breakdown | None = None
        self._rows: tuple[TableRow, ...] = ()
        self._fetch_error = ""
        self._requested_ms = 0
        self._coalesced_fetch = CoalescedFetch(self, "breakdown", self._fetch)

    def compose_body(self) -> ComposeResult:
        with Container(id="projects"):
            yield Panel(
                table.name_of(self._dimension),
                Grid(table.columns(self._dimension), id="table"),
                id="table-panel",
            )
            with Container(id="charts"):
                yield Panel("Jobs", DiffedLines(id="jobs-chart"), id="jobs-chart-panel")
                yield Panel("Wait and render time", DiffedLines(id="times-chart"), id="times-chart-panel")

    def on_mount(self) -> None:
        self._grid.focus()

    @property
    def _grid(self) -> Grid:
        return self.query_one("#table", Grid)

    # -- data -------------------------------------------------------------------------------------------

    def draw_view(self, view: QueueView) -> None:
        snapshot = view.snapshot
        if snapshot is not None and not view.fetching_paused:
            age_ms = snapshot.now_ms - self._requested_ms
            if self._breakdown is None or not 0 <= age_ms < REFRESH_MS:
                self._requested_ms = snapshot.now_ms
                self._coalesced_fetch.request()
        self._draw(view)

    async def _fetch(self) -> None:
        dimension = self._dimension
        source = self.operator_app.source
        loads: tuple[ProjectLoad, ...] = ()
        try:
            breakdown = await source.breakdown(dimension)
            if dimension is Dimension.PROJECT:
                loads = await source.project_loads()
        except PreviewopsError as error:
            self._fetch_error = error.message
            self._requested_ms = 0
        else:
            self._fetch_error = ""
            if dimension is self._dimension:
                self._breakdown = breakdown
                self._rows = merge_rows(breakdown, loads)
        if self.composed:
            self._draw(self.operator_app.view)

    # -- drawing ----------------------------------------------------------------------------------------

    def _draw(self, view: QueueView) -> None:
        grid, breakdown = self._grid, self._breakdown
        panel = self.query_one("#table-panel", Panel)
        grid.set_columns(self._sort.headers(table.columns(self._dimension)))
        rows = self._sort.apply(self._rows)
        shown = [Row(row.key, table.cells(row, self._dimension)) for row in rows]
        if breakdown is None:
            loading = format_loading_lines(self._fetch_error, frozen=view.frozen)
            grid.show((), empty=loading if view.snapshot is not None else format_empty_lines(view))
        else:
            grid.show(shown, empty=table.format_empty_lines())
        ended = breakdown is not None and bool(breakdown.rows or breakdown.others)
        panel.label(table.name_of(self._dimension), table.summary(breakdown) if breakdown and ended else "")
        self._draw_charts()
        self.draw_keys()

    @property
    def _row(self) -> TableRow | None:
        key = self._grid.cursor_key
        return next((row for row in self._rows if row.key == key), None)

    def _draw_charts(self) -> None:
        breakdown, row = self._breakdown, self._row
        self.query_one("#charts", Container).set_class(row is None, "-empty")
        if breakdown is None or row is None:
            return
        label = clean(table.row_label(row, self._dimension))
        self.query_one("#jobs-chart-panel", Panel).label(f"{label}: jobs in 5 min")
        self.query_one("#times-chart-panel", Panel).label(f"{label}: wait and render time")
        self.query_one("#jobs-chart", DiffedLines).draw(partial(charts.format_jobs_lines, breakdown, row))
        self.query_one("#times-chart", DiffedLines).draw(partial(charts.format_times_lines, breakdown, row))

    def on_grid_cursor_moved(self, _event: Grid.CursorMoved) -> None:
        self._draw_charts()
        self.draw_keys()

    def on_grid_row_selected(self, _event: Grid.RowSelected) -> None:
        if self.check_action("open_jobs", ()):
            self.action_open_jobs()

    # -- actions ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "open_jobs" and not (self.composed and self._filter):
            return False
        if action in ("weight", "maximum") and not (self.composed and self._project):
            return False
        return super().check_action(action, parameters)

    @property
    def _project(self) -> str:
        """The project at the cursor; "" if limits cannot name it."""
        row = self._row
        if self._dimension is not Dimension.PROJECT or row is None or not is_project(row.value):
            return ""
        return row.value

    @work(group="ask")
    async def action_weight(self) -> None:
        project, row = self._project, self._row
        if row is None or not project:
            return
        question, load = limits.weight_question(project, row.load), row.load
        dialog = PromptDialog(
            f"Weight of {project}",
            question,
            "set",
            initial=str(1 if load is None else load.weight),
            check=limits.check_weight,
        )
        typed = await self.show_dialog(dialog)
        if typed is not None:
            self.operator_app.start_command(SetProjectLimits(project, weight=int(typed)))

    @work(group="ask")
    async def action_maximum(self) -> None:
        project, row = self._project, self._row
        if row is None or not project:
            return
        most = None if row.load is None else row.load.max_active
        dialog = PromptDialog(
            f"Maximum of {project}",
            limits.maximum_question(project, row.load),
            "set",
            initial=limits.NO_MAXIMUM if most is None else str(most),
            hint=f"4 or {limits.NO_MAXIMUM}",
            check=limits.check_maximum,
        )
        typed = await self.show_dialog(dialog)
        if typed is not None:
            command = SetProjectLimits(project, max_active=limits.parse_maximum(typed))
            self.operator_app.start_command(command)

    @property
    def _filter(self) -> str:
        """The filter of the jobs of the row at the cursor; "" if no filter finds them."""
        row = self._row
        if row is None or self._dimension is Dimension.FORMAT or not _FILTERABLE.fullmatch(row.value):
            return ""
        return f"{self._dimension.value}:{row.value}"

    def action_open_jobs(self) -> None:
        self.operator_app.open_jobs(self._filter)

    def action_dimension(self) -> None:
        dimensions = list(Dimension)
        self._dimension = dimensions[(dimensions.index(self._dimension) + 1) % len(dimensions)]
        self._breakdown, self._rows = None, ()
        self._sort = table.BreakdownSort.first(self._dimension)
        self._coalesced_fetch.request()
        self._draw(self.operator_app.view)

    def action_sort(self) -> None:
        self._set_sort(self._sort.next_column(table.columns(self._dimension)))

    def action_reverse_sort(self) -> None:
        self._set_sort(self._sort.reversed())

    def action_sort_by(self, title: str) -> None:
        self._set_sort(self._sort.select(title))

    def _set_sort(self, sort: table.BreakdownSort) -> None:
        self._sort = sort
        self._draw(self.operator_app.view)
