"""The screen of all jobs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.worker import WorkerError

from previewops.errors import PreviewopsError
from previewops.queue.pages import DeadLetterFilter
from previewops.states import JobState
from previewops.tui.commands.commands import Cancel
from previewops.tui.keymap import KeyAction
from previewops.tui.screens.base import OperatorScreen, bindings
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.screens.dead.actions import DeadLetterActions
from previewops.tui.screens.dead.count_preview import count_selection
from previewops.tui.screens.jobs.cancel_dialog import ask_to_cancel
from previewops.tui.screens.jobs.fetch_page import fetch_page
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.dead.dialog_text import CountPreview
from previewops.tui.viewmodel.dead.selection import DeadListQuery, DeadSelection
from previewops.tui.viewmodel.jobs.list_state import (
    JobListState,
    changes_too_fast,
    empty_lines,
    subtitle_of,
    title_of,
)
from previewops.tui.viewmodel.jobs.rows import job_cells, job_columns, merge_running_jobs, state_tabs
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord
    from previewops.tui.protocols import ExaminedCallback

REST_PICTURES = 3
"""Number of snapshots without new rows after a page that has changed almost completely."""

_STATES: tuple[JobState | None, ...] = (None, *JobState)


class JobsScreen(OperatorScreen):
    """Lists jobs of one state or all, newest first, page by page."""

    MODE = "jobs"
    AVAILABLE_IN_REPLAY = False
    CSS_PATH = "jobs.tcss"
    KEY_ACTIONS: ClassVar[tuple[KeyAction, ...]] = (
        KeyAction("filter(False)", "slash", "/", "Filter", "Show matching jobs."),
        KeyAction("filter(True)", "exclamation_mark", "!", "", "Show jobs that do not match."),
        KeyAction("step_state(1)", "s", "s", "State", "Show the jobs of the next state."),
        KeyAction("step_state(-1)", "S", "S", "", "Show the jobs of the previous state."),
        KeyAction("turn_page(1)", "right_square_bracket", "]", "", "Go to the next page."),
        KeyAction("turn_page(-1)", "left_square_bracket", "[", "", "Go to the previous page."),
        KeyAction(
            "cancel", "x", "x", "Cancel", "Cancel the marked jobs, or the job at the cursor.", mutates=True
        ),
        KeyAction(
            "discard",
            "x",
            "x",
            "Discard",
            "Delete the marked dead letters permanently, or the one at the cursor.",
            mutates=True,
        ),
        KeyAction(
            "requeue",
            "r",
            "r",
            "Requeue",
            "Requeue the marked dead letters, or the one at the cursor.",
            mutates=True,
        ),
        KeyAction("mark", "space", "space", "Mark", "Mark or unmark the job at the cursor."),
        KeyAction("order", "o", "o", "Order", "Show the oldest jobs first, or the newest."),
        KeyAction("copy", "c", "c", "Copy id", "Copy the id of the job at the cursor, or the marked ones."),
        KeyAction("look_again", "f5", "F5", "", "Refresh this page."),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._listing = JobListState()
        self._shown: tuple[JobRecord, ...] = ()
        self._trouble = ""
        self._looking: int | None = None
        self._land_on_last = False
        self._resting = 0
        self._slowed = False
        self._renewal = CoalescedFetch(self, "jobs", self._fetch)
        self._acts = DeadLetterActions(
            self, self._tally, counting=lambda _counting: None, done=lambda _choice: self._acted()
        )

    def compose_body(self) -> ComposeResult:
        yield DiffedLines(id="states")
        yield Panel(
            "jobs", Grid(job_columns(None), marking=True, id="jobs"), FilterLine(id="filter"), id="jobs-panel"
        )

    @property
    def _grid(self) -> Grid:
        return self.query_one("#jobs", Grid)

    def on_mount(self) -> None:
        self._grid.focus()

    # -- drawing and pages ------------------------------------------------------------------------------

    def draw_view(self, view: QueueView) -> None:
        self._draw()
        if view.fetching_paused or not (self._listing.live or self._listing.rows is None):
            return
        if self._resting and self._listing.rows is not None:
            self._resting -= 1
        else:
            self._renewal.request()

    async def _fetch(self) -> None:
        asked = self._listing
        try:
            page = await fetch_page(self.operator_app.source, asked, self._tell_looking)
        except PreviewopsError as error:
            self._trouble = error.message
        else:
            if not self._listing.same_page(asked):
                self._renew()
                return
            self._trouble = ""
            arrives = self._listing.rows is None
            self._slowed = changes_too_fast(self._listing.rows, page.rows)
            self._resting = REST_PICTURES if self._slowed else 0
            self._listing = self._listing.with_page(page)
            self._looking = None
            if arrives and self.composed:
                self._draw()
                self._land()
        self._looking = None
        self._draw()
        self.draw_keys()

    def _tell_looking(self, looked: int) -> None:
        if self._listing.rows is None and self.composed:
            self._looking = looked
            self._draw_labels()

    def _show(self, listing: JobListState, *, land_on_last: bool = False) -> None:
        """Changes to another page. The old rows stay until the new ones are fetched."""
        self._listing = listing
        self._land_on_last = land_on_last
        self._trouble = ""
        self._draw()
        self.draw_keys()
        self._renew()

    def _renew(self) -> None:
        """Fetches the page, unless the display is frozen: then it is fetched when it is unfrozen."""
        if not self.operator_app.view.frozen:
            self._renewal.request()

    def _land(self) -> None:
        """Moves the cursor to the first row, or after going back to the last one."""
        self._grid.action_edge(1 if self._land_on_last else -1)
        self._land_on_last = False

    def _draw(self) -> None:
        if not self.composed:
            return
        view, listing = self.operator_app.view, self._listing
        trouble = self._trouble or view.connection_error
        if listing.rows is not None:
            self._shown = merge_running_jobs(listing.rows, view.snapshot)
        elif trouble or view.frozen:
            self._shown = ()  # the old rows belong to another list
        now_ms = view.snapshot.now_ms if view.snapshot is not None else 0
        state = listing.state
        rows = [Row(record.job_id, job_cells(record, now_ms, state)) for record in self._shown]
        self._grid.set_columns(job_columns(state))
        self._grid.show(rows, empty=empty_lines(listing, trouble, frozen=view.frozen))
        snapshot = view.snapshot
        self.query_one("#states", DiffedLines).draw(lambda columns, _: [state_tabs(snapshot, state, columns)])
        self._draw_labels()

    def _draw_labels(self) -> None:
        view = self.operator_app.view
        subtitle = subtitle_of(
            self._listing,
            trouble=self._trouble or view.connection_error,
            looking=self._looking,
            frozen=view.frozen,
            marked=len(self._grid.marks),
            slowed=self._slowed,
        )
        self.query_one("#jobs-panel", Panel).label(title_of(self._listing, view.snapshot), subtitle)

    # -- filters ----------------------------------------------------------------------------------------

    def action_show_state(self, name: str) -> None:
        self._narrow(state=None if name == "all" else JobState(name))

    def action_step_state(self, step: int) -> None:
        self._narrow(state=_STATES[(_STATES.index(self._listing.state) + step) % len(_STATES)])

    def action_order(self) -> None:
        listing = self._listing
        self._show(listing.with_query(listing.state, listing.terms, not listing.newest_first))

    def _narrow(self, *, state: JobState | None) -> None:
        self._show(self._listing.with_query(state, self._listing.terms, self._listing.newest_first))

    def action_filter(self, inverted: bool) -> None:
        self.query_one(FilterLine).open(inverted=inverted)

    def on_filter_line_changed(self, message: FilterLine.Changed) -> None:
        listing = self._listing
        self._show(listing.with_query(listing.state, message.terms, listing.newest_first))

    def on_filter_line_submitted(self, _message: FilterLine.Submitted) -> None:
        self._grid.focus()

    def back(self) -> bool:
        line = self.query_one(FilterLine)
        if line.is_open:
            line.clear()
            self._grid.focus()
            return True
        if self._grid.marks:
            self._grid.mark(())
            return True
        return False

    # -- pages ------------------------------------------------------------------------------------------

    def action_turn_page(self, step: int, from_edge: bool = False) -> None:
        listing = self._listing
        if step > 0 and listing.follows is not None:
            self._show(listing.next_page())
        elif step < 0 and listing.number > 1:
            self._show(listing.previous_page(), land_on_last=from_edge)

    def on_grid_past_edge(self, message: Grid.PastEdge) -> None:
        self.action_turn_page(message.step, from_edge=True)

    def action_look_again(self) -> None:
        self._renew()

    # -- actions on jobs --------------------------------------------------------------------------------

    def on_grid_cursor_moved(self, _message: Grid.CursorMoved) -> None:
        self.draw_keys()

    def on_grid_marks_changed(self, _message: Grid.MarksChanged) -> None:
        self._draw_labels()
        self.draw_keys()

    def on_grid_row_selected(self, message: Grid.RowSelected) -> None:
        self.operator_app.open_job(message.key)

    def action_mark(self) -> None:
        self._grid.toggle_mark()

    def action_copy(self) -> None:
        chosen = self._chosen()
        self.app.copy_to_clipboard("\n".join(chosen))
        what = chosen[0] if len(chosen) == 1 else f"{len(chosen):,} ids"
        self.notify(f"{what} copied")

    def _chosen(self) -> tuple[str, ...]:
        """Ids of the marked jobs, or of the job at the cursor."""
        return self._grid.marks or ((self._grid.cursor_key,) if self._grid.cursor_key else ())

    def _to_cancel(self) -> tuple[str, ...]:
        """Ids of the selected jobs that may be pending."""
        ended = {record.job_id for record in self._shown if not record.state.pending}
        return tuple(job_id for job_id in self._chosen() if job_id not in ended)

    def _dead(self) -> tuple[str, ...]:
        """Ids of the selected jobs that may be dead letters."""
        others = {record.job_id for record in self._shown if record.state is not JobState.DEAD}
        return tuple(job_id for job_id in self._chosen() if job_id not in others)

    def _dead_letters(self) -> DeadSelection:
        dead = self._dead()
        words = dead[0] if len(dead) == 1 else f"the {len(dead):,} marked"
        choice = DeadSelection(
            (DeadLetterFilter(job_ids=dead),), words, dead, len(set(dead) - set(self._grid.keys))
        )
        return choice.with_seen_death(self._shown)

    async def _tally(self, choice: DeadSelection, looked: ExaminedCallback) -> CountPreview:
        return await count_selection(self.operator_app.source, choice, DeadListQuery(flat=True), (), looked)

    def _acted(self) -> None:
        if self.composed:
            self._grid.mark(())
            self._renew()

    @work(group="ask")
    async def action_requeue(self) -> None:
        await self._acts.requeue(self._dead_letters())

    @work(group="ask")
    async def action_discard(self) -> None:
        await self._acts.discard(self._dead_letters())

    @work(group="ask")
    async def action_cancel(self) -> None:
        chosen, pending = self._chosen(), self._to_cancel()
        active = sum(record.state is JobState.ACTIVE for record in self._shown if record.job_id in pending)
        why = await ask_to_cancel(self, pending, active=active, ended=len(chosen) - len(pending))
        if why is None:
            return
        self._grid.mark(())
        with suppress(WorkerError):  # the command runner reports errors
            await self.operator_app.start_command(Cancel(pending, why)).wait()
        self._renew()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not super().check_action(action, parameters):
            return False
        if action == "turn_page" and parameters:
            return self._listing.follows is not None if parameters[0] == 1 else self._listing.number > 1
        if action == "look_again":
            return not self.operator_app.view.frozen
        if not self.composed:
            return True
        possible = {
            "mark": bool(self._chosen()),
            "copy": bool(self._chosen()),
            "cancel": bool(self._to_cancel()),
            "discard": bool(self._dead()) and not self._to_cancel(),  # the same key cancels jobs
            "requeue": bool(self._dead()),
        }
        return possible.get(action, True)
