"""The screen of all jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from previewops.errors import PreviewopsError
from previewops.queue.job_selection import MatchedJobs
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.screens.jobs.actions import JobActions
from previewops.tui.screens.jobs.fetch_page import fetch_page
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.jobs.dialog_text import SAMPLE_IDS
from previewops.tui.viewmodel.jobs.list_state import (
    JobListState,
    changes_too_fast,
    format_empty_lines,
    subtitle_of,
    title_of,
)
from previewops.tui.viewmodel.jobs.rows import format_job_cells, job_columns, merge_running_jobs, state_tabs
from previewops.tui.viewmodel.jobs.selection import SelectedJobs, select, selection_of
from previewops.tui.viewmodel.jobs.sorting import JobSort
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel

SKIPPED_VIEWS = 3
"""Number of snapshots without new rows after a page that has changed almost completely."""

COUNT_STEP = 10_000
"""Progress of a count is shown in steps of this many jobs."""

_ON_ALL = frozenset({"choose_all", "cancel", "requeue", "discard", "run_again", "delete"})

_STATES: tuple[JobState | None, ...] = (None, *JobState)


class JobsScreen(OperatorScreen):
    """Lists jobs of one state or all, newest first, page by page."""

    MODE = "jobs"
    AVAILABLE_IN_REPLAY = False
    CSS_PATH = "jobs.tcss"
    KEY_ACTIONS = SCREEN_KEYS["jobs"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._list = JobListState()
        self._shown: tuple[JobRecord, ...] = ()
        self._fetch_error = ""
        self._examined: int | None = None
        self._land_on_last = False
        self._skipped_views = 0
        self._slowed = False
        self._sort = JobSort()
        self._coalesced_fetch = CoalescedFetch(self, "jobs", self._fetch)
        self._matched: MatchedJobs | None = None
        self._counting: int | None = None
        self._actions = JobActions(self, counting=self._show_counted, done=self._on_done)

    def compose_body(self) -> ComposeResult:
        yield DiffedLines(id="states")
        yield Panel(
            "jobs",
            Grid(job_columns(None), marking=True, list_name="jobs", id="jobs"),
            FilterLine("jobs", id="filter"),
            id="jobs-panel",
        )

    @property
    def _grid(self) -> Grid:
        return self.query_one("#jobs", Grid)

    def on_mount(self) -> None:
        self._grid.focus()

    # -- drawing and pages ------------------------------------------------------------------------------

    def draw_view(self, view: QueueView) -> None:
        self._take_filter()
        self._draw()
        if view.fetching_paused or not (self._list.live or self._list.rows is None):
            return
        if self._skipped_views and self._list.rows is not None:
            self._skipped_views -= 1
        else:
            self._coalesced_fetch.request()

    def _take_filter(self) -> None:
        """Shows the filter with which another screen has opened this one, among all jobs, as if it were kept."""
        text, self.operator_app.jobs_filter = self.operator_app.jobs_filter, ""
        if text:
            line = self.query_one(FilterLine)
            line.keep(text)
            self._sort = JobSort()
            self._show(JobListState(terms=line.terms, to_the_end=True))

    async def _fetch(self) -> None:
        requested = self._list
        try:
            on_examined = partial(self._show_examined, requested)
            page = await fetch_page(self.operator_app.source, requested, on_examined)
        except PreviewopsError as error:
            self._fetch_error = error.message
        else:
            if not self._list.same_page(requested):
                self._request_page()
                return
            self._fetch_error = ""
            first_fetch = self._list.rows is None
            self._slowed = changes_too_fast(self._list.rows, page.rows)
            self._skipped_views = SKIPPED_VIEWS if self._slowed else 0
            self._list = self._list.with_page(page)
            self._examined = None
            if first_fetch and self.composed:
                self._draw()
                self._place_cursor()
        self._examined = None
        self._draw()
        self.draw_keys()

    def _show_examined(self, requested: JobListState, examined: int) -> bool:
        """Shows the progress of a slow fetch. Returns whether its page is still wanted."""
        if not self.composed or not self._list.same_page(requested):
            return False
        if self._list.rows is None:
            self._examined = examined
            self._draw_labels()
        return True

    def _show(self, listing: JobListState, *, land_on_last: bool = False) -> None:
        """Changes to another page. The old rows stay until the new ones are fetched."""
        if selection_of(listing) != selection_of(self._list):
            self._matched = None
        self._list = listing
        self._land_on_last = land_on_last
        self._fetch_error = ""
        self._draw()
        self.draw_keys()
        self._request_page()

    def _request_page(self) -> None:
        """Fetches the page, unless the display is frozen: then it is fetched when it is unfrozen."""
        if not self.operator_app.view.frozen:
            self._coalesced_fetch.request()

    def _place_cursor(self) -> None:
        """Moves the cursor to the first row, or after going back to the last one."""
        self._grid.action_edge(1 if self._land_on_last else -1)
        self._land_on_last = False

    def _draw(self) -> None:
        if not self.composed:
            return
        view, listing = self.operator_app.view, self._list
        fetch_error = self._fetch_error or view.connection_error
        now_ms = view.snapshot.now_ms if view.snapshot is not None else 0
        if listing.rows is not None:
            rows = merge_running_jobs(listing.rows, view.snapshot)
            by_index = self._sort.newest_first(listing.state) is not None
            self._shown = rows if by_index else self._sort.apply(rows, now_ms)
        elif fetch_error or view.frozen:
            self._shown = ()  # the old rows belong to another list
        state = listing.state
        shown = [Row(record.job_id, format_job_cells(record, now_ms, state)) for record in self._shown]
        self._grid.set_columns(self._sort.headers(job_columns(state)))
        self._grid.show(shown, empty=format_empty_lines(listing, fetch_error, frozen=view.frozen))
        snapshot = view.snapshot
        self.query_one("#states", DiffedLines).draw(lambda columns, _: [state_tabs(snapshot, state, columns)])
        self._draw_labels()

    def _draw_labels(self) -> None:
        view = self.operator_app.view
        subtitle = subtitle_of(
            self._list,
            fetch_error=self._fetch_error or view.connection_error,
            examined=self._examined,
            frozen=view.frozen,
            marked=len(self._grid.marks),
            slowed=self._slowed,
            sort=self._sort.describe(self._list.state),
            counting=self._counting,
        )
        matched = None if self._matched is None else self._matched.count.total
        title = title_of(self._list, view.snapshot, matched=matched)
        self.query_one("#jobs-panel", Panel).label(title, subtitle)

    # -- filters ----------------------------------------------------------------------------------------

    def action_show_state(self, name: str) -> None:
        self._set_state(None if name == "all" else JobState(name))

    def action_step_state(self, step: int) -> None:
        self._set_state(_STATES[(_STATES.index(self._list.state) + step) % len(_STATES)])

    def action_order(self) -> None:
        listing, self._sort = self._list, JobSort()
        self._show(replace(listing.first_page(), newest_first=not listing.newest_first))

    def action_sort(self) -> None:
        self._sort_by(self._sort.next_column(job_columns(self._list.state)))

    def action_reverse_sort(self) -> None:
        self._sort_by(self._sort.reversed())

    def action_sort_by(self, title: str) -> None:
        self._sort_by(self._sort.select(title))

    def _sort_by(self, sort: JobSort) -> None:
        """Sorts all pages where the index has that order, else the rows of this page."""
        self._sort = sort
        newest_first = sort.newest_first(self._list.state)
        if newest_first not in (None, self._list.newest_first):
            self._show(replace(self._list.first_page(), newest_first=newest_first))
            return
        self._draw()
        self._grid.action_edge(-1)
        self.draw_keys()

    def _set_state(self, state: JobState | None) -> None:
        self._sort = self._sort.within(job_columns(state))
        newest_first = self._sort.newest_first(state)
        if newest_first is None:
            newest_first = self._list.newest_first
        self._show(replace(self._list.first_page(), state=state, newest_first=newest_first))

    def action_filter(self, inverted: bool) -> None:
        self.query_one(FilterLine).open(inverted=inverted)

    def on_filter_line_changed(self, message: FilterLine.Changed) -> None:
        listing = self._list
        if message.terms != listing.terms:
            self._show(JobListState(listing.state, message.terms, listing.newest_first))

    def on_filter_line_submitted(self, _message: FilterLine.Submitted) -> None:
        self._grid.focus()
        listing = self._list
        if listing.terms and not listing.to_the_end and (listing.rows is None or listing.next_cursor):
            self._show(JobListState(listing.state, listing.terms, listing.newest_first, to_the_end=True))

    def back(self) -> bool:
        line = self.query_one(FilterLine)
        if self._counting is not None:
            self.workers.cancel_group(self, "ask")  # still counting: there is no dialog yet
            return True
        if (self._matched is not None or self._grid.marks) and not (
            line.is_open and not self._grid.has_focus
        ):
            self._clear_selection()
            self._draw_labels()
            self.draw_keys()
            return True
        if line.is_open:
            line.clear()
            self._grid.focus()
            return True
        return False

    # -- pages ------------------------------------------------------------------------------------------

    def action_turn_page(self, step: int, from_edge: bool = False) -> None:
        listing = self._list
        if step > 0 and listing.next_cursor is not None:
            self._show(listing.next_page())
        elif step < 0 and listing.number > 1:
            self._show(listing.previous_page(), land_on_last=from_edge)

    def on_grid_past_edge(self, message: Grid.PastEdge) -> None:
        self.action_turn_page(message.step, from_edge=True)

    def action_refresh_page(self) -> None:
        self._request_page()

    # -- actions on jobs --------------------------------------------------------------------------------

    def on_grid_cursor_moved(self, _message: Grid.CursorMoved) -> None:
        self.draw_keys()

    def on_grid_marks_changed(self, _message: Grid.MarksChanged) -> None:
        self._draw_labels()
        self.draw_keys()

    def on_grid_row_selected(self, message: Grid.RowSelected) -> None:
        self.operator_app.open_job(message.key)

    def action_mark(self) -> None:
        self._matched = None
        self._grid.toggle_mark()

    def action_mark_all(self) -> None:
        self._matched = None
        self._grid.toggle_marks()

    def action_copy(self) -> None:
        selected = self._selected_ids()
        self.app.copy_to_clipboard("\n".join(selected))
        copied = selected[0] if len(selected) == 1 else f"{len(selected):,} ids"
        self.notify(f"{copied} copied")

    def _selected_ids(self) -> tuple[str, ...]:
        return self._grid.marks or ((self._grid.cursor_key,) if self._grid.cursor_key else ())

    @property
    def _selection(self) -> SelectedJobs:
        grid = self._grid
        return select(self._shown, marks=grid.marks, cursor=grid.cursor_key, matched=self._matched)

    def _clear_selection(self) -> None:
        self._matched = None
        if self._grid.marks:
            self._grid.mark(())

    def _on_done(self) -> None:
        if self.composed:
            self._clear_selection()
            self._draw_labels()
            self.draw_keys()
            self._request_page()

    def _show_counted(self, examined: int | None) -> None:
        # Each call examines a few hundred: the number is shown in larger steps to be readable.
        examined = examined and examined // COUNT_STEP * COUNT_STEP
        if examined != self._counting:
            self._counting = examined
            if self.composed:
                self._draw_labels()

    @work(group="ask", exclusive=True)
    async def action_choose_all(self) -> None:
        listing, source = self._list, self.operator_app.source
        selection = selection_of(listing)
        count = await self._actions.dead.fetch(
            source.count_jobs(selection, sample=SAMPLE_IDS, on_examined=self._show_counted)
        )
        if count is not None and selection == selection_of(self._list) and self.composed:
            self._grid.mark(())
            self._matched = MatchedJobs(selection, count)
            self._draw_labels()
            self.draw_keys()

    @work(group="ask", exclusive=True)
    async def _act(self, act: Callable[[SelectedJobs, Sequence[JobRecord]], Awaitable[None]]) -> None:
        await act(self._selection, self._shown)

    def action_requeue(self) -> None:
        self._act(self._actions.requeue)

    def action_discard(self) -> None:
        self._act(self._actions.discard)

    def action_cancel(self) -> None:
        self._act(self._actions.cancel)

    def action_priority(self) -> None:
        self._act(self._actions.change_priority)

    def action_run_again(self) -> None:
        self._act(self._actions.run_again)

    def action_delete(self) -> None:
        self._act(self._actions.delete)

    def action_run_now(self) -> None:
        self._act(self._actions.run_now)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not super().check_action(action, parameters):
            return False
        if action == "turn_page" and parameters:
            return self._list.next_cursor is not None if parameters[0] == 1 else self._list.number > 1
        if action == "refresh_page":
            return not self.operator_app.view.frozen
        return not self.composed or self._possible(action)

    def _possible(self, action: str) -> bool:
        if action in _ON_ALL and self.query_one(FilterLine).has_error:
            return False  # the active filter is wider than the text in the line
        if action == "reverse_sort":
            return bool(self._sort.column)
        if action in ("mark_all", "choose_all"):
            return bool(self._grid.keys)
        return self._selection.possible().get(action, True)
