"""The event feed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.errors import PreviewopsError
from previewops.snapshot.model import QueueEvent
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.protocols import NotRecorded
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.event_text import event_subject
from previewops.tui.viewmodel.events import feed as feed_lines
from previewops.tui.viewmodel.events.actions import ActionHistory
from previewops.tui.viewmodel.events.bursts import Burst, FeedEntry, format_burst_lines, key_of_entry
from previewops.tui.viewmodel.events.feed import EventFeed
from previewops.tui.viewmodel.queue_status import format_empty_lines
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText

ACTIONS_PER_PAGE = 500


class EventsScreen(OperatorScreen):
    """Lists events, newest first, with the details of the event at the cursor."""

    MODE = "events"
    CSS_PATH = "events.tcss"
    WIDE_COLUMNS = 160
    KEY_ACTIONS = SCREEN_KEYS["events"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._feed = EventFeed()
        self._entries: dict[str, FeedEntry] = {}
        self._drawn: tuple[object, ...] = ()
        self._dated = False
        self._actions = ActionHistory()
        self._newest_action = ""
        self._fetch_error = ""
        self._wants_older = False
        self._fetches = CoalescedFetch(self, "actions", self._fetch_actions)

    def compose_body(self) -> ComposeResult:
        with Container(id="feed"):
            yield Panel(
                "Events",
                Grid(feed_lines.columns(dated=False), list_name="events", id="events"),
                FilterLine("events", "kind:dead who:ada lesson-12 !timeout", id="filter"),
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
        self._follow_actions(view)
        events = self._feed_events(view)
        last = events[-1].event_id if events else ""
        # The feed changes when an event arrives, and at midnight, when times get a date.
        now_ms, local = snapshot.now_ms, view.local_time
        today = feed_lines.day_of(now_ms, local_time=local)
        drawn = (feed, last, len(events), today, local, self._fetch_error)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        shown = feed.shown(events)
        entries = feed.entries(shown)
        self._entries = {key_of_entry(entry): entry for entry in entries}
        dated = feed_lines.dated(shown, now_ms, local_time=local)
        if dated is not self._dated:
            self._dated = dated
            grid.set_columns(feed_lines.columns(dated=dated))
        rows = [
            Row(key_of_entry(entry), feed_lines.entry_cells(entry, now_ms, local_time=local))
            for entry in entries
        ]
        grid.show(rows, empty=feed_lines.format_empty_lines(feed))
        if feed.following and shown:
            grid.go_to(rows[0].key)
        waiting = feed.waiting(events)
        subtitle = feed_lines.subtitle(
            feed,
            len(shown),
            waiting,
            rows=len(rows),
            more=self._actions.next_id is not None,
            error=self._fetch_error,
        )
        self.query_one("#feed-panel", Panel).label(subtitle=subtitle)
        self._draw_event()

    def _feed_events(self, view: QueueView) -> tuple[QueueEvent, ...]:
        """The events of the feed, oldest first: the newest ones, or what operators did, as far as it was fetched."""
        if self._feed.operators_only and self._actions.events:
            return self._actions.oldest_first
        return view.events

    def _follow_actions(self, view: QueueView) -> None:
        """Fetches the newest actions when there is another one."""
        newest = next((event.event_id for event in reversed(view.events) if event.fields.get("who")), "-")
        if self._feed.operators_only and newest != self._newest_action:
            self._newest_action = newest
            self._fetches.request()

    async def _fetch_actions(self) -> None:
        source, older = self.operator_app.source, self._wants_older
        self._wants_older = False
        try:
            if older and self._actions.next_id is not None:
                page = await source.actions(self._actions.next_id, ACTIONS_PER_PAGE)
                self._actions = self._actions.with_older(page)
                if self._feed.frozen_events is not None:
                    self._feed = self._feed.follow().hold(self._actions.oldest_first)
            else:
                page = await source.actions(None, ACTIONS_PER_PAGE)
                self._actions = self._actions.with_newest(page)
            self._fetch_error = ""
        except NotRecorded:
            pass  # a recording has the events of its snapshots only
        except PreviewopsError as error:
            self._fetch_error = error.message
        self.draw_view(self.operator_app.view)

    def _draw_event(self) -> None:
        entry, local = self._entry, self.operator_app.view.local_time
        pane = self.query_one("#event", ScrollText)
        if entry is None:
            pane.write(lambda _columns: ())
        elif isinstance(entry, Burst):
            burst = entry
            pane.write(lambda columns: format_burst_lines(burst, columns, local_time=local))
        else:
            event = entry
            pane.write(lambda columns: feed_lines.format_detail_lines(event, columns, local_time=local))
        self.draw_keys()

    @property
    def _entry(self) -> FeedEntry | None:
        return self._entries.get(self.query_one("#events", Grid).cursor_key)

    @property
    def _burst(self) -> Burst | None:
        """The burst at the cursor."""
        entry = self._entry
        return entry if isinstance(entry, Burst) else None

    @property
    def _event(self) -> QueueEvent | None:
        """The event at the cursor."""
        entry = self._entry
        return None if isinstance(entry, Burst) else entry

    def _set_feed(self, feed: EventFeed) -> None:
        self._feed = feed
        self.draw_view(self.operator_app.view)

    def on_grid_cursor_moved(self, event: Grid.CursorMoved) -> None:
        if self._feed.following and event.grid.cursor_index:
            self._set_feed(self._feed.hold(self._feed_events(self.operator_app.view)))
        if self._feed.operators_only and self._actions.next_id and event.grid.on_last_row:
            self._wants_older = True
            self._fetches.request()
        self._draw_event()

    def on_grid_row_selected(self, _event: Grid.RowSelected) -> None:
        if self._burst is not None:
            self.action_toggle_burst()
        else:
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
            case "toggle_burst":
                return self._burst is not None
            case "fold":
                return not self._feed.operators_only
            case "open":
                return event is not None and bool(event.fields.get("job"))
            case "copy_id":
                return event is not None and bool(event_subject(event))
        return True

    def action_filter(self, inverse: bool) -> None:
        self.query_one("#filter", FilterLine).open(inverted=inverse)

    def action_follow(self) -> None:
        feed = self._feed
        events = self._feed_events(self.operator_app.view)
        self._set_feed(feed.hold(events) if feed.following else feed.follow())

    def action_operators_only(self) -> None:
        self._newest_action = ""
        self._set_feed(replace(self._feed.follow(), operators_only=not self._feed.operators_only))

    def action_toggle_burst(self) -> None:
        burst = self._burst
        if burst is not None:
            self._set_feed(self._feed.toggle(burst))

    def action_fold(self) -> None:
        self._set_feed(replace(self._feed, folding=not self._feed.folding, opened=frozenset()))

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
