"""The first screen."""

from __future__ import annotations

import time
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from previewops.snapshot.history import History, Period
from previewops.snapshot.model import Snapshot
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.overview import charts, panels
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.panel import Panel

_TALL_ROWS = 50
"""From this height on the charts of hour and day are shown together."""

_WORDS = {Period.HOUR: "about an hour", Period.DAY: "about a day"}


class OverviewScreen(OperatorScreen):
    """Shows the queue's status, depth, workers, charts and latest events."""

    MODE = "overview"
    CSS_PATH = "overview.tcss"
    KEY_ACTIONS = SCREEN_KEYS["overview"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._period = Period.HOUR
        self._tall = False
        self._local = False
        self._drawn: dict[Period, tuple[History, Snapshot | None, charts.ClockZone]] = {}

    def compose_body(self) -> ComposeResult:
        yield DiffedLines(id="headline", fit_height=True)
        with Horizontal(id="now"):
            yield Panel("Waiting", DiffedLines(id="depth"), id="depth-panel")
            yield Panel("Workers", DiffedLines(id="fleet"), id="fleet-panel")
        for period in Period:
            with Horizontal(id=f"charts-{period}", classes="charts"):
                yield Panel("Jobs a minute", DiffedLines(id=f"throughput-{period}"))
                yield Panel("Wait and render time", DiffedLines(id=f"latency-{period}"))
        yield Panel("Latest events", DiffedLines(id="events"), id="events-panel")

    def draw_view(self, view: QueueView) -> None:
        self.query_one("#headline", DiffedLines).draw(lambda columns, _: panels.headline(view, columns))
        self.query_one("#depth", DiffedLines).draw(
            lambda columns, _: panels.format_depth_lines(view, columns)
        )
        self.query_one("#fleet", DiffedLines).draw(partial(panels.format_worker_lines, view))
        for period in Period:
            if period is self._period or self._tall:
                self._draw_charts(view, period)
        self.query_one("#events", DiffedLines).draw(partial(panels.format_event_lines, view))

    def _draw_charts(self, view: QueueView, period: Period) -> None:
        zone = self._zone(view)
        history, snapshot, drawn_zone = self._drawn.get(period, (None, None, None))
        if history is view.history and snapshot is view.snapshot and drawn_zone == zone:
            return  # the age and the results of health checks, which change more often, are not in the charts
        self._drawn[period] = (view.history, view.snapshot, zone)
        throughput = partial(charts.format_throughput_lines, view, period, zone=zone)
        self.query_one(f"#throughput-{period}", DiffedLines).draw(throughput)
        latency = partial(charts.format_latency_lines, view, period, zone=zone)
        self.query_one(f"#latency-{period}", DiffedLines).draw(latency)

    def _zone(self, view: QueueView) -> charts.ClockZone:
        """The zone of clock times: UTC, or the zone of this terminal at the snapshot's time."""
        if not self._local or view.snapshot is None:
            return charts.UTC
        local = time.localtime(view.snapshot.now_ms / 1_000)
        return charts.ClockZone(local.tm_zone, local.tm_gmtoff)

    def on_mount(self) -> None:
        for period in Period:
            for panel in self.query_one(f"#charts-{period}").query(Panel):
                panel.label(subtitle=_WORDS[period])
        self._arrange()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Shows both periods if there is room, else the chosen one."""
        self._tall = self.app.size.height >= _TALL_ROWS
        for period in Period:
            self.query_one(f"#charts-{period}").display = self._tall or period is self._period

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return False if action == "period" and self._tall else super().check_action(action, parameters)

    def action_local_time(self) -> None:
        self._local = not self._local
        self.draw_view(self.operator_app.view)

    def action_period(self) -> None:
        self._period = Period.DAY if self._period is Period.HOUR else Period.HOUR
        self._arrange()
        self.draw_view(self.operator_app.view)
