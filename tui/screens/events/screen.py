"""The event feed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.snapshot.model import QueueEvent
from previewops.tui.keymap import KeyAction
from previewops.tui.screens.base import OperatorScreen, bindings
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.event_text import event_subject
from previewops.tui.viewmodel.events import feed as feed_lines
from previewops.tui.viewmodel.events.feed import EventFeed
from previewops.tui.viewmodel.queue_status import format_empty_lines
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText


class EventsScreen(OperatorScreen):
    """Lists events, newest first, with the details of the event at the cursor."""

    MODE = "events"
    CSS_PATH = "events.tcss"
    WIDE_COLUMNS = 160
    KEY_ACTIONS: ClassVar[tuple[KeyAction, ...]] = (
        KeyAction("filter(False)", "/", "Filter", "Show matching events: kind:dead who:ada timeout."),
        KeyAction("filter(True)", "!", "Inverse", "Show events that do not match."),
        KeyAction("follow", "f", "Follow", "Follow new events, or stop at the current rows."),
        KeyAction("operators_only", "o", "Operators", "Show only operator actions, or all events."),
        KeyAction("open", "enter", "Job", "Open the event's job."),
        KeyAction("copy_id", "c", "Copy id", "Copy the id of the event's job, worker or host."),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._feed = EventFeed()
        self._events: dict[str, QueueEvent] = {}
        self._drawn: tuple[object, ...] = ()
        self._dated = False

    def compose_body(self) -> ComposeResult:
        with Container(id="feed"):
            yield Panel(
                "Events",
                Grid(feed_lines.columns(dated=False), id="events"),
                FilterLine("kind:dead who:ada lesson-12 !timeout", id="filter"),
                id="feed-panel",
            )
            yield Panel("Event", ScrollText(id="event"), id="event-panel")

    # -- drawing ----------------------------------------------------------------------------------------

    def draw_view(self, view: QueueView) -> None:
        snapshot, feed = view.snapshot, self._feed
        grid = self.query_one("#events", Grid)
        if snapshot is None:
            grid.show((), empty=format_empty_lines(view))
            return
        last = view.events[-1].event_id if view.events else ""
        # The feed changes when an event arrives, and at midnight, when times get a date.
        drawn = (feed, last, len(view.events), snapshot.now_ms // feed_lines.DAY_MS)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        shown = feed.shown(view.events)
        self._events = {event.event_id: event for event in shown}
        dated = feed_lines.dated(shown, snapshot.now_ms)
        if dated is not self._dated:
            self._dated = dated
            grid.set_columns(feed_lines.columns(dated=dated))
        rows = [Row(event.event_id, feed_lines.cells(event, snapshot.now_ms)) for event in shown]
        grid.show(rows, empty=feed_lines.format_empty_lines(feed))
        if feed.following and shown:
            grid.go_to(shown[0].event_id)
        waiting = feed.waiting(view.events)
        self.query_one("#feed-panel", Panel).label(subtitle=feed_lines.subtitle(feed, len(shown), waiting))
        self._draw_event()

    def _draw_event(self) -> None:
        event = self._event
        pane = self.query_one("#event", ScrollText)
        if event is None:
            pane.write(lambda _columns: ())
        else:
            pane.write(lambda columns: feed_lines.format_detail_lines(event, columns))
        self.draw_keys()

    @property
    def _event(self) -> QueueEvent | None:
        return self._events.get(self.query_one("#events", Grid).cursor_key)

    def _set_feed(self, feed: EventFeed) -> None:
        self._feed = feed
        self.draw_view(self.operator_app.view)

    def on_grid_cursor_moved(self, event: Grid.CursorMoved) -> None:
        if self._feed.following and event.grid.cursor_index:
            self._set_feed(self._feed.hold(self.operator_app.view.events))
        self._draw_event()

    def on_grid_row_selected(self, _event: Grid.RowSelected) -> None:
        self.action_open()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        self._set_feed(replace(self._feed, terms=event.terms))

    def on_filter_line_submitted(self, _event: FilterLine.Submitted) -> None:
        self.query_one("#events", Grid).focus()

    # -- actions ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or super().check_action(action, parameters) is False:
            return False
        event = self._event
        match action:
            case "open":
                return event is not None and bool(event.fields.get("job"))
            case "copy_id":
                return event is not None and bool(event_subject(event))
        return True

    def action_filter(self, inverse: bool) -> None:
        self.query_one("#filter", FilterLine).open(inverted=inverse)

    def action_follow(self) -> None:
        feed = self._feed
        self._set_feed(feed.hold(self.operator_app.view.events) if feed.following else feed.follow())

    def action_operators_only(self) -> None:
        self._set_feed(replace(self._feed, operators_only=not self._feed.operators_only))

    def action_open(self) -> None:
        event = self._event
        if event is not None and event.fields.get("job"):
            self.operator_app.open_job(event.fields["job"])

    def action_copy_id(self) -> None:
        event = self._event
        if event is not None:
            subject = event_subject(event)
            self.app.copy_to_clipboard(subject)
            self.notify(subject, title="copied")

    def back(self) -> bool:
        line = self.query_one("#filter", FilterLine)
        if line.is_open:
            line.clear()
            self.query_one("#events", Grid).focus()
            return True
        if self._feed.operators_only:
            self.action_operators_only()
            return True
        return False
