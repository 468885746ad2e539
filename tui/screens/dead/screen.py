"""The dead-letter screen: groups or jobs, with a detail panel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS, SELECTION_ACTIONS
from previewops.tui.protocols import ExaminedCallback
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.screens.dead.actions import DeadLetterActions
from previewops.tui.screens.dead.count_preview import count_selection
from previewops.tui.screens.dead.data import DeadLetterData
from previewops.tui.screens.dead.detail import DeadDetailPanel
from previewops.tui.screens.dead.facets import FacetsScreen
from previewops.tui.screens.dead.list_panel import DeadListPanel
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.dead.dialog_text import CountPreview
from previewops.tui.viewmodel.dead.facets import Facet
from previewops.tui.viewmodel.dead.rows import error_of
from previewops.tui.viewmodel.dead.selection import DeadListQuery, DeadSelection, select
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid

TALL_ROWS = 34
"""From this height on the detail panel is shown by default."""

COUNT_STEP = 5_000
"""Step in which the progress of a count is shown."""


class DeadScreen(OperatorScreen):
    """Lists dead letters by group or one by one, and starts commands on them."""

    MODE = "dead"
    AVAILABLE_IN_REPLAY = False
    CSS_PATH = "dead.tcss"
    WIDE_COLUMNS = 120
    KEY_ACTIONS = SCREEN_KEYS["dead"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._data = DeadLetterData(self.operator_app.source, self._fetched)
        self._list = CoalescedFetch(self, "dead-list", self._data.fetch)
        self._actions = DeadLetterActions(self, self._preview, counting=self._show_progress, done=self._done)
        self._selected_total: int | None = None
        self._counting: int | None = None
        self._turned = 0
        self._details: bool | None = None

    def compose_body(self) -> ComposeResult:
        with Container(id="dead"):
            yield DeadListPanel(self._data, id="list-panel")
            yield DeadDetailPanel(id="detail-panel")

    def on_mount(self) -> None:
        self._list_panel.group_grid.focus()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        size = self.app.size
        room = size.width >= self.WIDE_COLUMNS or size.height >= TALL_ROWS
        self.set_class(room if self._details is None else self._details, "-details")

    # -- drawing ----------------------------------------------------------------------------------------

    @property
    def _query(self) -> DeadListQuery:
        return self._data.query

    @property
    def _list_panel(self) -> DeadListPanel:
        return self.query_one(DeadListPanel)

    @property
    def _grid(self) -> Grid:
        return self._list_panel.grid

    @property
    def _filter(self) -> FilterLine:
        return self._list_panel.filter

    @property
    def _detail(self) -> DeadDetailPanel:
        return self.query_one(DeadDetailPanel)

    @property
    def _selection(self) -> DeadSelection | None:
        grid = self._grid
        selection = select(
            self._query,
            everything=self._selected_total is not None,
            marks=grid.marks,
            cursor=grid.cursor_key,
            shown=grid.keys,
        )
        return None if selection is None else selection.with_seen_death(self._data.rows or ())

    def draw_view(self, view: QueueView) -> None:
        snapshot = view.snapshot
        if snapshot is not None and not view.fetching_paused and self._data.is_stale(snapshot):
            self._list.request()
        self._list_panel.draw_rows(view)
        self._draw_frame(view)
        self._detail.draw()

    def _redraw(self) -> None:
        self.draw_view(self.operator_app.view)
        self.draw_keys()

    def _fetched(self) -> None:
        if not self.composed:
            return
        view = self.operator_app.view
        self._list_panel.draw_rows(view)
        if self._turned and self._data.rows is not None:
            self._list_panel.jobs.action_edge(-self._turned)
            self._turned = 0
        self._draw_frame(view)
        self.draw_keys()
        self._update_detail()
        self._detail.refetch()

    def _draw_frame(self, view: QueueView) -> None:
        self._list_panel.draw_frame(view, selected=self._selected_total, counting=self._counting)
        self.set_class(self._selected_total is not None, "-chosen")

    # -- navigation -------------------------------------------------------------------------------------

    def _show(self, query: DeadListQuery) -> None:
        """Changes to another list. The selection is cleared, as it may not be visible there."""
        level = (self._query.flat, self._query.group)
        self._clear_selection()
        self._turned = 0
        self._data.set_query(query)
        if (query.flat, query.group) != level:
            self._list_panel.change_level(query)
        self._request_list()
        self._redraw()

    def _request_list(self) -> None:
        """Fetches the list, unless the display is frozen: then it is fetched when it is unfrozen."""
        if not self.operator_app.view.frozen:
            self._list.request()

    def on_grid_row_selected(self, event: Grid.RowSelected) -> None:
        if not self._query.by_group:
            self.operator_app.open_job(event.key)
        elif (group := self._list_panel.group_of(event.key)) is not None:
            self._show(DeadListQuery(group=group))

    def action_flat(self) -> None:
        if self._query.flat:
            self._to_causes()
        else:
            self._show(DeadListQuery(flat=True))

    def _to_causes(self) -> None:
        self._filter.clear()
        self._show(DeadListQuery(terms=self._list_panel.filter_of(DeadListQuery()).terms))

    def back(self) -> bool:
        if self._counting is not None:
            self.workers.cancel_group(self, "ask")  # still counting: there is no dialog yet
        elif self._filter.is_open and not self._grid.has_focus:
            self._filter.clear()
            self._grid.focus()
        elif self._selected_total is not None or self._grid.marks:
            self._clear_selection()
        elif self._filter.is_open:
            self._filter.clear()
        elif self._query.hour_ms is not None:
            self._show(replace(self._query, hour_ms=None))
        elif not self._query.by_group:
            self._to_causes()
        else:
            return False
        return True

    def action_page(self, step: int) -> None:
        if self._data.turn_page(step):
            self._turned = step
            self._request_list()
            self._redraw()

    def on_grid_past_edge(self, event: Grid.PastEdge) -> None:
        if not self._query.by_group:
            self.action_page(event.step)

    def action_details(self) -> None:
        self._details = not self.has_class("-details")
        self._arrange()

    def on_grid_cursor_moved(self) -> None:
        self._update_detail()
        self._detail.refetch()
        self.draw_keys()

    def _update_detail(self) -> None:
        self._detail.set_subject(self._list_panel.job_id, self._list_panel.group)

    # -- facets -----------------------------------------------------------------------------------------

    @property
    def _facet_query(self) -> DeadListQuery | None:
        """The list that facets count: the group at the cursor, or the jobs that are listed."""
        if not self._query.by_group:
            return self._query
        group = self._list_panel.group
        return None if group is None else DeadListQuery(group=group)

    @work(group="ask", exclusive=True)
    async def action_facets(self) -> None:
        query = self._facet_query
        if query is None:
            return
        facets = await self._actions.fetch(self.operator_app.source.dead_facets(query.filter))
        if facets is None:
            return
        name = "dead letters" if query.group is None else error_of(query.group.example)
        total = query.group.count if query.group is not None and not query.is_filtered else None
        facet = await self.show_dialog(FacetsScreen(f"Inside {name}", facets, total))
        if facet is not None:
            self._filter_by(query, facet)

    def _filter_by(self, query: DeadListQuery, facet: Facet) -> None:
        """Lists the jobs of a facet: in its hour, or with its filter added to the present one."""
        if facet.hour_ms is not None:
            self._show(replace(query, hour_ms=facet.hour_ms))
            return
        if query != self._query:
            self._show(query)
            self._filter.clear()
        text = self._filter.text
        joined = f"{text} {facet.filter_text}" if text and not text.startswith("!") else facet.filter_text
        self._filter.keep(joined)
        self._grid.focus()

    # -- filters and marks ------------------------------------------------------------------------------

    def action_filter(self, inverted: bool) -> None:
        self._filter.open(inverted=inverted)

    def on_filter_line_changed(self) -> None:
        terms = self._filter.terms
        if terms != self._query.terms:
            self._show(replace(self._query, terms=terms))

    def on_filter_line_submitted(self) -> None:
        self._grid.focus()

    def action_mark(self) -> None:
        self._selected_total = None
        self._grid.toggle_mark()

    def action_mark_all(self) -> None:
        self._selected_total = None
        self._grid.toggle_marks()

    def on_grid_marks_changed(self) -> None:
        self._redraw()

    def _clear_selection(self) -> None:
        self._selected_total = None
        if self._grid.marks:
            self._grid.mark(())

    @work(group="ask", exclusive=True)
    async def action_choose_all(self) -> None:
        query = self._query
        count = await self._actions.fetch(
            self.operator_app.source.dead_count(query.filter, on_examined=self._show_progress)
        )
        if count is not None and query == self._query:
            self._selected_total = count
            self._redraw()

    # -- commands ---------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or not self._possible(action):
            return False
        return super().check_action(action, parameters)

    def _possible(self, action: str) -> bool:
        if action in (*SELECTION_ACTIONS, "choose_all") and self._filter.has_error:
            return False  # the active filter is wider than the text in the line
        if action in SELECTION_ACTIONS:
            return self._selection is not None
        if action == "edit":
            selection = self._selection
            return selection is not None and bool(selection.single_job_id)
        if action in ("mark", "mark_all", "choose_all", "copy", "facets"):
            return bool(self._grid.cursor_key)
        if action == "page":
            data = self._data
            return not self._query.by_group and (data.next_cursor is not None or not data.paging.is_first)
        return True

    @work(group="ask", exclusive=True)
    async def _act(self, act: Callable[[DeadSelection], Awaitable[None]]) -> None:
        if (selection := self._selection) is not None:
            await act(selection)

    def action_requeue(self) -> None:
        self._act(self._actions.requeue)

    def action_requeue_as(self) -> None:
        self._act(self._actions.requeue_as)

    def action_discard(self) -> None:
        self._act(self._actions.discard)

    def action_export(self) -> None:
        self._act(self._actions.export)

    def action_edit(self) -> None:
        self._act(self._actions.edit)

    def action_copy(self) -> None:
        key = self._grid.cursor_key
        if key:
            self.app.copy_to_clipboard(key)
            self.notify(key, title="copied")

    # -- callbacks of the actions -----------------------------------------------------------------------

    async def _preview(self, selection: DeadSelection, examined: ExaminedCallback) -> CountPreview:
        groups = self._data.groups or ()
        return await count_selection(self.operator_app.source, selection, self._query, groups, examined)

    def _show_progress(self, examined: int | None) -> None:
        # Each call examines a few hundred: the number is shown in larger steps to be readable.
        examined = examined and examined // COUNT_STEP * COUNT_STEP
        if examined != self._counting:
            self._counting = examined
            if self.composed:
                self._draw_frame(self.operator_app.view)

    def _done(self, selection: DeadSelection) -> None:
        if not self.composed:
            return
        if not selection.keys:
            self._selected_total = None
        done = set(selection.keys)
        self._grid.mark([key for key in self._grid.marks if key not in done])
        self._request_list()
